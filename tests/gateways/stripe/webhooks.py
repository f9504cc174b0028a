"""Stripe's webhooks, signed as Stripe signs them."""

import hashlib
import hmac
from datetime import datetime
from typing import Any, Final

import orjson

from tests.gateways.conformance.webhooks import NOW
from tests.gateways.stripe.payloads import INTENT_ID

SECRET: Final = "whsec_of_this_endpoint"


def signature(body: bytes, secret: str = SECRET, at: datetime = NOW) -> str:
    seconds = int(at.timestamp())
    signed = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={signed},v0={'0' * 64}"


def headers(body: bytes, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
    return {"stripe-signature": signature(body, secret, at), "content-type": "application/json"}


def event(kind: str, payload: Any, event_id: str = "evt_1NG8Du2eZvKYlo2CUI79vXWy", **more: Any) -> bytes:
    return orjson.dumps(
        {
            "id": event_id,
            "object": "event",
            "api_version": "2026-08-26.dahlia",
            "created": int(NOW.timestamp()),
            "data": {"object": payload},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
            **more,
        }
    )


def dispute(status: str = "needs_response", **more: Any) -> dict[str, Any]:
    return {
        "id": "du_1MtJUT2eZvKYlo2CNaw2HvEv",
        "object": "dispute",
        "amount": 1099,
        "charge": "ch_3MtwBwLkdIwHu7ix28a3tqPa",
        "currency": "usd",
        "evidence_details": {"due_by": 1795000000, "has_evidence": False},
        "metadata": {},
        "payment_intent": INTENT_ID,
        "reason": "fraudulent",
        "status": status,
        **more,
    }


def charge(**more: Any) -> dict[str, Any]:
    return {
        "id": "ch_3MtwBwLkdIwHu7ix28a3tqPa",
        "object": "charge",
        "metadata": {},
        "payment_intent": INTENT_ID,
    } | more
