"""Lists the disputes that are not over, of all merchants, for operators: the one due soonest comes first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from aggregates.status import DisputeState
from commands.sql import statements

_SQL: Final = statements(__file__)


@dataclass(frozen=True, slots=True)
class OpenDispute:
    """A dispute as it was last reported. `gateway` and `account` are None where its operation is unknown;
    `respond_by` is None where the PSP names no date. Amounts in minor units."""

    payment_id: UUID
    merchant_id: str
    gateway: str | None
    account: str | None
    dispute_id: str
    state: DisputeState
    amount_minor: int
    currency: str
    reason: str | None
    respond_by: datetime | None
    reported_at: datetime
    operation_id: str


async def open_disputes(conn: psycopg.AsyncConnection, limit: int) -> list[OpenDispute]:
    """Returns at most `limit` disputes that await a response, a decision or the PSP's result."""
    async with conn.cursor(row_factory=class_row(OpenDispute)) as cursor:
        await cursor.execute(_SQL["open"], (limit,))
        return await cursor.fetchall()
