"""Reads what an event of PayPal's reports about an operation of ours, or of a dispute.

Invariant: an object is read as an operation's only where it carries that operation's own id. What was done
externally, in PayPal's own pages, carries the id of the operation before it, which is then queried.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aggregates.operation import CHARGE_ATTEMPTS, Kind, kind_of
from commands.messages import Dispute, DisputeState, Outcome
from gateways.contract import HttpResponse
from gateways.paypal import amounts, names, responses
from gateways.wire import redaction
from gateways.wire.disputes import dispute
from gateways.wire.json import moment, object_of, text

# Ids beside an object, and what each is of.
_RELATED: Final = (("capture_id", "captures"), ("authorization_id", "authorizations"), ("order_id", "orders"))
_UNSAID: Final = HttpResponse(200, {}, b"")
_RESOLVED: Final[Mapping[str, DisputeState]] = {
    "RESOLVED_SELLER_FAVOUR": "won",
    "CANCELED_BY_BUYER": "won",
    "RESOLVED_BUYER_FAVOUR": "lost",
}
# They do not say who has the money.
_UNCLEAR: Final = frozenset({"RESOLVED_WITH_PAYOUT", "ACCEPTED", "DENIED", "NONE"})
OURS: Final = ("CHECKOUT.ORDER.", "PAYMENT.AUTHORIZATION.", "PAYMENT.CAPTURE.", "CUSTOMER.DISPUTE.")
"""Prefixes of the events that the adapter reads."""


@dataclass(frozen=True, slots=True)
class NoticeFields:
    """The fields of a `Notice` about an operation or a dispute, as read from an event. All None: it is about
    neither."""

    reference: str | None = None
    psp_id: str | None = None
    outcome: Outcome | None = None
    dispute: Dispute | None = None
    alarm: str | None = None
    unlisted: str | None = None


_NOTHING: Final = NoticeFields()


def read(event_type: str, resource: Mapping[str, Any]) -> NoticeFields:
    """Reads the resource of an event. Source: developer.paypal.com/api/rest/webhooks/event-names, and the
    OpenAPI descriptions of the resources."""
    match event_type:
        case "CHECKOUT.ORDER.APPROVED":
            return _order(resource)
        case "PAYMENT.AUTHORIZATION.CREATED" | "PAYMENT.AUTHORIZATION.VOIDED":
            return _payment(resource, "authorizations", {"authorize"})
        case (
            "PAYMENT.CAPTURE.COMPLETED"
            | "PAYMENT.CAPTURE.PENDING"
            | "PAYMENT.CAPTURE.DENIED"
            | "PAYMENT.CAPTURE.DECLINED"
        ):
            return _payment(resource, "captures", {"sale", "capture"})
        case "PAYMENT.CAPTURE.REFUNDED":
            return _payment(resource, "refunds", {"refund"})
        case "PAYMENT.CAPTURE.REVERSED":
            return _reversed(resource)
        case "CUSTOMER.DISPUTE.CREATED" | "CUSTOMER.DISPUTE.UPDATED" | "CUSTOMER.DISPUTE.RESOLVED":
            return _NOTHING if _is_foreign(resource) else _dispute(event_type, resource)
        case _:
            return _NOTHING


def _order(order: Mapping[str, Any]) -> NoticeFields:
    """An update: the payer has agreed, and PayPal waits for our next call. The order is queried, and goes on
    then. Once the operation has ended, no call is left, and this webhook is no news."""
    unit, order_id = responses.only_unit(order), names.identifier(order.get("id"))
    reference = None if unit is None else responses.reference(unit)
    if reference is None or kind_of(reference) not in CHARGE_ATTEMPTS:
        return _NOTHING
    update = Outcome(kind="UNKNOWN", code="order_approved", next_step="2")
    return NoticeFields(reference, None if order_id is None else names.order(order_id), update)


def _payment(payment: Mapping[str, Any], part: names.Part, kinds: Collection[Kind]) -> NoticeFields:
    reference = _ours(payment)
    kind = None if reference is None else kind_of(reference)
    if reference is None or kind is None:
        return _unnamed(payment, part)
    if kind not in kinds:
        # Made of one of our operations, and not by us: that operation is queried.
        return NoticeFields(reference, None, Outcome(kind="UNKNOWN", code="done_externally"))
    return NoticeFields(reference, _name(payment, part), _outcome(payment, part))


def _unnamed(payment: Mapping[str, Any], part: names.Part) -> NoticeFields:
    """Reads what names no operation of ours. What has another name belongs to another system on the same
    account, except for a refund: whoever makes one in PayPal's pages may give it any name."""
    if part != "refunds" and responses.reference(payment) is not None:
        return _NOTHING
    way = _way(payment, part)
    return (
        _NOTHING
        if way is None
        else NoticeFields(None, way, Outcome(kind="UNKNOWN", code="reference_missing"))
    )


def _reversed(resource: Mapping[str, Any]) -> NoticeFields:
    """Reads a reversal: PayPal took the money back, and an order shows what is left. In PayPal's sample the
    resource is a refund, and its link `up` leads to the capture."""
    update = Outcome(kind="UNKNOWN", code="reversed")
    if (reference := _ours(resource)) is not None:
        return NoticeFields(reference, None, update)
    if responses.reference(resource) is not None:
        way = names.linked(resource.get("links"), "up")
        return _NOTHING if way is None else NoticeFields(None, way, update)
    way = _way(resource, "captures")
    return _alarm("reversed", resource) if way is None else NoticeFields(None, way, update)


def _ours(entity: Mapping[str, Any]) -> str | None:
    """The first text that is an operation's id: in PayPal's pages anything may be written into
    `invoice_id`."""
    texts = filter(None, map(text, (entity.get("invoice_id"), entity.get("custom_id"))))
    return next((one for one in texts if kind_of(one) is not None), None)


def _way(entity: Mapping[str, Any], part: names.Part) -> str | None:
    """The name of what it was done to, which we know better than itself; else its own name."""
    if (up := names.linked(entity.get("links"), "up")) is not None:
        return up
    for name, of in _RELATED:
        if (one := names.identifier(responses.related(entity, name))) is not None:
            return f"{of}/{one}"
    own, itself = names.linked(entity.get("links"), "self"), names.identifier(entity.get("id"))
    return own or (None if itself is None else names.alone(part, itself))


def _outcome(payment: Mapping[str, Any], part: names.Part) -> Outcome:
    money = responses.money(payment.get("amount"))
    if not money:
        return Outcome(kind="UNKNOWN", code="amount_unreadable")
    known = {**_known(payment, part), **money}
    match part, payment.get("status"):
        case "authorizations", "CREATED" | "PARTIALLY_CAPTURED" | "CAPTURED":
            return Outcome(kind="APPROVED", **known)
        case "authorizations", "VOIDED":
            return Outcome(kind="EXPIRED", code="voided", **known)
        case "captures", "COMPLETED" | "PARTIALLY_REFUNDED" | "REFUNDED":
            return Outcome(kind="APPROVED", **known)
        case "refunds", "COMPLETED":
            return Outcome(kind="APPROVED", **known)
        case _, "PENDING":
            return Outcome(kind="PENDING", code=responses.reason(payment) or "PENDING", **known)
        case (("authorizations" | "captures"), ("DENIED" | "DECLINED" | "FAILED")):
            return responses.declined(payment, _UNSAID, source="webhook", **known)
        case "refunds", ("FAILED" | "CANCELLED") as status:
            return Outcome(kind="DECLINED_HARD", code=responses.reason(payment) or status, **known)
        case _:
            return responses.unlisted_status(payment, _UNSAID, **known)


def _name(payment: Mapping[str, Any], part: names.Part) -> str | None:
    return _known(payment, part).get("psp_id")


def _known(payment: Mapping[str, Any], part: names.Part) -> dict[str, Any]:
    order_id = names.identifier(responses.related(payment, "order_id"))
    payment_id = names.identifier(payment.get("id"))
    return {} if order_id is None or payment_id is None else names.known(order_id, part, payment_id)


def _dispute(event_type: str, resource: Mapping[str, Any]) -> NoticeFields:
    amount_minor, currency = amounts.from_wire(resource.get("dispute_amount")) or (None, None)
    fields = dispute(
        names.identifier(resource.get("dispute_id")),
        _state(event_type, resource),
        {"amount_minor": amount_minor, "currency": currency},
        redaction.code(resource.get("reason")),
        moment(resource.get("seller_response_due_date")),
    )
    code = redaction.code(_outcome_code(resource))
    unlisted = None if code in _RESOLVED or code in _UNCLEAR else code
    reference = _disputed(resource)
    way = None if reference is not None else _disputed_capture(resource)
    return NoticeFields(reference, way, **fields, unlisted=unlisted)


def _state(event_type: str, resource: Mapping[str, Any]) -> DisputeState:
    """The state of a dispute. In the stage INQUIRY buyer and seller talk, and PayPal takes nothing: money
    that is given then is a refund."""
    is_inquiry = resource.get("dispute_life_cycle_stage") == "INQUIRY"
    if event_type != "CUSTOMER.DISPUTE.RESOLVED" and resource.get("status") != "RESOLVED":
        return "inquiry" if is_inquiry else "opened"
    state = _RESOLVED.get(_outcome_code(resource) or "")
    if state is None:
        return "unclear"
    return "closed" if is_inquiry else state


def _outcome_code(resource: Mapping[str, Any]) -> str | None:
    return text(object_of(resource.get("dispute_outcome")).get("outcome_code"))


def _disputed(resource: Mapping[str, Any]) -> str | None:
    return next(
        (reference for reference in _references(resource) if kind_of(reference) in {"sale", "capture"}), None
    )


def _disputed_capture(resource: Mapping[str, Any]) -> str | None:
    """The name of the disputed transaction: its id is a capture's."""
    ids = (names.identifier(row.get("seller_transaction_id")) for row in _transactions(resource))
    return next((names.alone("captures", one) for one in ids if one is not None), None)


def _is_foreign(resource: Mapping[str, Any]) -> bool:
    """True for another system on the same account: its transactions have references, and none is ours."""
    references = _references(resource)
    return bool(references) and not any(map(kind_of, references))


def _references(resource: Mapping[str, Any]) -> list[str]:
    values = [row.get(name) for row in _transactions(resource) for name in ("invoice_number", "custom")]
    return [one for one in values if isinstance(one, str) and one]


def _transactions(resource: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = resource.get("disputed_transactions")
    return [row for row in (rows if isinstance(rows, list) else []) if isinstance(row, dict)]


def _alarm(code: str, resource: Mapping[str, Any]) -> NoticeFields:
    """An outcome without a way to its payment, which an operator has to look at."""
    one = names.identifier(resource.get("id")) or names.identifier(resource.get("dispute_id"))
    return NoticeFields(outcome=Outcome(kind="UNKNOWN", code=code, detail=redaction.text(one)))
