"""What samples change: windows, arms, circuits and minutes."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.health.keeping import SEGMENTS_MAX
from tests.gateways.health.batches import SEGMENT, START, Kept, batch, sample

OUTCOMES = ("approved", "declined", "failed", "unknown")
SAMPLES = st.lists(
    st.builds(
        sample,
        st.sampled_from([*OUTCOMES, "pending"]),
        st.floats(0, 200),
        latency_ms=st.none() | st.floats(0, 10_000),
        late=st.none() | st.sampled_from(["repeat", "query"]),
    ),
    min_size=1,
    max_size=60,
)


def counts(kept: Kept, segment: str = "") -> dict[str, int]:
    return {outcome: kept.rows[segment].window.count(outcome) for outcome in OUTCOMES}


def test_a_transaction_counts_in_its_segment_and_in_each_wider_one():
    kept = Kept()
    kept.take(batch(sample(), sample("declined"), sample("failed", error="http_503"), sample("unknown")))

    assert set(kept.rows) == {SEGMENT, "sale/card/EUR", "sale/card", "sale", ""}
    for segment in kept.rows:
        assert counts(kept, segment) == {"approved": 1, "declined": 1, "failed": 1, "unknown": 1}
    assert [name for name, row in kept.rows.items() if row.breaker is not None] == ["sale"]


def test_an_unknown_outcome_is_neither_won_nor_lost_until_it_is_known():
    kept = Kept()
    kept.take(batch(sample(), sample("declined"), sample("unknown"), sample("pending")))
    assert (kept.rows[""].arm.wins, kept.rows[""].arm.losses) == (1, 1)

    kept.take(batch(sample("approved", late="query")), offset=1)

    assert counts(kept) == {"approved": 2, "declined": 1, "failed": 0, "unknown": 0}
    assert (kept.rows[""].arm.wins, kept.rows[""].arm.losses) == (2, 1)


def test_a_hundred_declines_change_no_circuit():
    kept = Kept()
    taken = kept.take(batch(*[sample("declined", number) for number in range(100)]))

    assert taken.changes == []
    assert kept.rows["sale"].breaker.state == "closed"


@pytest.mark.parametrize("outcome", ["failed", "unknown"])
def test_five_failures_or_lost_responses_open_the_circuit_of_their_kind_alone(outcome):
    kept = Kept()
    kept.take(batch(sample(kind="refund", segment="")))
    taken = kept.take(batch(*[sample(outcome, number, error="timeout") for number in range(5)]), offset=1)

    ((kind, change),) = taken.changes
    assert (kind, change.after, change.at) == ("sale", "open", START + timedelta(seconds=4))
    assert change.reason == "5 calls in a row failed, the last with timeout"
    assert kept.rows["refund"].breaker.state == "closed"


def test_what_a_query_finds_out_is_no_call_of_the_circuit():
    kept = Kept()
    taken = kept.take(batch(*[sample("failed", late="query") for _ in range(9)]))

    assert taken.changes == []


def test_a_circuit_that_is_half_open_counts_probes():
    kept = Kept()
    kept.take(batch(*[sample("failed") for _ in range(5)]))
    taken = kept.take(batch(sample("pending", 61), sample("approved", 62)), offset=1)

    assert [(kind, change.after) for kind, change in taken.changes] == [
        ("sale", "half_open"),
        ("sale", "closed"),
    ]


def test_the_brokers_clock_bounds_the_agents():
    kept = Kept()
    kept.take(batch(sample("failed", 86_400), sample("failed", -86_400)), after_s=0)

    assert kept.rows["sale"].last_at == START
    assert kept.rows["sale"].window.volume(START) == 2


def test_a_batch_that_is_read_again_changes_nothing():
    kept = Kept()
    value = batch(sample(), sample("failed"))
    kept.take(value, offset=3)
    before, minute = dict(kept.rows), kept.minute

    again = kept.take(value, offset=3)

    assert (kept.rows, kept.minute) == (before, minute)
    assert (again.changed, again.changes, again.ended) == ({}, [], [])


def test_a_batch_that_was_applied_in_part_changes_the_rest():
    """Faust writes each row by itself: a process may be killed in between."""
    kept = Kept()
    value = batch(sample(), sample("failed"))
    kept.take(value, offset=3)
    del kept.rows[SEGMENT]
    kept.minute = None

    again = kept.take(value, offset=3)

    assert set(again.changed) == {SEGMENT}
    assert counts(kept, SEGMENT) == counts(kept)
    assert kept.minute is not None


def test_a_minute_is_over_once_a_later_one_begins_and_what_comes_late_counts_in_the_present_one():
    kept = Kept()
    kept.take(batch(sample("approved", 10, latency_ms=5.0), sample("declined", 20)))
    taken = kept.take(batch(sample("approved", 59), sample("failed", 61)), offset=1)

    (ended,) = taken.ended
    assert ended.segments["sale/card"].approved == 2
    assert set(ended.segments) == {"", "sale", "sale/card"}
    taken = kept.take(batch(sample("approved", 30), sample("approved", 62)), offset=2)
    assert taken.ended == []
    assert (kept.minute.segments[""].approved, kept.minute.segments[""].failed) == (2, 1)


def test_of_a_full_account_the_segment_that_was_silent_longest_makes_room():
    kept = Kept()
    for number in range(SEGMENTS_MAX - 2):
        kept.take(batch(sample(after_s=number, segment=f"sale/m{number}")), offset=number)
    assert len(kept.rows) == SEGMENTS_MAX
    kept.take(batch(sample(after_s=100, segment="sale/m0")), offset=100)

    first = kept.take(batch(sample(after_s=101, segment="sale/new")), offset=101)
    again = kept.take(batch(sample(after_s=102, segment="sale/new")), offset=102)

    assert (first.gone, again.gone, first.dropped) == ({"sale/m1"}, set(), 0)
    assert counts(kept, "sale/new")["approved"] == 2
    assert "sale/m0" in kept.rows, "it was heard of since"
    assert len(kept.rows) == SEGMENTS_MAX
    assert kept.rows[""].window.volume(START + timedelta(seconds=102)) == SEGMENTS_MAX + 1


def test_segments_of_one_batch_do_not_push_each_other_out():
    kept = Kept()
    taken = kept.take(batch(*[sample(segment=f"sale/m{number:03}") for number in range(SEGMENTS_MAX + 20)]))

    assert (len(taken.gone), taken.dropped, len(kept.rows)) == (0, 22, SEGMENTS_MAX)


def test_a_silent_segment_of_the_same_batch_is_not_the_one_that_makes_room():
    kept = Kept()
    for number in range(SEGMENTS_MAX - 2):
        kept.take(batch(sample(after_s=number, segment=f"sale/m{number}")), offset=number)

    taken = kept.take(
        batch(sample(after_s=200, segment="sale/a"), sample(after_s=200, segment="sale/m0")), 200
    )

    assert taken.gone == {"sale/m1"}
    assert counts(kept, "sale/m0")["approved"] == 2


def test_a_table_with_too_many_segments_comes_down_to_the_bound():
    """As one is that a release with a greater bound has left, or that was read while it was not known."""
    kept = Kept()
    for number in range(SEGMENTS_MAX):
        kept.take(batch(sample(after_s=number, segment=f"sale/m{number}")), offset=number)
    kept.rows |= {f"sale/x{number}": kept.rows["sale/m50"] for number in range(5)}

    kept.take(batch(sample(after_s=200, segment="sale/new")), offset=200)

    assert len(kept.rows) == SEGMENTS_MAX
    assert {"", "sale", "sale/new"} < set(kept.rows)


def test_a_record_that_is_read_again_after_it_made_room_changes_nothing():
    kept = Kept()
    for number in range(SEGMENTS_MAX):
        kept.take(batch(sample(after_s=number, segment=f"sale/m{number}")), offset=number)
    before = dict(kept.rows)

    for number in (0, SEGMENTS_MAX - 1):  # of a segment that is gone, and of the last one
        again = kept.take(batch(sample(after_s=number, segment=f"sale/m{number}")), offset=number)
        assert (again.gone, again.dropped) == (set(), 0)

    assert "sale/m0" not in before
    assert kept.rows == before


@given(SAMPLES)
def test_however_the_samples_are_cut_into_batches_the_figures_are_the_same(samples):
    whole, parts = Kept(), Kept()
    whole.take(batch(*samples), after_s=200)
    for number, one in enumerate(samples):
        parts.take(batch(one), offset=number, after_s=200)

    assert set(whole.rows) == set(parts.rows)
    for name, row in whole.rows.items():
        assert sorted(map(str, row.window.transactions)) == sorted(
            map(str, parts.rows[name].window.transactions)
        ) or any(one.late for one in samples)
        assert row.arm == parts.rows[name].arm
    states = [kept.rows["sale"].breaker.state for kept in (whole, parts)]
    assert states[0] == states[1]


@given(SAMPLES)
def test_what_is_pending_counts_for_no_figure(samples):
    kept = Kept()
    kept.take(batch(*samples))

    fresh = sum(one.outcome != "pending" and one.late is None for one in samples)
    late = sum(one.outcome != "pending" and one.late is not None for one in samples)
    assert fresh <= sum(counts(kept).values()) <= fresh + late


def test_a_minute_keeps_the_first_segments_and_always_the_wide_ones():
    kept = Kept()
    for first in (0, 90):
        names = [f"sale/m{number:03}" for number in range(first, first + 90)]
        kept.take(batch(*[sample(segment=name) for name in names]), first)

    held = kept.minute.segments
    assert len(held) == SEGMENTS_MAX
    assert {"sale/m000", "sale", ""} <= held.keys()
    assert "sale/m179" not in held
    assert held[""].approved == held["sale"].approved == 180
