from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aggregates.routing.commitments import RECENT, Course, ends, share_needed, starts
from aggregates.routing.policy import Commitment
from tests.aggregates.routing.traffic import live

YEAR = Commitment(account="a", since=date(2026, 1, 1), by=date(2026, 12, 31), payments=36_500)
HALFWAY = datetime(2026, 7, 2, 12, tzinfo=UTC)
RECENT_S = RECENT.total_seconds()


def course(done: int, *, offered: int = 36_500, per_day: int = 200) -> Course:
    """Halfway through the year, 200 payments a day are as many as 73,000 in the year."""
    return Course(done, offered, per_day * RECENT.days, RECENT_S)


def test_a_commitment_covers_its_first_and_its_last_day_in_utc():
    assert starts(YEAR) == datetime(2026, 1, 1, tzinfo=UTC)
    assert ends(YEAR) == datetime(2027, 1, 1, tzinfo=UTC)


def test_on_course_nothing_is_bent():
    assert share_needed(YEAR, course(18_250), HALFWAY) == 0
    assert share_needed(YEAR, course(25_000), HALFWAY) == 0


def test_behind_its_course_the_account_gets_what_is_missing_of_what_is_to_come():
    # 26,500 are missing, and 182.5 days of 200 come: 36,500, less the reserve and some caution.
    share = share_needed(YEAR, course(10_000), HALFWAY)

    assert 26_500 / 36_500 < share < 1.25 * 26_500 / 36_500


def test_the_share_grows_as_the_time_runs_out_and_is_1_at_most():
    shares = [
        share_needed(YEAR, course(20_000, offered=60_000), HALFWAY + timedelta(days=day))
        for day in range(182)
    ]

    assert shares == sorted(shares)
    assert shares[0] < 0.6
    assert shares[-1] == 1


def test_before_its_first_day_after_its_last_and_once_met_it_asks_for_nothing():
    behind = course(0)

    assert share_needed(YEAR, behind, starts(YEAR) - timedelta(seconds=1)) == 0
    assert share_needed(YEAR, behind, starts(YEAR)) > 0
    assert share_needed(YEAR, behind, ends(YEAR)) == 0
    assert share_needed(YEAR, course(36_500), HALFWAY) == 0


def test_without_any_traffic_there_is_nothing_to_send():
    assert share_needed(YEAR, Course(0, 0, 0, 0.0), HALFWAY) == 0


def test_an_amount_is_measured_as_payments_are():
    amount = Commitment(account="a", since=YEAR.since, by=YEAR.by, amount_minor=36_500_000, currency="EUR")

    shared = share_needed(amount, Course(10_000_000, 36_500_000, 5_600_000, RECENT_S), HALFWAY)
    assert shared == pytest.approx(share_needed(YEAR, course(10_000), HALFWAY))


@given(
    done=st.integers(0, 10**9),
    offered=st.integers(0, 10**9),
    recent=st.integers(0, 10**9),
    recent_s=st.floats(0, RECENT_S),
    seconds=st.integers(-(10**6), 366 * 86_400),
)
def test_a_share_is_a_share_and_more_done_never_needs_more(done, offered, recent, recent_s, seconds):
    now = starts(YEAR) + timedelta(seconds=seconds)
    share = share_needed(YEAR, Course(done, max(done, offered), recent, recent_s), now)

    assert 0 <= share <= 1
    more = share_needed(YEAR, Course(done + 1000, max(done, offered) + 1000, recent, recent_s), now)
    assert more <= share


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("target_share", "natural", "growth"),
    [
        (0.3, 0.1, 0.0),
        (0.3, 0.28, 0.0),
        (0.3, 0.0, 0.0),
        (0.9, 0.5, 0.0),
        (0.96, 0.2, 0.0),
        (0.3, 0.1, 1.0),
        (0.3, 0.1, -0.6),
    ],
)
def test_over_a_year_it_is_met_and_bends_hardly_more_than_it_has_to(seed, target_share, natural, growth):
    year = live(seed, target_share, natural, growth=growth)

    assert year.done >= year.target
    assert year.bent - year.least <= 0.03 * year.target


@pytest.mark.parametrize("seed", [1, 2])
def test_an_account_that_meets_it_by_itself_is_left_alone(seed):
    year = live(seed, 0.3, 0.35)

    assert year.done >= year.target
    assert year.bent <= 0.01 * year.target


def test_a_promise_beyond_the_whole_traffic_sends_all_of_it_and_no_more():
    year = live(1, 1.2, 0.1)

    assert year.done < year.target
    assert set(year.shares) == {1.0}


@pytest.mark.parametrize(
    "changes",
    [
        {"by": "9999-12-31"},
        {"by": "2200-01-01"},
        {"since": "1999-12-31"},
        {"since": "0001-01-01"},
        {"payments": 2**53 + 1},
        {"payments": 10**400},
    ],
)
def test_a_commitment_out_of_the_calendar_or_of_all_numbers_is_refused(changes):
    with pytest.raises(ValidationError):
        Commitment.model_validate(YEAR.model_dump(mode="json") | changes)


_DAYS = st.dates(date(2000, 1, 1), date(2199, 12, 31))
_COUNTS = st.integers(0, 2**53)


@given(
    st.tuples(_DAYS, _DAYS).map(sorted),
    st.integers(1, 2**53),
    st.builds(Course, _COUNTS, _COUNTS, _COUNTS, st.floats(0, RECENT_S)),
    st.datetimes(timezones=st.just(UTC)),
)
def test_the_share_of_any_commitment_at_any_time_is_a_share(days, payments, course, now):
    commitment = Commitment(account="a", since=days[0], by=days[1], payments=payments)

    for when in (now, starts(commitment), ends(commitment), ends(commitment) - timedelta(microseconds=1)):
        assert 0 <= share_needed(commitment, course, when) <= 1
