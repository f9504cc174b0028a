from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from aggregates.routing.commitments import Course
from aggregates.routing.policy import Commitment
from commands.sql import statements
from projections import volumes
from projections.volumes import MonthVolume
from tests.support.environment import Environment
from tests.support.event_stories import read_models_connection

pytestmark = pytest.mark.stack
NOW = datetime(2026, 11, 30, 6, tzinfo=UTC)


@pytest.fixture
def environment(database):
    return database


def charged(environment: Environment, *rows: tuple[str, str, str, date, int, int]) -> None:
    """Rows of merchant, account, currency, day, payments and amount."""
    with psycopg.connect(environment.dsn()) as conn:
        conn.cursor().executemany(
            f"INSERT INTO {environment.schema}_read.account_volumes VALUES (%s, %s, %s, %s, %s, %s)", rows
        )


async def course(environment: Environment, **fields: Any) -> Course:
    commitment = Commitment(account="a", since=date(2026, 11, 1), by=date(2026, 12, 31), **fields)
    async with read_models_connection(environment) as conn:
        return await volumes.course(conn, "shop", commitment, NOW)


async def test_the_months_volume_is_by_account_and_currency_and_zero_where_nothing_was_charged(environment):
    charged(
        environment,
        ("shop", "a", "EUR", date(2026, 11, 1), 2, 200),
        ("shop", "a", "EUR", date(2026, 11, 30), 1, 50),
        ("shop", "a", "USD", date(2026, 11, 2), 1, 7),
        ("shop", "b", "EUR", date(2026, 10, 31), 9, 900),
        ("shop", "c", "EUR", date(2026, 9, 30), 9, 900),
        ("other", "a", "EUR", date(2026, 11, 30), 1, 1),
    )

    async with read_models_connection(environment) as conn:
        assert await volumes.of_month(conn, NOW) == [
            MonthVolume("other", "a", "EUR", 1, 1),
            MonthVolume("shop", "a", "EUR", 3, 250),
            MonthVolume("shop", "a", "USD", 1, 7),
            MonthVolume("shop", "b", "EUR", 0, 0),
        ]


async def test_a_commitment_to_payments_counts_all_currencies_and_one_to_an_amount_its_own(environment):
    charged(
        environment,
        ("shop", "a", "EUR", date(2026, 10, 31), 100, 10_000),
        ("shop", "a", "EUR", date(2026, 11, 1), 2, 200),
        ("shop", "a", "USD", date(2026, 11, 3), 3, 300),
        ("shop", "b", "EUR", date(2026, 11, 10), 5, 500),
        ("other", "a", "EUR", date(2026, 11, 10), 7, 700),
    )
    recent_s = 27.25 * 86_400  # since 3 November, 28 days with today's six hours

    assert await course(environment, payments=50) == Course(5, 10, 8, recent_s)
    assert await course(environment, amount_minor=50, currency="EUR") == Course(200, 700, 500, recent_s)


async def test_the_time_before_the_first_charge_of_all_counts_as_no_traffic(environment):
    assert await course(environment, payments=50) == Course(0, 0, 0, 27.25 * 86_400)

    charged(environment, ("shop", "b", "EUR", date(2026, 11, 29), 4, 400))

    assert await course(environment, payments=50) == Course(0, 4, 4, 1.25 * 86_400)


async def test_a_charge_of_long_ago_makes_the_days_since_count_as_quiet_ones(environment):
    charged(
        environment,
        ("shop", "b", "USD", date(2023, 5, 1), 1, 100),
        ("shop", "b", "EUR", date(2026, 11, 29), 4, 400),
    )

    assert await course(environment, payments=50) == Course(0, 4, 4, 27.25 * 86_400)
    # In euros there was nothing before.
    assert await course(environment, amount_minor=50, currency="EUR") == Course(0, 400, 400, 1.25 * 86_400)
    assert await course(environment, amount_minor=50, currency="USD") == Course(0, 0, 0, 27.25 * 86_400)


@pytest.mark.parametrize("currency", [None, "EUR"])
async def test_days_before_the_commitment_are_not_read(environment, currency):
    first = date(2018, 1, 1)
    days = [first + timedelta(days=number) for number in range((NOW.date() - first).days + 1)]
    charged(
        environment,
        *[(shop, "a", kind, day, 1, 1) for shop in ("shop", "x") for kind in ("EUR", "USD") for day in days],
    )
    given = {
        "merchant_id": "shop",
        "account": "a",
        "currency": currency,
        "since": date(2026, 11, 1),
        "recent": date(2026, 11, 3),
    }
    with psycopg.connect(environment.dsn()) as conn:
        conn.execute(f"SET search_path = {environment.schema}_read")
        conn.execute("ANALYZE account_volumes")
        explain = "EXPLAIN (ANALYZE, FORMAT JSON) " + statements(volumes.__file__)["course"]
        ((((plan,),)),) = conn.execute(explain, given).fetchall()

    scans = list(scans_of(plan["Plan"]))
    assert len(scans) == 2
    # 30 days in two currencies, and one before.
    assert sum(one["Actual Rows"] + one.get("Rows Removed by Filter", 0) for one in scans) <= 61


def scans_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a plan that read the table."""
    if "Relation Name" in node:
        yield node
    for part in node.get("Plans", ()):
        yield from scans_of(part)
