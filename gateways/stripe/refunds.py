"""Reads refunds. Invariant: APPROVED only for our reference, amount and currency, of the intent that was
named."""

from collections.abc import Mapping
from typing import Any

from commands.messages import Outcome
from gateways.contract import Call, HttpResponse
from gateways.stripe import amounts, responses
from gateways.wire import redaction
from gateways.wire.outcomes import status_text


def read_response(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome in the refund that the call returned."""
    return of_refund(call, body, response)


def refusal(_: Call, error: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    """The outcome of a card error. None: any other refusal, which leaves no refund behind."""
    if error.get("type") == "card_error":
        return responses.declined(error, response, source="call")
    return None


def looked_up(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    """The outcome in a refund that was read by id, or found among the intent's. None: it is not there."""
    if not responses.is_id(call.psp_id, "re_"):
        return _of_list(call, body, response)
    if body.get("object") == "refund" and body.get("id") != call.psp_id:
        return responses.unknown(response, "psp_id_mismatch", None)
    return of_refund(call, body, response)


def of_refund(call: Call, refund: Any, response: HttpResponse) -> Outcome:
    """The outcome that a refund's status means. Source: docs.stripe.com/api/refunds/object."""
    psp_id = _refund_id(refund)
    if psp_id is None:
        return responses.unknown(response, "unreadable_response", None)
    if responses.reference(refund) != call.reference:
        return responses.of_another(response, psp_id)
    known = {"psp_id": psp_id, **responses.money(refund.get("amount"), refund.get("currency"))}
    about = status_text("refund", refund)
    if (code := _mismatch(call, refund)) is not None:
        return responses.unknown(response, code, None, about=about, repeat_is_useless=True, **known)
    match refund.get("status"):
        case "succeeded":
            return Outcome(kind="APPROVED", **known)
        # The customer has to do something that Stripe requests by itself: no challenge that we could end.
        case "pending" | "requires_action" as status:
            return Outcome(kind="PENDING", code=status, **known)
        case "failed" | "canceled" as status:
            code = redaction.code(refund.get("failure_reason")) or status
            return Outcome(kind="DECLINED_HARD", code=code, detail=about, **known)
        case status:
            new = isinstance(status, str)
            return responses.unknown(
                response,
                "unexpected_status",
                None,
                about=about,
                repeat_is_useless=True,
                unlisted=new,
                **known,
            )


def _of_list(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    refunds, more = body.get("data"), body.get("has_more")
    if body.get("object") != "list" or not isinstance(refunds, list) or not isinstance(more, bool):
        return responses.unknown(response, "unreadable_response", None)
    if any(_refund_id(refund) is None for refund in refunds):
        return responses.unknown(response, "unreadable_response", None)
    if any(refund.get("payment_intent") != call.target_psp_id for refund in refunds):
        return responses.unknown(response, "psp_id_mismatch", None)
    ours = [refund for refund in refunds if responses.reference(refund) == call.reference]
    if len(ours) > 1:
        ids = ", ".join(filter(None, map(_refund_id, ours[:5])))
        return responses.unknown(response, "found_twice", None, about=ids)
    if ours:
        return of_refund(call, ours[0], response)
    return responses.unknown(response, "list_too_long", None) if more else None


def _refund_id(refund: Any) -> str | None:
    if not isinstance(refund, dict) or refund.get("object") != "refund":
        return None
    return refund["id"] if responses.is_id(refund.get("id"), "re_") else None


def _mismatch(call: Call, refund: Mapping[str, Any]) -> str | None:
    if refund.get("payment_intent") != call.target_psp_id:
        return "target_mismatch"
    if refund.get("currency") != call.currency.lower():
        return "currency_mismatch"
    return None if responses.is_amount(refund.get("amount"), amounts.sent(call)) else "amount_mismatch"
