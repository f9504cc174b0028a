"""How far are the read models behind the event store? And: was an event lost on the way to them?"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

# Of the newest 500 only: a lower bound where more than those are missing, and never a long query.
_OLDEST_MISSING: Final = """
    WITH newest AS (
        SELECT originator_id, originator_version, state FROM payment_events
        ORDER BY generation DESC, tx DESC, notification_id DESC LIMIT 500
    )
    SELECT min((convert_from(state, 'UTF8')::json ->> 'timestamp')::timestamptz)
    FROM newest LEFT JOIN payments ON payment_id = originator_id
    WHERE coalesce(version, 0) < originator_version
"""


async def oldest_missing(conn: psycopg.AsyncConnection) -> datetime | None:
    """The time of the oldest event that is stored and not applied, None when there is none."""
    row = await (await conn.execute(_OLDEST_MISSING)).fetchone()
    assert row is not None, "an aggregate has one row"
    moment: datetime | None = row[0]
    return moment


_HORIZON: Final = "SELECT max(generation), pg_snapshot_xmin(pg_current_snapshot())::text FROM log_generation"
_CURSOR: Final = """
    SELECT generation, tx::text, notification_id FROM sweep_cursor FOR UPDATE SKIP LOCKED
"""
_PAGE: Final = """
    WITH page AS MATERIALIZED (
        SELECT generation, tx, notification_id, originator_id, originator_version FROM payment_events
        WHERE (generation, tx, notification_id) > (%(generation)s::smallint, %(tx)s::xid8, %(notification_id)s)
            AND (generation, tx) < (%(horizon)s::smallint, %(horizon_tx)s::xid8)
        ORDER BY generation, tx, notification_id LIMIT %(limit)s
    ), lost AS (
        SELECT originator_id::text AS payment_id, max(originator_version) AS head
        FROM page LEFT JOIN payments p ON p.payment_id = originator_id
        WHERE coalesce(p.version, 0) < originator_version
        GROUP BY originator_id
    )
    SELECT generation, page.tx::text, notification_id,
        ARRAY(SELECT payment_id FROM lost ORDER BY payment_id), ARRAY(SELECT head FROM lost ORDER BY payment_id)
    FROM page ORDER BY generation DESC, page.tx DESC, notification_id DESC LIMIT 1
"""
_ADVANCE: Final = "UPDATE sweep_cursor SET generation = %s, tx = %s::xid8, notification_id = %s"


@dataclass(frozen=True, slots=True)
class Horizon:
    """Below it no event can appear any more."""

    generation: int
    tx: str


async def horizon(conn: psycopg.AsyncConnection) -> Horizon:
    row = await (await conn.execute(_HORIZON)).fetchone()
    assert row is not None, "an aggregate has one row"
    return Horizon(*row)


async def lost_heads(conn: psycopg.AsyncConnection, below: Horizon, limit: int) -> dict[str, int] | None:
    """The payments whose head among the next `limit` events of the log is not applied, with that head; moves on
    behind those events. None at the horizon, and where another process is at it. Inside a transaction: the events
    must be applied before it commits, or the place in the log moves past what was lost."""
    place = await (await conn.execute(_CURSOR)).fetchone()
    if place is None:
        return None
    bounds: dict[str, Any] = dict(zip(("generation", "tx", "notification_id"), place, strict=True))
    bounds |= {"horizon": below.generation, "horizon_tx": below.tx, "limit": limit}
    found = await (await conn.execute(_PAGE, bounds)).fetchone()
    if found is None:
        return None
    *reached, payment_ids, heads = found
    await conn.execute(_ADVANCE, reached)
    return dict(zip(payment_ids, heads, strict=True))
