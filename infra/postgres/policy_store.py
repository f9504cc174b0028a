"""The routing policies in PostgreSQL, for whoever changes them: the API, the command line, a guardrail.

Invariant: a change is saved only onto the version that was loaded; and events are numbered in the order in
which they are committed.
"""

import asyncio
from collections.abc import Collection
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


async def load_part(
    conn: psycopg.AsyncConnection[Any],
    merchant_id: str,
    numbers: Collection[int] = (),
    *,
    below: int = 2**31 - 1,
    most: int = 0,
    documents: bool = True,
) -> RoutingPolicy | None:
    """Returns a merchant's policy with the newest and the active version, those of `numbers` that there are,
    and the newest `most` `below` a number: enough to decide on any of these, and to save the decision. None:
    he has no policy. Without `documents` each is empty."""
    values = {
        "stream": policy_id(merchant_id),
        "numbers": list(numbers),
        "below": below,
        "most": most,
        "documents": documents,
    }
    rows = await (await conn.execute(_SQL["part"], values)).fetchall()
    if not rows:
        return None
    # The stream's last event is among them, and with it the version that a change follows.
    return await asyncio.to_thread(replayed, [StoredEvent(*row) for row in rows], gaps=True)


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
