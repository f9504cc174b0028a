"""Webhooks of PSPs become reports, on a real Kafka and PostgreSQL."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from aggregates.status import Status
from commands.messages import RecordDispute, RecordOutcome
from commands.parsing import parse_outcome
from commands.records import Record
from gateways.agent.metrics import UNLISTED
from infra.kafka import topics
from infra.postgres import unmatched_webhooks
from infra.postgres.connections import connect_async
from infra.process.runtime import Process
from infra.settings import DatabaseSettings, InboxSettings
from infra.workers import inbox as inbox_process
from tests.relay.history import records_of
from tests.relay.webhooks import (
    APPROVED,
    DISPUTE,
    make_due,
    make_notice,
    reports,
    serve_inbox,
    start_payment,
    store,
    stored,
)
from tests.support import every_notice
from tests.support.builders import operation_of
from tests.support.decider_harness import OUTCOMES, DeciderHarness, captured
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    """Of no PSP whose webhooks have to be confirmed."""
    (tmp_path / "accounts.toml").write_text("[merchants]\n[accounts]\n")
    return tmp_path / "accounts.toml"


def _read(harness: DeciderHarness, record: Any) -> None:
    """As the command worker reads it."""
    harness.offset += 1
    harness.run(Record(OUTCOMES, 0, harness.offset, record.key, record.value, {}, 0))


async def test_what_names_our_operation_becomes_its_report_under_the_payments_key(
    environment, harness, owner, inbox
):
    payment, operation = start_payment(harness)
    await store(environment, make_notice(operation))

    assert await inbox.run_once() == 1
    assert await inbox.run_once() == 0

    (record,) = await records_of(environment, topics.OUTCOMES)
    received = parse_outcome(record.value)
    assert isinstance(received, RecordOutcome)
    assert record.key == str(payment).encode()
    assert (received.payment_id, received.operation_id, received.step) == (payment, operation, "1")
    assert (received.gateway, received.account, received.source, received.tries) == (
        "stripe",
        "sim-eu",
        "webhook",
        0,
    )
    assert (received.outcome, received.first_try_at) == (APPROVED, None)
    assert stored(owner) == [("done", None, payment)]
    _read(harness, record)
    assert harness.payment(payment).status is Status.CAPTURED


async def test_a_dispute_is_found_by_the_id_that_the_psp_gave_the_payment(environment, harness, owner, inbox):
    payment = captured(harness)
    await store(environment, make_notice(psp_id="pi_1", outcome=None, dispute=DISPUTE))

    await inbox.run_once()

    (record,) = await records_of(environment, topics.OUTCOMES)
    received = parse_outcome(record.value)
    assert isinstance(received, RecordDispute)
    assert (received.operation_id, received.dispute) == (operation_of(harness.payment(payment)), DISPUTE)
    _read(harness, record)
    assert harness.payment(payment).status is Status.DISPUTED


async def test_every_notice_of_every_adapter_comes_through_store_inbox_and_report_whole(
    environment, harness, owner, inbox
):
    payment, operation = start_payment(harness)
    read = every_notice.notices(Random(7), 300)
    saying = [one for one in read if one.outcome is not None or one.dispute is not None]
    notices = [
        replace(one, reference=operation, psp_id=None, event_id=f"evt_{number:04}", alarm=None)
        for number, one in enumerate(saying)
    ]
    await store(environment, *notices)

    while await inbox.run_once():
        pass

    assert set(stored(owner)) == {("done", None, payment)}
    reports = [parse_outcome(record.value) for record in await records_of(environment, topics.OUTCOMES)]
    assert [one.outcome for one in reports if isinstance(one, RecordOutcome)] == [
        one.outcome for one in notices if one.outcome is not None
    ]
    assert [(one.dispute, one.reported_at) for one in reports if isinstance(one, RecordDispute)] == [
        (one.dispute, one.at) for one in notices if one.dispute is not None
    ]


async def test_what_is_reported_as_new_is_counted_once_and_not_while_it_waits(
    environment, harness, owner, inbox
):
    unlisted = APPROVED.model_copy(update={"kind": "UNKNOWN", "code": "teleported", "unlisted": True})
    before = _counted("teleported"), _counted("beamed")
    _, operation = start_payment(harness)
    await store(
        environment,
        make_notice(operation, "evt_1", outcome=unlisted),
        make_notice(operation, "evt_2", unlisted="beamed"),
    )
    await store(environment, make_notice(psp_id="pi_of_nobody", event_id="evt_3", outcome=unlisted))

    await inbox.run_once()
    make_due(owner)
    await inbox.run_once()

    assert [state for state, _, _ in stored(owner)] == ["done", "done", "waiting"]
    assert (_counted("teleported"), _counted("beamed")) == (before[0] + 1, before[1] + 1)


def _counted(code: str) -> float:
    return UNLISTED.labels("stripe", code)._value.get()


async def test_what_no_report_can_say_stops_no_other(environment, harness, owner, inbox):
    payment, operation = start_payment(harness)
    await store(
        environment,
        make_notice(operation, "evt_1"),
        make_notice(operation, "evt_2", outcome=None, alarm="dispute_unreadable"),
        make_notice(operation, "evt_3"),
    )
    owner.execute("UPDATE webhooks_in SET notice = '{\"of\": \"another version\"}' WHERE event_id = 'evt_1'")

    assert await inbox.run_once() == 3

    assert sorted(stored(owner), key=str) == [
        ("done", None, payment),
        ("unmatched", "not_valid", None),
        ("unmatched", "not_valid", payment),
    ]
    assert len(await reports(environment)) == 1
    async with await connect_async(environment.settings(DatabaseSettings, "audit"), "test") as connection:
        (left,) = await unmatched_webhooks.oldest(connection, 10)
    assert (left.payment_id, left.reason, left.event_type) == (
        payment,
        "not_valid",
        "payment_intent.succeeded",
    )


async def test_killed_after_the_broker_has_the_report_it_is_sent_again_and_changes_nothing(
    environment, harness, owner
):
    payment, operation = start_payment(harness)
    await store(environment, make_notice(operation))
    for _ in range(2):
        async with serve_inbox(environment) as inbox:
            assert await inbox.run_once() == 1
        # Its mark is lost, and its lease is over.
        owner.execute("UPDATE webhooks_in SET state = 'waiting', payment_id = NULL, next_try_at = now()")

    first, again = await records_of(environment, topics.OUTCOMES)
    assert parse_outcome(first.value) == parse_outcome(again.value)
    _read(harness, first)
    versions = harness.versions()
    _read(harness, again)
    assert harness.versions() == versions
    assert harness.payment(payment).status is Status.CAPTURED


_WAITS = """
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_advisory_xact_lock(4242); RETURN NEW; END';
    CREATE TRIGGER waits BEFORE UPDATE ON webhooks_in FOR EACH ROW
        WHEN (NEW.state = 'done') EXECUTE FUNCTION wait()
"""
_END_WAITING = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE objid = 4242 AND NOT granted"


async def test_a_process_that_is_killed_before_its_mark_is_followed_by_one_that_repeats(
    environment, harness, owner, accounts
):
    _, operation = start_payment(harness)
    await store(environment, make_notice(operation))
    owner.execute(_WAITS)
    owner.execute("SELECT pg_advisory_lock(4242)")
    async with _process(environment, accounts) as first:

        async def reported() -> bool:
            return len(await reports(environment)) == 1

        await until(reported)
        first.kill()
        await first.wait()
    await until(lambda: owner.execute(_END_WAITING).fetchone() == (1,))
    owner.execute("SELECT pg_advisory_unlock(4242)")
    assert stored(owner) == [("waiting", None, None)]

    make_due(owner)  # its lease is over
    async with _process(environment, accounts):
        await until(lambda: stored(owner)[0][0] == "done")

    sent = await reports(environment)
    assert len(sent) == 2
    assert sent[0] == sent[1]


@asynccontextmanager
async def _process(environment: Environment, accounts: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "infra.workers.inbox",
        env=os.environ | environment.env("inbox", accounts_file=accounts),
        stdout=subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.terminate()
        await started.wait()


async def test_who_has_taken_a_row_keeps_it_from_the_others_for_a_while(environment, owner, inbox):
    await store(environment, make_notice(psp_id="pi_of_nobody"))

    assert len(await inbox._take()) == 1
    assert await inbox.run_once() == 0

    (left_s,) = owner.execute(
        "SELECT extract(epoch FROM next_try_at - clock_timestamp())::float8 FROM webhooks_in"
    ).fetchone()
    assert left_s == pytest.approx(30, abs=5)


async def test_two_inboxes_report_each_webhook_once(environment, harness, owner):
    _, operation = start_payment(harness)
    await store(environment, *(make_notice(operation, f"evt_{number}") for number in range(300)))
    async with serve_inbox(environment) as one, serve_inbox(environment) as other:
        while sum(await asyncio.gather(one.run_once(), other.run_once())):
            pass

    sent = await reports(environment)
    assert len(sent) == len({report.command_id for report in sent}) == 300
    assert {state for state, *_ in stored(owner)} == {"done"}


async def test_the_process_reports_within_a_second_and_ends_in_order(environment, harness, owner, accounts):
    payment, operation = start_payment(harness)
    process = Process("inbox")
    settings = environment.settings(InboxSettings, "inbox", accounts_file=accounts)
    running = asyncio.create_task(inbox_process.main(process, settings))
    await until(lambda: process.state == "ready" or running.done())
    await store(environment, make_notice(operation))

    await until(lambda: stored(owner) == [("done", None, payment)], within_s=5)

    process.stop.set()
    await running


def test_the_inbox_may_not_change_what_was_reported(environment):
    with environment.connect("inbox") as connection:
        for statement in (
            "UPDATE webhooks_in SET notice = '{}'",
            "DELETE FROM webhooks_in",
            "INSERT INTO webhooks_in (gateway) VALUES ('x')",
            "SELECT body FROM webhook_deliveries",
            "SELECT 1 FROM api_keys",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
