"""What happened to a payment? Its events as they are stored; of a payment token only the end is shown."""

from typing import Any, Final
from uuid import UUID

import orjson
import psycopg

# The first event too, on every page: it names the merchant.
_PAGE: Final = """
    SELECT originator_version, topic, state FROM payment_events
    WHERE originator_id = %s AND (originator_version = 1 OR originator_version > %s)
    ORDER BY originator_version LIMIT %s
"""
_LEFT_OUT: Final = ("timestamp", "command_id", "correlation_id", "traceparent")


async def page(
    conn: psycopg.AsyncConnection, merchant_id: str, payment_id: UUID, after: int, limit: int
) -> tuple[list[dict[str, Any]], int | None] | None:
    """At most `limit` events after version `after`, and the version that the next page comes after: None at the
    end. None alone where the merchant has no such payment."""
    cursor = await conn.execute(_PAGE, (payment_id, after, limit + 2))
    rows = await cursor.fetchall()
    if not rows or orjson.loads(rows[0][2])["merchant_id"] != merchant_id:
        return None
    rows = [row for row in rows if row[0] > after]
    shown = [_shown(*row) for row in rows[:limit]]
    return shown, rows[limit - 1][0] if len(rows) > limit else None


def _shown(version: int, topic: str, state: bytes) -> dict[str, Any]:
    data = orjson.loads(state)
    if isinstance(token := data.get("payment_method"), str):
        data["payment_method"] = masked(token)
    return {
        "version": version,
        "type": topic,
        "time": data["timestamp"],
        "command_id": data["command_id"],
        "correlation_id": data["correlation_id"],
        "data": {name: value for name, value in data.items() if name not in _LEFT_OUT},
    }


def masked(token: str) -> str:
    return "…" + token[-4:] if len(token) > 8 else "…"
