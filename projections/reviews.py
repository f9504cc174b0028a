"""Lists the payments that a fraud hook holds until a person decides, the longest held first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from commands.sql import statements
from projections.cursors import Cursor

_SQL: Final = statements(__file__)

FIRST_PAGE: Final = Cursor("-infinity", UUID(int=0))


@dataclass(frozen=True, slots=True)
class HeldPayment:
    """A payment that waits for a review. `reason`: the hooks that hold it, with their scores and words.
    `expires_at`: it ends by itself then."""

    payment_id: UUID
    merchant_id: str
    amount_minor: int
    currency: str
    customer_id: str | None
    reason: str | None
    held_since: datetime
    expires_at: datetime


async def page(
    conn: psycopg.AsyncConnection, merchant_id: str, after: Cursor, limit: int
) -> tuple[list[HeldPayment], Cursor | None]:
    """Returns at most `limit` of a merchant's, and the cursor of the next page: None at the end."""
    values = {
        "merchant_id": merchant_id,
        "after": after.time,
        "payment_id": after.payment_id,
        "limit": limit + 1,
    }
    async with conn.cursor(row_factory=class_row(HeldPayment)) as cursor:
        await cursor.execute(_SQL["page"], values)
        found = await cursor.fetchall()
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], Cursor(last.held_since, last.payment_id)


async def oldest(conn: psycopg.AsyncConnection, limit: int) -> list[HeldPayment]:
    """Returns at most `limit` of all merchants', for operators."""
    async with conn.cursor(row_factory=class_row(HeldPayment)) as cursor:
        await cursor.execute(_SQL["oldest"], {"limit": limit})
        return await cursor.fetchall()
