"""The routing policies in PostgreSQL, for whoever changes them: the API, the command line, a guardrail.

Invariant: a change is saved only onto the version that was loaded; and events are numbered in the order in
which they are committed.
"""

import asyncio
from typing import Any, Final

import psycopg
from eventsourcing.persistence import StoredEvent

from aggregates.routing_policy import RoutingPolicy, policy_id
from commands.sql import statements
from commands.stored_events import POLICY_MAPPER, replayed

_SQL: Final = statements(__file__)


class PolicyChanged(Exception):
    """Raised where somebody else has changed the policy since it was loaded: load it again, and decide
    anew."""


async def load(conn: psycopg.AsyncConnection[Any], merchant_id: str) -> RoutingPolicy | None:
    """Returns a merchant's policy; None: it has none."""
    rows = await (await conn.execute(_SQL["stream"], (policy_id(merchant_id),))).fetchall()
    # The documents of thousands of versions take seconds, and the caller's loop goes on.
    return await asyncio.to_thread(_replayed, rows) if rows else None


def _replayed(rows: list[Any]) -> RoutingPolicy:
    return replayed(StoredEvent(*row) for row in rows)


async def save(conn: psycopg.AsyncConnection[Any], policy: RoutingPolicy) -> None:
    """Saves what was recorded since the policy was loaded, in one transaction. Raises `PolicyChanged`."""
    events = list(policy.collect_events())
    if not events:
        return
    # The relay finds a document by its version's number.
    rows = [
        (one.originator_id, one.originator_version, one.topic, one.state, getattr(event, "number", None))
        for event, one in zip(events, map(POLICY_MAPPER.to_stored_event, events), strict=True)
    ]
    try:
        async with conn.transaction():
            await conn.execute(_SQL["take_turn"])
            await conn.execute(_SQL["append"], [list(column) for column in zip(*rows, strict=True)])
    except psycopg.errors.UniqueViolation as error:
        raise PolicyChanged from error
