"""Elects the relay that publishes: the one whose session holds the schema's advisory lock. The others stand
by.

The server ends a session that sends nothing for 5 s or reads nothing for 5 s, so a stopped leader loses its
lock. When it goes on it may publish once more what it had read: duplicates, in order. Its next statement
fails, and that ends it.
"""

from typing import Final

from psycopg import AsyncConnection

from commands.sql import statements

# The time for which a leader may be stopped: then the server ends its session, and a standby takes the lead.
# Whatever takes longer without a statement on this connection has to call `stay` in between.
SILENCE_MAX_S: Final = 5

# Advisory locks are the database's own; several installations may live in it, each in its schema.
LOCK: Final = "hashtextextended('aegispay relay of ' || current_schema(), 0)"

_LIMIT_SILENCE: Final = statements(__file__)["limit_silence"]


async def limit_silence(connection: AsyncConnection) -> None:
    """Lets the server end this session after 5 s of silence, and commits moves of the cursor without
    waiting for the disk."""
    await connection.execute(_LIMIT_SILENCE, {"silence": f"{SILENCE_MAX_S}s"})


async def try_to_lead(connection: AsyncConnection) -> bool:
    """Tries to take the lock, which is held until the connection ends. Returns whether this session has
    it."""
    # A session's lock: it ends with the connection, whatever becomes of this process. A pooler that hands
    # sessions on between transactions would leave it with another client.
    row = await (await connection.execute(f"SELECT pg_try_advisory_lock({LOCK})")).fetchone()
    return row is not None and bool(row[0])


async def stay(connection: AsyncConnection) -> None:
    """Keeps the session from being idle. Raises `psycopg.OperationalError` where it, and so the lead, is
    lost."""
    await connection.execute("SELECT 1", prepare=True)
