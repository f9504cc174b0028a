"""Razorpay's events. Invariant: nothing is read of a body whose signature is not right.

An event is a snapshot: the status inside may be ahead of the event's name, so the status decides. Source: Razorpay's
pages on webhooks (validation, payloads of payments, orders, refunds and disputes).
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from commands.messages import Outcome
from gateways import scrubbed
from gateways.contract import DisputeNotice, Hook, HookKeys, HookRefused, Notice
from gateways.razorpay import answers, payments, refunds

_STATES: Final[Mapping[str, Literal["opened", "won", "lost"]]] = {
    "payment.dispute.created": "opened",
    "payment.dispute.under_review": "opened",
    "payment.dispute.action_required": "opened",
    "payment.dispute.won": "won",
    "payment.dispute.lost": "lost",
}
_CLOSED: Final = "payment.dispute.closed"
_YEAR_2100: Final = 4_102_444_800
# Not scrubbed as other ids are: thirteen digits in a row, as in a card number, are no rarity in hexadecimal.
_REFERENCE: Final = re.compile(r"[0-9a-f]{32}-[a-z][0-9]{1,6}")


def read(hook: Hook, keys: HookKeys) -> tuple[Notice, ...] | HookRefused:
    """Signed with any of the secrets: repeats of old events keep the old one."""
    signature = hook.headers.get("x-razorpay-signature")
    if signature is None:
        return HookRefused("unsigned")
    signed = [hmac.new(secret.encode(), hook.body, hashlib.sha256).hexdigest() for secret in keys.secrets]
    if not any(hmac.compare_digest(one.encode(), signature.encode("utf-8", "replace")) for one in signed):
        return HookRefused("forged")
    event = answers.json_object(hook.body)
    event_type, payload = scrubbed.code(event.get("event")), event.get("payload")
    if event_type is None or not isinstance(payload, dict):
        return HookRefused("malformed")
    said = scrubbed.identifier(hook.headers.get("x-razorpay-event-id"))
    event_id = said or hashlib.sha256(hook.body).hexdigest()
    told = _told(event_type, payload)
    return (Notice(event_id=event_id, event_type=event_type, at=_moment(event.get("created_at")), **told),)


def _told(event_type: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """As fields of the notice; none where it says nothing of an operation or a dispute."""
    payment, refund = _entity(payload, "payment"), _entity(payload, "refund")
    if event_type.startswith("payment.dispute."):
        return _of_dispute(event_type, _entity(payload, "dispute"), payment)
    if event_type.startswith("refund.") and _reference(refund) is not None:
        return _of_refund(refund)
    if event_type.startswith(("payment.", "refund.")) or event_type == "order.paid":
        return _of_payment(payment)
    return {}


def _of_payment(payment: Mapping[str, Any]) -> dict[str, Any]:
    """Also of a refund that we did not ask for: of what was not captured in its time."""
    psp_id, reference = payments.payment_id(payment), _reference(payment)
    if psp_id is None:
        return {}
    known = {"psp_id": psp_id, **answers.money(payment)}
    kind, status = _notes(payment).get("order_kind"), payment.get("status")
    match kind, status:
        case ("sale", "captured") | ("authorize", "authorized") if known.get("amount_minor"):
            outcome = Outcome(kind="APPROVED", **known)
        case (("sale" | "authorize"), "refunded") if payment.get("captured") is False:
            outcome = Outcome(kind="EXPIRED", code="refunded_uncaptured", **known)
        case _:
            # Only a look-up knows what has to follow, or whether it was asked for.
            outcome = Outcome(
                kind="UNKNOWN", psp_id=psp_id, code=scrubbed.code(status) or "unreadable_status"
            )
    return {"reference": reference, "psp_id": psp_id, "outcome": outcome}


def _of_refund(refund: Mapping[str, Any]) -> dict[str, Any]:
    psp_id, reference = refunds.refund_id(refund), _reference(refund)
    if psp_id is None or not answers.is_of(refund, reference):
        return {}
    known, status = {"psp_id": psp_id, **answers.money(refund)}, refund.get("status")
    match status:
        case "processed" if known.get("amount_minor"):
            outcome = Outcome(kind="APPROVED", **known)
        case "pending":
            outcome = Outcome(kind="PENDING", code="pending", **known)
        case "failed":
            outcome = Outcome(kind="DECLINED_HARD", code="failed", **known)
        case _:
            outcome = Outcome(
                kind="UNKNOWN", psp_id=psp_id, code=scrubbed.code(status) or "unreadable_status"
            )
    return {"reference": reference, "psp_id": psp_id, "outcome": outcome}


def _of_dispute(event_type: str, dispute: Mapping[str, Any], payment: Mapping[str, Any]) -> dict[str, Any]:
    state, payment_id = _STATES.get(event_type), dispute.get("payment_id")
    dispute_id, money = scrubbed.identifier(dispute.get("id")), answers.money(dispute)
    if event_type == _CLOSED:
        state = "won" if dispute.get("amount_deducted") == 0 else "lost"
    if state is None or dispute_id is None or not money.get("amount_minor"):
        return {}
    notice = DisputeNotice(
        dispute_id=dispute_id,
        state=state,
        reason=scrubbed.code(dispute.get("reason_code")),
        respond_by=_moment(dispute.get("respond_by")),
        **money,
    )
    psp_id = payment_id if answers.is_id(payment_id, "pay_") else None
    of_it = payment if payment.get("id") == psp_id else {}
    return {"reference": _reference(of_it), "psp_id": psp_id, "dispute": notice}


def _entity(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Empty where there is none."""
    wrapped = payload.get(name)
    entity = wrapped.get("entity") if isinstance(wrapped, dict) else None
    return entity if isinstance(entity, dict) else {}


def _notes(entity: Mapping[str, Any]) -> Mapping[str, Any]:
    """Empty ones are a list."""
    notes = entity.get("notes")
    return notes if isinstance(notes, dict) else {}


def _reference(entity: Mapping[str, Any]) -> str | None:
    said = _notes(entity).get("order_ref")
    return said if isinstance(said, str) and _REFERENCE.fullmatch(said) else None


def _moment(said: Any) -> datetime | None:
    """Unix seconds."""
    return datetime.fromtimestamp(said, UTC) if answers.is_int(said) and 0 <= said < _YEAR_2100 else None
