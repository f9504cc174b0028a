"""Payment intents as an authorize or a sale of ours: what their state says of it.

Invariant: APPROVED only for our reference, amount and currency, with the money where it was asked to be.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from commands.messages import Outcome
from gateways import scrubbed
from gateways.contract import Call, HttpAnswer
from gateways.stripe import answers

_TOOK: Final = frozenset({"succeeded", "requires_capture"})
_MAY_TAKE: Final = _TOOK | {"processing", "requires_action"}
# An intent in these states does nothing until someone with our secret key confirms it, and nobody does.
_NEVER_CONFIRMED: Final = frozenset({"requires_payment_method", "requires_confirmation"})
_CAPTURE_TAG: Final = re.compile(r"op_c[0-9]{1,6}")
_TAGGED: Final = re.compile(r"[0-9]{1,15}")


def answered(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    return of_intent(call, body, answer, source="call") or Outcome(
        kind="NOT_SENT",
        psp_id=intent_id(body),
        code="not_confirmed",
        detail=answers.status_text("intent", body),
    )


def refusal(call: Call, error: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    if error.get("type") == "card_error":
        return declined(call, error, error.get("payment_intent"), answer, source="call")
    if error.get("code") != answers.UNEXPECTED_STATE:
        return None
    found = of_intent(call, error.get("payment_intent"), answer, source="call")
    return found or answers.not_sent(answer, "not_confirmed", error)


def looked_up(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    """None also for an intent that was never confirmed: it is proof under the same conditions."""
    if not answers.is_id(call.psp_id, "pi_"):
        return of_search(call, body, answer)
    if body.get("object") == "payment_intent" and body.get("id") != call.psp_id:
        return answers.unknown(answer, "psp_id_mismatch", None)
    return of_intent(call, body, answer, source="query")


def cancelled(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    """Only an end is one: a challenge that is still open may be passed at any moment."""
    error = body.get("error")
    intent: Any = body
    if answer.status != 200:
        unfit = isinstance(error, dict) and error.get("code") == answers.UNEXPECTED_STATE
        if answer.status != 400 or not unfit or not isinstance(error, dict):
            code = "cancel_refused" if 400 <= answer.status < 500 else f"http_{answer.status}"
            return answers.unknown(answer, code, error, hint=answers.hint_of_status(answer.status))
        intent = error.get("payment_intent")
    if intent_id(intent) not in {None, call.psp_id}:
        return answers.unknown(answer, "psp_id_mismatch", None)
    found = of_intent(call, intent, answer, source="query")
    if found is None or found.kind == "ACTION_REQUIRED":
        return _unknown(call, answer, "cancel_refused", error, intent)
    return found


def of_search(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    intents, more = body.get("data"), body.get("has_more")
    if body.get("object") != "search_result" or not isinstance(intents, list) or not isinstance(more, bool):
        return answers.unknown(answer, "unreadable_answer", None)
    if not all(answers.reference(intent) == call.reference for intent in intents):
        return answers.unknown(answer, "reference_mismatch", None)
    took = [
        intent for intent in intents if isinstance(intent.get("status"), str) and intent["status"] in _TOOK
    ]
    if len(took) > 1:
        return answers.unknown(answer, "found_twice", None, about=_ids(took))
    if more or (len(intents) > 1 and not took):
        return answers.unknown(answer, "found_several", None, about=_ids(intents))
    if not intents:
        return None
    return of_intent(call, (took or intents)[0], answer, source="query")


def of_intent(call: Call, intent: Any, answer: HttpAnswer, *, source: answers.Source) -> Outcome | None:
    """None for an intent that was never confirmed."""
    psp_id = intent_id(intent)
    if psp_id is None:
        return answers.unknown(answer, "unreadable_answer", None)
    status = intent.get("status")
    if answers.reference(intent) != call.reference:
        return answers.of_another(answer, psp_id)
    if not isinstance(status, str):
        return _unknown(call, answer, "unreadable_answer", None, intent)
    if status in _NEVER_CONFIRMED:
        error = intent.get("last_payment_error")
        if not isinstance(error, dict) or status != "requires_payment_method":
            return None
        return declined(call, error, intent, answer, source=source)
    if status == "canceled":
        return _ended(call, intent, answer)
    if status not in _MAY_TAKE or (status == "requires_capture" and call.kind == "sale"):
        return _unknown(call, answer, "unexpected_status", None, intent, repeat_is_useless=True)
    if (code := _mismatch(call, intent, status)) is not None:
        # The stored answer says the same for ever; the intent itself may say another thing.
        return _unknown(call, answer, code, None, intent, repeat_is_useless=True)
    money = _money(call, intent)
    if status in _TOOK:
        return Outcome(kind="APPROVED", psp_id=psp_id, **money)
    if status == "processing":
        return Outcome(kind="PENDING", psp_id=psp_id, code="processing", **money)
    return Outcome(kind="ACTION_REQUIRED", psp_id=psp_id, **_action(intent), **money)


def declined(
    call: Call, error: Mapping[str, Any], intent: Any, answer: HttpAnswer, *, source: answers.Source
) -> Outcome:
    psp_id = intent_id(intent)
    if intent is not None and psp_id is None:
        return answers.unknown(answer, "unreadable_answer", error)
    if psp_id is None:
        return answers.declined(error, answer, source=source)
    if answers.reference(intent) != call.reference:
        return answers.of_another(answer, psp_id)
    if intent.get("status") != "requires_payment_method":
        return _unknown(call, answer, "unexpected_status", error, intent, repeat_is_useless=True)
    return answers.declined(error, answer, source=source, psp_id=psp_id, **_money(call, intent))


def intent_id(intent: Any) -> str | None:
    if not isinstance(intent, dict) or intent.get("object") != "payment_intent":
        return None
    return intent["id"] if answers.is_id(intent.get("id"), "pi_") else None


def captured_by_us(intent: Mapping[str, Any]) -> int | None:
    """The sum of what our captures have left in it; None where one of them cannot be read."""
    metadata = intent.get("metadata")
    tags = metadata if isinstance(metadata, dict) else {}
    amounts = [said for name, said in tags.items() if _CAPTURE_TAG.fullmatch(name)]
    if not all(isinstance(said, str) and _TAGGED.fullmatch(said) for said in amounts):
        return None
    return sum(map(int, amounts))


def _ended(call: Call, intent: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    if not answers.is_amount(intent.get("amount_received"), 0):
        return _unknown(call, answer, "canceled_with_money", None, intent, repeat_is_useless=True)
    reason = scrubbed.code(intent.get("cancellation_reason")) or "no reason given"
    return Outcome(
        kind="EXPIRED",
        psp_id=intent_id(intent),
        code="canceled",
        detail=f"canceled: {reason}",
        **_money(call, intent),
    )


def _mismatch(call: Call, intent: Mapping[str, Any], status: str) -> str | None:
    wire = answers.wire(call)
    if intent.get("currency") != call.currency.lower():
        return "currency_mismatch"
    if wire is None or not answers.is_amount(intent.get("amount"), wire):
        return "amount_mismatch"
    if status not in _TOOK:
        return None
    received = intent.get("amount_received")
    if call.kind == "sale":
        return None if answers.is_amount(received, wire) else "amount_mismatch"
    # All that was captured of an authorization has to be what we have captured.
    ours = captured_by_us(intent)
    if status == "succeeded" and ours == 0:
        return "captured_unasked"
    if ours is None or not answers.is_amount(received, ours):
        return "amount_mismatch"
    if status == "succeeded":
        return None
    left = max(wire - ours, 0)
    return None if answers.is_amount(intent.get("amount_capturable"), left) else "amount_mismatch"


def _unknown(
    call: Call,
    answer: HttpAnswer,
    code: str,
    error: Any,
    intent: Mapping[str, Any],
    *,
    repeat_is_useless: bool = False,
) -> Outcome:
    return answers.unknown(
        answer,
        code,
        error,
        about=answers.status_text("intent", intent),
        repeat_is_useless=repeat_is_useless,
        psp_id=intent_id(intent),
        **_money(call, intent),
    )


def _money(call: Call, intent: Mapping[str, Any]) -> dict[str, Any]:
    """What was, or would be, charged by a sale or held by an authorization."""
    taken = call.kind == "sale" and intent.get("status") == "succeeded"
    return answers.money(intent.get("amount_received" if taken else "amount"), intent.get("currency"))


def _ids(intents: list[Any]) -> str:
    return ", ".join(filter(None, map(intent_id, intents[:5])))


def _action(intent: Mapping[str, Any]) -> dict[str, Any]:
    action = intent.get("next_action")
    if not isinstance(action, dict):
        return {"code": "requires_action"}
    redirect = action.get("redirect_to_url")
    url = scrubbed.address(redirect.get("url")) if isinstance(redirect, dict) else None
    return {"code": scrubbed.code(action.get("type")) or "requires_action", "action_url": url}
