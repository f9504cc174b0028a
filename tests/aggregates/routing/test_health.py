"""Which health counts as information."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.routing.health import AccountHealth, Health

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def known(as_of: datetime) -> AccountHealth | None:
    return Health({"a": AccountHealth("a", as_of)}).of("a", NOW)


@pytest.mark.parametrize(
    ("age_s", "counts"), [(0, True), (30, True), (30.001, False), (-60, True), (-60.001, False)]
)
def test_health_counts_for_30_s_and_from_a_clock_that_is_60_s_ahead_at_most(age_s, counts):
    assert (known(NOW - timedelta(seconds=age_s)) is not None) == counts


@pytest.mark.parametrize("as_of", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_health_of_the_ends_of_time_is_none(as_of):
    assert known(as_of) is None


@given(st.datetimes(timezones=st.just(UTC)))
def test_health_of_any_time_counts_for_90_s_at_most(as_of):
    record = Health({"a": AccountHealth("a", as_of)})
    counts = [record.of("a", NOW + timedelta(seconds=after)) is not None for after in range(0, 1000, 100)]

    assert sum(counts) <= 1


def test_of_an_account_without_a_record_nothing_is_known():
    assert Health().fresh(("a", "b"), NOW) == {"a": None, "b": None}
