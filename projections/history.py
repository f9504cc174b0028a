"""Shows a payment's history: its events as they are stored, but only the end of a payment token."""

from typing import Any, Final
from uuid import UUID

import orjson
import psycopg

from commands.sql import statements

_SQL: Final = statements(__file__)
_LEFT_OUT: Final = ("timestamp", "command_id", "correlation_id", "traceparent")


async def page(
    conn: psycopg.AsyncConnection, merchant_id: str, payment_id: UUID, after: int, limit: int
) -> tuple[list[dict[str, Any]], int | None] | None:
    """Returns at most `limit` events after version `after`, and the `after` of the next page: None at the
    end. Returns None where the merchant has no such payment."""
    cursor = await conn.execute(_SQL["page"], (payment_id, after, limit + 2))
    rows = await cursor.fetchall()
    if not rows or orjson.loads(rows[0][2])["merchant_id"] != merchant_id:
        return None
    rows = [row for row in rows if row[0] > after]
    shown = [_shown(*row) for row in rows[:limit]]
    return shown, rows[limit - 1][0] if len(rows) > limit else None


async def fingerprint(conn: psycopg.AsyncConnection, payment_id: UUID) -> str | None:
    """Returns the fingerprint of the command that created the payment; None: there is no such payment yet."""
    cursor = await conn.execute(_SQL["first"], (payment_id,), prepare=True)
    row = await cursor.fetchone()
    return None if row is None else str(orjson.loads(row[0])["fingerprint"])


def _shown(version: int, topic: str, state: bytes) -> dict[str, Any]:
    data = orjson.loads(state)
    if isinstance(token := data.get("payment_method"), str):
        data["payment_method"] = masked(token)
    if isinstance(tokens := data.get("payment_methods"), dict):
        data["payment_methods"] = {gateway: masked(str(token)) for gateway, token in tokens.items()}
    return {
        "version": version,
        "type": topic,
        "time": data["timestamp"],
        "command_id": data["command_id"],
        "correlation_id": data["correlation_id"],
        "data": {name: value for name, value in data.items() if name not in _LEFT_OUT},
    }


def masked(token: str) -> str:
    """Returns a payment token's last four characters; of a token up to 8 characters none."""
    return "…" + token[-4:] if len(token) > 8 else "…"
