import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.money import CURRENCIES, Money, MoneyRefused, bound_minor

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
