"""The rows of the health worker's table."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.routing.adaptive import Arm, observe
from aggregates.routing.circuit import Breaker, CircuitRules, observed
from aggregates.routing.window import Transaction, Window
from aggregates.routing.window import observed as counted
from commands.records import Record
from gateways.health.rows import (
    MinuteCounts,
    MinuteRow,
    Place,
    SegmentRow,
    chain,
    dump_minute,
    dump_segment,
    key_parts,
    minute_key,
    read_minute,
    read_segment,
    segment_key,
)

AT = datetime(2026, 11, 30, 12, 0, 30, 123456, tzinfo=UTC)
TRANSACTIONS = st.lists(
    st.builds(
        Transaction,
        st.sampled_from(["approved", "declined", "failed", "unknown"]),
        st.none() | st.floats(0, 10_000),
        st.none() | st.sampled_from(["timeout", "http_503"]),
    ),
    max_size=120,
)


@given(TRANSACTIONS, st.booleans())
def test_a_segment_is_read_as_it_was_written(transactions, has_circuit):
    arm, breaker = Arm(), Breaker(since=AT)
    for number, one in enumerate(transactions):
        arm = observe(arm, success=one.outcome == "approved")
        call = "failed" if one.outcome == "failed" else "worked"
        at = AT + timedelta(seconds=number)
        breaker = observed(breaker, call, at, CircuitRules(), per_s=1.5, error=one.error).breaker
    row = SegmentRow(
        "stripe",
        AT,
        counted(Window(), transactions, AT),
        arm,
        breaker if has_circuit else None,
        Place(7, 1_700_000_000_000),
    )

    assert read_segment(dump_segment(row)) == row


def test_a_minute_is_read_as_it_was_written():
    row = MinuteRow(
        "stripe", 29_000_000, {"sale": MinuteCounts(1, 2, 3, 4, {"timeout": 3}, "AAA=")}, Place(7, 8)
    )

    assert read_minute(dump_minute(row)) == row


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"[2]", b"null", b'[1,"stripe",1,{},[1,2],"more"]', b"[1,2,3,4,5]"]
)
def test_a_row_of_another_release_begins_anew(raw):
    assert read_segment(raw) is None
    assert read_minute(raw) is None


def test_keys_tell_accounts_segments_and_minutes_apart():
    assert key_parts(segment_key("stripe-eu", "sale/card")) == ("stripe-eu", "sale/card")
    assert key_parts(segment_key("stripe-eu", "")) == ("stripe-eu", "")
    assert key_parts(minute_key("stripe-eu")) == ("stripe-eu", None)


@pytest.mark.parametrize(
    ("kind", "segment", "expected"),
    [
        ("sale", "sale/card/EUR/eea", ["sale/card/EUR/eea", "sale/card/EUR", "sale/card", "sale", ""]),
        ("sale", "sale/card", ["sale/card", "sale", ""]),
        ("sale", "", ["sale", ""]),
        ("capture", "sale/card/EUR/eea", ["capture", ""]),
    ],
)
def test_a_transaction_counts_in_each_wider_segment(kind, segment, expected):
    assert list(chain(kind, segment)) == expected


def test_the_place_knows_a_record_of_a_topic_that_was_made_anew():
    place = Place(offset=7, timestamp_ms=1000)

    def record(offset: int, timestamp_ms: int) -> Record:
        return Record("t", 0, offset, b"k", b"", {}, timestamp_ms)

    assert place.has_seen(record(7, 1000))
    assert place.has_seen(record(3, 900))
    assert not place.has_seen(record(8, 1000))
    assert not place.has_seen(record(3, 2000))
