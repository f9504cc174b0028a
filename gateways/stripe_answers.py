"""What Stripe's answers say. Nothing in an answer raises, and whatever is not plainly said is UNKNOWN."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import orjson

from commands.messages import Outcome
from gateways import scrubbed, stripe_amounts, stripe_codes
from gateways.contract import Call, HttpAnswer

Source = Literal["call", "query"]

_MAY_CHARGE: Final = frozenset({"succeeded", "processing", "requires_action"})
# An intent in these states does nothing until someone with our secret key confirms it, and nobody does.
_NEVER_CONFIRMED: Final = frozenset({"requires_payment_method", "requires_confirmation"})


def of_search(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    intents, more = body.get("data"), body.get("has_more")
    if body.get("object") != "search_result" or not isinstance(intents, list) or not isinstance(more, bool):
        return unknown(answer, "unreadable_answer", None)
    if not all(_reference(intent) == call.reference for intent in intents):
        return unknown(answer, "reference_mismatch", None)
    succeeded = [intent for intent in intents if intent.get("status") == "succeeded"]
    if len(succeeded) > 1:
        return unknown(answer, "found_twice", None, ids=succeeded)
    if more or (len(intents) > 1 and not succeeded):
        return unknown(answer, "found_several", None, ids=intents)
    if not intents:
        return None
    return of_intent(call, (succeeded or intents)[0], answer, source="query")


def of_intent(call: Call, intent: Any, answer: HttpAnswer, *, source: Source) -> Outcome | None:
    """None for an intent that was never confirmed."""
    psp_id = intent_id(intent)
    if psp_id is None:
        return unknown(answer, "unreadable_answer", None)
    status = intent.get("status")
    if _reference(intent) != call.reference:
        return _of_another(answer, psp_id)
    if not isinstance(status, str):
        return unknown(answer, "unreadable_answer", None, intent=intent)
    if status in _NEVER_CONFIRMED:
        error = intent.get("last_payment_error")
        if not isinstance(error, dict) or status != "requires_payment_method":
            return None
        return declined(call, error, intent, answer, source=source)
    if status == "canceled":
        detail = f"canceled: {scrubbed.code(intent.get('cancellation_reason')) or 'no reason given'}"
        return Outcome(kind="EXPIRED", psp_id=psp_id, code="canceled", detail=detail, **_money(intent))
    if status not in _MAY_CHARGE:
        return unknown(answer, "unexpected_status", None, intent=intent, repeat_is_useless=True)
    if (code := _mismatch(call, intent, charged=status == "succeeded")) is not None:
        # The stored answer says the same for ever; the intent itself may say another thing.
        return unknown(answer, code, None, intent=intent, repeat_is_useless=True)
    if status == "succeeded":
        return Outcome(kind="APPROVED", psp_id=psp_id, **_money(intent))
    if status == "processing":
        return Outcome(kind="PENDING", psp_id=psp_id, code="processing", **_money(intent))
    return Outcome(kind="ACTION_REQUIRED", psp_id=psp_id, **_action(intent), **_money(intent))


def declined(
    call: Call, error: Mapping[str, Any], intent: Any, answer: HttpAnswer, *, source: Source
) -> Outcome:
    psp_id = intent_id(intent)
    if intent is not None and psp_id is None:
        return unknown(answer, "unreadable_answer", error)
    if psp_id is not None:
        if _reference(intent) != call.reference:
            return _of_another(answer, psp_id)
        if intent.get("status") != "requires_payment_method":
            return unknown(answer, "unexpected_status", error, intent=intent, repeat_is_useless=True)
    said = {name: scrubbed.code(error.get(name)) for name in ("advice_code", "decline_code", "code")}
    meaning = stripe_codes.meaning(**said)
    code = said["decline_code"] or said["code"] or "declined"
    fields: dict[str, Any] = {
        "psp_id": psp_id,
        "code": code,
        "detail": _detail(answer, error),
        "hint": meaning.hint,
        **(_money(intent) if psp_id is not None else {}),
    }
    if source == "call" and meaning.verdict == "DUPLICATE":
        return Outcome(kind="UNKNOWN", repeat_is_useless=True, **fields)
    if source == "call" and meaning.verdict == "CONFIG":
        return Outcome(kind="NOT_SENT", **fields)
    # A look-up is where both end: it has found that this intent was refused, and no other under our reference.
    return Outcome(
        kind="DECLINED_HARD" if meaning.verdict in {"HARD", "CONFIG"} else "DECLINED_SOFT", **fields
    )


def _of_another(answer: HttpAnswer, psp_id: str) -> Outcome:
    """The id stands in the detail only: a look-up by it would find the other one for ever."""
    code, detail = "reference_mismatch", f"{psp_id} is the intent of another reference"
    return Outcome(
        kind="UNKNOWN", code=code, detail=f"{detail}; {_detail(answer, {})}", repeat_is_useless=True
    )


def _mismatch(call: Call, intent: Mapping[str, Any], *, charged: bool) -> str | None:
    try:
        wire = stripe_amounts.to_wire(call.amount_minor, call.currency)
    except stripe_amounts.NotExpressible:
        return "amount_mismatch"
    if intent.get("currency") != call.currency.lower():
        return "currency_mismatch"
    amounts = [intent.get("amount"), *([intent.get("amount_received")] if charged else [])]
    # `type`, for True == 1.
    return None if all(type(amount) is int and amount == wire for amount in amounts) else "amount_mismatch"


def not_sent(
    answer: HttpAnswer, code: str, error: Mapping[str, Any], hint: stripe_codes.Hint | None = None
) -> Outcome:
    return Outcome(kind="NOT_SENT", code=code, detail=_detail(answer, error), hint=hint)


def unknown(
    answer: HttpAnswer,
    code: str,
    error: Any,
    *,
    hint: stripe_codes.Hint | None = None,
    intent: Any = None,
    ids: list[Any] | None = None,
    repeat_is_useless: bool = False,
) -> Outcome:
    stored = (
        answer.headers.get("idempotent-replayed") == "true"
        or answer.headers.get("stripe-should-retry") == "false"
    )
    detail = _detail(answer, error if isinstance(error, dict) else {})
    if intent is not None:
        detail = f"{status_text(intent)}; {detail}"
    if ids is not None:
        detail = f"{', '.join(filter(None, map(intent_id, ids[:5])))}; {detail}"
    return Outcome(
        kind="UNKNOWN",
        psp_id=intent_id(intent),
        code=code,
        detail=scrubbed.text(detail),
        hint=hint,
        repeat_is_useless=repeat_is_useless or stored,
        **_money(intent),
    )


def hint_of_status(status: int) -> stripe_codes.Hint | None:
    return "CONFIG" if 300 <= status < 400 or status in {401, 403} else None


def json_object(body: bytes) -> dict[str, Any]:
    """Empty for what is no JSON object."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def is_intent_id(psp_id: Any) -> bool:
    return isinstance(psp_id, str) and psp_id.startswith("pi_") and scrubbed.identifier(psp_id) is not None


def intent_id(intent: Any) -> str | None:
    if not isinstance(intent, dict) or intent.get("object") != "payment_intent":
        return None
    return intent["id"] if is_intent_id(intent.get("id")) else None


def _reference(intent: Any) -> object:
    metadata = intent.get("metadata") if isinstance(intent, dict) else None
    return metadata.get("order_ref") if isinstance(metadata, dict) else None


def _money(intent: Any) -> dict[str, Any]:
    """What Stripe says was, or would be, charged, as fields of an outcome."""
    if not isinstance(intent, dict):
        return {}
    currency = intent.get("currency")
    wire = intent.get("amount_received") if intent.get("status") == "succeeded" else intent.get("amount")
    if not isinstance(currency, str) or not (
        currency.isascii() and currency.isalpha() and len(currency) == 3
    ):
        return {}
    code = currency.upper()
    minor = stripe_amounts.from_wire(wire, code) if type(wire) is int else None
    return {"currency": code, "amount_minor": minor}


def _action(intent: Mapping[str, Any]) -> dict[str, Any]:
    action = intent.get("next_action")
    if not isinstance(action, dict):
        return {"code": "requires_action"}
    redirect = action.get("redirect_to_url")
    url = scrubbed.address(redirect.get("url")) if isinstance(redirect, dict) else None
    return {"code": scrubbed.code(action.get("type")) or "requires_action", "action_url": url}


def status_text(intent: Any) -> str:
    return f"the intent's status is {scrubbed.code(intent.get('status')) or 'not readable'}"


def _detail(answer: HttpAnswer, error: Mapping[str, Any]) -> str | None:
    """Stripe's words, with the id under which its support finds the call."""
    request = scrubbed.identifier(answer.headers.get("request-id"))
    parts = [
        scrubbed.code(error.get("code")),
        scrubbed.code(error.get("param")),
        scrubbed.text(error.get("message")),
        f"HTTP {answer.status}",
        request,
    ]
    return scrubbed.text(", ".join(part for part in parts if part))
