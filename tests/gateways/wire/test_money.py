"""Amounts in a PSP's notation: nothing is rounded."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.wire.money import IntegerAmounts, NotExpressible, decimal_text, from_decimal_text
from tests.gateways.conformance.calls import calls

# Our minor units: USD has 2 decimals, JPY and ISK none, KWD 3, IDR 2.
AMOUNTS = IntegerAmounts(
    title="Pebble",
    decimals={"USD": 2, "JPY": 0, "KWD": 3, "ISK": 2, "IDR": 0},
    multiples={"KWD": 10},
    least={"USD": 50},
    largest={"IDR": 1000},
    largest_of_all=10_000,
)
CALL = calls("tok_ok", lambda reference: reference)["sale"]


@pytest.mark.parametrize(
    ("minor", "currency", "wire"),
    [(50, "USD", 50), (10_000, "USD", 10_000), (5, "JPY", 5), (5, "ISK", 500), (100_000, "IDR", 1000)],
)
def test_an_amount_is_written_with_the_psps_decimals_and_read_back(minor: int, currency: str, wire: int):
    assert AMOUNTS.to_wire(minor, currency) == wire
    assert AMOUNTS.from_wire(wire, currency) == minor


@pytest.mark.parametrize(
    ("minor", "currency", "code"),
    [
        (49, "USD", "amount_not_expressible"),
        (10_001, "USD", "amount_not_expressible"),
        (5121, "KWD", "amount_not_expressible"),
        (150, "IDR", "amount_not_expressible"),
        (100_100, "IDR", "amount_not_expressible"),
        (0, "JPY", "amount_not_expressible"),
        (100, "EUR", "currency_not_supported"),
    ],
)
def test_what_the_psp_cannot_write_is_refused_and_was_never_sent(minor: int, currency: str, code: str):
    with pytest.raises(NotExpressible) as refused:
        AMOUNTS.to_wire(minor, currency)

    assert refused.value.code == code
    assert AMOUNTS.sent(replace(CALL, amount_minor=minor, currency=currency)) is None


@pytest.mark.parametrize(("wire", "currency"), [(550, "ISK"), (2**53 + 1, "USD"), (100, "EUR")])
def test_what_is_no_amount_of_ours_is_read_as_none(wire: int, currency: str):
    assert AMOUNTS.from_wire(wire, currency) is None


@given(st.integers(1, 10**12 - 1), st.sampled_from(["USD", "JPY", "KWD"]))
def test_a_decimal_text_is_read_back(minor: int, currency: str):
    assert from_decimal_text(decimal_text(minor, currency), currency, decimals_max=3) == minor


@pytest.mark.parametrize("written", ["10.999", "1e3", "-1", "10.", ".5", "1" * 13, 10.99, None])
def test_a_text_that_is_no_amount_is_read_as_none(written: object):
    assert from_decimal_text(written, "USD", decimals_max=2) is None
