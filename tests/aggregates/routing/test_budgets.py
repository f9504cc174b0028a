"""The schemes' limits on retries."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.money import Money
from aggregates.routing.budgets import (
    RULES,
    STRICTEST,
    DeclinedAttempt,
    budget,
    judge,
    scheme_of,
    seen,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PRICE = Money(1099, "EUR")


def declines(count: int, every: timedelta, *, amount: Money = PRICE, **said: str) -> list[DeclinedAttempt]:
    """The newest of them a moment ago."""
    start = NOW - timedelta(seconds=1)
    return [DeclinedAttempt(f"o-{n}", amount, start - n * every, **said) for n in range(count)]


# Visa: "Category 1 … any reattempt" and the rest "15 in 30 days"; the codes are those of the page on
# excessive retries of TabaPay, which PayPal's and Payway's pages agree with.
@pytest.mark.parametrize("code", ["04", "07", "12", "14", "15", "41", "43", "46", "57", "R0", "R1", "R3"])
def test_visas_category_1_forbids_every_later_attempt(code: str):
    years_ago = [DeclinedAttempt("o-1", PRICE, NOW - timedelta(days=1000), "visa", code)]

    spent = budget(years_ago, "visa", PRICE, NOW)

    assert spent is not None
    assert (spent.code, spent.until) == ("retry_forbidden", None)
    assert code in spent.detail


@pytest.mark.parametrize(
    ("scheme", "count", "every", "code"),
    [
        ("visa", 14, timedelta(hours=1), None),
        ("visa", 15, timedelta(hours=1), "retry_budget_spent"),
        ("visa", 15, timedelta(days=2), "retry_budget_spent"),
        ("visa", 15, timedelta(days=2, hours=4), None),  # the oldest is 30 days and some hours old
        ("mastercard", 9, timedelta(hours=2), None),
        ("mastercard", 10, timedelta(hours=2), "retry_budget_spent"),
        ("mastercard", 10, timedelta(hours=3), None),
        ("mastercard", 34, timedelta(hours=20), None),
        ("mastercard", 35, timedelta(hours=20), "retry_budget_spent"),
        ("elo", 15, timedelta(days=1), "retry_budget_spent"),
        (None, 9, timedelta(hours=1), None),
        (None, 10, timedelta(hours=1), "retry_budget_spent"),
        (None, 15, timedelta(days=1), "retry_budget_spent"),
        ("amex", 10, timedelta(hours=1), "retry_budget_spent"),
    ],
)
def test_a_scheme_allows_so_many_declines_of_a_card_and_amount(
    scheme: str | None, count: int, every: timedelta, code: str | None
):
    spent = budget(declines(count, every), scheme, PRICE, NOW)

    assert (None if spent is None else spent.code) == code
    if spent is not None:
        assert str(count) in spent.detail


@pytest.mark.parametrize(
    ("scheme", "said", "forbidden"),
    [
        ("mastercard", {"issuer_advice": "03"}, True),
        ("mastercard", {"issuer_advice": "21"}, True),
        ("mastercard", {"issuer_advice": "02"}, False),
        ("mastercard", {"issuer_code": "14"}, False),  # Mastercard's own list is of advice codes
        ("visa", {"issuer_code": "51"}, False),
        ("visa", {"issuer_code": "05"}, False),
        (None, {"issuer_code": "14"}, True),
        (None, {"issuer_advice": "03"}, True),
        (None, {"issuer_code": "51", "issuer_advice": "02"}, False),
    ],
)
def test_what_forbids_another_attempt_depends_on_the_scheme(scheme, said, forbidden):
    assert (budget(declines(1, timedelta(), **said), scheme, PRICE, NOW) is not None) == forbidden


def test_another_amount_or_currency_has_a_budget_of_its_own():
    history = declines(40, timedelta(minutes=1), issuer_code="51")

    assert budget(history, "visa", Money(1100, "EUR"), NOW) is None
    assert budget(history, "visa", Money(1099, "USD"), NOW) is None
    assert budget(history, "visa", PRICE, NOW) is not None


# 43: stolen card; R1: revocation of the authorization order. Both are of the card, not of a price.
@pytest.mark.parametrize("said", [{"issuer_code": "43"}, {"issuer_code": "R1"}, {"issuer_advice": "21"}])
@pytest.mark.parametrize("amount", [Money(1100, "EUR"), Money(1099, "USD"), PRICE])
def test_what_forbids_every_later_attempt_does_so_for_every_amount(said, amount):
    spent = budget(declines(1, timedelta(), **said), None, amount, NOW)

    assert spent is not None
    assert (spent.code, spent.until) == ("retry_forbidden", None)
    assert "amount" not in spent.detail
    # What is counted stays by amount: nothing of this one is.
    assert spent.seen.in_month == (amount == PRICE)


def test_a_scheme_that_one_attempt_named_is_the_cards():
    history = [*declines(10, timedelta(hours=1)), DeclinedAttempt("x", PRICE, NOW, scheme="visa")]

    assert budget(history, None, PRICE, NOW) is None  # 11 of Visa's 15, and Visa has no limit for a day
    assert budget(history, "mastercard", PRICE, NOW) is not None


@pytest.mark.parametrize(
    ("scheme", "digits", "name"),
    [
        ("visa", None, "visa"),
        ("mc", None, "mastercard"),
        ("american_express", "424242", "amex"),
        (None, "424242", "visa"),
        (None, "55555555", "mastercard"),
        (None, "222100", "mastercard"),
        (None, "272100", None),
        (None, "378282", "amex"),
        (None, "601111", None),
        (None, None, None),
    ],
)
def test_a_scheme_is_as_the_merchant_gave_it_or_by_the_first_digits(scheme, digits, name):
    assert scheme_of(scheme, digits) == name


_ATTEMPTS = st.lists(
    st.builds(
        DeclinedAttempt,
        operation_id=st.integers(0, 60).map(lambda n: f"o-{n}"),
        amount=st.sampled_from([PRICE, Money(5, "JPY")]),
        declined_at=st.integers(0, 40 * 24 * 60).map(lambda minutes: NOW - timedelta(minutes=minutes)),
        scheme=st.sampled_from([None, "visa", "mastercard", "amex"]),
        issuer_code=st.sampled_from([None, "05", "51", "14", "R1"]),
        issuer_advice=st.sampled_from([None, "02", "03"]),
    ),
    max_size=60,
    unique_by=lambda one: one.operation_id,
)
_SCHEMES = st.sampled_from([None, "visa", "mastercard", "elo", "amex"])


@given(_ATTEMPTS, _SCHEMES, st.randoms(use_true_random=False))
def test_neither_the_order_nor_a_repeat_of_the_history_changes_the_budget(history, scheme, chance):
    shuffled = [*history, *history]
    chance.shuffle(shuffled)

    assert budget(shuffled, scheme, PRICE, NOW) == budget(history, scheme, PRICE, NOW)


@given(_ATTEMPTS, _SCHEMES)
def test_the_decision_is_made_again_from_what_was_seen_alone(history, scheme):
    spent = budget(history, scheme, PRICE, NOW)

    assert judge(seen(history, scheme, PRICE, NOW)) == spent
    if spent is not None:
        assert judge(spent.seen) == spent


@given(_ATTEMPTS, st.sampled_from(sorted(RULES)))
def test_one_more_decline_never_frees_a_card(history, scheme):
    more = [*history, DeclinedAttempt("new", PRICE, NOW)]

    if budget(history, scheme, PRICE, NOW) is not None:
        assert budget(more, scheme, PRICE, NOW) is not None


@given(_ATTEMPTS, _SCHEMES)
def test_a_spent_budget_is_free_at_the_time_that_it_names_and_not_before(history, scheme):
    spent = budget(history, scheme, PRICE, NOW)
    if spent is None or spent.until is None:
        return
    ours = [one for one in history if one.declined_at <= NOW]
    just_before = budget(ours, scheme, PRICE, spent.until - timedelta(microseconds=1))

    assert spent.until > NOW
    assert just_before is not None
    freed = budget(ours, scheme, PRICE, spent.until)
    # Of two windows the other may be full still.
    assert freed is None or (freed.until or spent.until) >= spent.until


@given(_ATTEMPTS)
def test_what_the_unknown_scheme_allows_every_scheme_allows(history):
    nameless = [
        DeclinedAttempt(o.operation_id, o.amount, o.declined_at, None, o.issuer_code, o.issuer_advice)
        for o in history
    ]

    if budget(nameless, None, PRICE, NOW) is None:
        assert all(budget(nameless, scheme, PRICE, NOW) is None for scheme in RULES)


def test_every_code_that_forbids_has_two_characters_as_the_schemes_write_them():
    assert all(len(code) == 2 for code in STRICTEST.never_after)
