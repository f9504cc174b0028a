"""Refunds. Invariant: APPROVED only for our reference, amount and currency, of the intent that was asked for."""

from collections.abc import Mapping
from typing import Any

from commands.messages import Outcome
from gateways import scrubbed
from gateways.contract import Call, HttpAnswer
from gateways.stripe import answers


def answered(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    return of_refund(call, body, answer)


def refusal(_: Call, error: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    """A refund that Stripe does not take in has no object."""
    if error.get("type") == "card_error":
        return answers.declined(error, answer, source="call")
    return None


def looked_up(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    if not answers.is_id(call.psp_id, "re_"):
        return _of_list(call, body, answer)
    if body.get("object") == "refund" and body.get("id") != call.psp_id:
        return answers.unknown(answer, "psp_id_mismatch", None)
    return of_refund(call, body, answer)


def of_refund(call: Call, refund: Any, answer: HttpAnswer) -> Outcome:
    psp_id = _refund_id(refund)
    if psp_id is None:
        return answers.unknown(answer, "unreadable_answer", None)
    if answers.reference(refund) != call.reference:
        return answers.of_another(answer, psp_id)
    known = {"psp_id": psp_id, **answers.money(refund.get("amount"), refund.get("currency"))}
    about = answers.status_text("refund", refund)
    if (code := _mismatch(call, refund)) is not None:
        return answers.unknown(answer, code, None, about=about, repeat_is_useless=True, **known)
    match refund.get("status"):
        case "succeeded":
            return Outcome(kind="APPROVED", **known)
        # The customer has to do something that Stripe asks for by itself: no challenge that we could end.
        case "pending" | "requires_action" as status:
            return Outcome(kind="PENDING", code=status, **known)
        case "failed" | "canceled" as status:
            code = scrubbed.code(refund.get("failure_reason")) or status
            return Outcome(kind="DECLINED_HARD", code=code, detail=about, **known)
        case _:
            return answers.unknown(
                answer, "unexpected_status", None, about=about, repeat_is_useless=True, **known
            )


def _of_list(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    refunds, more = body.get("data"), body.get("has_more")
    if body.get("object") != "list" or not isinstance(refunds, list) or not isinstance(more, bool):
        return answers.unknown(answer, "unreadable_answer", None)
    if any(_refund_id(refund) is None for refund in refunds):
        return answers.unknown(answer, "unreadable_answer", None)
    if any(refund.get("payment_intent") != call.target_psp_id for refund in refunds):
        return answers.unknown(answer, "psp_id_mismatch", None)
    ours = [refund for refund in refunds if answers.reference(refund) == call.reference]
    if len(ours) > 1:
        ids = ", ".join(filter(None, map(_refund_id, ours[:5])))
        return answers.unknown(answer, "found_twice", None, about=ids)
    if ours:
        return of_refund(call, ours[0], answer)
    return answers.unknown(answer, "list_too_long", None) if more else None


def _refund_id(refund: Any) -> str | None:
    if not isinstance(refund, dict) or refund.get("object") != "refund":
        return None
    return refund["id"] if answers.is_id(refund.get("id"), "re_") else None


def _mismatch(call: Call, refund: Mapping[str, Any]) -> str | None:
    if refund.get("payment_intent") != call.target_psp_id:
        return "target_mismatch"
    if refund.get("currency") != call.currency.lower():
        return "currency_mismatch"
    return None if answers.is_amount(refund.get("amount"), answers.wire(call)) else "amount_mismatch"
