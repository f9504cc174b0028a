"""Reads the tail of the event log, and moves the cursor. Invariant: the log is complete up to the cursor, for
ever.

Transaction ids are compared with the oldest one still running: a row below it can only be committed or gone,
so no row can appear behind a page that was read. Notification ids alone would lose events, as they are not in
commit order.
"""

from typing import Final, NamedTuple

from psycopg import AsyncConnection

from commands.sql import statements


class Position(NamedTuple):
    """The place of an event in the log. `tx` is PostgreSQL's text of an xid8: only the server compares it."""

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
        """The place of this event, as the cursor names it."""
        return Position(self.generation, self.tx, self.notification_id)


class CursorMoved(Exception):
    """The cursor is not where this relay left it: another one leads."""


_SQL: Final = statements(__file__)
_PAGE: Final = _SQL["page"]
_CURSOR: Final = _SQL["cursor"]
_MOVE: Final = _SQL["move_cursor"]
_WAITING: Final = _SQL["waiting"]


async def page(connection: AsyncConnection, after: Position, generation: int, limit: int) -> list[Entry]:
    """Returns the events after `after`, in order, as far as nothing can still appear in between; `limit`
    at most."""
    # One statement, and so one snapshot: the bound and the rows are of the same moment. A bound taken after
    # the rows would pass over those of a transaction that ended in between.
    rows = await connection.execute(_PAGE, (*after, generation, limit), prepare=True, binary=True)
    return [Entry(*row) for row in await rows.fetchall()]


async def load_cursor(connection: AsyncConnection) -> Position:
    """Returns the position up to which the relay has published; (0, 0, 0) before the first event."""
    row = await (await connection.execute(_CURSOR)).fetchone()
    assert row is not None, "the migration inserts the one row"
    return Position(*row)


async def move_cursor(connection: AsyncConnection, old: Position, new: Position) -> None:
    """Moves the cursor. Raises `CursorMoved` where it is no longer at `old`."""
    moved = await connection.execute(_MOVE, (*new, *old), prepare=True)
    # The fence for a leader that was stopped: it finds its cursor moved, and ends. Until then it may have
    # published again what the new one had, in the same order; readers drop that by payment and version.
    if moved.rowcount != 1:
        raise CursorMoved(f"the cursor was moved from {old} by another relay")


class Waiting(NamedTuple):
    """The reason why the end of the log is not published yet."""

    oldest_tx: str | None  # the oldest transaction id that is still running
    oldest_state: bytes | None  # of the first event that is committed and not yet published


async def waiting(connection: AsyncConnection, after: Position) -> Waiting:
    """Looks what keeps the log from being read further than `after`."""
    row = await (await connection.execute(_WAITING, (*after,), prepare=True)).fetchone()
    assert row is not None, "a function's result is one row"
    # `running` False: no transaction has an id, so the oldest one still to come bounds nothing.
    oldest_tx, running, oldest_state = row
    return Waiting(oldest_tx if running else None, oldest_state)
