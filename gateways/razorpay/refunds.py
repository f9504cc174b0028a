"""Refunds. Invariant: APPROVED only for our reference, amount and currency, of the payment that was asked for."""

from collections.abc import Mapping
from typing import Any

from commands.messages import Outcome
from gateways.contract import Call, HttpAnswer
from gateways.razorpay import answers
from gateways.razorpay.requests import LIST_MAX


def answered(call: Call, refund: Any, answer: HttpAnswer) -> Outcome:
    psp_id = refund_id(refund)
    if psp_id is None:
        return answers.unknown(answer, "unreadable_answer")
    if not answers.is_of(refund, call.reference):
        return answers.of_another(answer, refund)
    if refund.get("payment_id") != call.target_psp_id:
        return _unknown(answer, "target_mismatch", refund)
    if (code := answers.mismatch(call, refund)) is not None:
        return _unknown(answer, code, refund)
    known = {"psp_id": psp_id, **answers.money(refund)}
    match refund.get("status"):
        case "processed":
            return Outcome(kind="APPROVED", **known)
        case "pending":
            return Outcome(kind="PENDING", code="pending", **known)
        case "failed":
            text = answers.status_text("refund", refund)
            return Outcome(kind="DECLINED_HARD", code="failed", detail=text, **known)
        case _:
            return _unknown(answer, "unexpected_status", refund, unlisted=True, **known)


def looked_up(call: Call, refund: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    """By its id."""
    if refund_id(refund) not in {None, call.psp_id}:
        return answers.unknown(answer, "psp_id_mismatch")
    return answered(call, refund, answer)


def listed(call: Call, collection: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    """Among all of the payment's."""
    refunds = answers.items(collection)
    if refunds is None or any(refund_id(refund) is None for refund in refunds):
        return answers.unknown(answer, "unreadable_answer")
    if any(refund.get("payment_id") != call.target_psp_id for refund in refunds):
        return answers.unknown(answer, "psp_id_mismatch")
    ours = [refund for refund in refunds if answers.is_of(refund, call.reference)]
    if len(ours) > 1:
        return answers.unknown(answer, "found_twice", about=", ".join(one["id"] for one in ours[:5]))
    if ours:
        return answered(call, ours[0], answer)
    return answers.unknown(answer, "list_too_long") if len(refunds) >= LIST_MAX else None


def refund_id(refund: Any) -> str | None:
    return answers.entity_id(refund, "refund", "rfnd_")


def _unknown(answer: HttpAnswer, code: str, refund: Mapping[str, Any], **known: Any) -> Outcome:
    about = answers.status_text("refund", refund)
    return answers.unknown(answer, code, about=about, repeat_is_useless=True, **known)
