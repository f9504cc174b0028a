"""Against PayPal's own description: what is sent, what these tests say in PayPal's name, and the codes that
it lists."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateways.contract import Call, HttpRequest, StoredCredential
from gateways.paypal import codes
from gateways.paypal.adapter import PayPal
from tests.gateways.paypal import specs
from tests.gateways.paypal.payloads import (
    AUTHORIZE,
    CAPTURE,
    CREATE,
    CREDENTIALS,
    ORDER,
    REFUND,
    SALE,
    VOID,
    WALLET,
    authorization,
    authorized,
    capture,
    issue,
    order,
    refund,
    sold,
)

STORED = StoredCredential("reuse", "merchant", None)
ORDERS = "/v2/checkout/orders"
AUTHORIZATIONS = "/v2/payments/authorizations/{authorization_id}"
REQUESTS: list[tuple[Call, specs.Document, str]] = [
    (CREATE, "checkout-orders-v2", ORDERS),
    (replace(CREATE, statement_text="Order 7", description="ü" * 200), "checkout-orders-v2", ORDERS),
    (WALLET, "checkout-orders-v2", ORDERS),
    (SALE, "checkout-orders-v2", f"{ORDERS}/{{id}}/capture"),
    (
        replace(SALE, three_ds=True, stored_credential=STORED),
        "checkout-orders-v2",
        f"{ORDERS}/{{id}}/capture",
    ),
    (replace(SALE, payment_method="paypal:nkq2y9g"), "checkout-orders-v2", f"{ORDERS}/{{id}}/capture"),
    (AUTHORIZE, "checkout-orders-v2", f"{ORDERS}/{{id}}/authorize"),
    (replace(WALLET, step="2", psp_id=ORDER), "checkout-orders-v2", f"{ORDERS}/{{id}}/capture"),
    (CAPTURE, "payments-v2", f"{AUTHORIZATIONS}/capture"),
    (replace(CAPTURE, amount_minor=500, currency="JPY"), "payments-v2", f"{AUTHORIZATIONS}/capture"),
    (REFUND, "payments-v2", "/v2/payments/captures/{capture_id}/refund"),
]


@pytest.mark.parametrize(("call", "document", "path"), REQUESTS)
def test_what_is_sent_is_as_paypal_describes_it(call: Call, document: specs.Document, path: str):
    request = PayPal().request(call, CREDENTIALS)

    assert isinstance(request, HttpRequest)
    assert _matches(path, request.path)
    body = orjson.loads(request.body or b"")
    assert specs.complaints(document, path, request.method, None, body) == []


def test_a_void_has_no_body_in_paypals_description_either():
    request = PayPal().request(VOID, CREDENTIALS)

    assert isinstance(request, HttpRequest)
    described = specs.document("payments-v2")["paths"][f"{AUTHORIZATIONS}/void"]["post"]
    assert ("requestBody" in described, request.body) == (False, None)


def _matches(path: str, sent: str) -> bool:
    parts, given = path.split("/"), sent.split("/")
    return len(parts) == len(given) and all(
        p == g or p.startswith("{") for p, g in zip(parts, given, strict=True)
    )


ANSWERS: list[tuple[specs.Document, str, str, int, Any]] = [
    ("checkout-orders-v2", ORDERS, "post", 201, order("CREATED")),
    ("checkout-orders-v2", ORDERS, "post", 200, order("PAYER_ACTION_REQUIRED")),
    ("checkout-orders-v2", f"{ORDERS}/{{id}}/capture", "post", 201, sold()),
    (
        "checkout-orders-v2",
        f"{ORDERS}/{{id}}/capture",
        "post",
        201,
        sold(status="DECLINED", processor="5120", advice="02"),
    ),
    (
        "checkout-orders-v2",
        f"{ORDERS}/{{id}}/capture",
        "post",
        422,
        issue("INSTRUMENT_DECLINED") | {"details": [{"issue": "INSTRUMENT_DECLINED"}]},
    ),
    ("checkout-orders-v2", f"{ORDERS}/{{id}}/authorize", "post", 201, authorized()),
    (
        "checkout-orders-v2",
        f"{ORDERS}/{{id}}",
        "get",
        200,
        order("COMPLETED", captures=[capture()], refunds=[refund()]),
    ),
    ("payments-v2", f"{AUTHORIZATIONS}/capture", "post", 201, capture()),
    ("payments-v2", f"{AUTHORIZATIONS}/void", "post", 200, authorization("VOIDED")),
    ("payments-v2", "/v2/payments/captures/{capture_id}/refund", "post", 201, refund()),
]


@pytest.mark.parametrize(("document", "path", "method", "status", "body"), ANSWERS)
def test_the_responses_of_these_tests_are_as_paypal_describes_them(
    document: specs.Document, path: str, method: str, status: int, body: Any
):
    assert specs.complaints(document, path, method, status, body) == []


def test_a_wrong_request_would_be_seen():
    assert specs.complaints(
        "checkout-orders-v2", ORDERS, "post", None, {"intent": "STEAL", "purchase_units": []}
    )


@pytest.mark.parametrize(
    ("document", "schemas"),
    [
        ("checkout-orders-v2", ["422", "orders.authorize-422", "orders.capture-422"]),
        ("payments-v2", ["422", "authorizations.void-422", "captures.refund-422"]),
    ],
)
def test_every_issue_that_paypal_lists_has_its_row(document: specs.Document, schemas: list[str]):
    listed = specs.issues(document, schemas)

    assert len(listed) > 30
    assert {issue for issue in listed if not codes.of_issue(issue).listed} == set()


def test_every_code_of_our_tables_is_one_of_paypals():
    known = specs.document("checkout-orders-v2")["components"]["schemas"]["processor_response"]["properties"]

    assert set(codes._BY_PROCESSOR) <= set(known["response_code"]["enum"])
    assert set(codes._BY_ADVICE) == set(known["payment_advice_code"]["enum"])
