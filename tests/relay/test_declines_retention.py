"""How long declines are kept, on a real PostgreSQL."""

from datetime import timedelta

import psycopg
import pytest

from aggregates.routing.budgets import LONGEST
from infra.postgres.connections import connect_async
from infra.settings import InboxSettings
from relay.retention import DECLINES_KEPT, Retention
from tests.support.environment import Environment

pytestmark = pytest.mark.stack


def declined(owner: psycopg.Connection, operation: str, days: int, *, forbids: bool = False) -> None:
    owner.execute(
        "INSERT INTO declined_attempts (fingerprint, amount_minor, currency, operation_id, payment_id, declined_at, "
        "forbids) VALUES ('\\x00', 1099, 'EUR', %s, gen_random_uuid(), now() - %s * interval '1 day', %s)",
        (operation, days, forbids),
    )


def kept(owner: psycopg.Connection) -> list[str]:
    return [row[0] for row in owner.execute("SELECT operation_id FROM declined_attempts ORDER BY 1")]


async def forget(environment: Environment, kept_for: timedelta = DECLINES_KEPT, batch: int = 1000) -> int:
    settings = environment.settings(InboxSettings, "inbox", accounts_file="not read here")
    async with await connect_async(settings, "inbox") as connection:
        return await Retention(connection, kept_for, batch, "declines").run_once()


async def test_what_no_limit_counts_any_more_is_deleted_and_what_forbids_is_kept(environment, owner):
    declined(owner, "o-1", 32)
    declined(owner, "o-2", 30)
    declined(owner, "o-3", 3000, forbids=True)

    assert await forget(environment) == 1

    assert kept(owner) == ["o-2", "o-3"]


async def test_a_batch_is_bounded(environment, owner):
    for number in range(5):
        declined(owner, f"o-{number}", 40 + number)

    assert [await forget(environment, batch=2) for _ in range(3)] == [2, 2, 1]
    assert kept(owner) == []


async def test_no_setting_deletes_what_a_limit_still_counts(environment, owner):
    declined(owner, "o-1", 30)

    assert await forget(environment, timedelta(0)) == 0
    assert LONGEST < DECLINES_KEPT
