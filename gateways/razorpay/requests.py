"""Razorpay's calls. Invariant: a repeat has the same bytes, whatever was learnt since the first try.

Source: API reference 2026-04 (orders; payments: create/json, capture, refund; the lists of an order and a
payment).
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from gateways.contract import Call, Credentials, HttpRequest

ORDERS: Final = "/v1/orders"
PAYMENTS: Final = "/v1/payments"
REFUNDS: Final = "/v1/refunds"
LIST_MAX: Final = 100

UNCAPTURED_LIFE_MIN: Final = 3 * 24 * 60
"""The minutes after which Razorpay refunds an authorized payment. Every order states it: Razorpay's pages
name two defaults."""

_NOTE_MAX: Final = 256
_OF_THE_BROWSER: Final = ("ip", "user_agent", "referer")


def create_order(call: Call, wire: int, credentials: Credentials) -> HttpRequest:
    """Creates an order that only our own call captures, of a sale too, so that nothing is taken that we did
    not request. It has no place for a text on the customer's statement: the account's own is shown."""
    notes = _notes(call)
    if call.description is not None:
        notes["description"] = call.description[:_NOTE_MAX]
    body = {
        "amount": wire,
        "currency": call.currency,
        "receipt": call.reference,
        "notes": notes,
        "payment": {
            "capture": "manual",
            "capture_options": {"manual_expiry_period": UNCAPTURED_LIFE_MIN, "refund_speed": "normal"},
        },
    }
    return _post(ORDERS, body, credentials)


def pay(call: Call, order_id: str, wire: int, credentials: Credentials) -> HttpRequest:
    """Pays an order by the token of a saved card."""
    options = credentials.options
    body: dict[str, Any] = {
        "amount": wire,
        "currency": call.currency,
        "order_id": order_id,
        "email": options["email"],
        "contact": options["contact"],
        "method": "card",
        "token": call.payment_method,
        "notes": _notes(call),
        **{name: options[name] for name in _OF_THE_BROWSER if name in options},
    }
    if call.stored_credential is not None and call.stored_credential.customer_token is not None:
        body["customer_id"] = call.stored_credential.customer_token
    if call.three_ds:
        body["authentication"] = {"authentication_channel": "browser"}
    if call.return_url is not None:
        body["callback_url"] = call.return_url
    return _post(f"{PAYMENTS}/create/json", body, credentials)


def capture(call: Call, payment_id: str, wire: int, credentials: Credentials) -> HttpRequest:
    """Captures all of a payment. The body has no place for our reference: the header is for whoever reads the
    traffic."""
    body = {"amount": wire, "currency": call.currency}
    return _post(f"{PAYMENTS}/{payment_id}/capture", body, credentials, {"X-Request-Id": call.key})


def refund(call: Call, payment_id: str, wire: int, credentials: Credentials) -> HttpRequest:
    """Refunds a part or all of a payment."""
    body = {"amount": wire, "speed": "normal", "receipt": call.reference, "notes": _notes(call)}
    headers = {"X-Refund-Idempotency": call.key}
    return _post(f"{PAYMENTS}/{payment_id}/refund", body, credentials, headers)


def find_order(reference: str, credentials: Credentials) -> HttpRequest:
    """Finds the order with our reference, and its payments."""
    query = urlencode({"receipt": reference, "expand[]": "payments"}, safe="[]")
    return _get(f"{ORDERS}?{query}", credentials)


def list_payments(order_id: str, credentials: Credentials) -> HttpRequest:
    """Lists the payments of an order."""
    return _get(f"{ORDERS}/{order_id}/payments", credentials)


def get_payment(payment_id: str, credentials: Credentials) -> HttpRequest:
    """Reads a payment."""
    return _get(f"{PAYMENTS}/{payment_id}", credentials)


def list_refunds(payment_id: str, credentials: Credentials) -> HttpRequest:
    """Lists the newest 100 refunds of a payment."""
    return _get(f"{PAYMENTS}/{payment_id}/refunds?count={LIST_MAX}", credentials)


def get_refund(refund_id: str, credentials: Credentials) -> HttpRequest:
    """Reads a refund."""
    return _get(f"{REFUNDS}/{refund_id}", credentials)


def _notes(call: Call) -> dict[str, str]:
    """The notes by which a webhook finds the operation, and knows whether a capture of ours follows."""
    return {"order_ref": call.reference, "order_kind": call.kind}


def _post(
    path: str, body: Mapping[str, Any], credentials: Credentials, more: Mapping[str, str] | None = None
) -> HttpRequest:
    headers = {**_headers(credentials), "Content-Type": "application/json", **(more or {})}
    return HttpRequest("POST", path, headers, orjson.dumps(body))


def _get(path: str, credentials: Credentials) -> HttpRequest:
    return HttpRequest("GET", path, _headers(credentials), None)


def _headers(credentials: Credentials) -> dict[str, str]:
    pair = f"{credentials.options['key_id']}:{credentials.secret}".encode()
    return {"Authorization": f"Basic {b64encode(pair).decode()}"}
