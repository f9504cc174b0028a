"""How amounts are written and read: nothing is rounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates import money
from gateways.braintree import amounts
from gateways.wire.money import NotExpressible


@pytest.mark.parametrize(
    ("minor", "currency", "wire"),
    [
        (1099, "USD", "10.99"),
        (5, "USD", "0.05"),
        (500, "JPY", "500"),
        (5120, "KWD", "5.120"),
        (5124, "KWD", "5.124"),
        (1230, "TND", "1.230"),
        (5, "ISK", "5"),
        (1045, "HUF", "10.45"),
        (80000, "TWD", "800.00"),
        (1000, "CLP", "1000"),
        (5, "UGX", "5"),
    ],
)
def test_an_amount_is_written_with_its_currencys_decimals(minor: int, currency: str, wire: str):
    assert amounts.to_wire(minor, currency) == wire
    assert amounts.from_wire(wire, currency) == minor


@pytest.mark.parametrize(
    ("minor", "currency", "code"),
    [
        (0, "USD", "amount_not_expressible"),
        (-1, "USD", "amount_not_expressible"),
        (10**14, "USD", "amount_not_expressible"),
        (100, "IDR", "currency_not_supported"),
        (100, "CVE", "currency_not_supported"),
        (100, "usd", "currency_not_supported"),
    ],
)
def test_what_cannot_be_written_is_refused(minor: int, currency: str, code: str):
    with pytest.raises(NotExpressible) as refused:
        amounts.to_wire(minor, currency)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("wire", "currency", "minor"),
    [
        ("10", "USD", 1000),
        ("10.9", "USD", 1090),
        ("10.990", "USD", 1099),
        ("500.00", "JPY", 500),
        ("10.991", "USD", None),
        ("500.01", "JPY", None),
        ("-10.99", "USD", None),
        ("1e3", "USD", None),
        ("10.9999", "USD", None),
        ("\u0661\u0660", "USD", None),
        ("10.99\n", "USD", None),
        ("9" * 13, "USD", None),
        ("10.99", "XXX", None),
        (10.99, "USD", None),
        (None, "USD", None),
    ],
)
def test_only_a_whole_number_of_minor_units_is_read(wire: object, currency: str, minor: int | None):
    assert amounts.from_wire(wire, currency) == minor


@given(st.integers(1, 9_999_999_999), st.sampled_from(sorted(amounts.CURRENCIES)))
def test_what_is_written_is_read_back(minor: int, currency: str):
    assert amounts.from_wire(amounts.to_wire(minor, currency), currency) == minor


def test_every_currency_is_one_of_ours_and_idr_whose_format_is_unknown_is_none_of_them():
    assert set(money.CURRENCIES) - {"IDR"} >= amounts.CURRENCIES
