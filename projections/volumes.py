"""Queries the volumes of PSP accounts: approved charges by day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg

from aggregates.routing.commitments import RECENT, Course, starts
from aggregates.routing.policy import Commitment
from commands.sql import statements

_SQL: Final = statements(__file__)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MonthVolume:
    """The approved charges of a merchant's account in one currency since a month began."""

    merchant_id: str
    account: str
    currency: str
    payments: int
    amount_minor: int


async def of_month(conn: psycopg.AsyncConnection[Any], now: datetime) -> Sequence[MonthVolume]:
    """Returns the volumes of this month, in UTC, of every account that charged anything in it or in the month
    before; sorted by merchant."""
    first = now.astimezone(UTC).date().replace(day=1)
    cursor = await conn.execute(_SQL["of_month"], {"first": first})
    return [MonthVolume(one[0], one[1], one[2], int(one[3]), int(one[4])) for one in await cursor.fetchall()]


async def course(
    conn: psycopg.AsyncConnection[Any], merchant_id: str, commitment: Commitment, now: datetime
) -> Course:
    """Returns what a commitment is judged by. The time before the merchant's first charge counts as no
    traffic, not as quiet traffic."""
    today = now.astimezone(UTC).date()
    recent_first = today - RECENT + _DAY
    given = {
        "merchant_id": merchant_id,
        "account": commitment.account,
        "currency": commitment.currency,
        "since": commitment.since,
        "recent": recent_first,
    }
    row = await (await conn.execute(_SQL["course"], given)).fetchone()
    assert row is not None, "an aggregate has one row"
    done, offered, recent, first_day = row
    begins = recent_first if first_day is None else max(first_day, recent_first)
    recent_s = (now - starts(commitment.model_copy(update={"since": begins}))).total_seconds()
    return Course(int(done), int(offered), int(recent), max(recent_s, 0.0))
