"""The health record of an account."""

import json
from datetime import timedelta
from typing import Any

import pytest

from aggregates.routing.circuit import CircuitRules
from commands.health_records import HealthRecord
from commands.messages import InvalidMessage
from gateways.health.keeping import SEGMENTS_MAX
from gateways.health.records import ERRORS_NAMED_MAX, record_of
from tests.gateways.health.batches import ACCOUNT, SEGMENT, START, Kept, batch, sample


def test_a_record_has_the_figures_of_each_segment():
    kept = Kept()
    kept.take(
        batch(
            *[sample(latency_ms=float(number)) for number in range(1, 95)],
            *[sample("declined", latency_ms=200.0)] * 3,
            *[sample("failed", error="http_503")] * 2,
            sample("unknown", error="timeout", latency_ms=10_000.0),
        )
    )
    record, changes = record_of(ACCOUNT, kept.rows, CircuitRules(), START)

    segment = record.segments[SEGMENT]
    assert (segment.approved, segment.declined, segment.failed, segment.unknown) == (94, 3, 2, 1)
    # Of 98 latencies: 1 to 94, three of 200 and one of 10,000.
    assert (segment.p50_ms, segment.p95_ms, segment.p99_ms) == (49.0, 94.0, 10_000.0)
    assert segment.errors == {"http_503": 2, "timeout": 1}
    assert (segment.volume, segment.per_minute) == (100, 20.0)
    # Ninety-four approvals and then five others: the arm holds what it has since that change.
    assert (segment.wins, segment.losses) == (0, 5)
    # (98 / 101) * (0.7 + 0.2 * 95 / 98 + 0.1 * (1 - 0.0094)) = 0.9634
    assert segment.score == 0.9634
    assert changes == []
    assert record.health().segments[SEGMENT].losses == 5


def test_an_open_circuit_is_shown_as_it_is_by_then():
    kept = Kept()
    kept.take(batch(*[sample("failed", number) for number in range(5)]))
    at = START + timedelta(seconds=4)

    record, changes = record_of(ACCOUNT, kept.rows, CircuitRules(), at + timedelta(seconds=59))
    assert (record.circuits["sale"].state, record.circuits["sale"].probe_share) == ("open", 0.0)
    assert changes == []
    record, changes = record_of(ACCOUNT, kept.rows, CircuitRules(), at + timedelta(seconds=60))
    # Five calls in the last 10 s: five are expected in the next.
    assert (record.circuits["sale"].state, record.circuits["sale"].probe_share) == ("half_open", 0.6)
    ((kind, change),) = changes
    assert (kind, change.at) == ("sale", at + timedelta(seconds=60))


def test_a_record_names_the_most_frequent_errors_and_counts_the_others_together():
    kept = Kept()
    rare = [sample("failed", error=f"code_{number}") for number in range(30)]
    kept.take(
        batch(*rare, *[sample("failed", error="http_503")] * 40, *[sample("failed", error="other")] * 3)
    )

    errors = record_of(ACCOUNT, kept.rows, CircuitRules(), START)[0].segments[""].errors

    assert (errors["http_503"], errors["other"], len(errors)) == (40, 3 + 12, ERRORS_NAMED_MAX)
    assert sum(errors.values()) == 73


def test_the_largest_record_of_an_account_is_half_of_what_a_reader_takes_at_most():
    kept = Kept(CircuitRules(in_a_row=1000, rate=1.1))
    kinds = [f"{number:03}".ljust(64, "e") for number in range(100)]
    for number in range(SEGMENTS_MAX + 20):
        segment = f"sale/{number:03}".ljust(64, "s")
        kept.take(batch(*[sample("failed", number, segment=segment, error=one) for one in kinds]), number)
    record, _ = record_of(ACCOUNT, kept.rows, CircuitRules(), START)

    assert len(record.segments) >= SEGMENTS_MAX
    assert {"", "sale"} < set(record.segments)
    assert len(record.dump()) < 512 * 1024
    assert HealthRecord.read(record.dump()) == record


@pytest.mark.parametrize(
    "more",
    [
        {"segments": {f"sale/m{number}": {} for number in range(257)}},
        {"segments": {"": {"errors": {f"e{number}": 1 for number in range(101)}}}},
    ],
)
def test_a_record_beyond_the_bounds_is_not_read(more: dict[str, Any]):
    record = {"gateway": "stripe", "account": ACCOUNT, "as_of": START.isoformat()}
    HealthRecord.read(json.dumps(record).encode())

    with pytest.raises(InvalidMessage):
        HealthRecord.read(json.dumps(record | more).encode())
