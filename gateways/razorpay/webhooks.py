"""Razorpay's events. Invariant: nothing is read from a body whose signature is not right.

An event is a snapshot: the status inside may be ahead of the event's name, so the status decides. Source:
Razorpay's pages on webhooks (validation, payloads of payments, orders, refunds and disputes).
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from aggregates.operation import kind_of
from commands.messages import DisputeState, Outcome
from commands.notices import Notice
from gateways.contract import Webhook, WebhookKeys, WebhookRefused
from gateways.razorpay import payments, refunds, responses
from gateways.wire import redaction
from gateways.wire.disputes import dispute
from gateways.wire.json import json_object, moment_of_unix, object_of
from gateways.wire.signatures import hmac_hex, is_any

_STATES: Final[Mapping[str, DisputeState]] = {
    "payment.dispute.created": "opened",
    "payment.dispute.under_review": "opened",
    "payment.dispute.action_required": "opened",
    "payment.dispute.won": "won",
    "payment.dispute.lost": "lost",
}
_CLOSED: Final = "payment.dispute.closed"
_REFUNDED: Final = frozenset({"processed", "pending", "failed"})


def read(webhook: Webhook, keys: WebhookKeys) -> tuple[Notice, ...] | WebhookRefused:
    """Verifies a webhook with any of the secrets, since repeats of old events keep the old one, and reads its
    event."""
    signature = webhook.headers.get("x-razorpay-signature")
    if signature is None:
        return WebhookRefused("unsigned")
    signed = [hmac_hex(secret.encode(), webhook.body) for secret in keys.secrets]
    if not is_any(signed, [signature]):
        return WebhookRefused("forged")
    event = json_object(webhook.body)
    event_type, payload = redaction.code(event.get("event")), event.get("payload", False)
    if payload is None or payload == []:
        payload = {}  # as Razorpay writes an object without members
    if event_type is None or not isinstance(payload, dict):
        return WebhookRefused("malformed")
    # The header x-razorpay-event-id is not signed: with it anybody who repeats a body could name the next
    # event.
    event_id = hashlib.sha256(webhook.body).hexdigest()
    fields = _fields(event_type, payload)
    return (
        Notice(
            event_id=event_id, event_type=event_type, at=moment_of_unix(event.get("created_at")), **fields
        ),
    )


def _fields(event_type: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the notice. Empty: the event reports nothing about an operation or a dispute."""
    payment, refund = _entity(payload, "payment"), _entity(payload, "refund")
    if event_type.startswith("payment.dispute."):
        return _of_dispute(event_type, _entity(payload, "dispute"), payment)
    if event_type.startswith("refund.") and _reference(refund) is not None:
        return _of_refund(refund)
    if event_type.startswith(("payment.", "refund.")) or event_type == "order.paid":
        return _of_payment(payment) or _of_refunded(refund)
    return {}


def _of_payment(payment: Mapping[str, Any]) -> dict[str, Any]:
    """Reads a payment, also of a refund that we did not request: of what was not captured in its time."""
    psp_id, reference = payments.payment_id(payment), _reference(payment)
    if psp_id is None:
        return {}
    balances = payments.balances(payment)
    known = {"psp_id": psp_id, "balances": balances, **responses.money(payment)}
    kind, status = _notes(payment).get("order_kind"), payment.get("status")
    match kind, status:
        case ("sale", "captured") | ("authorize", "authorized") if known.get("amount_minor"):
            outcome = Outcome(kind="APPROVED", **known)
        case (("sale" | "authorize"), "refunded") if payment.get("captured") is False:
            outcome = Outcome(kind="EXPIRED", code="refunded_uncaptured", **known)
        case _:
            # Only a lookup knows what has to follow; the sums show whether it was done externally.
            update = _unknown(psp_id, status, payments.STATUSES)
            outcome = update.model_copy(update={"balances": balances})
    return {"reference": reference, "psp_id": psp_id, "outcome": outcome}


def _of_refunded(refund: Mapping[str, Any]) -> dict[str, Any]:
    """Reads a refund that names only its payment, which is then queried."""
    psp_id = refund.get("payment_id")
    if not responses.is_id(psp_id, "pay_"):
        return {}
    return {"psp_id": psp_id, "outcome": Outcome(kind="UNKNOWN", psp_id=psp_id, code="refunded_externally")}


def _of_refund(refund: Mapping[str, Any]) -> dict[str, Any]:
    psp_id, reference = refunds.refund_id(refund), _reference(refund)
    if psp_id is None or not responses.is_of(refund, reference):
        return {}
    known, status = {"psp_id": psp_id, **responses.money(refund)}, refund.get("status")
    match status:
        case "processed" if known.get("amount_minor"):
            outcome = Outcome(kind="APPROVED", **known)
        case "pending":
            outcome = Outcome(kind="PENDING", code="pending", **known)
        case "failed":
            outcome = Outcome(kind="DECLINED_HARD", code="failed", **known)
        case _:
            outcome = _unknown(psp_id, status, _REFUNDED)
    return {"reference": reference, "psp_id": psp_id, "outcome": outcome}


def _unknown(psp_id: str, status: Any, known: frozenset[str]) -> Outcome:
    code = redaction.code(status)
    unlisted = code is not None and code not in known
    return Outcome(kind="UNKNOWN", psp_id=psp_id, code=code or "unreadable_status", unlisted=unlisted)


def _of_dispute(
    event_type: str, dispute_entity: Mapping[str, Any], payment: Mapping[str, Any]
) -> dict[str, Any]:
    payment_id = dispute_entity.get("payment_id")
    psp_id = payment_id if responses.is_id(payment_id, "pay_") else None
    of_it = payment if payment.get("id") == psp_id else {}
    way = {"reference": _reference(of_it), "psp_id": psp_id}
    state = _state(event_type, dispute_entity)
    read = dispute(
        redaction.identifier(dispute_entity.get("id")),
        state,
        responses.money(dispute_entity),
        redaction.code(dispute_entity.get("reason_code")),
        moment_of_unix(dispute_entity.get("respond_by")),
    )
    return {**way, **read, "unlisted": event_type if state is None else None}


def _state(event_type: str, dispute_entity: Mapping[str, Any]) -> DisputeState | None:
    """The state of a dispute. A retrieval and a suspicion of fraud inquire, and take nothing: a refund by the
    merchant is the cure of the second. None: the event is not known."""
    nothing_taken = dispute_entity.get("amount_deducted") == 0
    is_inquiry = dispute_entity.get("phase") in ("retrieval", "fraud") and nothing_taken
    state = _STATES.get(event_type)
    if event_type == _CLOSED:
        state = "won" if nothing_taken else "lost"
    if not is_inquiry or state is None:
        return state
    return "inquiry" if state == "opened" else "closed"


def _entity(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The entity of this name. Empty: there is none."""
    return object_of(object_of(payload.get(name)).get("entity"))


def _notes(entity: Mapping[str, Any]) -> Mapping[str, Any]:
    """The notes of an entity. Razorpay writes empty ones as a list."""
    return object_of(entity.get("notes"))


def _reference(entity: Mapping[str, Any]) -> str | None:
    # Not redacted as other ids are: thirteen digits in a row, as in a card number, are common in hexadecimal.
    value = _notes(entity).get("order_ref")
    return value if isinstance(value, str) and kind_of(value) else None
