from datetime import date, timedelta

import pytest
from babel.core import get_global
from hypothesis import given
from hypothesis import strategies as st
from iso4217 import Currency

from aggregates.money import CURRENCIES, WITHDRAWN, Money, MoneyRefused, bound_minor, exponent

currencies = st.sampled_from(CURRENCIES)
amounts = st.integers(-(10**12), 10**12)


@pytest.mark.parametrize(
    ("minor", "currency", "code", "path"),
    [
        (100, "XXX", "currency_unknown", "currency"),
        (100, "eur", "currency_unknown", "currency"),
        (0, "EUR", "amount_not_positive", "amount_minor"),
        (-1, "JPY", "amount_not_positive", "amount_minor"),
        (100_000_000, "EUR", "amount_above_bound", "amount_minor"),
        (10_000_000_000, "KRW", "amount_above_bound", "amount_minor"),
    ],
)
def test_what_no_payment_may_ask_for_is_refused_with_its_code_and_field(minor, currency, code, path):
    with pytest.raises(MoneyRefused) as refused:
        Money.payable(minor, currency)

    assert (refused.value.code, refused.value.path) == (code, path)


FUNDS_AND_UNITS_OF_ACCOUNT = frozenset("BOV CHE CHW CLF COU MXV USN UYI UYW XAD".split())  # noqa: SIM905
"""Which have a minor unit in list one, and in which nobody is paid. XAD: the Arab Monetary Fund's accounting
dinar."""


def test_the_table_is_iso_4217_with_its_minor_units():
    listed = {one.code: one.exponent for one in Currency if one.exponent is not None}
    current = {code: digits for code, digits in listed.items() if code not in FUNDS_AND_UNITS_OF_ACCOUNT}

    assert {code: exponent(code) for code in CURRENCIES if code not in WITHDRAWN} == current


def test_what_was_withdrawn_is_in_no_list_and_its_successor_was_money_on_that_day():
    tender = [
        (code, date(*first), date(*last) if last else date.max)
        for of_country in get_global("territory_currencies").values()
        for code, first, last, is_tender in of_country
        if is_tender and first is not None
    ]
    for code, gone in WITHDRAWN.items():
        ends = [last for name, _, last in tender if name == code]
        begins = [first for name, first, _ in tender if name == gone.successor]
        assert code not in {one.code for one in Currency}
        assert max(ends) < date(2026, 11, 29), "nobody pays with it any more"
        # The two go side by side for some weeks at most, in shops; ISO's date is the first day of the new one
        # or later.
        assert gone.since - timedelta(days=1) <= max(ends) <= gone.since + timedelta(days=160)
        assert min(begins) <= gone.since


@given(currencies)
def test_the_smallest_and_the_largest_payment_of_each_currency_pass(currency):
    assert Money.payable(1, currency).minor == 1
    assert Money.payable(bound_minor(currency), currency).minor == bound_minor(currency)


@given(currencies, amounts, amounts)
def test_what_is_added_can_be_taken_off_again(currency, left, right):
    assert Money(left, currency) + Money(right, currency) - Money(right, currency) == Money(left, currency)


@given(st.sampled_from(CURRENCIES), st.sampled_from(CURRENCIES))
def test_two_currencies_never_meet_in_one_sum(left, right):
    if left == right:
        return
    with pytest.raises(AssertionError):
        Money(1, left) + Money(1, right)


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(1099, "USD"), "10.99 USD"),
        (Money(500, "JPY"), "500 JPY"),
        (Money(5120, "KWD"), "5.120 KWD"),
        (Money(-5, "EUR"), "-0.05 EUR"),
    ],
)
def test_an_amount_is_written_with_its_currencys_decimals(money, text):
    assert str(money) == text
