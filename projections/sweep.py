"""Finds events that never reached the read models, by comparing the event log with their rows, once for each
event.

Invariant: the sweep's place in the log moves only in the transaction that applies what it found.
"""

from dataclasses import dataclass
from typing import Any, Final

import psycopg

from commands.sql import statements

_SQL: Final = statements(__file__)


@dataclass(frozen=True, slots=True)
class Horizon:
    """A place in the log below which no further event can appear. `tx` is the text of PostgreSQL's xid8."""

    generation: int
    tx: str


async def horizon(conn: psycopg.AsyncConnection) -> Horizon:
    """Returns the log's present horizon: its generation and the oldest transaction that still runs."""
    row = await (await conn.execute(_SQL["horizon"])).fetchone()
    assert row is not None, "an aggregate has one row"
    return Horizon(*row)


async def lost_heads(conn: psycopg.AsyncConnection, below: Horizon, limit: int) -> dict[str, int] | None:
    """Returns the payments that lack one of the next `limit` events of the log, with the version to bring
    each to, and moves the sweep's place behind those events. None: it is at the horizon, or another process
    sweeps.

    Call it in a transaction that applies what is lost before it commits; else the place moves past lost
    events.
    """
    cursor = await (await conn.execute(_SQL["cursor"])).fetchone()
    # Another process has the row locked (SKIP LOCKED): it sweeps, and one is enough.
    if cursor is None:
        return None
    bounds: dict[str, Any] = dict(zip(("generation", "tx", "notification_id"), cursor, strict=True))
    bounds |= {"horizon": below.generation, "horizon_tx": below.tx, "limit": limit}
    found = await (await conn.execute(_SQL["page"], bounds)).fetchone()
    if found is None:
        return None
    *reached, payment_ids, heads = found
    # The place moves before what is lost was applied, but in the same transaction: if applying fails, it
    # moves back.
    await conn.execute(_SQL["advance"], reached)
    return dict(zip(payment_ids, heads, strict=True))
