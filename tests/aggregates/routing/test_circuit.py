"""The circuit: when it opens, probes, closes and waits longer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.routing.circuit import (
    Breaker,
    Call,
    Change,
    CircuitRules,
    advanced,
    observed,
    probe_share,
)

START = datetime(2026, 11, 30, 12, tzinfo=UTC)
RULES = CircuitRules()
CALLS = st.lists(st.sampled_from(["worked", "failed"]), max_size=300)


def after(calls, breaker: Breaker | None = None, rules: CircuitRules = RULES, every_s: float = 1.0, **more):
    """The circuit after the calls, one each `every_s`, and all changes."""
    breaker, changes = breaker or Breaker(), list[Change]()
    at = max(breaker.since, START)
    for call in calls:
        at += timedelta(seconds=every_s)
        done = observed(breaker, call, at, rules, per_s=more.get("per_s", 1.0), error=more.get("error"))
        breaker, changes = done.breaker, changes + list(done.changes)
    return breaker, changes


def opened() -> Breaker:
    return after(["failed"] * 5)[0]


def at_half(breaker: Breaker) -> Breaker:
    assert breaker.until is not None
    return advanced(breaker, breaker.until).breaker


def test_five_failures_in_a_row_open_it_and_the_reason_says_so():
    breaker, changes = after(["worked", *["failed"] * 5], error="http_503")

    assert breaker.state == "open"
    assert [(one.before, one.after) for one in changes] == [("closed", "open")]
    assert changes[0].at == START + timedelta(seconds=6)
    assert changes[0].reason == "5 calls in a row failed, the last with http_503"


def test_four_failures_and_a_success_do_not_open_it():
    assert after(["failed", "failed", "failed", "failed", "worked"] * 3)[0].state == "closed"


def test_half_of_the_window_opens_it_once_there_is_enough_of_it():
    alternating = ["worked", "failed"] * 10

    assert after(alternating[:-1])[0].state == "closed"
    breaker, _ = after(alternating)
    assert (breaker.state, breaker.reason) == ("open", "10 of the last 20 calls failed")


def test_what_failed_before_it_closed_counts_for_nothing_afterwards():
    breaker, _ = after(["worked", "worked", *["worked", "failed"] * 9], at_half(opened()))

    assert breaker.state == "closed"


def test_it_is_open_for_60_s_and_then_half_open_without_a_call():
    breaker = opened()
    assert breaker.until == breaker.since + timedelta(seconds=60)
    just_before = advanced(breaker, breaker.until - timedelta(microseconds=1))

    assert (just_before.breaker.state, just_before.changes) == ("open", ())
    done = advanced(breaker, breaker.until + timedelta(hours=1))
    assert done.breaker.state == "half_open"
    assert done.changes == (Change("open", "half_open", breaker.until, "it was open for 60 s"),)


def test_a_call_that_ends_while_it_is_open_changes_nothing():
    breaker = opened()

    assert after(["worked", "failed", "worked"], breaker) == (breaker, [])


def test_two_successes_close_it():
    half = at_half(opened())

    assert after(["worked"], half)[0].state == "half_open"
    breaker, changes = after(["worked", "worked"], half)
    assert breaker.state == "closed"
    assert [one.reason for one in changes] == ["2 probes worked"]


def test_one_failed_probe_opens_it_for_twice_as_long_up_to_the_bound():
    breaker, times = opened(), []
    for _ in range(6):
        times.append(breaker.open_s)
        breaker, changes = after(["failed"], at_half(breaker), error="timeout")
        assert changes[-1].reason == "a probe failed, the last with timeout"

    assert times == [60, 120, 240, 480, 900, 900]


def test_one_that_fails_again_soon_after_it_closed_stays_open_longer_than_at_first():
    closed, _ = after(["worked", "worked"], at_half(opened()))

    soon, _ = after(["failed"] * 5, closed)
    assert soon.open_s == 120
    long_after, _ = after(["failed"] * 5, closed, every_s=20)
    assert long_after.open_s == 60


@pytest.mark.parametrize(
    ("per_s", "share"), [(0.0, 1.0), (0.1, 1.0), (0.3, 1.0), (3.0, 0.1), (30.0, 0.01), (300.0, 0.001)]
)
def test_about_three_calls_probe_it_within_the_ten_seconds_of_a_call(per_s, share):
    breaker = at_half(after(["failed"] * 5, per_s=per_s)[0])

    assert probe_share(breaker, RULES) == pytest.approx(share)


def test_nothing_probes_one_that_is_open_or_closed():
    assert probe_share(Breaker(), RULES) == probe_share(opened(), RULES) == 0


def test_every_bound_can_be_set():
    rules = CircuitRules(
        in_a_row=2,
        rate=0.9,
        rate_from=3,
        open_s=1,
        growth=3,
        open_max_s=2,
        closes_after=1,
        probes=1,
        probe_s=1,
    )

    breaker, _ = after(["failed"] * 2, rules=rules, per_s=10)
    assert (breaker.state, breaker.open_s) == ("open", 1)
    half = at_half(breaker)
    assert probe_share(half, rules) == pytest.approx(0.1)
    assert after(["worked"], half, rules)[0].state == "closed"
    assert after(["failed"], half, rules)[0].open_s == 2


@given(CALLS)
def test_a_change_follows_from_the_one_before_and_has_a_reason(calls: list[Call]):
    breaker, changes = after(calls, every_s=7.0)

    state = "closed"
    for change in changes:
        assert change.before == state != change.after
        assert (change.before, change.after) != ("closed", "half_open")
        assert (change.before, change.after) != ("open", "closed")
        assert change.reason
        state = change.after
    assert breaker.state == state
    assert [one.at for one in changes] == sorted(one.at for one in changes)


@given(CALLS, st.integers(0, 50))
def test_successes_never_open_it(calls: list[Call], more: int):
    breaker, _ = after(calls, every_s=7.0)
    _, changes = after(["worked"] * more, breaker, every_s=7.0)

    assert "open" not in [one.after for one in changes]


@given(CALLS)
def test_it_holds_no_more_than_its_window_and_is_never_open_for_longer_than_its_bound(calls: list[Call]):
    breaker, _ = after(calls, every_s=7.0)

    assert len(breaker.recent) <= RULES.window
    assert breaker.open_s <= RULES.open_max_s
    assert 0 <= probe_share(replace(breaker, state="half_open"), RULES) <= 1


@given(st.floats(0.5, 1000), st.floats(0.5, 20))
def test_over_the_time_of_one_call_the_expected_probes_are_three_at_most(per_s: float, probe_s: float):
    rules = CircuitRules(probe_s=probe_s)
    breaker = Breaker("half_open", per_s=per_s)

    assert probe_share(breaker, rules) * per_s * probe_s <= rules.probes + 1e-9
