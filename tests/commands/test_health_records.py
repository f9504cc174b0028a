"""Health records, and what a decision sees of them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.routing.health import AccountHealth, Circuit, SegmentHealth
from commands.health_records import (
    CircuitChange,
    CircuitRecord,
    HealthRecord,
    MinuteFigures,
    MinuteRecord,
    SegmentRecord,
)
from commands.messages import InvalidMessage

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


CHANGE = CircuitChange(
    gateway="stripe", account="stripe-eu", kind="sale", before="closed", after="open", at=AT, reason="down"
)
MINUTE = MinuteRecord(
    gateway="stripe", account="stripe-eu", minute=AT, segments={"": MinuteFigures(approved=1)}
)
INTEGER_MAX = 2_147_483_647
"""PostgreSQL's manual, table 8.2: the most that its `integer` holds."""
REAL_LEAST = 1.17549435e-38
"""The least normal number of IEEE 754's binary32, as PostgreSQL's `real` is."""


def forged(record: Any, *path: str, value: Any) -> bytes:
    content = json.loads(record.dump())
    part = content
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("record", "path", "value"),
    [
        (RECORD, ("circuits", "sale", "reason"), "x" * 950_000),
        (RECORD, ("circuits", "sale", "reason"), "x" * 301),
        (RECORD, ("circuits", "sale", "reason"), "a\0b"),
        (RECORD, ("circuits", "sale", "reason"), "a\x1b[2Jb"),
        (RECORD, ("circuits", "sale", "since"), "9999-12-31T23:59:59Z"),
        (RECORD, ("as_of",), "9999-12-31T23:59:59Z"),
        (RECORD, ("segments", "", "approved"), int("9" * 40)),
        (RECORD, ("segments", "", "errors"), {"timeout": INTEGER_MAX + 1}),
        (RECORD, ("segments", "", "wins"), 1e300),
        (RECORD, ("segments", "", "losses"), 1.1e9),
        (RECORD, ("segments", "", "p95_ms"), 1e300),
        (RECORD, ("segments", "", "per_minute"), 1e38),
        (CHANGE, ("reason",), "x" * 950_000),
        (CHANGE, ("reason",), "a\0b"),
        (CHANGE, ("at",), "0001-01-01T00:00:00+14:00"),
        (MINUTE, ("segments", "", "unknown"), INTEGER_MAX + 1),
        (MINUTE, ("segments", "", "p50_ms"), 1e39),
        (MINUTE, ("minute",), "9999-12-31T23:59:59-14:00"),
    ],
)
def test_what_a_decision_or_a_table_could_not_hold_is_refused_and_not_quoted(record, path, value):
    with pytest.raises(InvalidMessage) as refused:
        type(record).read(forged(record, *path, value=value))

    assert len(f"{refused.value.path} {refused.value.detail}") < 400


def test_a_forged_name_is_not_quoted_either():
    with pytest.raises(InvalidMessage) as refused:
        MinuteRecord.read(forged(MINUTE, "segments", "4111111111111111" * 1000, value={}))

    assert refused.value.path is not None
    assert "4111" not in refused.value.path


@given(st.integers(0, INTEGER_MAX), st.floats(0, 1e7), st.floats(0, 1e9), st.text("aZ0 .,:_ü", max_size=300))
def test_what_is_within_the_bounds_is_read(count, value_ms, wins, reason):
    segment = SegmentRecord(approved=count, p50_ms=value_ms, per_minute=value_ms, wins=wins, losses=wins)
    circuit = CircuitRecord(state="open", since=AT, reason=reason)
    record = RECORD.model_copy(update={"circuits": {"sale": circuit}, "segments": {"sale": segment}})

    assert HealthRecord.read(record.dump()) == record
    assert all(one == 0 or one > REAL_LEAST for one in (segment.p50_ms, segment.per_minute, segment.wins))
