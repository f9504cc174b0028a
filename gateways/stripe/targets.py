"""Captures and voids: they have no object of their own, so their target, the intent, is read.

Invariant: a capture is APPROVED only where the intent holds its amount under its name, and all that was captured is
named so; a void only where nothing is held any more and exactly what was asked for was never captured.
Reading an intent by its id is consistent, so that what it does not show was not done when it was read; it may still
be under way.
"""

from collections.abc import Mapping
from typing import Any, Final

from commands.messages import Outcome
from gateways.contract import Call, HttpAnswer
from gateways.stripe import answers, codes, intents
from gateways.stripe.requests import capture_tag

_UNFIT: Final = frozenset({answers.UNEXPECTED_STATE, "charge_already_captured"})


def answered(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    return looked_up(call, body, answer) or _unknown(call, answer, "not_done", body)


def refusal(call: Call, error: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    """None: refused for what it asks, before anything was done."""
    code, intent = error.get("code"), error.get("payment_intent")
    unfit = isinstance(code, str) and code in _UNFIT
    found = looked_up(call, intent, answer) if unfit or intent is not None else None
    if error.get("type") == "card_error":
        if found is not None and found.kind in {"APPROVED", "UNKNOWN"}:
            return answers.unknown(answer, "unexpected_status", error, repeat_is_useless=True)
        return answers.declined(error, answer, source="call")
    if unfit:
        # The answer of the call itself: with one key only one try runs at a time, so none is under way.
        return found or answers.not_sent(answer, "unexpected_state", error)
    if isinstance(code, str) and code in codes.AUTHORIZATION_IS_OVER:
        return Outcome(kind="DECLINED_HARD", code=code, detail=answers.detail(answer, error))
    return None


def looked_up(call: Call, intent: Any, answer: HttpAnswer) -> Outcome | None:
    """None: it was not executed so far."""
    if intents.intent_id(intent) is None:
        return answers.unknown(answer, "unreadable_answer", None)
    if intent["id"] != call.target_psp_id:
        return answers.unknown(answer, "psp_id_mismatch", None, repeat_is_useless=True)
    if call.target_reference is None or answers.reference(intent) != call.target_reference:
        return answers.of_another(answer, call.target_psp_id)
    if intent.get("currency") != call.currency.lower():
        return _unknown(call, answer, "currency_mismatch", intent)
    return _capture(call, intent, answer) if call.kind == "capture" else _void(call, intent, answer)


def _capture(call: Call, intent: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    status, tag = intent.get("status"), intent["metadata"].get(capture_tag(call.reference))
    if tag is None:
        if status == "canceled":
            about = answers.status_text("intent", intent)
            return Outcome(kind="DECLINED_HARD", code="target_canceled", detail=about)
        if status in ("requires_capture", "succeeded"):
            return None
        return _unknown(call, answer, "unexpected_status", intent)
    wire, received = answers.wire(call), intent.get("amount_received")
    if tag != str(wire) or not answers.is_amount(received, intents.captured_by_us(intent)):
        return _unknown(call, answer, "amount_mismatch", intent)
    # What is left after a capture that is not the last one may since have been captured or released.
    more_may_follow = call.multicapture and not call.final
    if status == "succeeded" or (more_may_follow and status in ("requires_capture", "canceled")):
        return Outcome(kind="APPROVED", amount_minor=call.amount_minor, currency=call.currency)
    return _unknown(call, answer, "unexpected_status", intent)


def _void(call: Call, intent: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    status = intent.get("status")
    if status == "requires_capture":
        return None
    # Stripe calls an intent `succeeded` whose rest was released after a capture.
    if status not in ("canceled", "succeeded"):
        return _unknown(call, answer, "unexpected_status", intent)
    amount, received = intent.get("amount"), intent.get("amount_received")
    if not answers.is_int(amount) or not answers.is_int(received):
        return _unknown(call, answer, "amount_mismatch", intent)
    if status == "succeeded" and received >= amount:
        return None
    if not answers.is_amount(intent.get("amount_capturable"), 0) or amount - received != answers.wire(call):
        return _unknown(call, answer, "amount_mismatch", intent)
    return Outcome(kind="APPROVED", amount_minor=call.amount_minor, currency=call.currency)


def _unknown(call: Call, answer: HttpAnswer, code: str, intent: Mapping[str, Any]) -> Outcome:
    amounts = ", ".join(
        f"{name} {intent[name]}"
        for name in ("amount", "amount_received", "amount_capturable")
        if answers.is_int(intent.get(name))
    )
    about = f"{answers.status_text(f'target of the {call.kind}', intent)}; {amounts}"
    # The stored answer says the same for ever; the intent itself may say another thing.
    return answers.unknown(answer, code, None, about=about, repeat_is_useless=True)
