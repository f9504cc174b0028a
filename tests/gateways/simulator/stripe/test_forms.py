import re
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.simulator.core.psp import Refusal
from gateways.simulator.stripe import forms
from gateways.simulator.stripe.scenarios import AMOUNTS, SUCCESS, TOKENS, chosen

NAMES = st.sampled_from(
    [
        "amount",
        "currency",
        "confirm",
        "payment_method",
        "metadata[order_ref]",
        "payment_method_types[0]",
        "expand[]",
    ]
) | st.text(max_size=12)
VALUES = st.sampled_from(["1099", "usd", "isk", "true", "pm_card_visa", "card"]) | st.text(max_size=20)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=10))
def test_any_form_is_taken_or_refused_with_a_400(sent: forms.Pairs):
    try:
        status, amount = 200, forms.create(sent).amount
    except Refusal as refused:
        status, amount = refused.response.status, 1

    assert status in {200, 400}
    assert amount > 0


@given(st.binary(max_size=100) | st.text(alphabet="a=&%+[]0é", max_size=60).map(str.encode))
def test_a_form_is_read_as_the_standard_library_reads_it(raw: bytes):
    standard = parse_qsl(raw.decode("utf-8", errors="replace"), keep_blank_values=True)

    assert forms.pairs(raw) == [(re.sub(r"\[\d+\]$", "[]", name), value) for name, value in standard]


def test_a_fingerprint_tells_requests_apart_by_what_they_ask():
    first = forms.fingerprint("POST", "/a", [("a", "1"), ("b", "2")])

    assert first == forms.fingerprint("POST", "/a", [("b", "2"), ("a", "1")])
    assert first != forms.fingerprint("POST", "/b", [("a", "1"), ("b", "2")])
    assert first != forms.fingerprint("POST", "/a", [("a", "1"), ("b", "3")])


@pytest.mark.parametrize("amount", [1, 100, 1099, 99_999, 989_999, 9901, 9909, 990_000, 990_010, 1_990_000])
def test_an_amount_of_a_shop_is_nothing_special(amount: int):
    assert chosen("pm_card_visa", amount) is SUCCESS


@pytest.mark.parametrize("amount", AMOUNTS)
def test_a_test_amount_chooses_at_any_height_but_not_over_a_special_token(amount: int):
    assert (
        chosen("pm_card_visa", amount) is chosen("pm_card_mastercard", 7_000_000 + amount) is AMOUNTS[amount]
    )
    assert chosen("pm_card_chargeDeclined", amount) is TOKENS["pm_card_chargeDeclined"]
