"""The history by the minute."""

import random

from commands.health_records import SEGMENTS_READ_MAX
from gateways.health.minutes import counted, is_kept, record_of
from gateways.health.rows import MinuteCounts, MinuteRow
from tests.gateways.health.batches import START, sample


def test_counts_and_kinds_of_errors_add_up():
    first = counted(MinuteCounts(), [sample(), sample("failed", error="timeout"), sample("pending")])
    both = counted(first, [sample("declined"), sample("failed", error="timeout"), sample("unknown")])

    assert (both.approved, both.declined, both.failed, both.unknown) == (1, 1, 2, 1)
    assert both.errors == {"timeout": 2}


def test_an_unknown_one_that_becomes_known_in_its_minute_is_counted_once():
    before = counted(MinuteCounts(), [sample("unknown")])

    assert counted(before, [sample("approved", late="query")]).unknown == 0
    assert counted(before, [sample("unknown", late="repeat")]) == before
    later = counted(MinuteCounts(), [sample("approved", late="query")])
    assert (later.approved, later.unknown) == (1, 0)


def test_the_sketch_of_thousands_of_latencies_is_near_the_truth():
    """Near the tails a t-digest of 100 centroids is within 1 %."""
    chance = random.Random(7)
    values = [chance.lognormvariate(5, 1) for _ in range(5000)]
    counts = MinuteCounts()
    for first in range(0, 5000, 50):
        counts = counted(counts, [sample(latency_ms=min(one, 10_000)) for one in values[first : first + 50]])

    figures = record_of("stripe-eu", MinuteRow("stripe", 29_667_600, {"": counts})).segments[""]

    ordered = sorted(values)
    for found, share in ((figures.p50_ms, 0.5), (figures.p95_ms, 0.95), (figures.p99_ms, 0.99)):
        assert found is not None
        rank = sum(one <= found for one in ordered) / 5000
        assert abs(rank - share) < 0.01
    assert len(counts.digest) < 3000


def test_many_kinds_of_errors_are_counted_and_not_all_named():
    counts = counted(MinuteCounts(), [sample("failed", error=f"e{number}") for number in range(50)])

    assert counts.failed == 50
    assert len(counts.errors) == 20


def test_of_more_segments_than_a_record_takes_the_widest_stay():
    names = [f"sale/{number}" for number in range(SEGMENTS_READ_MAX)]
    row = MinuteRow("stripe", 29_667_600, dict.fromkeys([*names, "sale", ""], MinuteCounts()))

    kept = record_of("stripe-eu", row).segments

    assert (len(kept), {"", "sale"} <= kept.keys()) == (SEGMENTS_READ_MAX, True)


def test_a_minute_without_latencies_has_none():
    number = int(START.timestamp() // 60)
    row = MinuteRow("stripe", number, {"": counted(MinuteCounts(), [sample("failed")])})

    record = record_of("stripe-eu", row)

    assert record.minute == START
    assert record.segments[""].p95_ms is None


def test_the_history_has_the_wide_segments_only():
    assert [is_kept(name) for name in ("", "sale", "sale/card", "sale/card/EUR")] == [True, True, True, False]
