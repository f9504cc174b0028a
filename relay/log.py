"""The tail of the event log and the cursor in it. Invariant: what is behind the cursor is complete for ever.

Transaction ids are compared with the oldest one still running: a row below it can only be committed or gone, so no
row can appear behind a page that was read. Notification ids alone would lose events, as they are not in commit order.
"""

from typing import Final, NamedTuple

from psycopg import AsyncConnection


class Position(NamedTuple):
    """Where an event stands in the log. `tx` is PostgreSQL's text of an xid8: only the server compares it."""

    generation: int
    tx: str
    notification_id: int


class Entry(NamedTuple):
    """One row of the log."""

    generation: int
    tx: str
    notification_id: int
    payment_id: str
    version: int
    topic: str
    state: bytes

    @property
    def position(self) -> Position:
        return Position(self.generation, self.tx, self.notification_id)


class CursorMoved(Exception):
    """The cursor is not where this relay left it: another one leads."""


# Two row comparisons are index conditions; an OR would be a filter over everything above xmin. The order names the
# table's own column: `ORDER BY tx` would take an output column of that name, and sort text where 999 follows 1000.
_PAGE: Final = """
SELECT log.generation, log.tx::text, log.notification_id, log.originator_id::text, log.originator_version,
       log.topic, log.state
FROM payment_events log
WHERE (log.generation, log.tx, log.notification_id) > (%s::smallint, %s::xid8, %s::bigint)
  AND (log.generation, log.tx) < (%s::smallint, pg_snapshot_xmin(pg_current_snapshot()))
ORDER BY log.generation, log.tx, log.notification_id
LIMIT %s
"""

_CURSOR: Final = "SELECT generation, tx::text, notification_id FROM relay_cursor"

_MOVE: Final = """
UPDATE relay_cursor SET generation = %s, tx = %s::xid8, notification_id = %s
WHERE (generation, tx, notification_id) = (%s::smallint, %s::xid8, %s::bigint)
"""

_WAITING: Final = """
SELECT pg_snapshot_xmin(seen)::text, pg_snapshot_xmin(seen) < pg_snapshot_xmax(seen),
       (SELECT log.state FROM payment_events log
        WHERE (log.generation, log.tx, log.notification_id) > (%s::smallint, %s::xid8, %s::bigint)
        ORDER BY log.generation, log.tx, log.notification_id LIMIT 1)
FROM pg_current_snapshot() AS seen
"""


async def page(connection: AsyncConnection, after: Position, generation: int, limit: int) -> list[Entry]:
    """What follows `after`, in order, as far as nothing can still appear in between."""
    rows = await connection.execute(_PAGE, (*after, generation, limit), prepare=True, binary=True)
    return [Entry(*row) for row in await rows.fetchall()]


async def load_cursor(connection: AsyncConnection) -> Position:
    row = await (await connection.execute(_CURSOR)).fetchone()
    assert row is not None, "the migration inserts the one row"
    return Position(*row)


async def move_cursor(connection: AsyncConnection, old: Position, new: Position) -> None:
    """Raises `CursorMoved` where it no longer stands at `old`."""
    moved = await connection.execute(_MOVE, (*new, *old), prepare=True)
    if moved.rowcount != 1:
        raise CursorMoved(f"the cursor was moved from {old} by another relay")


class Waiting(NamedTuple):
    """What holds the log's end back."""

    oldest_tx: str | None  # the oldest transaction id that is still running
    oldest_state: bytes | None  # of the first event that is committed and not yet published


async def waiting(connection: AsyncConnection, after: Position) -> Waiting:
    row = await (await connection.execute(_WAITING, (*after,), prepare=True)).fetchone()
    assert row is not None, "a function's result is one row"
    oldest_tx, running, oldest_state = row
    return Waiting(oldest_tx if running else None, oldest_state)
