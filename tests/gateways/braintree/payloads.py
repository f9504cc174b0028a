"""Braintree's responses as its schema documents them, for tests of what we read in them."""

import base64
import hashlib
import hmac
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import urlencode

import orjson

from gateways.contract import Call, Credentials, HttpResponse, Webhook, WebhookKeys
from tests.support import psp_calls

PAYMENT = psp_calls.PAYMENT
REFERENCE = f"{PAYMENT}-s1"
TRANSACTION_ID = "dHJhbnNhY3Rpb25fa2RiNWd4OGc="
REFUND_ID = "cmVmdW5kXzN4MXI1OXk0"
PRIVATE_KEY = "PLANTEDa1b2c3d4e5f6PLANTED"
PUBLIC_KEY = "9wkmzq5b2b7kxv8r"
OPTIONS = {"public_key": PUBLIC_KEY, "merchant_accounts": "USD=acct_usd, EUR=acct_eur,JPY=acct_jpy"}
CREDENTIALS = Credentials("https://payments.sandbox.braintree-api.com", PRIVATE_KEY, OPTIONS)
WITH_KEY = replace(CREDENTIALS, options=OPTIONS | {"api_request_key": "true"})
KEYS = WebhookKeys(secrets=(PRIVATE_KEY,), options=OPTIONS)
CALL = psp_calls.sale("fake-valid-nonce")
AUTHORIZE = replace(CALL, kind="authorize", reference=f"{PAYMENT}-a1")


def later(kind: Literal["capture", "void", "refund"], amount_minor: int = 1099, **more: Any) -> Call:
    """The second operation of the payment, on what `AUTHORIZE` holds, or what it took."""
    return psp_calls.later(CALL, kind, amount_minor, TRANSACTION_ID, **{"target_minor": 1099, **more})


CAPTURE, VOID = later("capture", 400), later("void")
REFUND_PART, REFUND_ALL = later("refund", 400), later("refund")


def money(value: str = "10.99", currency: str = "USD") -> dict[str, Any]:
    return {"value": value, "currencyCode": currency}


def transaction(status: str = "SUBMITTED_FOR_SETTLEMENT", **more: Any) -> dict[str, Any]:
    """`event`: the fields beside its newest status."""
    event = {"status": status, "amount": more.get("amount", money()), **more.pop("event", {})}
    return {
        "id": TRANSACTION_ID,
        "orderId": REFERENCE,
        "status": status,
        "amount": money(),
        "statusHistory": [event],
        **more,
    }


def held(status: str = "AUTHORIZED", captured: str | None = None, **more: Any) -> dict[str, Any]:
    """The transaction of `AUTHORIZE`."""
    amount = money() if captured is None else money(captured)
    history = [{"status": status, "amount": amount}, {"status": "AUTHORIZED", "amount": money()}]
    known = {"orderId": AUTHORIZE.reference, "amount": amount, "statusHistory": history, "refunds": []}
    return transaction(status, **(known | more))


def refund(status: str = "SUBMITTED_FOR_SETTLEMENT", **more: Any) -> dict[str, Any]:
    known = {
        "id": REFUND_ID,
        "orderId": REFUND_PART.reference,
        "amount": money("4.00"),
        "refundedTransaction": {"id": TRANSACTION_ID},
    }
    return transaction(status, **(known | more))


def returned(status: str = "SUBMITTED_FOR_SETTLEMENT", **more: Any) -> dict[str, Any]:
    """The refund that a reversal made."""
    return refund(status, **({"orderId": AUTHORIZE.reference, "amount": money()} | more))


def declined(
    code: str | None = "2000", decline_type: str | None = None, message: str = "Do Not Honor"
) -> dict[str, Any]:
    response = {"legacyCode": code, "message": message}
    return transaction(
        "PROCESSOR_DECLINED", event={"declineType": decline_type, "processorResponse": response}
    )


def rejected(reason: str | None, **more: Any) -> dict[str, Any]:
    return transaction("GATEWAY_REJECTED", event={"gatewayRejectionReason": reason, **more})


def charged(payload: Any) -> dict[str, Any]:
    return {"data": {"chargePaymentMethod": {"transaction": payload}}}


def authorized(payload: Any) -> dict[str, Any]:
    return {"data": {"authorizePaymentMethod": {"transaction": payload}}}


def captured(payload: Any) -> dict[str, Any]:
    return {"data": {"captureTransaction": {"transaction": payload}}}


def reversed_as(typename: str, payload: Any) -> dict[str, Any]:
    return {"data": {"reverseTransaction": {"reversal": {"__typename": typename, **payload}}}}


def refunded(payload: Any) -> dict[str, Any]:
    return {"data": {"refundTransaction": {"refund": payload}}}


def node(typename: str, payload: Any) -> dict[str, Any]:
    return {"data": {"node": {"__typename": typename, **payload}}}


def search(*found: Any, more: bool = False) -> dict[str, Any]:
    edges = [{"node": one} for one in found]
    return {"data": {"search": {"transactions": {"pageInfo": {"hasNextPage": more}, "edges": edges}}}}


def by_id(payload: Any, *others: Any, more: bool = False) -> dict[str, Any]:
    """A transaction of ours, and what a search shows under its order id: itself, and others."""
    return {"data": node("Transaction", payload)["data"] | search(payload, *others, more=more)["data"]}


def error(
    error_class: str | None = "VALIDATION", message: str = "It is not right.", **more: Any
) -> dict[str, Any]:
    extensions = {} if error_class is None else {"errorClass": error_class}
    return {"message": message, "path": ["x"], "extensions": extensions | more}


def failed(*errors: Any, data: Any = None) -> dict[str, Any]:
    return {"errors": list(errors), "data": data, "extensions": {"requestId": "a-uuid-of-the-request"}}


def http_response(body: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(status, {}, body if isinstance(body, bytes) else orjson.dumps(body))


def signature(payload: str, private_key: str = PRIVATE_KEY) -> str:
    key = hashlib.sha1(private_key.encode()).digest()
    return hmac.new(key, payload.encode(), hashlib.sha1).hexdigest()


def webhook(xml: str | bytes, *, signed: str | None = None, payload: str | None = None) -> Webhook:
    document = xml.encode() if isinstance(xml, str) else xml
    sent = base64.encodebytes(document).decode() if payload is None else payload
    by_us = f"{PUBLIC_KEY}|{signature(sent)}" if signed is None else signed
    body = urlencode({"bt_signature": by_us, "bt_payload": sent}).encode()
    return Webhook({"content-type": "application/x-www-form-urlencoded"}, body)


def notification(kind: str, subject: str) -> str:
    stamp = '<timestamp type="datetime">2026-03-01T10:20:30Z</timestamp>'
    return f"<notification>{stamp}<kind>{kind}</kind><subject>{subject}</subject></notification>"
