from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from aggregates import money
from commands.messages import Outcome
from gateways import stripe_amounts
from gateways.contract import Credentials, Gateway, HttpRequest
from gateways.stripe import Stripe
from tests.gateways.stripe_says import CALL, INTENT_ID, REFERENCE

SECRET = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
CREDENTIALS = Credentials("https://api.stripe.com", SECRET)
STRIPE: Gateway = Stripe()


def sent(request: HttpRequest | Outcome) -> HttpRequest:
    assert isinstance(request, HttpRequest)
    return request


def test_a_sale_is_one_call_that_creates_and_confirms_with_capture_stated():
    request = sent(STRIPE.request(CALL, CREDENTIALS))

    assert (request.method, request.path) == ("POST", "/v1/payment_intents")
    assert dict(parse_qsl((request.body or b"").decode(), strict_parsing=True)) == {
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


def test_a_repeat_sends_the_same_bytes_whatever_was_learnt_since():
    later = replace(CALL, psp_id=INTENT_ID, first_try_at=datetime(2026, 1, 1, tzinfo=UTC))

    assert STRIPE.request(later, CREDENTIALS) == STRIPE.request(CALL, CREDENTIALS)


def test_the_return_address_of_the_account_is_sent_so_that_stripe_gives_a_page_for_the_challenge():
    request = sent(STRIPE.request(CALL, replace(CREDENTIALS, return_url="https://shop.example/back")))

    assert parse_qs((request.body or b"").decode())["return_url"] == ["https://shop.example/back"]


def test_neither_credentials_nor_a_request_show_the_secret_in_their_repr():
    assert SECRET not in repr(CREDENTIALS)
    assert SECRET not in repr(STRIPE.request(CALL, CREDENTIALS))


def test_a_key_lives_less_than_stripes_day_and_fits_every_psps_64_characters():
    assert STRIPE.key_life_s == 23 * 3600
    assert STRIPE.absence_delay_s == 3600
    assert len(CALL.key) <= 64


def test_a_look_up_goes_by_the_intents_id_where_it_is_known():
    request = STRIPE.lookup(replace(CALL, psp_id=INTENT_ID), CREDENTIALS)

    assert (request.method, request.body) == ("GET", None)
    assert request.path == f"/v1/payment_intents/{INTENT_ID}?expand[]=latest_charge"
    assert "Idempotency-Key" not in request.headers


@pytest.mark.parametrize("psp_id", [None, "ch_3MtwBw", "pi_../../refunds", "pi_a/b", "pi_1?x=1"])
def test_a_look_up_without_a_usable_id_searches_by_our_reference(psp_id: str | None):
    request = STRIPE.lookup(replace(CALL, psp_id=psp_id), CREDENTIALS)

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
    (1_500_000, "IDR", 1_500_000),
    (9_999_999_999, "IDR", 9_999_999_999),
    (99_999_999, "USD", 99_999_999),
]


@pytest.mark.parametrize(("ours", "currency", "wire"), EXPRESSIBLE)
def test_an_amount_is_written_as_stripe_writes_it_and_read_back(ours: int, currency: str, wire: int):
    request = sent(
        Stripe(takes_ugx=True).request(replace(CALL, amount_minor=ours, currency=currency), CREDENTIALS)
    )

    assert parse_qs((request.body or b"").decode())["amount"] == [str(wire)]
    assert stripe_amounts.from_wire(wire, currency) == ours


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


def test_every_currency_that_we_take_has_a_place_in_stripes_table():
    assert [currency for currency in money.CURRENCIES if not stripe_amounts.supported(currency)] == []


def test_stripes_isk_with_decimals_is_no_amount_of_ours():
    assert stripe_amounts.from_wire(550, "ISK") is None
