"""Payments as an authorize or a sale of ours, and as what a capture takes: what their state says of it.

Invariant: APPROVED only for our reference, amount and currency, with the money where it was asked to be.

A failed payment may be authorized by its bank for days. It may be called declined all the same, where the bank has
given its reason: only a capture of ours takes money, none is sent for what was declined, and what is authorized late
is refunded by Razorpay itself after the time that its order names.
"""

from collections.abc import Mapping
from typing import Any, Final

from commands.messages import Outcome
from gateways import scrubbed
from gateways.contract import Call, HttpAnswer
from gateways.razorpay import answers, codes

_STATUSES: Final = frozenset({"created", "authorized", "captured", "refunded", "failed"})
_SETTLED: Final = frozenset({"authorized", "captured"})


def created(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    """What `payments/create/json` answers. It names no amount: that is read when the customer is back."""
    if body.get("entity") == "payment":
        return _of_its_order(call, body, answer)
    payment_id, actions = body.get("razorpay_payment_id"), body.get("next") or []
    order_id = body.get("razorpay_order_id", call.psp_id)
    if not answers.is_id(payment_id, "pay_") or not isinstance(actions, list) or order_id != call.psp_id:
        return answers.unknown(answer, "unreadable_answer", repeat_is_useless=True)
    if not actions:
        return Outcome(kind="PENDING", psp_id=call.psp_id, code="no_action_needed", detail=payment_id)
    return Outcome(kind="ACTION_REQUIRED", psp_id=call.psp_id, detail=payment_id, **_action(actions))


def captured(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    """What a capture answers, as a sale's last step or by itself."""
    return looked_up(call, body, answer) or _unknown(answer, "not_done", body)


def looked_up(call: Call, payment: Any, answer: HttpAnswer) -> Outcome | None:
    """By its id. None: it was not captured so far."""
    wanted = call.target_psp_id if call.kind == "capture" else call.psp_id
    if payment_id(payment) is None:
        return answers.unknown(answer, "unreadable_answer")
    if payment["id"] != wanted:
        return answers.unknown(answer, "psp_id_mismatch", repeat_is_useless=True)
    return _of_target(call, payment, answer) if call.kind == "capture" else of_attempt(call, payment, answer)


def of_order(call: Call, collection: Any, answer: HttpAnswer) -> Outcome | None:
    """All payments of the order `call.psp_id`. None: it has none."""
    payments = answers.items(collection)
    if payments is None or any(payment_id(payment) is None for payment in payments):
        return answers.unknown(answer, "unreadable_answer")
    if any(payment.get("order_id") != call.psp_id for payment in payments):
        return answers.unknown(answer, "psp_id_mismatch")
    if not payments:
        return None
    if (odd := next((one for one in payments if not _is_listed(one)), None)) is not None:
        return _unknown(answer, "unexpected_status", odd, unlisted=True)
    settled = [payment for payment in payments if payment["status"] in _SETTLED or _was_captured(payment)]
    if len(settled) > 1:
        return answers.unknown(answer, "found_twice", about=", ".join(one["id"] for one in settled[:5]))
    still_open = [payment for payment in payments if payment["status"] == "created"]
    return of_attempt(call, (settled or still_open or sorted(payments, key=_age))[0], answer)


def of_attempt(call: Call, payment: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    """A payment as an authorize or a sale. None: authorized, and a sale's capture was not executed."""
    if not answers.is_of(payment, call.reference):
        return answers.of_another(answer, payment)
    if not _is_listed(payment):
        return _unknown(answer, "unexpected_status", payment, unlisted=True)
    if (code := answers.mismatch(call, payment)) is not None:
        return _unknown(answer, code, payment, **answers.money(payment))
    known = {"psp_id": payment_id(payment), **answers.money(payment)}
    status = payment["status"]
    if status == "captured" or _was_captured(payment):
        # Of an authorize only what it is known by already may have been captured: by a capture of ours.
        if call.kind == "authorize" and call.psp_id != known["psp_id"]:
            return _unknown(answer, "captured_unasked", payment)
        return Outcome(kind="APPROVED", **known)
    if status == "authorized" and call.kind == "authorize":
        return Outcome(kind="APPROVED", **known)
    if status == "authorized":
        captures = call.step == "3"
        return None if captures else Outcome(kind="PENDING", code="authorized", next_step="3", **known)
    if status == "refunded":
        return _refunded(payment, answer, known)
    if answers.is_id(call.psp_id, "pay_"):  # authorized once, which is never undone like that
        return _unknown(answer, "unexpected_status", payment)
    known["psp_id"] = call.psp_id
    if status == "created":
        return Outcome(kind="ACTION_REQUIRED", code="created", **known)
    return _failed(call, payment, answer)


def payment_id(payment: Any) -> str | None:
    return answers.entity_id(payment, "payment", "pay_")


def _of_its_order(call: Call, payment: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    collection = {"entity": "collection", "count": 1, "items": [payment]}
    return of_order(call, collection, answer) or answers.unknown(answer, "unreadable_answer")


def _refunded(payment: Mapping[str, Any], answer: HttpAnswer, known: Mapping[str, Any]) -> Outcome:
    if payment.get("captured") is not False:
        return _unknown(answer, "refunded_unclearly", payment)
    about = "it was not captured in its time"
    return Outcome(kind="EXPIRED", code="refunded_uncaptured", detail=about, **known)


def _failed(call: Call, payment: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    """One without an answer from the bank is as open as one that was just created: our steps are closed to end it."""
    reason = answers.reason_of({"reason": payment.get("error_reason")})
    code = scrubbed.code(payment.get("error_code"))
    meaning = codes.of_reason(reason)
    of_the_bank = meaning is None and code in {"GATEWAY_ERROR", "SERVER_ERROR"}
    if of_the_bank or (meaning is not None and meaning.verdict in {"UNDECIDED", "PENDING"}):
        return Outcome(
            kind="ACTION_REQUIRED",
            psp_id=call.psp_id,
            code=reason or code,
            detail=_text(payment),
            unlisted=meaning is None and reason is not None,
            **answers.money(payment),
        )
    outcome = answers.declined(
        meaning or codes.Meaning("SOFT"), reason or code or "failed", _text(payment), call.psp_id
    )
    return outcome.model_copy(update={"unlisted": meaning is None, **answers.money(payment)})


def _of_target(call: Call, payment: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    """None: it is authorized, and was not captured when this was read."""
    if not answers.is_of(payment, call.target_reference):
        return answers.of_another(answer, payment)
    if not _is_listed(payment):
        return _unknown(answer, "unexpected_status", payment, unlisted=True)
    if (code := answers.mismatch(call, payment)) is not None:
        return _unknown(answer, code, payment, repeat_is_useless=True)
    if payment["status"] == "captured" or _was_captured(payment):
        return Outcome(kind="APPROVED", amount_minor=call.amount_minor, currency=call.currency)
    if payment["status"] == "authorized":
        return None
    if payment["status"] == "refunded" and payment.get("captured") is False:
        return Outcome(kind="DECLINED_HARD", code="authorization_is_over", detail=_text(payment))
    return _unknown(answer, "unexpected_status", payment, repeat_is_useless=True)


def _is_listed(payment: Mapping[str, Any]) -> bool:
    status = payment.get("status")
    return isinstance(status, str) and status in _STATUSES


def _was_captured(payment: Mapping[str, Any]) -> bool:
    return payment.get("status") == "refunded" and payment.get("captured") is True


def _age(payment: Mapping[str, Any]) -> int:
    """The newest has the lowest."""
    at = payment.get("created_at")
    return -at if answers.is_int(at) else 0


def _action(actions: list[Any]) -> dict[str, Any]:
    named = [one for one in actions if isinstance(one, dict)]
    redirect = next((one for one in named if one.get("action") == "redirect"), None)
    first = redirect or next(iter(named), {})
    url = scrubbed.address(redirect.get("url")) if redirect is not None else None
    return {"code": scrubbed.code(first.get("action")) or "action_required", "action_url": url}


def _text(payment: Mapping[str, Any]) -> str | None:
    said = [answers.status_text("payment", payment), scrubbed.text(payment.get("error_description"))]
    return scrubbed.text("; ".join(part for part in said if part))


def _unknown(answer: HttpAnswer, code: str, payment: Mapping[str, Any], **known: Any) -> Outcome:
    return answers.unknown(answer, code, about=_text(payment), **known)
