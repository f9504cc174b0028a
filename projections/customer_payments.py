"""Lists a customer's payments, newest first, in pages that neither repeat nor miss one."""

from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from projections.columns import PAYMENT, PAYMENT_NEW
from projections.cursors import Cursor

_NOT_IN_LISTS: Final = {"country", "command_id", "correlation_id"}
"""Columns that are shown with one payment only, not in a list."""
_INTERNAL: Final = {"merchant_id", "stale_since", "gateway"}
_COLUMNS: Final = ", ".join(name for name in PAYMENT | PAYMENT_NEW if name not in _NOT_IN_LISTS | _INTERNAL)
_PAGE: Final = f"""
    SELECT {_COLUMNS} FROM payments
    WHERE merchant_id = %s AND customer_id = %s AND (created_at, payment_id) < (%s, %s)
    ORDER BY created_at DESC, payment_id DESC LIMIT %s
"""  # noqa: S608  # columns of ours


FIRST_PAGE: Final = Cursor("infinity", UUID(int=2**128 - 1))


async def page(
    conn: psycopg.AsyncConnection, merchant_id: str, customer_id: str, after: Cursor, limit: int
) -> tuple[list[dict[str, Any]], Cursor | None]:
    """Returns at most `limit` payments after the cursor, and the cursor of the next page: None at the end."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_PAGE, (merchant_id, customer_id, after.time, after.payment_id, limit + 1))
        rows = await cursor.fetchall()
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], Cursor(last["created_at"], last["payment_id"])
