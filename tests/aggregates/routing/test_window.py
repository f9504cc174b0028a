"""The last transactions of a segment."""

import statistics
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.routing.window import (
    Transaction,
    Window,
    begins,
    minute_of,
    observed,
    quantile,
    resolved,
)

AT = datetime(2026, 11, 30, 12, 0, 30, tzinfo=UTC)
OUTCOMES = ("approved", "declined", "failed", "unknown")
TRANSACTIONS = st.lists(
    st.builds(
        Transaction,
        st.sampled_from(OUTCOMES),
        st.none() | st.floats(0, 10_000),
        st.none() | st.sampled_from(["timeout", "http_503"]),
    ),
    max_size=250,
)


def window_of(*transactions: Transaction, at: datetime = AT) -> Window:
    window = Window()
    for one in transactions:
        window = observed(window, [one], at)
    assert window == observed(Window(), transactions, at) or not transactions
    return window


def test_the_last_hundred_count():
    window = window_of(*[Transaction("failed", error="timeout")] * 40, *[Transaction("approved", 5.0)] * 90)

    assert {outcome: window.count(outcome) for outcome in OUTCOMES} == {
        "approved": 90,
        "declined": 0,
        "failed": 10,
        "unknown": 0,
    }
    assert window.errors == {"timeout": 10}
    assert window.latencies_ms == [5.0] * 90


def test_an_unknown_one_that_becomes_known_is_counted_once_as_what_it_was():
    window = window_of(
        Transaction("approved", 9.0), Transaction("unknown", 10_000.0, "timeout"), Transaction("unknown")
    )

    window = resolved(window, Transaction("approved"), AT)

    assert [one.outcome for one in window.transactions] == ["approved", "approved", "unknown"]
    assert window.transactions[1] == Transaction("approved", 10_000.0), "its call took as long as it took"
    assert window.volume(AT) == 3


def test_one_that_is_known_late_and_was_never_counted_is_counted():
    window = resolved(window_of(Transaction("approved")), Transaction("declined"), AT)

    assert (window.count("approved"), window.count("declined"), window.volume(AT)) == (1, 1, 2)


def test_volume_is_of_the_last_hour_and_the_rate_of_the_last_five_minutes():
    window = window_of(*[Transaction("approved")] * 6, at=AT - timedelta(minutes=59))
    window = observed(window, [Transaction("approved")], AT - timedelta(minutes=3))
    for _ in range(10):
        window = observed(window, [Transaction("approved")], AT)

    assert window.volume(AT) == 17
    assert window.per_minute(AT) == pytest.approx(11 / 5.5)
    assert window.volume(AT + timedelta(minutes=1)) == 11
    assert window.volume(AT + timedelta(hours=2)) == 0
    assert window.per_minute(AT + timedelta(minutes=20)) == 0


def test_the_rate_for_probes_is_that_of_the_busiest_time_of_late():
    window = window_of(*[Transaction("approved")] * 300)

    assert window.per_s(AT) == pytest.approx(10), "300 in the 30 s of this minute"
    assert window.per_s(AT + timedelta(minutes=1)) == pytest.approx(5), "300 in the minute before"
    assert window.per_s(AT + timedelta(minutes=3)) == pytest.approx(300 / 5.5 / 60)
    assert window.per_s(AT + timedelta(minutes=9)) == 0
    start = AT.replace(second=1)
    assert window_of(*[Transaction("approved")] * 30, at=start).per_s(start) == pytest.approx(3)


def test_a_minute_is_named_by_its_number_since_1970():
    number = minute_of(AT)

    assert begins(number) == AT - timedelta(seconds=30)
    assert minute_of(begins(number)) == number


def test_a_quantile_is_one_of_the_values():
    """The nearest-rank example of Wikipedia's article on percentiles."""
    ordered = [15.0, 20.0, 35.0, 40.0, 50.0]

    assert [quantile(ordered, share) for share in (0.05, 0.3, 0.4, 0.5, 1.0)] == [15, 20, 20, 35, 50]
    assert quantile([], 0.5) is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=100), st.floats(0.01, 1))
def test_at_least_the_share_does_not_pass_the_quantile_and_less_than_it_is_below(values, share):
    found = quantile(sorted(values), share)

    assert found in values
    assert sum(one <= found for one in values) >= share * len(values)
    assert sum(one < found for one in values) < share * len(values)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=99).filter(lambda values: len(values) % 2 == 1))
def test_the_half_of_an_odd_number_is_the_median(values):
    assert quantile(sorted(values), 0.5) == statistics.median(values)


@given(TRANSACTIONS)
def test_counts_add_up_and_nothing_is_kept_beyond_the_window(transactions):
    window = window_of(*transactions)

    assert sum(window.count(outcome) for outcome in OUTCOMES) == min(len(transactions), 100)
    assert window.volume(AT) == len(transactions)
    assert window.transactions == tuple(transactions[-100:])


@given(TRANSACTIONS, st.sampled_from(["approved", "declined", "failed"]))
def test_what_becomes_known_takes_nothing_from_what_was_known(transactions, outcome):
    window = window_of(*transactions)
    after = resolved(window, Transaction(outcome), AT)

    if window.count("unknown"):
        assert after.count("unknown") == window.count("unknown") - 1
        assert after.count(outcome) == window.count(outcome) + 1
        assert after.volume(AT) == window.volume(AT)


@given(st.lists(st.integers(0, 10_000), max_size=80))
def test_however_long_it_runs_it_holds_little_more_than_an_hour(minutes):
    window = Window()
    for number in minutes:
        window = observed(window, [Transaction("approved")], begins(number))

    assert len(window.minutes) <= 65
    assert len({one.number for one in window.minutes}) == len(window.minutes)
