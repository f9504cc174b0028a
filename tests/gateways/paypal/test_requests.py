import base64
from dataclasses import replace
from typing import Any

import orjson
import pytest

from commands.messages import Outcome
from gateways.contract import Call, Gateway, HttpRequest, HttpResponse, SignsIn, StoredCredential
from gateways.paypal.adapter import PayPal
from tests.gateways.paypal.payloads import (
    AUTHORIZATION_ID,
    AUTHORIZE,
    AUTHORIZED,
    BACK,
    CAPTURE,
    CAPTURE_ID,
    CREATE,
    CREDENTIALS,
    ORDER,
    ORDER_ID,
    REFUND,
    SALE,
    SECRET,
    TOKEN,
    VOID,
    WALLET,
    http_response,
)

PAYPAL = PayPal()
ADAPTER: Gateway = PAYPAL
STEPS = [CREATE, WALLET, SALE, AUTHORIZE, replace(SALE, step="3"), CAPTURE, VOID, REFUND]


def sent(call: Call) -> HttpRequest:
    request = PAYPAL.request(call, CREDENTIALS)
    assert isinstance(request, HttpRequest)
    return request


def body(call: Call) -> Any:
    return orjson.loads(sent(call).body or b"")


def refused(call: Call) -> str | None:
    outcome = PAYPAL.request(call, CREDENTIALS)
    assert isinstance(outcome, Outcome)
    assert (outcome.kind, outcome.hint) == ("NOT_SENT", None)
    return outcome.code


def test_the_order_is_created_without_its_vaulted_payment_source():
    assert (sent(CREATE).method, sent(CREATE).path) == ("POST", "/v2/checkout/orders")
    assert body(CREATE) == {
        "intent": "CAPTURE",
        "purchase_units": [
            {
                "custom_id": CREATE.reference,
                "invoice_id": CREATE.reference,
                "amount": {"currency_code": "USD", "value": "10.99"},
                "description": "Order 7",
            }
        ],
    }
    assert dict(sent(CREATE).headers) == {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/json",
        "PayPal-Request-Id": f"{CREATE.reference}-1",
        "Prefer": "return=representation",
    }


def test_an_authorization_is_an_order_with_its_intent():
    assert body(replace(AUTHORIZE, step="1", psp_id=None))["intent"] == "AUTHORIZE"


def test_a_wallet_is_confirmed_on_paypals_page_and_comes_back_to_ours():
    context = body(WALLET)["payment_source"]["paypal"]["experience_context"]

    assert (context["return_url"], context["cancel_url"]) == (BACK, BACK)
    assert context["user_action"] == "PAY_NOW"
    assert refused(replace(WALLET, return_url=None)) == "return_url_missing"


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (SALE, f"/v2/checkout/orders/{ORDER_ID}/capture"),
        (AUTHORIZE, f"/v2/checkout/orders/{ORDER_ID}/authorize"),
    ],
    ids=["sale", "authorize"],
)
@pytest.mark.parametrize(
    ("method", "source"),
    [
        ("card:8kk8451t", {"card": {"vault_id": "8kk8451t"}}),
        ("8kk8451t", {"card": {"vault_id": "8kk8451t"}}),
        ("paypal:nkq2y9g", {"paypal": {"vault_id": "nkq2y9g"}}),
    ],
)
def test_the_second_step_takes_with_the_vaulted_source(
    call: Call, path: str, method: str, source: dict[str, Any]
):
    step = replace(call, payment_method=method, return_url=None)

    assert (sent(step).path, body(step)) == (path, {"payment_source": source})
    assert sent(step).headers["PayPal-Request-Id"] == f"{call.reference}-2"


def test_where_the_payer_was_asked_the_order_knows_its_source_itself():
    waiting = replace(SALE, step="3", psp_id=f"{ORDER}/waiting/2")

    assert (sent(waiting).path, body(waiting)) == (f"/v2/checkout/orders/{ORDER_ID}/capture", {})
    assert sent(waiting).headers["PayPal-Request-Id"] == f"{SALE.reference}-3"
    assert body(replace(WALLET, step="2", psp_id=ORDER)) == {}


def test_3d_secure_is_demanded_of_a_card_with_the_way_back():
    card = body(replace(SALE, three_ds=True))["payment_source"]["card"]

    assert card["attributes"] == {"verification": {"method": "SCA_ALWAYS"}}
    assert card["experience_context"] == {"return_url": BACK, "cancel_url": BACK}
    assert (
        refused(replace(CREATE, three_ds=True, payment_method="paypal:nkq2y9g")) == "three_ds_not_expressible"
    )


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (StoredCredential("store", "customer", None), ("CUSTOMER", "ONE_TIME", "FIRST")),
        (StoredCredential("reuse", "customer", "cus_7"), ("CUSTOMER", "ONE_TIME", "SUBSEQUENT")),
        (StoredCredential("reuse", "merchant", None), ("MERCHANT", "UNSCHEDULED", "SUBSEQUENT")),
    ],
    ids=str,
)
def test_a_stored_card_says_who_begins_the_payment(stored: StoredCredential, wanted: tuple[str, ...]):
    card = body(replace(SALE, stored_credential=stored))["payment_source"]["card"]

    assert tuple(card["stored_credential"].values()) == wanted


def test_what_paypal_has_no_field_for_of_a_stored_method_is_refused_before_the_order():
    store = StoredCredential("store", "customer", None)

    assert refused(replace(WALLET, stored_credential=store)) == "stored_credential_not_expressible"
    by_merchant = StoredCredential("store", "merchant", None)
    assert refused(replace(CREATE, stored_credential=by_merchant)) == "stored_credential_not_expressible"


@pytest.mark.parametrize(
    "method", ["card:", "paypal:", "venmo:8kk8451t", "card:8kk/8451t", "a=b", "paypal:a:b"]
)
def test_a_token_of_another_kind_is_refused(method: str):
    assert refused(replace(CREATE, payment_method=method)) == "payment_method_not_expressible"


def test_a_capture_names_the_authorization_its_amount_and_whether_it_is_the_last():
    more = replace(CAPTURE, multicapture=True)

    assert sent(CAPTURE).path == f"/v2/payments/authorizations/{AUTHORIZATION_ID}/capture"
    assert body(more) == {
        "amount": {"currency_code": "USD", "value": "4.00"},
        "invoice_id": CAPTURE.reference,
        "final_capture": False,
    }
    assert body(replace(more, final=True))["final_capture"] is True
    # Where the account may capture once only, the first is the last.
    assert body(CAPTURE)["final_capture"] is True


def test_a_void_has_no_body_and_no_key():
    assert sent(VOID).path == f"/v2/payments/authorizations/{AUTHORIZATION_ID}/void"
    assert sent(VOID).body is None
    assert "PayPal-Request-Id" not in sent(VOID).headers


def test_a_refund_names_the_capture_and_carries_our_reference():
    assert sent(REFUND).path == f"/v2/payments/captures/{CAPTURE_ID}/refund"
    assert body(REFUND) == {
        "amount": {"currency_code": "USD", "value": "4.00"},
        "custom_id": REFUND.reference,
        "invoice_id": REFUND.reference,
    }


@pytest.mark.parametrize("call", [CAPTURE, VOID, REFUND], ids=lambda call: call.kind)
@pytest.mark.parametrize(
    "target", [None, ORDER, "orders/a/refunds/b", "orders/../authorizations/b", "pi_1", ""]
)
def test_a_target_of_another_kind_is_refused(call: Call, target: str | None):
    requested = replace(call, target_psp_id=target)

    assert refused(requested) == "target_unknown"
    assert isinstance(PAYPAL.lookup(requested, CREDENTIALS), Outcome)


def test_a_step_that_takes_is_not_sent_without_its_order():
    assert refused(replace(SALE, psp_id=None)) == "order_unknown"


@pytest.mark.parametrize("call", STEPS, ids=lambda call: f"{call.kind}{call.step}")
def test_a_repeat_has_the_same_bytes(call: Call):
    first, again = sent(call), sent(replace(call))

    assert (again.method, again.path, again.body) == (first.method, first.path, first.body)
    assert dict(again.headers) == dict(first.headers)


@pytest.mark.parametrize("call", STEPS, ids=lambda call: f"{call.kind}{call.step}")
def test_an_amount_that_cannot_be_written_is_refused(call: Call):
    assert refused(replace(call, amount_minor=1045, currency="HUF")) == "amount_not_expressible"
    assert refused(replace(call, amount_minor=5120, currency="KWD")) == "currency_not_supported"


def test_a_lookup_gets_the_order_whatever_was_done_with_it():
    for call in (SALE, replace(SALE, psp_id=f"{ORDER}/waiting/2"), AUTHORIZE, CAPTURE, VOID, REFUND):
        request = PAYPAL.lookup(call, CREDENTIALS)
        assert isinstance(request, HttpRequest)
        assert (request.method, request.path) == ("GET", f"/v2/checkout/orders/{ORDER_ID}")
    assert PAYPAL.lookup(CREATE, CREDENTIALS) == Outcome(kind="UNKNOWN", code="order_unknown")
    assert isinstance(PAYPAL.lookup(replace(SALE, psp_id=AUTHORIZED), CREDENTIALS), HttpRequest)


def test_signing_in_gives_the_token_of_the_other_calls():
    request = PAYPAL.sign_in(CREDENTIALS)

    assert isinstance(PAYPAL, SignsIn)
    assert (request.method, request.path, request.body) == (
        "POST",
        "/v1/oauth2/token",
        b"grant_type=client_credentials",
    )
    basic = request.headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(basic).decode() == f"AeA1QIZXiflr1:{SECRET}"
    access = PAYPAL.signed_in(
        http_response(200, {"access_token": "A21AAF", "expires_in": 32400, "token_type": "Bearer"})
    )
    assert access is not None
    assert (access.token, access.life_s) == ("A21AAF", 32400.0)


@pytest.mark.parametrize(
    "response",
    [
        http_response(401, {"error": "invalid_client"}),
        http_response(200, {"access_token": "A21\r\nX: y", "expires_in": 5}),
        http_response(200, {"access_token": "", "expires_in": 5}),
        http_response(200, {"access_token": "A21"}),
        http_response(200, {"access_token": "A21", "expires_in": True}),
        http_response(200, {"access_token": "A21", "expires_in": "5"}),
        http_response(200, []),
        http_response(200, b"<html>"),
        http_response(302, {"access_token": "A21", "expires_in": 5}),
    ],
)
def test_what_gives_no_token_is_no_sign_in(response: HttpResponse):
    assert PAYPAL.signed_in(response) is None


def test_secrets_stand_in_no_path_and_no_body_and_are_not_shown():
    for call in STEPS:
        request = sent(call)
        shown = f"{request!r} {request.path} {(request.body or b'').decode()}"
        assert "PLANTED" not in shown
    assert "PLANTED" not in repr(CREDENTIALS) + repr(PAYPAL.sign_in(CREDENTIALS))


def test_the_steps_that_take_are_ours_and_the_first_moves_nothing():
    assert PAYPAL.steps_we_send(CREATE) == ("2", "3", "4")
    assert [PAYPAL.moves_money(call) for call in (CREATE, SALE, CAPTURE, VOID, REFUND)] == [
        False,
        *[True] * 4,
    ]
    assert PAYPAL.steps_we_send(CAPTURE) == ()
    assert PAYPAL.cancel(replace(SALE, step="x"), CREDENTIALS) == Outcome(kind="UNKNOWN", code="ended_by_us")


def test_keys_of_orders_are_kept_for_hours_and_of_payments_for_weeks():
    hours = [PAYPAL.key_life_s(call, CREDENTIALS) / 3600 for call in (CREATE, SALE, CAPTURE, VOID, REFUND)]

    assert hours == [5, 5, 44 * 24, 44 * 24, 44 * 24]
