"""Which PostgreSQL cluster the log lives in. Transaction ids are comparable within one cluster only.

A log that was moved to another cluster by dump and restore goes on in a new generation, behind all older rows.
"""

from typing import Final

from psycopg import AsyncConnection, Connection

from relay.lead import LOCK


class LogMoved(Exception):
    """The log was moved to this cluster, or back to it, and nobody said so yet."""


class StillRunning(Exception):
    """A rebase needs the relay and the workers stopped."""


_CURRENT: Final = """
SELECT generation FROM log_generation
WHERE system_identifier = (SELECT system_identifier FROM pg_control_system())
  AND generation = (SELECT max(generation) FROM log_generation)
"""

# Back on a cluster where the log has lived before, its ids there must not sort among those of then.
_REBASE: Final = """
INSERT INTO log_generation (generation, system_identifier)
SELECT (SELECT coalesce(max(generation), 0) + 1 FROM log_generation), system_identifier FROM pg_control_system()
ON CONFLICT (system_identifier) DO UPDATE SET generation = excluded.generation, since = clock_timestamp()
RETURNING generation
"""

_SESSIONS: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename IN ('aegispay_command', 'aegispay_relay')
"""


async def current(connection: AsyncConnection) -> int:
    """Of this cluster. Raises `LogMoved`."""
    row = await (await connection.execute(_CURRENT)).fetchone()
    if row is None:
        raise LogMoved(
            "this PostgreSQL cluster is not the one that the event log was written in (dump and restore, or a logical "
            "migration); stop the relay and all command workers, then run `aegispay relay rebase`"
        )
    return int(row[0])


def rebase(connection: Connection) -> int:
    """Adds a generation for this cluster, unless the newest is its own; the generation. Raises `StillRunning`.

    Needs the schema's owner.
    """
    with connection.transaction():
        connection.execute("LOCK TABLE log_generation IN ACCESS EXCLUSIVE MODE")
        if (row := connection.execute(_CURRENT).fetchone()) is not None:
            return int(row[0])
        stopped = connection.execute(f"SELECT pg_try_advisory_xact_lock({LOCK})").fetchone()
        sessions = connection.execute(_SESSIONS).fetchone()
        if stopped != (True,) or sessions != (0,):
            raise StillRunning("the relay or a command worker is still connected: stop all of them first")
        row = connection.execute(_REBASE).fetchone()
        assert row is not None, "an upsert returns its row"
        return int(row[0])
