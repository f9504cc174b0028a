"""Reads captures and voids from their target, the intent, since they have no object of their own.

Invariant: a capture is APPROVED only where the intent holds its amount under its name, and all that was
captured is named so; a void only where nothing is held any more and exactly its amount was never captured.

An intent that is read by its id is consistent: what it does not show was not done when it was read; it may
still be under way.
"""

from collections.abc import Mapping
from typing import Any, Final

from commands.messages import Outcome
from gateways.contract import Call, HttpResponse
from gateways.stripe import amounts, codes, intents, responses
from gateways.stripe.requests import capture_tag
from gateways.wire.json import is_int
from gateways.wire.outcomes import status_text

_UNFIT: Final = frozenset({responses.UNEXPECTED_STATE, "charge_already_captured"})


def read_response(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome in the intent that a capture or a cancel returned."""
    return looked_up(call, body, response) or _unknown(call, response, "not_done", body)


def refusal(call: Call, error: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    """The outcome of a refused capture or cancel. None: it was refused for what it requests, before anything
    was done."""
    code, intent = error.get("code"), error.get("payment_intent")
    unfit = isinstance(code, str) and code in _UNFIT
    found = looked_up(call, intent, response) if unfit or intent is not None else None
    if error.get("type") == "card_error":
        if found is not None and found.kind in {"APPROVED", "UNKNOWN"}:
            return responses.unknown(response, "unexpected_status", error, repeat_is_useless=True)
        return responses.declined(error, response, source="call")
    if unfit:
        # The response to the call itself: with one key only one try runs at a time, so none is under way.
        return found or responses.not_sent(response, "unexpected_state", error)
    if isinstance(code, str) and code in codes.AUTHORIZATION_IS_OVER:
        return Outcome(kind="DECLINED_HARD", code=code, detail=responses.detail(response, error))
    return None


def looked_up(call: Call, intent: Any, response: HttpResponse) -> Outcome | None:
    """The outcome in the target intent. None: the capture or void was not executed so far."""
    if intents.intent_id(intent) is None:
        return responses.unknown(response, "unreadable_response", None)
    if intent["id"] != call.target_psp_id:
        return responses.unknown(response, "psp_id_mismatch", None, repeat_is_useless=True)
    if call.target_reference is None or responses.reference(intent) != call.target_reference:
        return responses.of_another(response, intent["id"])
    if intent.get("currency") != call.currency.lower():
        return _unknown(call, response, "currency_mismatch", intent)
    return _capture(call, intent, response) if call.kind == "capture" else _void(call, intent, response)


def _capture(call: Call, intent: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    status, tag = intent.get("status"), intent["metadata"].get(capture_tag(call.reference))
    if tag is None:
        if status == "canceled":
            about = status_text("intent", intent)
            return Outcome(kind="DECLINED_HARD", code="target_canceled", detail=about)
        if status in ("requires_capture", "succeeded"):
            return None
        return _unknown(call, response, "unexpected_status", intent)
    wire, received = amounts.sent(call), intent.get("amount_received")
    if tag != str(wire) or not responses.is_amount(received, intents.captured_by_us(intent)):
        return _unknown(call, response, "amount_mismatch", intent)
    # Money that is left after a capture that is not the last one may since have been captured or released.
    more_may_follow = call.multicapture and not call.final
    if status == "succeeded" or (more_may_follow and status in ("requires_capture", "canceled")):
        return Outcome(kind="APPROVED", amount_minor=call.amount_minor, currency=call.currency)
    return _unknown(call, response, "unexpected_status", intent)


def _void(call: Call, intent: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    status = intent.get("status")
    if status == "requires_capture":
        return None
    # Stripe calls an intent `succeeded` whose rest was released after a capture.
    if status not in ("canceled", "succeeded"):
        return _unknown(call, response, "unexpected_status", intent)
    amount, received = intent.get("amount"), intent.get("amount_received")
    if not is_int(amount) or not is_int(received):
        return _unknown(call, response, "amount_mismatch", intent)
    if status == "succeeded" and received >= amount:
        return None
    ours = intents.captured_by_us(intent)
    if ours is not None and received > ours:
        about = status_text("target of the void", intent)
        return Outcome(kind="DECLINED_HARD", code="captured_externally", detail=about)
    if not responses.is_amount(intent.get("amount_capturable"), 0) or amount - received != amounts.sent(call):
        return _unknown(call, response, "amount_mismatch", intent)
    return Outcome(kind="APPROVED", amount_minor=call.amount_minor, currency=call.currency)


def _unknown(call: Call, response: HttpResponse, code: str, intent: Mapping[str, Any]) -> Outcome:
    numbers = ", ".join(
        f"{name} {intent[name]}"
        for name in ("amount", "amount_received", "amount_capturable")
        if is_int(intent.get(name))
    )
    about = f"{status_text(f'target of the {call.kind}', intent)}; {numbers}"
    # A repeat gets the stored response for ever; the intent itself may have moved on.
    new = responses.is_new_status(intent)
    return responses.unknown(response, code, None, about=about, repeat_is_useless=True, unlisted=new)
