"""The routing policies in PostgreSQL, for whoever changes them: the API, the command line, a guardrail.

Invariant: a change is saved only onto the version that was loaded; and events are numbered in the order in
which they are committed.
"""

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
    return replayed(StoredEvent(*row) for row in rows) if rows else None


async def save(conn: psycopg.AsyncConnection[Any], policy: RoutingPolicy) -> None:
    """Saves what was recorded since the policy was loaded, in one transaction. Raises `PolicyChanged`."""
    events = [POLICY_MAPPER.to_stored_event(event) for event in policy.collect_events()]
    if not events:
        return
    rows = [(one.originator_id, one.originator_version, one.topic, one.state) for one in events]
    try:
        async with conn.transaction():
            await conn.execute(_SQL["take_turn"])
            await conn.execute(_SQL["append"], [list(column) for column in zip(*rows, strict=True)])
    except psycopg.errors.UniqueViolation as error:
        raise PolicyChanged from error
