"""PayPal's responses as its interface description documents them, for tests of what we read in them."""

from dataclasses import replace
from typing import Any, Final, Literal

from gateways.contract import Call, Credentials
from tests.support import psp_calls

PAYMENT = psp_calls.PAYMENT
SECRET = "PLANTED-EO422dn3gQLgDbuwqTjzrFgFtaRLRR5BdHEESmha49TM"
TOKEN = "PLANTED-A21AAFEpH4PsADK7qSS7pSRsgzfENtu"
CREDENTIALS = Credentials(
    "https://api-m.sandbox.paypal.com",
    SECRET,
    {"client_id": "AeA1QIZXiflr1", "webhook_id": "1JE4291016473214C"},
    TOKEN,
)
ORDER_ID: Final = "5O190127TN364715T"
AUTHORIZATION_ID: Final = "0AW2184448108334S"
CAPTURE_ID: Final = "2GG279541U471931P"
REFUND_ID: Final = "1JU08902781691411"
ORDER: Final = f"orders/{ORDER_ID}"
AUTHORIZED: Final = f"{ORDER}/authorizations/{AUTHORIZATION_ID}"
CAPTURED: Final = f"{ORDER}/captures/{CAPTURE_ID}"
REFUNDED: Final = f"{ORDER}/refunds/{REFUND_ID}"
PAGE: Final = f"https://www.sandbox.paypal.com/checkoutnow?token={ORDER_ID}"
BACK: Final = "https://shop.example/back/7"

CREATE = psp_calls.sale("card:8kk8451t", return_url=BACK)
SALE = replace(CREATE, step="2", psp_id=ORDER)
AUTHORIZE = replace(SALE, kind="authorize", reference=f"{PAYMENT}-a1")
WALLET = replace(CREATE, payment_method="paypal")


def later(kind: Literal["capture", "void", "refund"], amount_minor: int = 1099, **more: Any) -> Call:
    """The operation after the authorize; a refund is of its capture."""
    of_capture = kind == "refund"
    return replace(
        CREATE,
        kind=kind,
        reference=f"{PAYMENT}-{kind[0]}{3 if of_capture else 2}",
        amount_minor=amount_minor,
        target_reference=f"{PAYMENT}-{'c2' if of_capture else 'a1'}",
        target_psp_id=CAPTURED if of_capture else AUTHORIZED,
        return_url=None,
        **more,
    )


CAPTURE, VOID, REFUND = later("capture", 400), later("void", 699), later("refund", 400)


def usd(value: str) -> dict[str, str]:
    return {"currency_code": "USD", "value": value}


def link(rel: str, href: str = PAGE) -> dict[str, str]:
    return {"rel": rel, "href": href, "method": "GET"}


def order(status: str, of: Call = SALE, *, pays: bool = True, **payments: list[Any]) -> dict[str, Any]:
    """`payments`: authorizations, captures, refunds."""
    unit: dict[str, Any] = {
        "reference_id": "default",
        "amount": usd("10.99"),
        "custom_id": of.reference,
        "invoice_id": of.reference,
    }
    if payments:
        unit["payments"] = payments
    rels = {"CREATED": "approve", "SAVED": "approve", "PAYER_ACTION_REQUIRED": "payer-action"}
    pages = [link(rels[status])] if pays and status in rels else []
    return {
        "id": ORDER_ID,
        "intent": "AUTHORIZE" if of.kind == "authorize" else "CAPTURE",
        "status": status,
        "purchase_units": [unit],
        "links": [link("self", f"https://api-m.sandbox.paypal.com/v2/checkout/orders/{ORDER_ID}"), *pages],
    }


def _processed(code: str | None, advice: str | None) -> dict[str, Any]:
    payload = {"response_code": code, "payment_advice_code": advice}
    kept = {name: value for name, value in payload.items() if value is not None}
    return {"processor_response": kept} if kept else {}


def authorization(
    status: str = "CREATED", *, processor: str | None = None, advice: str | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "id": AUTHORIZATION_ID,
        "status": status,
        "amount": usd("10.99"),
        "custom_id": AUTHORIZE.reference,
        "invoice_id": AUTHORIZE.reference,
        **_processed(processor, advice),
        **more,
    }


def taken(
    status: str = "COMPLETED", *, processor: str | None = None, advice: str | None = None, **more: Any
) -> dict[str, Any]:
    """The capture inside a sale's order."""
    return {
        "id": CAPTURE_ID,
        "status": status,
        "amount": usd("10.99"),
        "custom_id": SALE.reference,
        "invoice_id": SALE.reference,
        "final_capture": True,
        "seller_receivable_breakdown": {
            "gross_amount": usd("10.99"),
            "paypal_fee": usd("0.81"),
            "net_amount": usd("10.18"),
        },
        **_processed(processor, advice),
        **more,
    }


def capture(status: str = "COMPLETED", value: str = "4.00", **more: Any) -> dict[str, Any]:
    """Of an authorization: it has the authorization's `custom_id`."""
    return {
        "id": CAPTURE_ID,
        "status": status,
        "amount": usd(value),
        "custom_id": AUTHORIZE.reference,
        "invoice_id": CAPTURE.reference,
        "final_capture": False,
        "supplementary_data": {"related_ids": {"order_id": ORDER_ID, "authorization_id": AUTHORIZATION_ID}},
        **more,
    }


def refund(status: str = "COMPLETED", **more: Any) -> dict[str, Any]:
    return {
        "id": REFUND_ID,
        "status": status,
        "amount": usd("4.00"),
        "custom_id": REFUND.reference,
        "invoice_id": REFUND.reference,
        **more,
    }


def dispute(**more: Any) -> dict[str, Any]:
    return {
        "dispute_id": "PP-000-042-663-135",
        "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        "status": "WAITING_FOR_SELLER_RESPONSE",
        "dispute_amount": usd("10.99"),
        "disputed_transactions": [{"seller_transaction_id": CAPTURE_ID, "custom": SALE.reference}],
        "seller_response_due_date": "2026-12-05T12:00:00.000Z",
        **more,
    }


def sold(**more: Any) -> dict[str, Any]:
    return order("COMPLETED", SALE, captures=[taken(**more)])


def authorized(**more: Any) -> dict[str, Any]:
    return order("COMPLETED", AUTHORIZE, authorizations=[authorization(**more)])


def issue(code: str, *, links: list[Any] | None = None) -> dict[str, Any]:
    """The body of a 422; of the others but for its name."""
    return {
        "name": "UNPROCESSABLE_ENTITY",
        "message": "The requested action could not be performed, semantically incorrect, or failed business validation.",
        "details": [{"issue": code, "description": "Something is not right."}],
        "debug_id": "90957fca61718",
        **({} if links is None else {"links": links}),
    }


http_response: Final = psp_calls.http_response
