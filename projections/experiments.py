"""Queries the counts of experiments' arms."""

from decimal import Decimal
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from aggregates.routing.experiment import ArmResults
from aggregates.routing.sequential import Sums
from commands.sql import statements

_SQL: Final = statements(__file__)


async def results(
    conn: psycopg.AsyncConnection[Any], merchant_id: str, experiment_id: str, definition: str
) -> dict[str, ArmResults]:
    """Returns the results of the arms that have got payments under this definition, by arm."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["arms"], (merchant_id, experiment_id, definition))
        return {row["arm"]: _results(row) for row in await cursor.fetchall()}


async def counted_before(
    conn: psycopg.AsyncConnection[Any], merchant_id: str, experiment_id: str, definition: str
) -> int:
    """Returns how many payments the experiment got under other definitions than this one."""
    row = await (
        await conn.execute(_SQL["counted_before"], (merchant_id, experiment_id, definition))
    ).fetchone()
    assert row is not None, "an aggregate has one row"
    return int(row[0])


def _results(row: dict[str, Any]) -> ArmResults:
    # PostgreSQL's sums of bigint are numeric, which the driver makes Decimal of; all of them are whole.
    row = {name: int(value) if isinstance(value, Decimal) else value for name, value in row.items()}
    decided = row["approved"] + row["declined"] + row["failed"]
    return ArmResults(
        assigned=row["assigned"],
        approved=row["approved"],
        declined=row["declined"],
        failed=row["failed"],
        customers=row["customers"],
        approval=Sums(
            groups=row["decided_customers"],
            n=decided,
            y=row["approved"],
            nn=row["decided_squares"],
            ny=row["decided_approved"],
            yy=row["approved_squares"],
        ),
        first_approved=row["first_approved"],
        first_not_approved=row["first_not_approved"],
        cost_ppm=Sums(
            groups=row["priced_customers"],
            n=row["priced"],
            y=row["cost_ppm"],
            nn=row["priced_squares"],
            ny=row["priced_cost"],
            yy=row["cost_squares"],
        ),
        latency_ms=row["latency_ms"],
        latencies=row["latencies"],
    )
