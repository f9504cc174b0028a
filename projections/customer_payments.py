"""Which payments does a customer have? Newest first, in pages that neither repeat nor miss one when others come in."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import dict_row

_COLUMNS: Final = """payment_id, version, status, amount_minor, currency, capture, authorized_minor, captured_minor,
    released_minor, refunded_minor, disputed_minor, capturable_minor, refundable_minor, customer_id, description,
    statement_text, return_page, metadata, reason, decision, action_url, action_until, authorization_expires_at,
    authorization_expired, cancel_requested, ended, frozen, contradictions, disputes, expires_at, created_at, updated_at"""
_PAGE: Final = f"""
    SELECT {_COLUMNS} FROM payments
    WHERE merchant_id = %s AND customer_id = %s AND (created_at, payment_id) < (%s, %s)
    ORDER BY created_at DESC, payment_id DESC LIMIT %s
"""  # noqa: S608  # columns of ours


class CursorInvalid(ValueError):
    """It was not made here."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last payment of the page before. Opaque to clients."""

    created_at: datetime | str
    payment_id: UUID

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Raises `CursorInvalid`."""
        try:
            created_at, payment_id = orjson.loads(base64.b64decode(text, altchars=b"-_", validate=True))
            return cls(datetime.fromisoformat(created_at).astimezone(UTC), UUID(payment_id))
        except (binascii.Error, ValueError, TypeError, AttributeError, OverflowError):
            raise CursorInvalid from None

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(orjson.dumps([self.created_at, self.payment_id])).decode()


FIRST_PAGE: Final = Cursor("infinity", UUID(int=2**128 - 1))


async def page(
    conn: psycopg.AsyncConnection, merchant_id: str, customer_id: str, after: Cursor, limit: int
) -> tuple[list[dict[str, Any]], Cursor | None]:
    """At most `limit` payments, and where the next page begins: None at the end."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_PAGE, (merchant_id, customer_id, after.created_at, after.payment_id, limit + 1))
        rows = await cursor.fetchall()
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], Cursor(last["created_at"], last["payment_id"])
