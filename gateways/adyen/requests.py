"""Adyen's calls. Invariant: a repeat has the same bytes, whatever was learnt since the first try.

Source: OpenAPI description of Checkout v72. The version stands in the path; a live account's address has a
prefix of its own and ends in /checkout.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateways.contract import Call, Credentials, HttpRequest

VERSION: Final = "v72"
_STATEMENT: Final = re.compile(r"[A-Za-z0-9 .,'_?+*/-]{1,22}")
_SHOPPER_MIN: Final = 3
_TOKEN_MAX: Final = 64
_URL_MAX: Final = 1024


def what_it_cannot_hold(call: Call) -> str | None:
    """The code of what Adyen's fields cannot hold of a payment. None: they hold all of it."""
    if call.statement_text is not None and not _STATEMENT.fullmatch(call.statement_text):
        return "statement_text_not_expressible"
    if len(call.payment_method) > _TOKEN_MAX:
        return "payment_method_not_expressible"
    if len(_shopper(call)) < _SHOPPER_MIN:
        return "customer_token_not_expressible"
    return None


def return_url(call: Call, credentials: Credentials) -> str | None:
    """The address to which the customer comes back: the payment's own, else the account's. None: there is
    none, or it is longer than 1024."""
    url = call.return_url or credentials.options.get("return_url")
    return url if url and len(url) <= _URL_MAX else None


def pay(call: Call, wire: int, back_to: str, credentials: Credentials) -> HttpRequest:
    """Authorises only: no account's setting may capture what our own step has not requested."""
    body = {
        "amount": _amount(call, wire),
        "merchantAccount": _merchant(credentials),
        "reference": call.reference,
        "returnUrl": back_to,
        "paymentMethod": {"type": "scheme", "storedPaymentMethodId": call.payment_method},
        "shopperReference": _shopper(call),
        "additionalData": {"manualCapture": "true"},
        **_stored_credential(call),
        **_authentication(call),
    }
    if call.statement_text is not None:
        body["shopperStatement"] = call.statement_text
    return _post(call, "payments", body, credentials)


def details(call: Call, redirect_result: str, credentials: Credentials) -> HttpRequest:
    """Completes a payment with what the challenge's page added to the return address."""
    return _post(call, "payments/details", {"details": {"redirectResult": redirect_result}}, credentials)


def capture(call: Call, psp_id: str, wire: int, credentials: Credentials) -> HttpRequest:
    """Captures a part or all of an authorisation."""
    return _modify(call, f"payments/{psp_id}/captures", {"amount": _amount(call, wire)}, credentials)


def void(call: Call, psp_id: str, credentials: Credentials) -> HttpRequest:
    """Cancels an authorisation by its id."""
    return _modify(call, f"payments/{psp_id}/cancels", {}, credentials)


def refund(call: Call, psp_id: str, wire: int, credentials: Credentials) -> HttpRequest:
    """Refunds a part or all of a captured payment."""
    return _modify(call, f"payments/{psp_id}/refunds", {"amount": _amount(call, wire)}, credentials)


def technical_cancel(call: Call, credentials: Credentials) -> HttpRequest:
    """Cancels by our reference: it also ends a payment whose response never came."""
    body = {
        "paymentReference": call.reference,
        "merchantAccount": _merchant(credentials),
        "reference": f"{call.reference}-x",
    }
    return _post(call, "cancels", body, credentials)


def _modify(call: Call, path: str, more: Mapping[str, Any], credentials: Credentials) -> HttpRequest:
    body = {"merchantAccount": _merchant(credentials), "reference": call.reference, **more}
    return _post(call, path, body, credentials)


def _amount(call: Call, wire: int) -> dict[str, Any]:
    return {"value": wire, "currency": call.currency}


def _merchant(credentials: Credentials) -> str:
    return credentials.options.get("merchant_account", "")


def _shopper(call: Call) -> str:
    stored = call.stored_credential
    token = None if stored is None else stored.customer_token
    return token or call.reference.partition("-")[0]


def _stored_credential(call: Call) -> dict[str, Any]:
    stored = call.stored_credential
    if stored is None:
        return {"shopperInteraction": "Ecommerce", "recurringProcessingModel": "CardOnFile"}
    if stored.use == "store":
        return {
            "shopperInteraction": "Ecommerce",
            "recurringProcessingModel": "CardOnFile",
            "storePaymentMethod": True,
        }
    model = "UnscheduledCardOnFile" if stored.initiator == "merchant" else "CardOnFile"
    return {"shopperInteraction": "ContAuth", "recurringProcessingModel": model}


def _authentication(call: Call) -> dict[str, Any]:
    """The wish for 3-D Secure. A challenge is a page of Adyen's: a native one needs Adyen's own script in the
    merchant's page."""
    request = {"threeDSRequestData": {"nativeThreeDS": "disabled"}}
    return {"authenticationData": {"attemptAuthentication": "always"} | request if call.three_ds else request}


def _post(call: Call, path: str, body: Mapping[str, Any], credentials: Credentials) -> HttpRequest:
    headers = {
        "X-API-Key": credentials.secret,
        "Idempotency-Key": call.key,
        "Content-Type": "application/json",
    }
    return HttpRequest("POST", f"/{VERSION}/{path}", headers, orjson.dumps(body))
