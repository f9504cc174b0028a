"""Health records, and what a decision sees of them."""

import json
from datetime import UTC, datetime

from aggregates.routing.health import AccountHealth, Circuit, SegmentHealth
from commands.health_records import CircuitRecord, HealthRecord, SegmentRecord

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
RECORD = HealthRecord(
    gateway="stripe",
    account="stripe-eu",
    as_of=AT,
    circuits={"sale": CircuitRecord(state="half_open", since=AT, reason="open for 60 s", probe_share=0.02)},
    segments={
        "": SegmentRecord(approved=7, declined=2, failed=1, unknown=3, p95_ms=210.5, score=0.7, wins=7.0),
        "sale/card/EUR/eea": SegmentRecord(approved=7, losses=2.0, errors={"http_503": 1}, per_minute=3.2),
    },
)


def test_a_record_is_read_as_it_was_written():
    assert HealthRecord.read(RECORD.dump()) == RECORD
    assert RECORD.segments["sale/card/EUR/eea"].per_minute == 3.2


def test_a_field_of_a_newer_version_is_ignored():
    newer = json.loads(RECORD.dump())
    newer["segments"][""]["mood"] = "good"

    assert HealthRecord.read(json.dumps(newer).encode()) == RECORD


def test_a_decision_sees_circuits_and_figures_and_not_the_kinds_of_errors():
    assert RECORD.health() == AccountHealth(
        account="stripe-eu",
        as_of=AT,
        circuits={"sale": Circuit("half_open", AT, "open for 60 s", 0.02)},
        segments={
            "": SegmentHealth(approved=7, declined=2, failed=1, unknown=3, p95_ms=210.5, score=0.7, wins=7.0),
            "sale/card/EUR/eea": SegmentHealth(approved=7, losses=2.0),
        },
    )
