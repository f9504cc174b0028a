"""Stripe's answers as its reference documents them, for tests of what we read in them."""

from typing import Any

import orjson

from gateways.contract import Call, HttpAnswer

REFERENCE = "0f8fad5bd9cb469fa16570867728950e-s1"
INTENT_ID = "pi_3MtwBwLkdIwHu7ix28a3tqPa"
CALL = Call(
    reference=REFERENCE,
    step="1",
    kind="sale",
    amount_minor=1099,
    currency="USD",
    payment_method="pm_card_visa",
    description="Order 7",
    psp_id=None,
)


def intent(status: str = "succeeded", **more: Any) -> dict[str, Any]:
    return {
        "id": INTENT_ID,
        "object": "payment_intent",
        "amount": 1099,
        "amount_received": 1099 if status == "succeeded" else 0,
        "currency": "usd",
        "last_payment_error": None,
        "latest_charge": None,
        "metadata": {"order_ref": REFERENCE},
        "next_action": None,
        "status": status,
        **more,
    }


def error(kind: str = "invalid_request_error", **more: Any) -> dict[str, Any]:
    return {"error": {"type": kind, "message": "Something is not right.", **more}}


def declined(**reason: Any) -> dict[str, Any]:
    """The body of a 402."""
    said = {"type": "card_error", "code": "card_declined", "message": "Your card was declined.", **reason}
    return {"error": {**said, "payment_intent": intent("requires_payment_method", last_payment_error=said)}}


def search(*intents: Any, more: bool = False) -> dict[str, Any]:
    return {"object": "search_result", "data": list(intents), "has_more": more, "next_page": None}


def answer(status: int, body: Any, headers: dict[str, str] | None = None) -> HttpAnswer:
    return HttpAnswer(status, headers or {}, body if isinstance(body, bytes) else orjson.dumps(body))
