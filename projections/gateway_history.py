"""Keeps the history of the PSP accounts: figures by the minute, and the changes of their circuits.

Nothing can rebuild it: it comes from the health worker, and is in no event. Invariant: a record that comes
again changes nothing, and one of a minute that is known more fully changes nothing either.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
import psycopg
from psycopg.rows import dict_row

from commands.health_records import CircuitChange, MinuteRecord
from commands.messages import InvalidMessage
from commands.records import Record
from commands.sql import statements

_SQL: Final = statements(__file__)

KEPT: Final = timedelta(days=90)
PAGE_MAX: Final = 1440
CHANGES_MAX: Final = 1000
_DELETED_MAX: Final = 5000
"""The rows that one statement deletes: it holds their locks for milliseconds."""


def from_record(record: Record) -> MinuteRecord | CircuitChange:
    """Reads a record of `gateways.history`. Raises `InvalidMessage`."""
    content = record.content()
    try:
        kind = orjson.loads(content).get("type")
    except (ValueError, AttributeError):
        kind = None
    match kind:
        case "gateway_minute.v1":
            return MinuteRecord.read(content)
        case "circuit_changed.v1":
            return CircuitChange.read(content)
        case _:
            raise InvalidMessage("type_unknown", "type", "the history has no records of this type")


async def put(conn: psycopg.AsyncConnection, records: Iterable[MinuteRecord | CircuitChange]) -> None:
    """Writes the records in one transaction. `conn` is in autocommit."""
    minutes: dict[tuple[str, str, datetime], dict[str, Any]] = {}
    changes: list[dict[str, Any]] = []
    for record in records:
        if isinstance(record, CircuitChange):
            changes.append(record.model_dump(mode="json", exclude={"type"}))
            continue
        for segment, figures in record.segments.items():
            # A statement writes a row once; of a minute that comes twice, the later record is the fuller.
            minutes[record.account, segment, record.minute] = {
                "account": record.account,
                "segment": segment,
                "minute": record.minute,
                "gateway": record.gateway,
                **figures.model_dump(),
            }
    async with conn.transaction():
        if minutes:
            await conn.execute(_SQL["put_minutes"], (orjson.dumps(list(minutes.values())).decode(),))
        if changes:
            await conn.execute(_SQL["put_changes"], (orjson.dumps(changes).decode(),))


async def page(
    conn: psycopg.AsyncConnection, account: str, segment: str, before: datetime, limit: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], datetime | None]:
    """Returns at most `limit` minutes before a time, the newest first; the changes of circuits in the time
    that they span, `CHANGES_MAX` at most; and the time before which the next page begins, None at the end."""
    values: dict[str, Any] = {"account": account, "segment": segment, "before": before, "limit": limit + 1}
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["minutes"], values)
        found = await cursor.fetchall()
        more = len(found) > limit
        since = found[limit - 1]["minute"] if more else datetime.min.replace(tzinfo=before.tzinfo)
        await cursor.execute(_SQL["changes"], values | {"since": since, "limit": CHANGES_MAX})
        changes = await cursor.fetchall()
    return found[:limit], changes, since if more else None


async def forget(conn: psycopg.AsyncConnection, now: datetime) -> int:
    """Deletes some of what is older than 90 days, and returns how many rows: 0 once nothing is left."""
    values = {"before": now - KEPT, "limit": _DELETED_MAX}
    deleted = 0
    for statement in (_SQL["forget_minutes"], _SQL["forget_changes"]):
        deleted += (await conn.execute(statement, values)).rowcount
    return deleted
