"""Razorpay's responses as its reference documents them, for tests of what we read in them."""

import hashlib
import hmac
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import orjson
import pytest

from gateways.contract import Call, Credentials, Webhook
from tests.support import psp_calls

PAYMENT = psp_calls.PAYMENT
REFERENCE = f"{PAYMENT}-s1"
ORDER_ID = "order_IluGWxBm9U8zJ8"
PAYMENT_ID = "pay_29QQoUBi66xm2f"
REFUND_ID = "rfnd_FP8DDKxqJif6ca"
KEY_ID = "rzp_test_1DP5mmOlF5G5ag"
SECRET = "thisissupersecret"
WEBHOOK_SECRET, OLD_WEBHOOK_SECRET = "webhook-secret", "webhook-secret-of-before"
OPTIONS = {"key_id": KEY_ID, "email": "till@shop.example", "contact": "+919999999999"}
CREDENTIALS = Credentials("https://api.razorpay.com", SECRET, OPTIONS)
ORDER = psp_calls.sale("token_4lsdksD31GaZ09", currency="INR")
PAY = replace(ORDER, step="2", psp_id=ORDER_ID, return_url="https://api.shop.example/return/t0k3n")
TAKE = replace(ORDER, step="3", psp_id=PAYMENT_ID)
AUTHORIZE = replace(PAY, kind="authorize", reference=f"{PAYMENT}-a1")


def later(kind: Literal["capture", "void", "refund"], amount_minor: int = 1099, **more: Any) -> Call:
    """The second operation of the payment, on what `AUTHORIZE` holds, or what it took."""
    return psp_calls.later(ORDER, kind, amount_minor, PAYMENT_ID, **{"target_minor": 1099, **more})


CAPTURE, REFUND = later("capture"), later("refund", 400)


def notes(call: Call) -> dict[str, str]:
    return {"order_ref": call.reference, "order_kind": call.kind}


def order(call: Call = ORDER, **more: Any) -> dict[str, Any]:
    return {
        "id": ORDER_ID,
        "entity": "order",
        "amount": 1099,
        "amount_paid": 0,
        "amount_due": 1099,
        "currency": "INR",
        "receipt": call.reference,
        "offer_id": None,
        "status": "created",
        "attempts": 0,
        "notes": notes(call),
        "created_at": 1642662092,
        **more,
    }


def payment(status: str = "captured", call: Call = PAY, **more: Any) -> dict[str, Any]:
    return {
        "id": PAYMENT_ID,
        "entity": "payment",
        "amount": 1099,
        "currency": "INR",
        "status": status,
        "order_id": ORDER_ID,
        "method": "card",
        "amount_refunded": 0,
        "refund_status": None,
        "captured": status == "captured",
        "token_id": call.payment_method,
        "notes": notes(call),
        "fee": 23,
        "tax": 3,
        "error_code": None,
        "error_description": None,
        "error_reason": None,
        "created_at": 1642662100,
        **more,
    }


def failed(reason: str | None, code: str = "BAD_REQUEST_ERROR", **more: Any) -> dict[str, Any]:
    return payment("failed", error_reason=reason, error_code=code, error_description="It failed.", **more)


def refund(status: str = "processed", **more: Any) -> dict[str, Any]:
    return {
        "id": REFUND_ID,
        "entity": "refund",
        "amount": 400,
        "currency": "INR",
        "payment_id": PAYMENT_ID,
        "notes": notes(REFUND),
        "receipt": REFUND.reference,
        "acquirer_data": {"arn": None},
        "created_at": 1597078124,
        "status": status,
        "speed_processed": "normal",
        "speed_requested": "normal",
        **more,
    }


DISPUTE = {
    "id": "disp_EsIAlDcoUr8CaQ",
    "entity": "dispute",
    "payment_id": PAYMENT_ID,
    "amount": 1099,
    "currency": "INR",
    "amount_deducted": 0,
    "reason_code": "chargeback",
    "respond_by": 1642748560,
    "status": "open",
    "phase": "chargeback",
    "created_at": 1642662160,
}


def listed(*items: Any) -> dict[str, Any]:
    return {"entity": "collection", "count": len(items), "items": list(items)}


def prepared(*actions: Any) -> dict[str, Any]:
    """The response of `payments/create/json`."""
    return {"razorpay_payment_id": PAYMENT_ID, **({"next": list(actions)} if actions else {})}


REDIRECT = {"action": "redirect", "url": f"https://api.razorpay.com/v1/payments/{PAYMENT_ID}/authenticate"}


def error(
    reason: str | None = "NA", *, of: str | None = None, code: str = "BAD_REQUEST_ERROR", **more: Any
) -> dict[str, Any]:
    """`of`: the payment that it names."""
    payload = {"code": code, "description": "Something is not right.", "source": "NA", "step": "NA", **more}
    metadata = {} if of is None else {"payment_id": of, "order_id": ORDER_ID}
    return {"error": {**payload, "reason": reason, "metadata": metadata}}


http_response: Final = psp_calls.http_response


def event(event_type: str, **entities: Any) -> dict[str, Any]:
    return {
        "entity": "event",
        "account_id": "acc_BFQ7uQEaa7j2z7",
        "event": event_type,
        "contains": sorted(entities),
        "payload": {name: {"entity": entity} for name, entity in entities.items()},
        "created_at": 1642662160,
    }


def webhook(body: Any, secret: str = WEBHOOK_SECRET, event_id: str | None = "evt_1") -> Webhook:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    signature = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    named = {} if event_id is None else {"x-razorpay-event-id": event_id}
    return Webhook({"x-razorpay-signature": signature, **named}, raw)


def published(name: str) -> dict[str, Any]:
    """An object that Razorpay's own client is tested with."""
    here = Path(__file__).parents[3].parent / "shared" / "specs"
    path = Path(os.environ.get("AEGISPAY_SPECS", here)) / "razorpay" / name
    if not path.is_file():
        pytest.skip(f"Razorpay's fixtures are not here: {path}")
    read = orjson.loads(path.read_bytes())
    assert isinstance(read, dict)
    return read
