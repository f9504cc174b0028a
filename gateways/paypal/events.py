"""What an event of PayPal's says of an operation of ours, or of a dispute.

Invariant: an object is read as an operation's only where it carries that operation's own id. What was done to a payment
of ours by another hand (in PayPal's own pages) carries the id of the operation before it: it is an alarm.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from commands.messages import Outcome
from gateways import scrubbed
from gateways.contract import DisputeNotice, HttpAnswer
from gateways.paypal import amounts, answers, names

# By the letter of the operation's id.
_KIND: Final = re.compile(r"[0-9a-f]{32}-([ascvr])[0-9]{1,9}")
_UNSAID: Final = HttpAnswer(200, {}, b"")
_RESOLVED: Final[Mapping[str, Literal["won", "lost"]]] = {
    "RESOLVED_SELLER_FAVOUR": "won",
    "CANCELED_BY_BUYER": "won",
    "RESOLVED_BUYER_FAVOUR": "lost",
}


@dataclass(frozen=True, slots=True)
class Told:
    reference: str | None = None
    psp_id: str | None = None
    outcome: Outcome | None = None
    dispute: DisputeNotice | None = None


_NOTHING: Final = Told()


def told(event_type: str, resource: Mapping[str, Any]) -> Told:
    match event_type:
        case "CHECKOUT.ORDER.APPROVED":
            return _order(resource)
        case "PAYMENT.AUTHORIZATION.CREATED" | "PAYMENT.AUTHORIZATION.VOIDED":
            return _payment(resource, "authorizations", "a")
        case (
            "PAYMENT.CAPTURE.COMPLETED"
            | "PAYMENT.CAPTURE.PENDING"
            | "PAYMENT.CAPTURE.DENIED"
            | "PAYMENT.CAPTURE.DECLINED"
        ):
            return _payment(resource, "captures", "sc")
        case "PAYMENT.CAPTURE.REFUNDED":
            return _payment(resource, "refunds", "r")
        case "PAYMENT.CAPTURE.REVERSED":
            return _alarm("reversed", resource)
        case "CUSTOMER.DISPUTE.CREATED" | "CUSTOMER.DISPUTE.UPDATED" | "CUSTOMER.DISPUTE.RESOLVED":
            return _dispute(event_type, resource)
        case _:
            return _NOTHING


def _order(order: Mapping[str, Any]) -> Told:
    """The payer has agreed: it is asked for, and then goes on."""
    unit, order_id = answers.only_unit(order), names.identifier(order.get("id"))
    reference = None if unit is None else answers.reference(unit)
    if reference is None or _letter(reference) not in {"a", "s"}:
        return _NOTHING
    news = Outcome(kind="UNKNOWN", code="order_approved")
    return Told(reference, None if order_id is None else names.order(order_id), news)


def _payment(payment: Mapping[str, Any], part: names.Part, letters: str) -> Told:
    reference = answers.reference(payment)
    letter = None if reference is None else _letter(reference)
    if letter is None:
        return _NOTHING  # of another shop's on the same account
    if letter not in letters:
        return _alarm("done_by_another_hand", payment)
    return Told(reference, _name(payment, part), _outcome(payment, part))


def _outcome(payment: Mapping[str, Any], part: names.Part) -> Outcome:
    money = answers.money(payment.get("amount"))
    if not money:
        return Outcome(kind="UNKNOWN", code="amount_unreadable")
    known = {"psp_id": _name(payment, part), **money}
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
            return Outcome(kind="PENDING", code=answers.reason(payment) or "PENDING", **known)
        case (("authorizations" | "captures"), ("DENIED" | "DECLINED" | "FAILED")):
            return answers.declined(payment, _UNSAID, source="webhook", **known)
        case "refunds", ("FAILED" | "CANCELLED") as status:
            return Outcome(kind="DECLINED_HARD", code=answers.reason(payment) or status, **known)
        case _:
            return answers.unlisted_status(payment, _UNSAID, **known)


def _name(payment: Mapping[str, Any], part: names.Part) -> str | None:
    order_id = names.identifier(answers.related(payment, "order_id"))
    payment_id = names.identifier(payment.get("id"))
    return None if order_id is None or payment_id is None else names.inside(order_id, part, payment_id)


def _dispute(event_type: str, resource: Mapping[str, Any]) -> Told:
    dispute_id, said = names.identifier(resource.get("dispute_id")), resource.get("dispute_outcome")
    money = amounts.from_wire(resource.get("dispute_amount"))
    if dispute_id is None or money is None or money[0] <= 0:
        return _alarm("dispute_unreadable", resource)
    state: Literal["opened", "won", "lost"] | None = "opened"
    if event_type == "CUSTOMER.DISPUTE.RESOLVED" or resource.get("status") == "RESOLVED":
        code = said.get("outcome_code") if isinstance(said, dict) else None
        state = _RESOLVED.get(code) if isinstance(code, str) else None
    if state is None:
        return _alarm("dispute_outcome_unlisted", resource)
    due = answers.moment(resource.get("seller_response_due_date"))
    dispute = DisputeNotice(dispute_id, state, *money, scrubbed.code(resource.get("reason")), due)
    return Told(_disputed(resource), None, None, dispute)


def _disputed(resource: Mapping[str, Any]) -> str | None:
    """The transaction's own id is a capture's, which is not known here without its order."""
    rows = resource.get("disputed_transactions")
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            continue
        for name in ("invoice_number", "custom"):
            said = row.get(name)
            if isinstance(said, str) and _letter(said) in {"s", "c"}:
                return said
    return None


def _alarm(code: str, resource: Mapping[str, Any]) -> Told:
    """An outcome without a way to its payment: a person looks at it."""
    one = names.identifier(resource.get("id")) or names.identifier(resource.get("dispute_id"))
    return Told(outcome=Outcome(kind="UNKNOWN", code=code, detail=scrubbed.text(one)))


def _letter(reference: str) -> str | None:
    found = _KIND.fullmatch(reference)
    return None if found is None else found[1]
