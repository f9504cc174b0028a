"""Reads refunds. Invariant: APPROVED only for our reference, amount and currency, of the payment that was
named."""

from collections.abc import Mapping
from typing import Any

from commands.messages import Outcome
from gateways.contract import Call, HttpResponse
from gateways.razorpay import responses
from gateways.razorpay.requests import LIST_MAX


def read_response(call: Call, refund: Any, response: HttpResponse) -> Outcome:
    """The outcome that a refund's status means. Source: razorpay.com/docs/api/refunds."""
    psp_id = refund_id(refund)
    if psp_id is None:
        return responses.unknown(response, "unreadable_response")
    if not responses.is_of(refund, call.reference):
        return responses.of_another(response, psp_id)
    if refund.get("payment_id") != call.target_psp_id:
        return _unknown(response, "target_mismatch", refund)
    if (code := responses.mismatch(call, refund)) is not None:
        return _unknown(response, code, refund)
    known = {"psp_id": psp_id, **responses.money(refund)}
    match refund.get("status"):
        case "processed":
            return Outcome(kind="APPROVED", **known)
        case "pending":
            return Outcome(kind="PENDING", code="pending", **known)
        case "failed":
            text = responses.status_text("refund", refund)
            return Outcome(kind="DECLINED_HARD", code="failed", detail=text, **known)
        case _:
            return _unknown(response, "unexpected_status", refund, unlisted=True, **known)


def looked_up(call: Call, refund: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome in a refund that was read by its id."""
    if refund_id(refund) not in {None, call.psp_id}:
        return responses.unknown(response, "psp_id_mismatch")
    return read_response(call, refund, response)


def listed(call: Call, collection: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    """The outcome in our refund among the payment's. None: it is not there."""
    refunds = responses.items(collection)
    if refunds is None or any(refund_id(refund) is None for refund in refunds):
        return responses.unknown(response, "unreadable_response")
    if any(refund.get("payment_id") != call.target_psp_id for refund in refunds):
        return responses.unknown(response, "psp_id_mismatch")
    ours = [refund for refund in refunds if responses.is_of(refund, call.reference)]
    if len(ours) > 1:
        return responses.unknown(response, "found_twice", about=", ".join(one["id"] for one in ours[:5]))
    if ours:
        return read_response(call, ours[0], response)
    return responses.unknown(response, "list_too_long") if len(refunds) >= LIST_MAX else None


def refund_id(refund: Any) -> str | None:
    """The id of a refund. None: it is no refund, or has no readable id."""
    return responses.entity_id(refund, "refund", "rfnd_")


def _unknown(response: HttpResponse, code: str, refund: Mapping[str, Any], **known: Any) -> Outcome:
    about = responses.status_text("refund", refund)
    return responses.unknown(response, code, about=about, repeat_is_useless=True, **known)
