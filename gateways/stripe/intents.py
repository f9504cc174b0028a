"""Reads payment intents as an authorization or a sale of ours.

Invariant: APPROVED only for our reference, amount and currency, with the money where it was requested to be.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from commands.messages import Outcome
from gateways.contract import Call, HttpResponse
from gateways.stripe import amounts, requests, responses
from gateways.wire import redaction
from gateways.wire.json import is_int, object_of
from gateways.wire.outcomes import hint_of_status, status_text

_TOOK: Final = frozenset({"succeeded", "requires_capture"})
_MAY_TAKE: Final = _TOOK | {"processing", "requires_action"}
# An intent in these states does nothing until someone with our secret key confirms it, and nobody does.
_NEVER_CONFIRMED: Final = frozenset({"requires_payment_method", "requires_confirmation"})
_TAGGED: Final = re.compile(r"[0-9]{1,15}")


def read_response(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome in the intent that the call returned."""
    return of_intent(call, body, response, source="call") or Outcome(
        kind="NOT_SENT",
        psp_id=intent_id(body),
        code="not_confirmed",
        detail=status_text("intent", body),
    )


def refusal(call: Call, error: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    """The outcome of a card error, or of a refusal that shows the intent. None: the request was refused
    before anything was done."""
    if error.get("type") == "card_error":
        return declined(call, error, error.get("payment_intent"), response, source="call")
    if error.get("code") != responses.UNEXPECTED_STATE:
        return None
    found = of_intent(call, error.get("payment_intent"), response, source="call")
    return found or responses.not_sent(response, "not_confirmed", error)


def looked_up(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    """The outcome in an intent that was read or searched for. None also for one that was never confirmed,
    which is proof under the same conditions."""
    if not responses.is_id(call.psp_id, "pi_"):
        return of_search(call, body, response)
    if body.get("object") == "payment_intent" and body.get("id") != call.psp_id:
        return responses.unknown(response, "psp_id_mismatch", None)
    return of_intent(call, body, response, source="query")


def cancelled(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome of a cancel. Only an end counts: a challenge that is still open may be passed at any
    moment."""
    error = body.get("error")
    intent: Any = body
    if response.status != 200:
        unfit = isinstance(error, dict) and error.get("code") == responses.UNEXPECTED_STATE
        if response.status != 400 or not unfit or not isinstance(error, dict):
            code = "cancel_refused" if 400 <= response.status < 500 else f"http_{response.status}"
            return responses.unknown(response, code, error, hint=hint_of_status(response.status))
        intent = error.get("payment_intent")
    if intent_id(intent) not in {None, call.psp_id}:
        return responses.unknown(response, "psp_id_mismatch", None)
    found = of_intent(call, intent, response, source="query")
    if found is None or found.kind == "ACTION_REQUIRED":
        return _unknown(call, response, "cancel_refused", error, intent)
    return found


def of_search(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    """The outcome in the one intent that a search found. None: it found none. Source:
    docs.stripe.com/api/payment_intents/search."""
    intents, more = body.get("data"), body.get("has_more")
    if body.get("object") != "search_result" or not isinstance(intents, list) or not isinstance(more, bool):
        return responses.unknown(response, "unreadable_response", None)
    if not all(responses.reference(intent) == call.reference for intent in intents):
        return responses.unknown(response, "reference_mismatch", None)
    took = [
        intent for intent in intents if isinstance(intent.get("status"), str) and intent["status"] in _TOOK
    ]
    if len(took) > 1:
        return responses.unknown(response, "found_twice", None, about=_ids(took))
    if more or (len(intents) > 1 and not took):
        return responses.unknown(response, "found_several", None, about=_ids(intents))
    if not intents:
        return None
    return of_intent(call, (took or intents)[0], response, source="query")


def of_intent(call: Call, intent: Any, response: HttpResponse, *, source: responses.Source) -> Outcome | None:
    """The outcome that an intent's status means. None: it was never confirmed. Source:
    docs.stripe.com/payments/paymentintents/lifecycle."""
    psp_id = intent_id(intent)
    if psp_id is None:
        return responses.unknown(response, "unreadable_response", None)
    status = intent.get("status")
    if responses.reference(intent) != call.reference:
        return responses.of_another(response, psp_id)
    if not isinstance(status, str):
        return _unknown(call, response, "unreadable_response", None, intent)
    if status in _NEVER_CONFIRMED:
        error = intent.get("last_payment_error")
        if not isinstance(error, dict) or status != "requires_payment_method":
            return None
        return declined(call, error, intent, response, source=source)
    if status == "canceled" and responses.is_amount(intent.get("amount_received"), 0):
        return _ended(call, intent)
    took = _TOOK | {"canceled"} if call.kind == "authorize" else _TOOK
    if status not in _MAY_TAKE | took or (status == "requires_capture" and call.kind == "sale"):
        return _unknown(call, response, "unexpected_status", None, intent, repeat_is_useless=True)
    if (code := _mismatch(call, intent, status, source)) is not None:
        # A repeat gets the stored response for ever; the intent itself may have moved on.
        return _unknown(call, response, code, None, intent, repeat_is_useless=True)
    money = _money(call, intent) | {"known_as": responses.charge_of(intent, "latest_charge")}
    balances = responses.balances(intent) if source == "query" else None
    if status in took:
        return Outcome(kind="APPROVED", psp_id=psp_id, balances=balances, **money)
    if status == "processing":
        return Outcome(kind="PENDING", psp_id=psp_id, code="processing", **money)
    return Outcome(kind="ACTION_REQUIRED", psp_id=psp_id, **_action(intent), **money)


def declined(
    call: Call, error: Mapping[str, Any], intent: Any, response: HttpResponse, *, source: responses.Source
) -> Outcome:
    """The outcome of a card error, with the intent that it leaves behind, where that is known."""
    psp_id = intent_id(intent)
    if intent is not None and psp_id is None:
        return responses.unknown(response, "unreadable_response", error)
    if psp_id is None:
        return responses.declined(error, response, source=source)
    if responses.reference(intent) != call.reference:
        return responses.of_another(response, psp_id)
    if intent.get("status") != "requires_payment_method":
        return _unknown(call, response, "unexpected_status", error, intent, repeat_is_useless=True)
    known = _money(call, intent) | responses.issuer(error, intent.get("latest_charge"))
    return responses.declined(error, response, source=source, psp_id=psp_id, **known)


def intent_id(intent: Any) -> str | None:
    """The id of an intent. None: it is no intent, or has no readable id."""
    if not isinstance(intent, dict) or intent.get("object") != "payment_intent":
        return None
    return intent["id"] if responses.is_id(intent.get("id"), "pi_") else None


def captured_by_us(intent: Mapping[str, Any]) -> int | None:
    """The sum of the amounts that our captures have left in its metadata, in Stripe's units. None: one cannot
    be read."""
    tags = object_of(intent.get("metadata"))
    tagged = [value for name, value in tags.items() if requests.is_capture_tag(name)]
    if not all(isinstance(value, str) and _TAGGED.fullmatch(value) for value in tagged):
        return None
    return sum(map(int, tagged))


def _ended(call: Call, intent: Mapping[str, Any]) -> Outcome:
    reason = redaction.code(intent.get("cancellation_reason")) or "no reason given"
    return Outcome(
        kind="EXPIRED",
        psp_id=intent_id(intent),
        code="canceled",
        detail=f"canceled: {reason}",
        **_money(call, intent),
    )


def _mismatch(call: Call, intent: Mapping[str, Any], status: str, source: responses.Source) -> str | None:
    wire = amounts.sent(call)
    if intent.get("currency") != call.currency.lower():
        return "currency_mismatch"
    if wire is None or not responses.is_amount(intent.get("amount"), wire):
        return "amount_mismatch"
    if status not in _TOOK | {"canceled"}:
        return None
    received = intent.get("amount_received")
    if call.kind == "sale":
        return None if responses.is_amount(received, wire) else "amount_mismatch"
    # The outcome's balances have what was captured of an authorization, by anybody; its own call captured
    # nothing.
    if not is_int(received) or (source == "call" and (received or status != "requires_capture")):
        return "captured_unrequested" if status == "succeeded" else "amount_mismatch"
    if status != "requires_capture":
        return None
    left = max(wire - received, 0)
    return None if responses.is_amount(intent.get("amount_capturable"), left) else "amount_mismatch"


def _unknown(
    call: Call,
    response: HttpResponse,
    code: str,
    error: Any,
    intent: Mapping[str, Any],
    *,
    repeat_is_useless: bool = False,
) -> Outcome:
    return responses.unknown(
        response,
        code,
        error,
        about=status_text("intent", intent),
        repeat_is_useless=repeat_is_useless,
        unlisted=responses.is_new_status(intent),
        psp_id=intent_id(intent),
        **_money(call, intent),
    )


def _money(call: Call, intent: Mapping[str, Any]) -> dict[str, Any]:
    """The amount that a sale took, or that an authorization holds or would hold."""
    taken = call.kind == "sale" and intent.get("status") == "succeeded"
    return responses.money(intent.get("amount_received" if taken else "amount"), intent.get("currency"))


def _ids(intents: list[Any]) -> str:
    return ", ".join(filter(None, map(intent_id, intents[:5])))


def _action(intent: Mapping[str, Any]) -> dict[str, Any]:
    action = intent.get("next_action")
    if not isinstance(action, dict):
        return {"code": "requires_action"}
    url = redaction.address(object_of(action.get("redirect_to_url")).get("url"))
    return {"code": redaction.code(action.get("type")) or "requires_action", "action_url": url}
