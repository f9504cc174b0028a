import base64
from dataclasses import replace
from typing import Any

import orjson
import pytest

from aggregates import money
from commands.messages import Outcome
from gateways.contract import Call, Credentials, Gateway, HttpRequest, StoredCredential
from gateways.razorpay import amounts
from gateways.razorpay.adapter import FACTS, Razorpay
from tests.gateways.razorpay.payloads import (
    AUTHORIZE,
    CAPTURE,
    CREDENTIALS,
    KEY_ID,
    OPTIONS,
    ORDER,
    ORDER_ID,
    PAY,
    PAYMENT_ID,
    REFERENCE,
    REFUND,
    REFUND_ID,
    SECRET,
    TAKE,
    http_response,
    later,
)

RAZORPAY: Gateway = Razorpay()
CALLS = [ORDER, PAY, TAKE, AUTHORIZE, CAPTURE, REFUND]


def sent(request: HttpRequest | Outcome) -> HttpRequest:
    assert isinstance(request, HttpRequest)
    return request


def body(call: Call, credentials: Credentials = CREDENTIALS) -> dict[str, Any]:
    read = orjson.loads(sent(RAZORPAY.request(call, credentials)).body or b"")
    assert isinstance(read, dict)
    return read


def refused(request: HttpRequest | Outcome) -> tuple[str, str | None, str | None]:
    assert isinstance(request, Outcome)
    return request.kind, request.code, request.hint


@pytest.mark.parametrize("call", [ORDER, replace(ORDER, kind="authorize")], ids=lambda call: call.kind)
def test_the_first_step_creates_an_order_whose_payments_only_we_capture(call: Call):
    request = sent(RAZORPAY.request(call, CREDENTIALS))

    assert (request.method, request.path) == ("POST", "/v1/orders")
    assert orjson.loads(request.body or b"") == {
        "amount": 1099,
        "currency": "INR",
        "receipt": REFERENCE,
        "notes": {"order_ref": REFERENCE, "order_kind": call.kind, "description": "Order 7"},
        "payment": {
            "capture": "manual",
            "capture_options": {"manual_expiry_period": 4320, "refund_speed": "normal"},
        },
    }
    assert dict(request.headers) == {
        "Authorization": f"Basic {base64.b64encode(f'{KEY_ID}:{SECRET}'.encode()).decode()}",
        "Content-Type": "application/json",
    }


def test_the_time_until_the_automatic_refund_is_the_one_that_every_order_states():
    options = body(ORDER)["payment"]["capture_options"]

    assert options["manual_expiry_period"] * 60 == FACTS.authorization_life_s == 3 * 24 * 3600


def test_an_order_names_at_most_as_much_of_the_description_as_a_note_holds():
    assert body(replace(ORDER, description="ä" * 300))["notes"]["description"] == "ä" * 256


def test_the_second_step_pays_the_order_by_the_token():
    request = sent(RAZORPAY.request(PAY, CREDENTIALS))

    assert (request.method, request.path) == ("POST", "/v1/payments/create/json")
    assert orjson.loads(request.body or b"") == {
        "amount": 1099,
        "currency": "INR",
        "order_id": ORDER_ID,
        "email": OPTIONS["email"],
        "contact": OPTIONS["contact"],
        "method": "card",
        "token": "token_4lsdksD31GaZ09",
        "notes": {"order_ref": REFERENCE, "order_kind": "sale"},
        "callback_url": "https://api.shop.example/return/t0k3n",
    }


@pytest.mark.parametrize(
    ("requested", "more"),
    [
        ({"three_ds": True}, {"authentication": {"authentication_channel": "browser"}}),
        ({"stored_credential": StoredCredential("reuse", "customer", "cust_7")}, {"customer_id": "cust_7"}),
        ({"stored_credential": StoredCredential("store", "customer", None)}, {}),
    ],
)
def test_what_more_is_requested_of_a_payment_is_sent_under_razorpays_names(
    requested: dict[str, Any], more: dict[str, Any]
):
    assert body(replace(PAY, **requested)) == body(PAY) | more


def test_what_an_account_says_of_the_browser_is_sent():
    more = {"ip": "203.0.113.7", "user_agent": "till/1", "referer": "https://shop.example"}

    assert body(PAY, replace(CREDENTIALS, options={**OPTIONS, **more})) == body(PAY) | more


@pytest.mark.parametrize("call", [TAKE, CAPTURE], ids=lambda call: call.kind)
def test_a_capture_takes_all_that_was_authorized(call: Call):
    request = sent(RAZORPAY.request(call, CREDENTIALS))

    assert (request.method, request.path) == ("POST", f"/v1/payments/{PAYMENT_ID}/capture")
    assert orjson.loads(request.body or b"") == {"amount": 1099, "currency": "INR"}
    assert request.headers["X-Request-Id"] == call.key


def test_a_refund_has_a_key_and_our_reference_twice():
    request = sent(RAZORPAY.request(REFUND, CREDENTIALS))

    assert (request.method, request.path) == ("POST", f"/v1/payments/{PAYMENT_ID}/refund")
    assert request.headers["X-Refund-Idempotency"] == f"{REFUND.reference}-1"
    assert orjson.loads(request.body or b"") == {
        "amount": 400,
        "speed": "normal",
        "receipt": REFUND.reference,
        "notes": {"order_ref": REFUND.reference, "order_kind": "refund"},
    }


def test_only_a_refund_is_repeated_all_else_is_queried():
    lives = {call.kind + call.step: RAZORPAY.key_life_s(call, CREDENTIALS) for call in CALLS}

    assert lives == {"sale1": 0, "sale2": 0, "sale3": 0, "authorize2": 0, "capture1": 0, "refund1": 86400}


def test_only_the_order_moves_no_money():
    assert [RAZORPAY.moves_money(call) for call in CALLS] == [False, True, True, True, True, True]


def test_nothing_is_taken_without_the_steps_that_we_send():
    assert RAZORPAY.steps_we_send(PAY) == ("2", "3")
    assert RAZORPAY.steps_we_send(AUTHORIZE) == ("2",)


@pytest.mark.parametrize("call", [PAY, AUTHORIZE], ids=lambda call: call.kind)
def test_what_waits_for_its_customer_is_ended_without_a_call(call: Call):
    ended = RAZORPAY.cancel(replace(call, step="x"), CREDENTIALS)

    assert isinstance(ended, Outcome)
    assert (ended.kind, ended.code) == ("EXPIRED", "only_our_capture_takes_money")
    assert RAZORPAY.cancelled(call, http_response(200, {})).kind == "UNKNOWN"


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (ORDER, f"/v1/orders?receipt={REFERENCE}&expand[]=payments"),
        (PAY, f"/v1/orders/{ORDER_ID}/payments"),
        (AUTHORIZE, f"/v1/orders/{ORDER_ID}/payments"),
        (TAKE, f"/v1/payments/{PAYMENT_ID}"),
        (replace(PAY, psp_id="../../settlements"), f"/v1/orders?receipt={REFERENCE}&expand[]=payments"),
        (CAPTURE, f"/v1/payments/{PAYMENT_ID}"),
        (REFUND, f"/v1/payments/{PAYMENT_ID}/refunds?count=100"),
        (replace(REFUND, psp_id=REFUND_ID), f"/v1/refunds/{REFUND_ID}"),
    ],
)
def test_a_lookup_goes_by_the_id_that_is_known_else_by_our_reference(call: Call, path: str):
    request = sent(RAZORPAY.lookup(call, CREDENTIALS))

    assert (request.method, request.path, request.body) == ("GET", path, None)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.kind + call.step)
def test_a_repeat_and_what_was_learnt_since_change_no_byte(call: Call):
    learnt = replace(call, returned={"razorpay_payment_id": "pay_forged", "razorpay_signature": "0" * 64})

    assert RAZORPAY.request(learnt, CREDENTIALS) == RAZORPAY.request(call, CREDENTIALS)
    assert RAZORPAY.lookup(learnt, CREDENTIALS) == RAZORPAY.lookup(call, CREDENTIALS)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (later("void"), "void_not_available"),
        (later("capture", 400), "partial_capture_not_available"),
        (replace(CAPTURE, target_psp_id=ORDER_ID), "target_unknown"),
        (replace(REFUND, target_psp_id=None), "target_unknown"),
        (replace(REFUND, target_reference=None), "target_unknown"),
        (replace(PAY, psp_id=None), "step_without_its_object"),
        (replace(TAKE, psp_id=ORDER_ID), "step_without_its_object"),
        (replace(TAKE, kind="authorize"), "step_without_its_object"),
        (
            replace(ORDER, stored_credential=StoredCredential("reuse", "merchant", "cust_7")),
            "merchant_initiated_not_available",
        ),
    ],
)
def test_what_razorpay_cannot_do_is_not_sent(call: Call, code: str):
    assert refused(RAZORPAY.request(call, CREDENTIALS)) == ("NOT_SENT", code, None)


@pytest.mark.parametrize("missing", sorted(FACTS.required))
def test_nothing_is_sent_for_an_account_without_what_it_has_to_name(missing: str):
    options = {name: value for name, value in OPTIONS.items() if name != missing}
    credentials = replace(CREDENTIALS, options=options)

    assert refused(RAZORPAY.request(PAY, credentials)) == ("NOT_SENT", "account_not_configured", "CONFIG")


def test_nothing_is_queried_with_an_account_without_its_key():
    lookup = RAZORPAY.lookup(PAY, replace(CREDENTIALS, options={}))

    assert refused(lookup) == ("NOT_SENT", "account_not_configured", "CONFIG")


def test_what_a_refund_without_its_target_became_is_not_known():
    assert refused(RAZORPAY.lookup(replace(REFUND, target_psp_id=None), CREDENTIALS))[:2] == (
        "UNKNOWN",
        "target_unknown",
    )


@pytest.mark.parametrize(
    ("amount_minor", "currency", "wire"),
    [
        (1099, "USD", 1099),
        (500, "JPY", 500),
        (5120, "KWD", 5120),
        (1230, "TND", 1230),
        (5, "ISK", 5),
        (1045, "HUF", 1045),
        (1000, "CLP", 1000),
        (5, "UGX", 5),
        (100, "INR", 100),
    ],
)
def test_an_amount_is_written_as_razorpay_writes_it(amount_minor: int, currency: str, wire: int):
    call = replace(ORDER, amount_minor=amount_minor, currency=currency)

    assert (body(call)["amount"], body(call)["currency"]) == (wire, currency)
    assert amounts.from_wire(wire, currency) == amount_minor


@pytest.mark.parametrize(
    ("amount_minor", "currency", "code"),
    [
        (5124, "KWD", "amount_not_expressible"),
        (0, "INR", "amount_not_expressible"),
        (99, "INR", "amount_not_expressible"),
        (-1, "INR", "amount_not_expressible"),
        (80000, "TWD", "currency_not_supported"),
        (1500000, "IDR", "currency_not_supported"),
        (700, "CVE", "currency_not_supported"),
    ],
)
def test_an_amount_that_razorpay_cannot_write_is_not_sent(amount_minor: int, currency: str, code: str):
    call = replace(ORDER, amount_minor=amount_minor, currency=currency)

    assert refused(RAZORPAY.request(call, CREDENTIALS)) == ("NOT_SENT", code, None)


def test_twd_is_sent_with_two_decimals_where_that_was_checked():
    switched = replace(CREDENTIALS, options=CREDENTIALS.options | {"takes_twd": "true"})
    request = RAZORPAY.request(replace(ORDER, amount_minor=80000, currency="TWD"), switched)

    assert orjson.loads(sent(request).body or b"")["amount"] == 80000


def test_every_currency_is_one_of_ours_and_every_multiple_is_written_and_read_exactly():
    assert set(money.CURRENCIES) - {"IDR"} >= amounts.CURRENCIES
    for currency in amounts.CURRENCIES:
        for number in (1, 7, 99_999):
            minor = 100 * number * amounts.MULTIPLES.get(currency, 1)
            assert amounts.from_wire(amounts.to_wire(minor, currency), currency) == minor


def test_a_reference_fits_into_a_receipt_and_a_key_into_its_header():
    longest = f"{'f' * 32}-r123456"

    assert len(longest) == 40
    assert len(replace(REFUND, reference=longest).key) == 42


def test_no_secret_shows_in_what_is_logged_of_a_request():
    for call in CALLS:
        shown = repr(RAZORPAY.request(call, CREDENTIALS)) + repr(CREDENTIALS)
        assert SECRET not in shown
        assert call.payment_method not in shown
