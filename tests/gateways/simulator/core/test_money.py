"""Each simulated PSP's own table, held against the examples of the PSP's documents."""

from decimal import Decimal

import pytest

from gateways.simulator.adyen.currencies import CURRENCIES as ADYEN
from gateways.simulator.braintree.currencies import CURRENCIES as BRAINTREE
from gateways.simulator.braintree.currencies import read as read_braintree
from gateways.simulator.core.money import Currencies, major_units
from gateways.simulator.core.psp import Refusal
from gateways.simulator.paypal.currencies import CURRENCIES as PAYPAL
from gateways.simulator.paypal.currencies import read as read_paypal
from gateways.simulator.razorpay.currencies import CURRENCIES as RAZORPAY
from gateways.simulator.stripe.currencies import CURRENCIES as STRIPE


@pytest.mark.parametrize(
    ("table", "integer", "currency", "expected"),
    [
        # docs.stripe.com/currencies
        (STRIPE, 1000, "USD", "10"),
        (STRIPE, 500, "JPY", "500"),
        (STRIPE, 5120, "KWD", "5.12"),
        (STRIPE, 500, "ISK", "5"),
        (STRIPE, 500, "UGX", "5"),
        (STRIPE, 1045, "HUF", "10.45"),
        (STRIPE, 80000, "TWD", "800"),
        (STRIPE, 5, "MGA", "5"),
        # docs.adyen.com/development-resources/currency-codes
        (ADYEN, 1000, "GBP", "10"),
        (ADYEN, 10, "JPY", "10"),
        (ADYEN, 10000, "BHD", "10"),
        (ADYEN, 500, "ISK", "5"),
        (ADYEN, 100000, "CLP", "1000"),
        (ADYEN, 7, "CVE", "7"),
        (ADYEN, 15000, "IDR", "15000"),
        # razorpay.com/docs, parameters of the checkout
        (RAZORPAY, 10000, "INR", "100"),
        (RAZORPAY, 295990, "KWD", "295.99"),
        (RAZORPAY, 295, "JPY", "295"),
    ],
)
def test_an_integer_is_the_amount_that_the_document_says(
    table: Currencies, integer: int, currency: str, expected: str
):
    mills = table.mills(integer, currency)

    assert major_units(mills) == Decimal(expected)
    assert table.integer(mills, currency) == integer


@pytest.mark.parametrize(
    ("table", "multiples"),
    [
        (STRIPE, {"KWD": 10, "ISK": 100, "UGX": 100, "EUR": 1}),
        (ADYEN, {"KWD": 1, "ISK": 1}),
        (RAZORPAY, {"KWD": 10, "JPY": 1}),
    ],
)
def test_what_an_integer_has_to_be_a_multiple_of(table: Currencies, multiples: dict[str, int]):
    assert {currency: table.step(currency) for currency in multiples} == multiples


@pytest.mark.parametrize(
    ("value", "currency", "expected"), [("10.99", "USD", "10.99"), ("500", "JPY", "500"), ("10", "HUF", "10")]
)
def test_paypal_reads_a_decimal_text(value: str, currency: str, expected: str):
    mills, read = read_paypal({"currency_code": currency, "value": value}, "/amount")

    assert (major_units(mills), read) == (Decimal(expected), currency)


@pytest.mark.parametrize(
    ("value", "currency", "issue"),
    [
        ("10.45", "HUF", "DECIMALS_NOT_SUPPORTED"),
        ("500.00", "JPY", "DECIMALS_NOT_SUPPORTED"),
        ("10.999", "USD", "DECIMAL_PRECISION"),
        ("5.120", "KWD", "INVALID_CURRENCY_CODE"),
    ],
)
def test_paypal_refuses_what_its_currency_cannot_be_written_in(value: str, currency: str, issue: str):
    with pytest.raises(Refusal) as refused:
        read_paypal({"currency_code": currency, "value": value}, "/amount")

    assert issue.encode() in refused.value.response.body


@pytest.mark.parametrize(
    ("written", "currency", "expected"),
    [
        ("10.99", "USD", "10.99"),
        ("10", "USD", "10"),
        ("500", "JPY", "500"),
        ("5.124", "KWD", "5.124"),
        ("10.9", "USD", None),
        ("10.990", "USD", None),
        ("500.00", "JPY", None),
        ("5.12", "KWD", None),
    ],
)
def test_braintree_reads_a_whole_number_or_all_of_the_currencys_decimals(
    written: str, currency: str, expected: str | None
):
    mills = read_braintree(written, currency)

    assert (None if mills is None else major_units(mills)) == (
        None if expected is None else Decimal(expected)
    )


def test_a_page_shows_an_amount_as_its_psp_writes_it():
    assert BRAINTREE.shown(10_990, "EUR") == "10.99 EUR"
    assert BRAINTREE.shown(500_000, "JPY") == "500 JPY"
    assert ADYEN.shown(5_000, "ISK") == "5.00 ISK"


def test_less_than_nothing_is_written_with_a_minus():
    # PayPal's net amount of 0.30 USD, of which it keeps 0.50.
    assert PAYPAL.written(-200, "USD") == "-0.20"
    assert PAYPAL.written(-5_000, "JPY") == "-5"
