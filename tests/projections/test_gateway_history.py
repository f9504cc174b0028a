"""The history of the PSP accounts, in PostgreSQL."""

from datetime import UTC, datetime, timedelta

import pytest

from commands.health_records import CircuitChange, MinuteFigures, MinuteRecord
from commands.messages import InvalidMessage
from commands.records import Record
from projections import gateway_history
from projections.gateway_history import KEPT, forget, from_record, page, put
from tests.support.environment import Environment
from tests.support.event_stories import read_models_connection

pytestmark = pytest.mark.stack

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def minute(number: int, approved: int = 1, account: str = "stripe-eu", **more) -> MinuteRecord:
    figures = MinuteFigures(approved=approved, **more)
    return MinuteRecord(
        gateway="stripe",
        account=account,
        minute=NOON + timedelta(minutes=number),
        segments={"": figures, "sale": figures},
    )


def change(number: int, after: str = "open") -> CircuitChange:
    return CircuitChange.model_validate(
        {
            "gateway": "stripe",
            "account": "stripe-eu",
            "kind": "sale",
            "before": "closed",
            "after": after,
            "at": NOON + timedelta(minutes=number, seconds=30),
            "reason": "5 calls in a row failed",
        }
    )


async def test_pages_follow_one_another_with_the_changes_of_their_time(database: Environment):
    async with read_models_connection(database) as conn:
        await put(conn, [*map(minute, range(5)), change(1), change(4), minute(2, 9, "stripe-us")])

        first, changes, following = await page(conn, "stripe-eu", "sale", NOON + timedelta(hours=1), 2)
        assert [one["minute"] for one in first] == [NOON + timedelta(minutes=n) for n in (4, 3)]
        assert [one["at"] for one in changes] == [NOON + timedelta(minutes=4, seconds=30)]
        second, changes, following = await page(conn, "stripe-eu", "sale", following, 2)
        assert [one["minute"] for one in second] == [NOON + timedelta(minutes=n) for n in (2, 1)]
        assert [one["reason"] for one in changes] == ["5 calls in a row failed"]
        last, changes, following = await page(conn, "stripe-eu", "sale", following, 2)
        assert ([one["minute"] for one in last], changes, following) == ([NOON], [], None)


async def test_a_record_that_comes_again_changes_nothing_and_a_fuller_minute_stays(database: Environment):
    full = minute(0, 5, failed=2, p95_ms=210.5, errors={"timeout": 2})
    async with read_models_connection(database) as conn:
        await put(conn, [full, change(0)])
        await put(conn, [full, full, change(0), change(0)])
        await put(conn, [minute(0, 3)])
        (found,), changes, _ = await page(conn, "stripe-eu", "", NOON + timedelta(hours=1), 10)

        assert (found["approved"], found["failed"], found["errors"]) == (5, 2, {"timeout": 2})
        assert found["p95_ms"] == 210.5
        assert len(changes) == 1
        await put(conn, [minute(0, 8)])
        (found,), _, _ = await page(conn, "stripe-eu", "", NOON + timedelta(hours=1), 10)
        assert (found["approved"], found["p95_ms"]) == (8, None)


async def test_what_is_older_than_90_days_is_deleted_bit_by_bit(database: Environment, monkeypatch):
    monkeypatch.setattr(gateway_history, "_DELETED_MAX", 3)
    async with read_models_connection(database) as conn:
        await put(conn, [*map(minute, range(4)), change(0), change(3)])
        now = NOON + timedelta(minutes=3) + KEPT

        deleted = []
        while some := await forget(conn, now):
            deleted.append(some)

        assert deleted == [4, 3], "two rows a minute, and one change"
        left, changes, _ = await page(conn, "stripe-eu", "", NOON + timedelta(hours=1), 10)
        assert [one["minute"] for one in left] == [NOON + timedelta(minutes=3)]
        assert len(changes) == 1


@pytest.mark.parametrize(
    "value", [b"", b"[]", b"{}", b'{"type":"other.v1"}', b'{"type":"gateway_minute.v1"}']
)
def test_what_is_no_history_is_refused(value):
    with pytest.raises(InvalidMessage):
        from_record(Record("gateways.history", 0, 0, b"stripe-eu", value, {}, 0))


@pytest.mark.parametrize("record", [minute(0), change(0)])
def test_a_record_is_read_as_it_was_written(record):
    assert from_record(Record("gateways.history", 0, 0, b"stripe-eu", record.dump(), {}, 0)) == record
