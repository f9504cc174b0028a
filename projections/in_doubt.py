"""Lists the money at risk: operations with an unknown outcome, reports that contradict the record, parked
payments.

Each is one `Doubt`: an operation, or a parked payment none of whose operations is listed already. The
database view `in_doubt` decides which they are.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from aggregates.operation import ESCALATE_AFTER
from projections.cursors import Cursor

Age = Literal["under_5_min", "under_1_h", "under_24_h", "over_24_h"]
Reason = Literal["unknown", "contradiction", "parked"]


@dataclass(frozen=True, slots=True)
class AtRisk:
    """The amount at risk of one account, currency and age. `gateway` and `account` are None where no
    operation was started; `currency` is None and `amount_minor` 0 where a parked payment's first event cannot
    be read. `manual`: how many of the payments need an operator."""

    gateway: str | None
    account: str | None
    currency: str | None
    age: Age
    payments: int
    manual: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """An operation, or a parked payment, whose money is at risk. `reason`: `unknown`, the PSP has not
    reported the outcome; `contradiction`, its reports contradict the record, and the payment is frozen;
    `parked`, the payment could not be read or decided. `detail` explains the last two. `queries`: how often
    the PSP was queried. `manual`: an operator has to look, since time alone does not settle it, or 24 h did
    not."""

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
    queries: int
    reason: Reason
    manual: bool
    parked: bool
    frozen: bool


FIRST_PAGE: Final = Cursor("-infinity", UUID(int=0))

_MANUAL: Final = "(reason <> 'unknown' OR escalated OR since <= %(manual_before)s)"
_AGE: Final = """CASE
    WHEN since > %(now)s - interval '5 minutes' THEN 'under_5_min'
    WHEN since > %(now)s - interval '1 hour' THEN 'under_1_h'
    WHEN since > %(now)s - interval '24 hours' THEN 'under_24_h'
    ELSE 'over_24_h' END"""
_ALL: Final = "true"
_OF_MERCHANT: Final = "merchant_id = %(merchant_id)s"


def _totals_query(whose: str) -> str:
    return f"""
        SELECT gateway, account, currency, {_AGE} AS age, count(DISTINCT payment_id) AS payments,
            count(DISTINCT payment_id) FILTER (WHERE {_MANUAL}) AS manual,
            coalesce(sum(amount_minor), 0)::bigint AS amount_minor
        FROM in_doubt WHERE {whose}
        GROUP BY gateway, account, currency, age
        ORDER BY gateway, account, currency, min(since) DESC
    """  # noqa: S608  # texts of ours


def _page_query(whose: str) -> str:
    order = "since, payment_id, coalesce(operation_id, '')"
    # The inner query cuts the page first: `parked` and `frozen` are looked up for its rows only.
    return f"""
        SELECT payment_id, merchant_id, operation_id, kind, gateway, account, amount_minor, currency, since, code,
            detail, queries, reason, {_MANUAL} AS manual,
            EXISTS (SELECT FROM parked_streams p WHERE p.payment_id = page.payment_id) AS parked,
            coalesce((SELECT frozen FROM payments p WHERE p.payment_id = page.payment_id), false) AS frozen
        FROM (
            SELECT * FROM in_doubt WHERE {whose} AND ({order}) > (%(since)s, %(payment_id)s, %(operation_id)s)
            ORDER BY {order} LIMIT %(limit)s
        ) page
        ORDER BY {order}
    """  # noqa: S608  # texts of ours


_TOTALS: Final = _totals_query(_OF_MERCHANT)
_TOTALS_OF_ALL: Final = _totals_query(_ALL)
_TOTALS_OF_MANUAL: Final = _totals_query(_MANUAL)
_PAGE: Final = _page_query(_OF_MERCHANT)
_PAGE_OF_ALL: Final = _page_query(_ALL)


async def totals(conn: psycopg.AsyncConnection, merchant_id: str, now: datetime) -> list[AtRisk]:
    """Returns a merchant's amounts at risk by gateway, account, currency and age, the youngest first."""
    return await _totals(conn, _TOTALS, _at(now) | {"merchant_id": merchant_id})


async def totals_of_all(
    conn: psycopg.AsyncConnection, now: datetime, *, manual: bool = False
) -> list[AtRisk]:
    """Returns the amounts at risk of all merchants together, for operators. `manual`: only of what an
    operator has to look at."""
    return await _totals(conn, _TOTALS_OF_MANUAL if manual else _TOTALS_OF_ALL, _at(now))


async def page(
    conn: psycopg.AsyncConnection, merchant_id: str, now: datetime, after: Cursor, limit: int
) -> tuple[list[Doubt], Cursor | None]:
    """Returns at most `limit` doubts, oldest first, and the cursor of the next page: None at the end."""
    return await _page(conn, _PAGE, _at(now) | {"merchant_id": merchant_id}, after, limit)


async def page_of_all(
    conn: psycopg.AsyncConnection, now: datetime, after: Cursor, limit: int
) -> tuple[list[Doubt], Cursor | None]:
    """Returns a page of all merchants' doubts, for operators: as `page`."""
    return await _page(conn, _PAGE_OF_ALL, _at(now), after, limit)


def _at(now: datetime) -> dict[str, Any]:
    return {"now": now, "manual_before": now - ESCALATE_AFTER}


async def _totals(conn: psycopg.AsyncConnection, query: str, values: dict[str, Any]) -> list[AtRisk]:
    async with conn.cursor(row_factory=class_row(AtRisk)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def _page(
    conn: psycopg.AsyncConnection, query: str, values: dict[str, Any], after: Cursor, limit: int
) -> tuple[list[Doubt], Cursor | None]:
    bounds = {
        "since": after.time,
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
    """The totals of all merchants. `amounts`: minor units by gateway and currency, with "" for a parked
    payment without an operation. `oldest_s`: age of the oldest doubt, s; 0 where nothing is in doubt."""

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
    """Computes the figures for the metrics: cheaper than the lists, since nothing is looked up one by one."""
    rows = await (await conn.execute(_FIGURES, _at(now))).fetchall()
    amounts = {(gateway, currency): minor for total, gateway, currency, _, _, minor, _ in rows if not total}
    payments, manual, oldest_s = next((row[3], row[4], row[6]) for row in rows if row[0])
    return Figures(payments, manual, max(oldest_s, 0.0), amounts)
