"""PayPal's calls. Invariant: a repeat has the same bytes, whatever was learnt since the first try.

Source: OpenAPI of Orders 2.13 and Payments 2.5. The order is created without a vaulted payment source, so
that its creation moves nothing and its id is known before the call that does.
"""

import base64
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from gateways.contract import Call, Credentials, HttpRequest

ORDERS: Final = "/v2/checkout/orders"
PAYMENTS: Final = "/v2/payments"
EVENTS: Final = "/v1/notifications/webhooks-events"
_DESCRIPTION_MAX: Final = 127
_VAULT_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,255}")


@dataclass(frozen=True, slots=True)
class Source:
    """The payment source in a token. `vault_id` None: a wallet whose owner agrees on PayPal's page."""

    of: Literal["card", "paypal"]
    vault_id: str | None


def source_of(payment_method: str) -> Source | None:
    """The payment source of `paypal`, `paypal:<vault id>`, `card:<vault id>`, or a card's vault id alone.
    None: the token is none of these."""
    if payment_method == "paypal":
        return Source("paypal", None)
    of, colon, rest = payment_method.partition(":")
    vault_id = rest if colon else payment_method
    if not _VAULT_ID.fullmatch(vault_id) or (colon and of not in {"card", "paypal"}):
        return None
    return Source("paypal" if colon and of == "paypal" else "card", vault_id)


def sign_in(credentials: Credentials) -> HttpRequest:
    """Asks for an access token (developer.paypal.com/api/rest/authentication)."""
    client_id = credentials.options.get("client_id", "")
    basic = base64.b64encode(f"{client_id}:{credentials.secret}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    return HttpRequest("POST", "/v1/oauth2/token", headers, b"grant_type=client_credentials")


def create(call: Call, source: Source, wire: dict[str, str], credentials: Credentials) -> HttpRequest:
    """Creates an order. A vaulted payment source is not part of it, so that nothing moves yet."""
    unit: dict[str, Any] = {"custom_id": call.reference, "invoice_id": call.reference, "amount": wire}
    if call.description is not None:
        unit["description"] = call.description[:_DESCRIPTION_MAX]
    if call.statement_text is not None:
        unit["soft_descriptor"] = call.statement_text
    body: dict[str, Any] = {
        "intent": "AUTHORIZE" if call.kind == "authorize" else "CAPTURE",
        "purchase_units": [unit],
    }
    if source.vault_id is None:
        context = {
            "user_action": "PAY_NOW",
            "shipping_preference": "NO_SHIPPING",
            **_pages(call),
        }
        body["payment_source"] = {"paypal": {"experience_context": context}}
    return _post(call, ORDERS, body, credentials)


def take(call: Call, source: Source, order_id: str, credentials: Credentials) -> HttpRequest:
    """Authorizes or captures the order. Once its payer has agreed, the order itself knows the payment
    source."""
    verb = "authorize" if call.kind == "authorize" else "capture"
    body: dict[str, Any] = {}
    if source.vault_id is not None and call.step == "2":
        body["payment_source"] = {source.of: _vaulted(call, source)}
    return _post(call, f"{ORDERS}/{order_id}/{verb}", body, credentials)


def _vaulted(call: Call, source: Source) -> dict[str, Any]:
    content: dict[str, Any] = {"vault_id": source.vault_id}
    if source.of == "paypal":
        return content
    if call.stored_credential is not None:
        content["stored_credential"] = _stored_credential(call)
    if call.three_ds:
        content["attributes"] = {"verification": {"method": "SCA_ALWAYS"}}
    if call.return_url is not None:
        content["experience_context"] = _pages(call)
    return content


def _stored_credential(call: Call) -> dict[str, str]:
    stored = call.stored_credential
    assert stored is not None
    by_merchant = stored.initiator == "merchant"
    return {
        "payment_initiator": "MERCHANT" if by_merchant else "CUSTOMER",
        "payment_type": "UNSCHEDULED" if by_merchant else "ONE_TIME",
        "usage": "FIRST" if stored.use == "store" else "SUBSEQUENT",
    }


def _pages(call: Call) -> dict[str, str]:
    return {} if call.return_url is None else {"return_url": call.return_url, "cancel_url": call.return_url}


def capture(call: Call, authorization_id: str, wire: dict[str, str], credentials: Credentials) -> HttpRequest:
    """Captures a part or all of an authorization."""
    body = {
        "amount": wire,
        "invoice_id": call.reference,
        "final_capture": call.final or not call.multicapture,
    }
    return _post(call, f"{PAYMENTS}/authorizations/{authorization_id}/capture", body, credentials)


def void(call: Call, authorization_id: str, credentials: Credentials) -> HttpRequest:
    """Voids an authorization. The call takes no key: a second one is refused as voided before. Nor has it a
    place for our reference: the header is for whoever reads the traffic."""
    headers = {**_headers(credentials), "Prefer": "return=representation", "X-Request-Id": call.key}
    return HttpRequest("POST", f"{PAYMENTS}/authorizations/{authorization_id}/void", headers, None)


def refund(call: Call, capture_id: str, wire: dict[str, str], credentials: Credentials) -> HttpRequest:
    """Refunds a part or all of a capture."""
    body = {"amount": wire, "custom_id": call.reference, "invoice_id": call.reference}
    return _post(call, f"{PAYMENTS}/captures/{capture_id}/refund", body, credentials)


def get_order(order_id: str, credentials: Credentials) -> HttpRequest:
    """Reads an order with all that was done in it."""
    return HttpRequest("GET", f"{ORDERS}/{order_id}", _headers(credentials), None)


def get_event(event_id: str, credentials: Credentials) -> HttpRequest:
    """Reads an event (developer.paypal.com/docs/api/webhooks/v1, webhooks-events)."""
    return HttpRequest("GET", f"{EVENTS}/{event_id}", _headers(credentials), None)


def _post(call: Call, path: str, body: dict[str, Any], credentials: Credentials) -> HttpRequest:
    headers = {
        **_headers(credentials),
        "Content-Type": "application/json",
        "PayPal-Request-Id": call.key,
        "Prefer": "return=representation",
    }
    return HttpRequest("POST", path, headers, orjson.dumps(body))


def _headers(credentials: Credentials) -> dict[str, str]:
    return {"Authorization": f"Bearer {credentials.access_token}"}
