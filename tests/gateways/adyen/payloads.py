"""Adyen's responses and webhooks as its documents show them, for tests of what we read in them."""

from dataclasses import replace
from typing import Any, Final, Literal

import orjson

from gateways.adyen.signatures import signature
from gateways.contract import Call, Credentials, Webhook
from tests.support import psp_calls

PAYMENT: Final = psp_calls.PAYMENT
REFERENCE: Final = f"{PAYMENT}-s1"
PSP_ID: Final = "993617895204576J"
MODIFICATION: Final = "993617894906488A"
MERCHANT: Final = "ShopECOM"
SECRET: Final = "AQEyhmfxKplantedSecretNeverShown"
HMAC_KEY: Final = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
CREDENTIALS: Final = Credentials(
    "https://checkout-test.adyen.com", SECRET, options={"merchant_account": MERCHANT}
)
PAGE: Final = "https://checkoutshopper-test.adyen.com/checkoutshopper/threeDS/redirect?MD=M2R"
CALL: Final = psp_calls.sale("8415718415172204", return_url="https://shop.example/back")
AUTHORIZE: Final = replace(CALL, kind="authorize", reference=f"{PAYMENT}-a1")
BACK: Final = replace(CALL, step="2", returned={"redirectResult": "X6XtfGC3!Y"})
CAPTURES: Final = replace(CALL, step="3", psp_id=PSP_ID)


def later(kind: Literal["capture", "void", "refund"], amount_minor: int = 1099, **more: Any) -> Call:
    """The second operation of the payment."""
    return psp_calls.later(CALL, kind, amount_minor, PSP_ID, **more)


ALL: Final = [CALL, AUTHORIZE, BACK, CAPTURES, later("capture"), later("void"), later("refund")]


def paid(call: Call = AUTHORIZE, result: str = "Authorised", **more: Any) -> dict[str, Any]:
    body = {
        "pspReference": PSP_ID,
        "resultCode": result,
        "merchantReference": call.reference,
        "amount": {"value": call.amount_minor, "currency": call.currency},
        **more,
    }
    return {name: value for name, value in body.items() if value is not ...}


def refused(code: str | None, text: str | None = None) -> dict[str, Any]:
    return paid(
        result="Refused", refusalReasonCode=... if code is None else code, refusalReason=text or "Refused"
    )


def redirected(call: Call = AUTHORIZE, **action: Any) -> dict[str, Any]:
    shown = {"type": "redirect", "method": "GET", "url": PAGE, "paymentMethodType": "scheme", **action}
    return paid(call, "RedirectShopper", action=shown)


def received(call: Call, **more: Any) -> dict[str, Any]:
    body = {
        "merchantAccount": MERCHANT,
        "paymentPspReference": PSP_ID,
        "pspReference": MODIFICATION,
        "reference": call.reference,
        "status": "received",
        "amount": {"value": call.amount_minor, "currency": call.currency},
        **more,
    }
    if call.kind == "void":
        del body["amount"]
    return {name: value for name, value in body.items() if value is not ...}


def error(status: int, code: str, message: str = "Something is not right.", **more: Any) -> dict[str, Any]:
    return {"status": status, "errorCode": code, "message": message, "errorType": "validation", **more}


http_response: Final = psp_calls.http_response


def item(event: str, reference: str, *, success: bool = True, **more: Any) -> dict[str, Any]:
    """Of an authorisation its own id; of a modification that with the payment's beside it."""
    first = event == "AUTHORISATION"
    fields = {
        "amount": {"currency": "USD", "value": 1099},
        "eventCode": event,
        "eventDate": "2026-11-25T12:00:00+01:00",
        "merchantAccountCode": MERCHANT,
        "merchantReference": reference,
        "originalReference": ... if first else PSP_ID,
        "paymentMethod": "visa",
        "pspReference": PSP_ID if first else MODIFICATION,
        "reason": "",
        "success": "true" if success else "false",
        **more,
    }
    return {name: value for name, value in fields.items() if value is not ...}


def signed(shown: dict[str, Any], key: str = HMAC_KEY) -> dict[str, Any]:
    more = shown.get("additionalData", {})
    return shown | {"additionalData": more | {"hmacSignature": signature(shown, bytes.fromhex(key))}}


def body_of(*items: Any) -> bytes:
    wrapped = [{"NotificationRequestItem": one} for one in items]
    return orjson.dumps({"live": "false", "notificationItems": wrapped})


def webhook(*items: dict[str, Any], key: str = HMAC_KEY) -> Webhook:
    return Webhook({"content-type": "application/json"}, body_of(*(signed(one, key) for one in items)))
