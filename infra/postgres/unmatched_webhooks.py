"""Webhooks that could not be used although they name a payment as we do. An operator looks at them, and
closes them.

One that was closed because nothing had its reference counts again once our operation of that reference is
there, until the inbox has made a report of it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from commands.sql import statements

NAMED: Final = statements(__file__)["named"]
"""A query without an order: whoever runs it adds one."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """An unmatched webhook; `reason` as the inbox wrote it."""

    id: int
    payment_id: UUID
    gateway: str
    account: str
    reason: str
    event_type: str
    received_at: datetime


async def oldest(conn: psycopg.AsyncConnection, limit: int) -> list[Unmatched]:
    """Returns the oldest of them, `limit` at most."""
    async with conn.cursor(row_factory=class_row(Unmatched)) as cursor:
        await cursor.execute(f"{NAMED} ORDER BY id LIMIT %s", (limit,))
        return await cursor.fetchall()
