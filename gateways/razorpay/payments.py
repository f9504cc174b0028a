"""Reads payments as an authorization or a sale of ours, and as the target of a capture.

Invariant: APPROVED only for our reference, amount and currency, with the money where it was requested to
be.

A failed payment may be authorized by its bank for days. It may be called declined all the same, where the
bank has given its reason: only a capture of ours takes money, none is sent for what was declined, and what
is authorized late is refunded by Razorpay itself after the time that its order names.
"""

from collections.abc import Mapping
from typing import Any, Final

from commands.balances import Balances
from commands.messages import Outcome
from gateways.contract import Call, HttpResponse
from gateways.razorpay import amounts, codes, responses
from gateways.wire import redaction
from gateways.wire.json import is_int
from gateways.wire.outcomes import Meaning
from gateways.wire.outcomes import balances as of_money

STATUSES: Final = frozenset({"created", "authorized", "captured", "refunded", "failed"})
_SETTLED: Final = frozenset({"authorized", "captured"})
# Status and `captured`. The last was not captured in its time, and Razorpay has released it.
_MOVED: Final = [("authorized", False), ("captured", True), ("refunded", True), ("refunded", False)]


def created(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome of `payments/create/json`. It names no amount: that is read when the customer is back."""
    if body.get("entity") == "payment":
        return _of_its_order(call, body, response)
    payment_id, actions = body.get("razorpay_payment_id"), body.get("next") or []
    order_id = body.get("razorpay_order_id", call.psp_id)
    if not responses.is_id(payment_id, "pay_") or not isinstance(actions, list) or order_id != call.psp_id:
        return responses.unknown(response, "unreadable_response", repeat_is_useless=True)
    if not actions:
        return Outcome(kind="PENDING", psp_id=call.psp_id, code="no_action_needed", detail=payment_id)
    return Outcome(kind="ACTION_REQUIRED", psp_id=call.psp_id, detail=payment_id, **_action(actions))


def captured(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome of a capture: a sale's last step, or an operation of its own."""
    return looked_up(call, body, response) or _unknown(response, "not_done", body)


def looked_up(call: Call, payment: Any, response: HttpResponse) -> Outcome | None:
    """The outcome in a payment that was read by its id. None: it was not captured so far."""
    wanted = call.target_psp_id if call.kind == "capture" else call.psp_id
    if payment_id(payment) is None:
        return responses.unknown(response, "unreadable_response")
    if payment["id"] != wanted:
        return responses.unknown(response, "psp_id_mismatch", repeat_is_useless=True)
    return (
        _of_target(call, payment, response) if call.kind == "capture" else of_attempt(call, payment, response)
    )


def of_order(call: Call, collection: Any, response: HttpResponse) -> Outcome | None:
    """The outcome in all payments of the order `call.psp_id`. None: it has none."""
    payments = responses.items(collection)
    if payments is None or any(payment_id(payment) is None for payment in payments):
        return responses.unknown(response, "unreadable_response")
    if any(payment.get("order_id") != call.psp_id for payment in payments):
        return responses.unknown(response, "psp_id_mismatch")
    if not payments:
        return None
    if (odd := next((one for one in payments if not _is_listed(one)), None)) is not None:
        return _unknown(response, "unexpected_status", odd, unlisted=True)
    settled = [payment for payment in payments if payment["status"] in _SETTLED or _was_captured(payment)]
    if len(settled) > 1:
        return responses.unknown(response, "found_twice", about=", ".join(one["id"] for one in settled[:5]))
    still_open = [payment for payment in payments if payment["status"] == "created"]
    return of_attempt(call, (settled or still_open or sorted(payments, key=_age))[0], response)


def of_attempt(call: Call, payment: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    """The outcome that a payment's status means for an authorization or a sale. None: it is authorized, and
    the sale's capture was not executed. Source: razorpay.com/docs/payments/payments (life cycle)."""
    if not responses.is_of(payment, call.reference):
        return responses.of_another(response, payment["id"])
    if not _is_listed(payment):
        return _unknown(response, "unexpected_status", payment, unlisted=True)
    if (code := responses.mismatch(call, payment)) is not None:
        return _unknown(response, code, payment, **responses.money(payment))
    known = {"psp_id": payment_id(payment), **responses.money(payment)}
    status = payment["status"]
    if status == "captured" or _was_captured(payment):
        # A capture of ours can have taken only an authorized payment whose id is known already.
        if call.kind == "authorize" and call.psp_id != known["psp_id"]:
            return _unknown(response, "captured_unrequested", payment)
        return Outcome(kind="APPROVED", balances=balances(payment), **known)
    if status == "authorized" and call.kind == "authorize":
        return Outcome(kind="APPROVED", balances=balances(payment), **known)
    if status == "authorized":
        captures = call.step == "3"
        return None if captures else Outcome(kind="PENDING", code="authorized", next_step="3", **known)
    if status == "refunded":
        return _refunded(payment, response, known)
    if responses.is_id(call.psp_id, "pay_"):  # authorized once, which is never undone like that
        return _unknown(response, "unexpected_status", payment)
    known["psp_id"] = call.psp_id
    if status == "created":
        return Outcome(kind="ACTION_REQUIRED", code="created", **known)
    return _failed(call, payment, response)


def balances(payment: Mapping[str, Any]) -> Balances | None:
    """The money of a payment, whoever moved it. None: the payment does not state it. Refunds under way
    count."""
    minor, back = responses.money(payment).get("amount_minor"), payment.get("amount_refunded")
    status, captured = payment.get("status"), payment.get("captured")
    if minor is None or not isinstance(captured, bool) or (status, captured) not in _MOVED:
        return None
    refunded = amounts.from_wire(back, str(payment.get("currency"))) if captured and is_int(back) else None
    held = minor if status == "authorized" else 0
    return of_money(minor if captured else 0, refunded if captured else 0, held)


def payment_id(payment: Any) -> str | None:
    """The id of a payment. None: it is no payment, or has no readable id."""
    return responses.entity_id(payment, "payment", "pay_")


def _of_its_order(call: Call, payment: Mapping[str, Any], response: HttpResponse) -> Outcome:
    collection = {"entity": "collection", "count": 1, "items": [payment]}
    return of_order(call, collection, response) or responses.unknown(response, "unreadable_response")


def _refunded(payment: Mapping[str, Any], response: HttpResponse, known: Mapping[str, Any]) -> Outcome:
    if payment.get("captured") is not False:
        return _unknown(response, "refunded_unclearly", payment)
    about = "it was not captured in its time"
    return Outcome(kind="EXPIRED", code="refunded_uncaptured", detail=about, **known)


def _failed(call: Call, payment: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome of a failed payment. One without a response from the bank is as open as one that was just
    created: our steps are closed to end it."""
    reason = responses.reason_of({"reason": payment.get("error_reason")})
    code = redaction.code(payment.get("error_code"))
    meaning = codes.of_reason(reason)
    of_the_bank = meaning is None and code in {"GATEWAY_ERROR", "SERVER_ERROR"}
    if of_the_bank or (meaning is not None and meaning.verdict in {"UNDECIDED", "PENDING"}):
        return Outcome(
            kind="ACTION_REQUIRED",
            psp_id=call.psp_id,
            code=reason or code,
            detail=_text(payment),
            unlisted=meaning is None and reason is not None,
            **responses.money(payment),
        )
    outcome = responses.declined(
        meaning or Meaning("SOFT"), reason or code or "failed", _text(payment), call.psp_id
    )
    return outcome.model_copy(update={"unlisted": meaning is None, **responses.money(payment)})


def _of_target(call: Call, payment: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    """The outcome of a capture in its payment. None: it is authorized, and was not captured when it was
    read."""
    if not responses.is_of(payment, call.target_reference):
        return responses.of_another(response, payment["id"])
    if not _is_listed(payment):
        return _unknown(response, "unexpected_status", payment, unlisted=True)
    if (code := responses.mismatch(call, payment)) is not None:
        return _unknown(response, code, payment, repeat_is_useless=True)
    if payment["status"] == "captured" or _was_captured(payment):
        return Outcome(kind="APPROVED", amount_minor=call.amount_minor, currency=call.currency)
    if payment["status"] == "authorized":
        return None
    if payment["status"] == "refunded" and payment.get("captured") is False:
        return Outcome(kind="DECLINED_HARD", code="authorization_is_over", detail=_text(payment))
    return _unknown(response, "unexpected_status", payment, repeat_is_useless=True)


def _is_listed(payment: Mapping[str, Any]) -> bool:
    status = payment.get("status")
    return isinstance(status, str) and status in STATUSES


def _was_captured(payment: Mapping[str, Any]) -> bool:
    return payment.get("status") == "refunded" and payment.get("captured") is True


def _age(payment: Mapping[str, Any]) -> int:
    """The sort key by which the newest payment comes first."""
    at = payment.get("created_at")
    return -at if is_int(at) else 0


def _action(actions: list[Any]) -> dict[str, Any]:
    named = [one for one in actions if isinstance(one, dict)]
    redirect = next((one for one in named if one.get("action") == "redirect"), None)
    first = redirect or next(iter(named), {})
    url = redaction.address(redirect.get("url")) if redirect is not None else None
    return {"code": redaction.code(first.get("action")) or "action_required", "action_url": url}


def _text(payment: Mapping[str, Any]) -> str | None:
    description = redaction.text(payment.get("error_description"))
    return redaction.joined("; ", responses.status_text("payment", payment), description)


def _unknown(response: HttpResponse, code: str, payment: Mapping[str, Any], **known: Any) -> Outcome:
    return responses.unknown(response, code, about=_text(payment), **known)
