from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from aggregates import money
from commands.messages import Outcome
from gateways.contract import Call, Credentials, Gateway, HttpRequest, StoredCredential
from gateways.stripe import amounts
from gateways.stripe.adapter import Stripe
from tests.gateways.stripe.payloads import AUTHORIZE, CALL, INTENT_ID, PAYMENT, REFERENCE, REFUND_ID, later

SECRET = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
CREDENTIALS = Credentials("https://api.stripe.com", SECRET)
STRIPE: Gateway = Stripe()


def sent(request: HttpRequest | Outcome) -> HttpRequest:
    assert isinstance(request, HttpRequest)
    return request


def form(request: HttpRequest | Outcome) -> dict[str, str]:
    return dict(parse_qsl((sent(request).body or b"").decode(), strict_parsing=True))


def test_a_sale_is_one_call_that_creates_and_confirms_with_capture_stated():
    request = sent(STRIPE.request(CALL, CREDENTIALS))

    assert (request.method, request.path) == ("POST", "/v1/payment_intents")
    assert form(request) == {
        "amount": "1099",
        "currency": "usd",
        "capture_method": "automatic",
        "confirm": "true",
        "payment_method": "pm_card_visa",
        "payment_method_types[]": "card",
        "metadata[order_ref]": REFERENCE,
        "description": "Order 7",
    }
    assert dict(request.headers) == {
        "Authorization": f"Bearer {SECRET}",
        "Stripe-Version": "2026-08-26.dahlia",
        "Idempotency-Key": f"{REFERENCE}-1",
        "Content-Type": "application/x-www-form-urlencoded",
    }


def test_a_description_with_any_characters_cannot_add_a_parameter():
    request = sent(STRIPE.request(replace(CALL, description="a&amount=1&b=ü%00[]"), CREDENTIALS))

    pairs = parse_qsl((request.body or b"").decode(), strict_parsing=True)
    assert [value for name, value in pairs if name == "amount"] == ["1099"]
    assert dict(pairs)["description"] == "a&amount=1&b=ü%00[]"


def test_an_authorization_is_the_same_call_with_the_capture_left_to_us():
    sale, authorization = (
        form(STRIPE.request(replace(call, reference=REFERENCE), CREDENTIALS)) for call in (CALL, AUTHORIZE)
    )

    assert authorization == sale | {"capture_method": "manual"}


CARD = "payment_method_options[card]"


@pytest.mark.parametrize(
    ("requested", "more"),
    [
        ({"statement_text": "Order 7"}, {"statement_descriptor_suffix": "Order 7"}),
        ({"three_ds": True}, {f"{CARD}[request_three_d_secure]": "any"}),
        ({"return_url": "https://shop.example/back"}, {"return_url": "https://shop.example/back"}),
        ({"multicapture": True}, {f"{CARD}[request_multicapture]": "if_available"}),
        ({"overcapture": True}, {f"{CARD}[request_overcapture]": "if_available"}),
        (
            {"stored_credential": StoredCredential("store", "customer", "cus_7")},
            {"setup_future_usage": "off_session", "customer": "cus_7"},
        ),
        (
            {"stored_credential": StoredCredential("store", "customer", None)},
            {"setup_future_usage": "off_session"},
        ),
        ({"stored_credential": StoredCredential("reuse", "customer", "cus_7")}, {"customer": "cus_7"}),
        (
            {"stored_credential": StoredCredential("reuse", "merchant", "cus_7")},
            {"customer": "cus_7", "off_session": "true"},
        ),
    ],
)
def test_what_more_is_requested_of_a_payment_is_sent_under_stripes_names(
    requested: dict[str, Any], more: dict[str, str]
):
    plain = form(STRIPE.request(AUTHORIZE, CREDENTIALS))

    assert form(STRIPE.request(replace(AUTHORIZE, **requested), CREDENTIALS)) == plain | more


def test_several_captures_and_overcapture_are_requested_of_authorizations_only():
    requested = replace(CALL, multicapture=True, overcapture=True)

    assert form(STRIPE.request(requested, CREDENTIALS)) == form(STRIPE.request(CALL, CREDENTIALS))


@pytest.mark.parametrize(
    "text", ["A" * 23, "12345", 'say "hi"', "a<b", "a>b", "a*b", "a'b", "a\\b", "café", ""]
)
def test_a_statement_text_that_no_statement_can_show_is_not_sent(text: str):
    refused = STRIPE.request(replace(CALL, statement_text=text), CREDENTIALS)

    assert isinstance(refused, Outcome)
    assert (refused.kind, refused.code) == ("NOT_SENT", "statement_text_not_expressible")


@pytest.mark.parametrize("text", ["A" * 22, "Order 7", "a!#$%&()+,-./:;=?@[]^_`{|}~"[:22]])
def test_a_statement_text_of_stripes_letters_is_sent(text: str):
    assert (
        form(STRIPE.request(replace(CALL, statement_text=text), CREDENTIALS))["statement_descriptor_suffix"]
        == text
    )


@pytest.mark.parametrize(
    ("requested", "final"),
    [
        ({}, None),
        ({"final": True}, None),
        ({"multicapture": True}, "false"),
        ({"multicapture": True, "final": True}, "true"),
    ],
)
def test_a_capture_leaves_its_amount_in_the_intent_under_its_own_name(
    requested: dict[str, bool], final: str | None
):
    request = sent(STRIPE.request(later("capture", 400, **requested), CREDENTIALS))

    assert (request.method, request.path) == ("POST", f"/v1/payment_intents/{INTENT_ID}/capture")
    assert request.headers["Idempotency-Key"] == f"{PAYMENT}-c2-1"
    more = {} if final is None else {"final_capture": final}
    assert form(request) == {"amount_to_capture": "400", "metadata[op_c2]": "400"} | more


def test_a_void_releases_all_that_is_left():
    request = sent(STRIPE.request(later("void"), CREDENTIALS))

    assert (request.method, request.path) == ("POST", f"/v1/payment_intents/{INTENT_ID}/cancel")
    assert request.headers["Idempotency-Key"] == f"{PAYMENT}-v2-1"
    assert form(request) == {"cancellation_reason": "requested_by_customer"}


def test_a_refund_names_its_intent_and_carries_our_reference():
    request = sent(STRIPE.request(later("refund", 5, currency="ISK"), CREDENTIALS))

    assert (request.method, request.path) == ("POST", "/v1/refunds")
    assert form(request) == {
        "payment_intent": INTENT_ID,
        "amount": "500",
        "metadata[order_ref]": f"{PAYMENT}-r2",
    }


def test_the_cancel_of_a_challenge_has_a_key_of_its_own():
    request = sent(STRIPE.cancel(replace(CALL, step="x", psp_id=INTENT_ID), CREDENTIALS))

    assert (request.method, request.path) == ("POST", f"/v1/payment_intents/{INTENT_ID}/cancel")
    assert request.headers["Idempotency-Key"] == f"{REFERENCE}-x"
    assert form(request) == {"cancellation_reason": "abandoned"}


@pytest.mark.parametrize("psp_id", [None, "ch_3MtwBw", "pi_a/b"])
def test_without_stripes_id_nothing_is_cancelled(psp_id: str | None):
    refused = STRIPE.cancel(replace(CALL, step="x", psp_id=psp_id), CREDENTIALS)

    assert isinstance(refused, Outcome)
    assert (refused.kind, refused.code) == ("UNKNOWN", "psp_id_unknown")


@pytest.mark.parametrize("kind", ["capture", "void", "refund"])
@pytest.mark.parametrize(
    "target", [{"target_psp_id": None}, {"target_psp_id": "pi_a/b"}, {"target_reference": None}]
)
def test_without_its_target_nothing_is_sent_and_nothing_is_found(kind: Any, target: dict[str, str | None]):
    call = replace(later(kind), **target)

    unsent = [STRIPE.request(call, CREDENTIALS), STRIPE.lookup(call, CREDENTIALS)]

    assert [(one.kind, one.code) for one in unsent if isinstance(one, Outcome)] == [
        ("NOT_SENT", "target_unknown"),
        ("UNKNOWN", "target_unknown"),
    ]


ALL = [CALL, AUTHORIZE, later("capture"), later("void"), later("refund")]


@pytest.mark.parametrize("call", ALL, ids=lambda call: call.kind)
def test_a_repeat_sends_the_same_bytes_whatever_was_learnt_since(call: Call):
    learnt = replace(call, psp_id=INTENT_ID)

    assert STRIPE.request(learnt, CREDENTIALS) == STRIPE.request(call, CREDENTIALS)


def test_neither_credentials_nor_a_request_show_the_secret_in_their_repr():
    assert SECRET not in repr(CREDENTIALS)
    assert SECRET not in repr(STRIPE.request(CALL, CREDENTIALS))


def test_a_key_lives_less_than_stripes_day_and_fits_every_psps_64_characters():
    assert STRIPE.facts.key_life_s == 23 * 3600
    assert len(CALL.key) <= 64


def test_what_is_not_found_may_still_be_under_way_or_on_its_way_into_the_index_for_an_hour():
    assert [STRIPE.absence_delay_s(call) for call in ALL] == [3600] * 5


@pytest.mark.parametrize("kind", ["capture", "void"])
def test_a_capture_or_a_void_is_looked_up_in_its_target(kind: Any):
    request = sent(STRIPE.lookup(later(kind), CREDENTIALS))

    assert (request.method, request.body) == ("GET", None)
    assert request.path == f"/v1/payment_intents/{INTENT_ID}?expand[]=latest_charge.refunds"


@pytest.mark.parametrize(
    ("psp_id", "path"),
    [
        (REFUND_ID, f"/v1/refunds/{REFUND_ID}"),
        (None, f"/v1/refunds?payment_intent={INTENT_ID}&limit=100"),
        ("re_a/b", f"/v1/refunds?payment_intent={INTENT_ID}&limit=100"),
    ],
)
def test_a_refund_is_looked_up_by_its_id_or_among_those_of_its_intent(psp_id: str | None, path: str):
    assert sent(STRIPE.lookup(later("refund", psp_id=psp_id), CREDENTIALS)).path == path


def test_a_lookup_goes_by_the_intents_id_where_it_is_known():
    request = sent(STRIPE.lookup(replace(CALL, psp_id=INTENT_ID), CREDENTIALS))

    assert (request.method, request.body) == ("GET", None)
    assert request.path == f"/v1/payment_intents/{INTENT_ID}?expand[]=latest_charge.refunds"
    assert "Idempotency-Key" not in request.headers


@pytest.mark.parametrize("psp_id", [None, "ch_3MtwBw", "pi_../../refunds", "pi_a/b", "pi_1?x=1"])
def test_a_lookup_without_a_usable_id_searches_by_our_reference(psp_id: str | None):
    request = sent(STRIPE.lookup(replace(CALL, psp_id=psp_id), CREDENTIALS))

    url = urlsplit(request.path)
    assert url.path == "/v1/payment_intents/search"
    assert parse_qs(url.query) == {"query": [f"metadata['order_ref']:'{REFERENCE}'"]}


EXPRESSIBLE = [
    (1099, "USD", 1099),
    (500, "JPY", 500),
    (5120, "KWD", 5120),
    (1230, "TND", 1230),
    (5, "ISK", 500),
    (1045, "HUF", 1045),
    (80000, "TWD", 80000),
    (1000, "CLP", 1000),
    (5, "UGX", 500),
    (1000, "MGA", 10),
    (10, "RWF", 10),
    (1099, "BGN", 1099),
    (1_500_000, "IDR", 1_500_000),
    (9_999_999_999, "IDR", 9_999_999_999),
    (99_999_999, "USD", 99_999_999),
]


@pytest.mark.parametrize(("ours", "currency", "wire"), EXPRESSIBLE)
def test_an_amount_is_written_as_stripe_writes_it_and_read_back(ours: int, currency: str, wire: int):
    switched = replace(CREDENTIALS, options={"takes_ugx": "true"})
    request = sent(STRIPE.request(replace(CALL, amount_minor=ours, currency=currency), switched))

    assert parse_qs((request.body or b"").decode())["amount"] == [str(wire)]
    assert amounts.from_wire(wire, currency) == ours


@pytest.mark.parametrize(
    ("ours", "currency", "code"),
    [
        (5124, "KWD", "amount_not_expressible"),
        (1_000_000, "ISK", "amount_not_expressible"),  # 100,000,000 on the wire: nine digits
        (100_000_000, "KRW", "amount_not_expressible"),
        (0, "USD", "amount_not_expressible"),
        (-1, "USD", "amount_not_expressible"),
        (1099, "XXX", "currency_not_supported"),
        (5, "UGX", "currency_not_supported"),
    ],
)
def test_what_stripe_cannot_express_is_not_sent(ours: int, currency: str, code: str):
    refused = STRIPE.request(replace(CALL, amount_minor=ours, currency=currency), CREDENTIALS)

    assert isinstance(refused, Outcome)
    assert (refused.kind, refused.code) == ("NOT_SENT", code)


def test_every_currency_of_stripes_table_is_one_of_ours():
    assert set(money.CURRENCIES) >= amounts.CURRENCIES


def test_stripes_isk_with_decimals_is_no_amount_of_ours():
    assert amounts.from_wire(550, "ISK") is None
