"""Accounts that the settings no longer name, while something of theirs is open, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from aggregates.operation import ENDED, OperationState
from commands.notices import Notice
from gateways.contract import Webhook
from infra.api import webhooks
from infra.postgres.connections import connect_async
from infra.process.reloading import Watched
from infra.psp.accounts import account_names
from infra.psp.removed_accounts import OPEN, QUERY, Removed, RemovedAccounts, find
from infra.settings import ApiSettings, InboxSettings
from tests.support.environment import Environment

pytestmark = pytest.mark.stack

_ACCOUNT = '[accounts.{}]\ngateway = "stripe"\nbase_url = "https://api.stripe.com"\nsecret_env = "STRIPE"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return _naming(tmp_path / "accounts.toml", "kept")


@pytest.fixture
async def removed(environment: Environment, file: Path) -> AsyncIterator[RemovedAccounts]:
    """In the inbox's role."""
    settings = environment.settings(InboxSettings, "inbox", accounts_file=file)
    async with await connect_async(settings, "inbox") as connection:
        yield RemovedAccounts(connection, Watched("accounts", file, account_names, look_every_s=0))


def _naming(file: Path, *accounts: str) -> Path:
    file.write_text("[merchants.demo]\naccounts = []\n" + "".join(map(_ACCOUNT.format, accounts)))
    return file


def _operations(owner: psycopg.Connection, account: str, state: str, count: int = 1) -> None:
    owner.execute(
        "INSERT INTO operations (operation_id, payment_id, merchant_id, ordinal, attempt, kind, state, gateway, account,"
        " amount_minor, currency, approved_minor, final, duplicate_charge, may_be_disputed, escalated,"
        " authorization_life_s, started_at, updated_at)"
        " SELECT gen_random_uuid()::text, gen_random_uuid(), 'demo', 1, 1, 'sale', %s, 'stripe', %s, 1099, 'EUR', 0,"
        " true, false, false, false, 0, now(), now() FROM generate_series(1, %s)",
        (state, account, count),
    )


async def _told(environment: Environment, account: str, *event_ids: str) -> None:
    notices = [Notice(event_id, "charge.expired", psp_id="pi_1") for event_id in event_ids]
    async with await connect_async(environment.settings(ApiSettings, "api"), "test") as connection:
        webhook = Webhook({}, repr((account, event_ids)).encode())
        await webhooks._store(connection, "stripe", account, webhook, notices)


def _shown(account: str) -> tuple[float, float]:
    operations, waiting = (OPEN.labels(account, what)._value.get() for what in ("operations", "webhooks"))
    return operations, waiting


async def test_what_is_open_at_an_account_that_is_no_longer_named_is_counted_until_it_is_named_or_over(
    environment: Environment, owner: psycopg.Connection, file: Path, removed: RemovedAccounts
):
    for account in ("kept", "gone"):
        for state in OperationState:
            _operations(owner, account, state)
        await _told(environment, account, "evt_1", "evt_2")
    await _told(environment, "gone-too", "evt_1")
    still_open = len(set(OperationState) - ENDED)

    assert await removed.run_once() == 2

    assert (_shown("gone"), _shown("gone-too"), _shown("kept")) == ((still_open, 2), (0, 1), (0, 0))
    named, _ = account_names(file)
    assert find(owner, named) == [Removed("gone", still_open, 2), Removed("gone-too", 0, 1)]

    _naming(file, "kept", "gone")
    assert await removed.run_once() == 1
    owner.execute("UPDATE webhooks_in SET state = 'done' WHERE account = 'gone-too'")
    assert await removed.run_once() == 0
    assert (_shown("gone"), _shown("gone-too")) == ((0, 0), (0, 0))


def test_the_states_that_are_looked_for_are_those_without_an_end():
    (looked_for,) = (line for line in QUERY.splitlines() if "state IN" in line)

    assert {state for state in OperationState if f"'{state}'" in looked_for} == set(OperationState) - ENDED


async def test_looking_reads_what_is_open_and_nothing_of_what_has_ended(
    environment: Environment, owner: psycopg.Connection
):
    _operations(owner, "gone", "APPROVED", 5000)
    _operations(owner, "gone", "PENDING", 3)
    await _told(environment, "gone", *(f"evt_{number}" for number in range(5000)))
    owner.execute("UPDATE webhooks_in SET state = 'done' WHERE event_id <> 'evt_7'")
    owner.execute("VACUUM (ANALYZE) operations")
    owner.execute("VACUUM (ANALYZE) webhooks_in")

    plan = owner.execute("EXPLAIN (ANALYZE, FORMAT TEXT) " + QUERY, {"named": ["kept"]}).fetchall()

    text = "\n".join(line for (line,) in plan)
    assert "Seq Scan" not in text, text
    assert "operations_open" in text
    assert "webhooks_in_due" in text
    assert find(owner, ["kept"]) == [Removed("gone", 3, 1)]
