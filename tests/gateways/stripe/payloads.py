"""Stripe's responses as its reference documents them, for tests of what we read in them."""

from dataclasses import replace
from typing import Any, Final, Literal

from gateways.contract import Call
from tests.support import psp_calls

PAYMENT = psp_calls.PAYMENT
REFERENCE = f"{PAYMENT}-s1"
INTENT_ID = "pi_3MtwBwLkdIwHu7ix28a3tqPa"
REFUND_ID = "re_1Nispe2eZvKYlo2Cd31jOCgZ"
CALL = psp_calls.sale("pm_card_visa")
AUTHORIZE = replace(CALL, kind="authorize", reference=f"{PAYMENT}-a1")


def later(kind: Literal["capture", "void", "refund"], amount_minor: int = 1099, **more: Any) -> Call:
    """The second operation of the payment, on what `AUTHORIZE` holds, or what it took."""
    return psp_calls.later(CALL, kind, amount_minor, INTENT_ID, **more)


def intent(status: str = "succeeded", **more: Any) -> dict[str, Any]:
    return {
        "id": INTENT_ID,
        "object": "payment_intent",
        "amount": 1099,
        "amount_capturable": 1099 if status == "requires_capture" else 0,
        "amount_received": 1099 if status == "succeeded" else 0,
        "cancellation_reason": None,
        "currency": "usd",
        "last_payment_error": None,
        "latest_charge": None,
        "metadata": {"order_ref": REFERENCE},
        "next_action": None,
        "status": status,
        **more,
    }


def authorized(status: str = "requires_capture", **more: Any) -> dict[str, Any]:
    """The intent of `AUTHORIZE`; keywords that begin with `op_` are what captures have left in it."""
    tags = {name: more.pop(name) for name in list(more) if name.startswith("op_")}
    received = sum(int(amount) for amount in tags.values())
    held = {"amount_capturable": 1099 - received if status == "requires_capture" else 0}
    metadata = {"order_ref": AUTHORIZE.reference, **tags}
    return intent(status, **({"amount_received": received, **held, "metadata": metadata} | more))


def refund(status: str = "succeeded", **more: Any) -> dict[str, Any]:
    return {
        "id": REFUND_ID,
        "object": "refund",
        "amount": 1099,
        "charge": "ch_3MtwBwLkdIwHu7ix28a3tqPa",
        "currency": "usd",
        "metadata": {"order_ref": f"{PAYMENT}-r2"},
        "payment_intent": INTENT_ID,
        "reason": None,
        "status": status,
        **more,
    }


def error(kind: str = "invalid_request_error", **more: Any) -> dict[str, Any]:
    return {"error": {"type": kind, "message": "Something is not right.", **more}}


def unfit(shown: Any) -> dict[str, Any]:
    """The body of a 400 for what the intent's state does not allow."""
    return error(code="payment_intent_unexpected_state", payment_intent=shown)


def declined(**reason: Any) -> dict[str, Any]:
    """The body of a 402."""
    payload = {"type": "card_error", "code": "card_declined", "message": "Your card was declined.", **reason}
    return {
        "error": {**payload, "payment_intent": intent("requires_payment_method", last_payment_error=payload)}
    }


def search(*intents: Any, more: bool = False) -> dict[str, Any]:
    return {"object": "search_result", "data": list(intents), "has_more": more, "next_page": None}


def listed(*refunds: Any, more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": list(refunds), "has_more": more, "url": "/v1/refunds"}


http_response: Final = psp_calls.http_response
