"""The PostgreSQL cluster that the log lives in: transaction ids are comparable within one cluster only.

A log that was moved to another cluster by dump and restore goes on in a new generation, behind all older
rows.
"""

from typing import Any, Final

from psycopg import AsyncConnection, Connection

from commands.sql import statements
from relay.leadership import LOCK


class LogMoved(Exception):
    """The log was moved to this cluster, or back to it, without a rebase."""


class StillRunning(Exception):
    """A rebase needs the relay and the workers stopped."""


_SQL: Final = statements(__file__)
_CURRENT: Final = _SQL["current"]
_LOCK_TABLE: Final = _SQL["lock"]
_REBASE: Final = _SQL["rebase"]
_SESSIONS: Final = _SQL["sessions"]


async def current(connection: AsyncConnection) -> int:
    """Returns the log's generation on this cluster. Raises `LogMoved`."""
    return _of_this_cluster(await (await connection.execute(_CURRENT)).fetchone())


def current_blocking(connection: Connection) -> int:
    """Returns the log's generation on this cluster, as `current` does, over a connection that blocks."""
    return _of_this_cluster(connection.execute(_CURRENT).fetchone())


def _of_this_cluster(row: tuple[Any, ...] | None) -> int:
    if row is None:
        raise LogMoved(
            "this PostgreSQL cluster is not the one that the event log was written in (dump and restore, or a logical "
            "migration); stop the relay and all command workers, then run `aegispay relay rebase`"
        )
    return int(row[0])


def rebase(connection: Connection) -> int:
    """Adds a generation for this cluster, unless the newest is its own, and returns the newest. Raises
    `StillRunning`.

    `connection` is of the schema's owner.
    """
    with connection.transaction():
        # The lock comes first: a relay or worker reads its generation from this table before it writes, so
        # one that connects after the count below waits here, and then has the new one.
        connection.execute(_LOCK_TABLE)
        if (row := connection.execute(_CURRENT).fetchone()) is not None:
            return int(row[0])
        # The lock finds a leader under whatever role; the count also finds a standby and the workers.
        stopped = connection.execute(f"SELECT pg_try_advisory_xact_lock({LOCK})").fetchone()
        sessions = connection.execute(_SESSIONS).fetchone()
        if stopped != (True,) or sessions != (0,):
            raise StillRunning("the relay or a command worker is still connected: stop all of them first")
        row = connection.execute(_REBASE).fetchone()
        assert row is not None, "an upsert returns its row"
        return int(row[0])
