"""What money is at risk? What nobody knows the end of, what contradicts the record, and what could not be decided.

Each as one `Doubt`: an operation of a payment, or a parked payment none of whose operations is one already. The tables'
view `in_doubt` says which they are.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import class_row

from aggregates.operation import PERSON_AFTER
from projections.customer_payments import CursorInvalid

Age = Literal["under_5_min", "under_1_h", "under_24_h", "over_24_h"]
Because = Literal["unknown", "contradiction", "parked"]


@dataclass(frozen=True, slots=True)
class AtRisk:
    """One cell of the board. `gateway` and `account` are None where no operation was started; `currency` and
    `amount_minor` are None and 0 where a parked payment has no create that can be read. `manual`: payments that a
    person has to look at."""

    gateway: str | None
    account: str | None
    currency: str | None
    age: Age
    payments: int
    manual: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """`because`: `unknown`, the PSP has not told how the operation ended; `contradiction`, its reports contradict the
    record, and the payment is frozen; `parked`, the payment could not be read or decided. `detail` says the last two
    in words. `asked`: how often the PSP was. `manual`: a person has to look, since it is no question of time, or
    since 24 h were not enough."""

    payment_id: UUID
    merchant_id: str | None
    operation_id: str | None
    kind: str | None
    gateway: str | None
    account: str | None
    amount_minor: int | None
    currency: str | None
    since: datetime
    code: str | None
    detail: str | None
    asked: int
    because: Because
    manual: bool
    parked: bool
    frozen: bool


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last doubt of the page before. Opaque to clients."""

    since: datetime | str
    payment_id: UUID
    operation_id: str

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Raises `CursorInvalid`."""
        try:
            since, payment_id, operation_id = orjson.loads(
                base64.b64decode(text, altchars=b"-_", validate=True)
            )
            if not isinstance(operation_id, str) or "\0" in operation_id:
                raise CursorInvalid
            return cls(datetime.fromisoformat(since).astimezone(UTC), UUID(payment_id), operation_id)
        except (binascii.Error, ValueError, TypeError, AttributeError, OverflowError):
            raise CursorInvalid from None

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(
            orjson.dumps([self.since, self.payment_id, self.operation_id])
        ).decode()


FIRST_PAGE: Final = Cursor("-infinity", UUID(int=0), "")

_MANUAL: Final = "(because <> 'unknown' OR person_asked OR since <= %(manual_before)s)"
_AGE: Final = """CASE
    WHEN since > %(now)s - interval '5 minutes' THEN 'under_5_min'
    WHEN since > %(now)s - interval '1 hour' THEN 'under_1_h'
    WHEN since > %(now)s - interval '24 hours' THEN 'under_24_h'
    ELSE 'over_24_h' END"""
_EVERYONES: Final = "true"
_MERCHANTS: Final = "merchant_id = %(merchant_id)s"


def _board_of(whose: str) -> str:
    return f"""
        SELECT gateway, account, currency, {_AGE} AS age, count(DISTINCT payment_id) AS payments,
            count(DISTINCT payment_id) FILTER (WHERE {_MANUAL}) AS manual,
            coalesce(sum(amount_minor), 0)::bigint AS amount_minor
        FROM in_doubt WHERE {whose}
        GROUP BY gateway, account, currency, age
        ORDER BY gateway, account, currency, min(since) DESC
    """  # noqa: S608  # texts of ours


def _page_of(whose: str) -> str:
    order = "since, payment_id, coalesce(operation_id, '')"
    # What a page alone needs is looked up for its rows alone.
    return f"""
        SELECT payment_id, merchant_id, operation_id, kind, gateway, account, amount_minor, currency, since, code,
            detail, asked, because, {_MANUAL} AS manual,
            EXISTS (SELECT FROM parked_streams p WHERE p.payment_id = page.payment_id) AS parked,
            coalesce((SELECT frozen FROM payments p WHERE p.payment_id = page.payment_id), false) AS frozen
        FROM (
            SELECT * FROM in_doubt WHERE {whose} AND ({order}) > (%(since)s, %(payment_id)s, %(operation_id)s)
            ORDER BY {order} LIMIT %(limit)s
        ) page
        ORDER BY {order}
    """  # noqa: S608  # texts of ours


_BOARD: Final = _board_of(_MERCHANTS)
_EVERYONES_BOARD: Final = _board_of(_EVERYONES)
_PAGE: Final = _page_of(_MERCHANTS)
_EVERYONES_PAGE: Final = _page_of(_EVERYONES)


async def board(conn: psycopg.AsyncConnection, merchant_id: str, now: datetime) -> list[AtRisk]:
    """A merchant's, by gateway, account, currency and age, the youngest of each first."""
    return await _board(conn, _BOARD, _at(now) | {"merchant_id": merchant_id})


async def everyones_board(conn: psycopg.AsyncConnection, now: datetime) -> list[AtRisk]:
    """For operators."""
    return await _board(conn, _EVERYONES_BOARD, _at(now))


async def page(
    conn: psycopg.AsyncConnection, merchant_id: str, now: datetime, after: Cursor, limit: int
) -> tuple[list[Doubt], Cursor | None]:
    """At most `limit` of a merchant's, oldest first, and where the next page begins: None at the end."""
    return await _page(conn, _PAGE, _at(now) | {"merchant_id": merchant_id}, after, limit)


async def everyones_page(
    conn: psycopg.AsyncConnection, now: datetime, after: Cursor, limit: int
) -> tuple[list[Doubt], Cursor | None]:
    """For operators."""
    return await _page(conn, _EVERYONES_PAGE, _at(now), after, limit)


def _at(now: datetime) -> dict[str, Any]:
    return {"now": now, "manual_before": now - PERSON_AFTER}


async def _board(conn: psycopg.AsyncConnection, query: str, values: dict[str, Any]) -> list[AtRisk]:
    async with conn.cursor(row_factory=class_row(AtRisk)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def _page(
    conn: psycopg.AsyncConnection, query: str, values: dict[str, Any], after: Cursor, limit: int
) -> tuple[list[Doubt], Cursor | None]:
    bounds = {
        "since": after.since,
        "payment_id": after.payment_id,
        "operation_id": after.operation_id,
        "limit": limit + 1,
    }
    async with conn.cursor(row_factory=class_row(Doubt)) as cursor:
        await cursor.execute(query, values | bounds)
        found = await cursor.fetchall()
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], Cursor(last.since, last.payment_id, last.operation_id or "")


@dataclass(frozen=True, slots=True)
class Figures:
    """Of all merchants. `amounts`: by gateway and currency, those of parked payments without an operation under "".
    `oldest_s`: 0 where nothing is in doubt."""

    payments: int
    manual: int
    oldest_s: float
    amounts: dict[tuple[str, str], int]


_FIGURES: Final = f"""
    SELECT grouping(gateway, currency) > 0, coalesce(gateway, ''), coalesce(currency, ''),
        count(DISTINCT payment_id), count(DISTINCT payment_id) FILTER (WHERE {_MANUAL}),
        coalesce(sum(amount_minor), 0)::bigint, coalesce(extract(epoch FROM %(now)s - min(since)), 0)::float
    FROM in_doubt GROUP BY GROUPING SETS ((gateway, currency), ())
"""  # noqa: S608  # texts of ours


async def figures(conn: psycopg.AsyncConnection, now: datetime) -> Figures:
    rows = await (await conn.execute(_FIGURES, _at(now))).fetchall()
    amounts = {(gateway, currency): minor for total, gateway, currency, _, _, minor, _ in rows if not total}
    payments, manual, oldest_s = next((row[3], row[4], row[6]) for row in rows if row[0])
    return Figures(payments, manual, max(oldest_s, 0.0), amounts)
