"""What PSPs told becomes reports, on a real Kafka and PostgreSQL."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import structlog

from aggregates.status import Status
from commands.messages import AnyReport, Dispute, Outcome, RecordDispute, RecordOutcome
from commands.notices import Notice
from commands.parsing import parse_outcome
from commands.records import Record
from gateways.agent import metrics
from gateways.agent.metrics import UNLISTED
from gateways.contract import Webhook
from infra.api import webhooks
from infra.kafka import topics
from infra.kafka.producers import producing
from infra.postgres import unmatched_webhooks
from infra.postgres.connections import connect_async
from infra.process import clock
from infra.process.runtime import Process
from infra.settings import ApiSettings, DatabaseSettings, InboxSettings
from infra.workers import inbox as inbox_process
from infra.workers.inbox import CONFIRMING
from relay.inbox import FOREIGN, TRIED_FOR_S, TRY_AFTER_S, UNMATCHED, Inbox
from tests.relay.history import records_of
from tests.support import every_notice
from tests.support.controls import create_payment, operation_of
from tests.support.decider_harness import OUTCOMES, DeciderHarness, captured
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack

APPROVED = Outcome(kind="APPROVED", psp_id="pi_1", amount_minor=1099, currency="EUR")
DISPUTE = Dispute(
    dispute_id="du_1",
    state="opened",
    amount_minor=1099,
    currency="EUR",
    reason="fraudulent",
    respond_by=datetime(2026, 12, 9, tzinfo=UTC),
)


@pytest.fixture
def harness(environment: Environment) -> Iterator[DeciderHarness]:
    with environment.connect("command") as connection:
        yield DeciderHarness(connection)


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    """Of no PSP whose webhooks have to be confirmed."""
    (tmp_path / "accounts.toml").write_text("[merchants]\n[accounts]\n")
    return tmp_path / "accounts.toml"


@pytest.fixture
async def inbox(environment: Environment) -> AsyncIterator[Inbox]:
    async with _inbox(environment) as made:
        yield made


@asynccontextmanager
async def _inbox(environment: Environment) -> AsyncIterator[Inbox]:
    settings = environment.settings(InboxSettings, "inbox", accounts_file="not read here")
    async with (
        await connect_async(settings, "inbox") as connection,
        producing(settings, "inbox") as broker,
    ):
        yield Inbox(
            connection,
            broker,
            environment.prefix + topics.OUTCOMES,
            structlog.get_logger(),
            count=metrics.notified,
            now=clock.now,
            confirmed_gateways=CONFIRMING,
        )


async def _tell(
    environment: Environment, *notices: Notice, account: str = "sim-eu", gateway: str = "stripe"
) -> None:
    """As the API stores them, in its role."""
    async with await connect_async(environment.settings(ApiSettings, "api"), "test") as connection:
        await webhooks._store(connection, gateway, account, Webhook({}, repr(notices).encode()), notices)


def _notice(reference: str | None = None, event_id: str = "evt_1", **more: Any) -> Notice:
    fields: dict[str, Any] = {"outcome": APPROVED} | more
    return Notice(event_id, "payment_intent.succeeded", reference=reference, **fields)


def _started(harness: DeciderHarness, key: str = "order-1") -> tuple[UUID, str]:
    """A payment whose first operation is under way at sim-eu."""
    command = create_payment(idempotency_key=key)
    harness.run(harness.record(command))
    return command.payment_id, operation_of(harness.payment(command.payment_id))


def _rows(owner: psycopg.Connection) -> list[tuple[str, str | None, UUID | None]]:
    return owner.execute("SELECT state, why, payment_id FROM webhooks_in ORDER BY id").fetchall()


def _make_due(owner: psycopg.Connection) -> None:
    owner.execute("UPDATE webhooks_in SET next_try_at = clock_timestamp() WHERE state = 'waiting'")


async def _reports(environment: Environment) -> list[AnyReport]:
    return [parse_outcome(record.value) for record in await records_of(environment, topics.OUTCOMES)]


def _read(harness: DeciderHarness, record: Any) -> None:
    """As the command worker reads it."""
    harness.offset += 1
    harness.run(Record(OUTCOMES, 0, harness.offset, record.key, record.value, {}, 0))


async def test_what_names_our_operation_becomes_its_report_under_the_payments_key(
    environment, harness, owner, inbox
):
    payment, operation = _started(harness)
    await _tell(environment, _notice(operation))

    assert await inbox.run_once() == 1
    assert await inbox.run_once() == 0

    (record,) = await records_of(environment, topics.OUTCOMES)
    told = parse_outcome(record.value)
    assert isinstance(told, RecordOutcome)
    assert record.key == str(payment).encode()
    assert (told.payment_id, told.operation_id, told.step) == (payment, operation, "1")
    assert (told.gateway, told.account, told.source, told.tries) == ("stripe", "sim-eu", "webhook", 0)
    assert (told.outcome, told.first_try_at) == (APPROVED, None)
    assert _rows(owner) == [("done", None, payment)]
    _read(harness, record)
    assert harness.payment(payment).status is Status.CAPTURED


async def test_a_dispute_is_found_by_the_id_that_the_psp_gave_the_payment(environment, harness, owner, inbox):
    payment = captured(harness)
    await _tell(environment, _notice(psp_id="pi_1", outcome=None, dispute=DISPUTE))

    await inbox.run_once()

    (record,) = await records_of(environment, topics.OUTCOMES)
    told = parse_outcome(record.value)
    assert isinstance(told, RecordDispute)
    assert (told.operation_id, told.dispute) == (operation_of(harness.payment(payment)), DISPUTE)
    _read(harness, record)
    assert harness.payment(payment).status is Status.DISPUTED


async def test_every_notice_of_every_adapter_comes_through_store_inbox_and_report_whole(
    environment, harness, owner, inbox
):
    payment, operation = _started(harness)
    read = every_notice.notices(Random(7), 300)
    saying = [one for one in read if one.outcome is not None or one.dispute is not None]
    told = [
        replace(one, reference=operation, psp_id=None, event_id=f"evt_{number:04}", alarm=None)
        for number, one in enumerate(saying)
    ]
    await _tell(environment, *told)

    while await inbox.run_once():
        pass

    assert set(_rows(owner)) == {("done", None, payment)}
    reports = [parse_outcome(record.value) for record in await records_of(environment, topics.OUTCOMES)]
    assert [one.outcome for one in reports if isinstance(one, RecordOutcome)] == [
        one.outcome for one in told if one.outcome is not None
    ]
    assert [(one.dispute, one.reported_at) for one in reports if isinstance(one, RecordDispute)] == [
        (one.dispute, one.at) for one in told if one.dispute is not None
    ]


async def test_what_is_told_as_new_is_counted_once_and_not_while_it_waits(environment, harness, owner, inbox):
    news = APPROVED.model_copy(update={"kind": "UNKNOWN", "code": "teleported", "unlisted": True})
    before = _counted("teleported"), _counted("beamed")
    _, operation = _started(harness)
    await _tell(
        environment, _notice(operation, "evt_1", outcome=news), _notice(operation, "evt_2", unlisted="beamed")
    )
    await _tell(environment, _notice(psp_id="pi_of_nobody", event_id="evt_3", outcome=news))

    await inbox.run_once()
    _make_due(owner)
    await inbox.run_once()

    assert [state for state, _, _ in _rows(owner)] == ["done", "done", "waiting"]
    assert (_counted("teleported"), _counted("beamed")) == (before[0] + 1, before[1] + 1)


def _counted(code: str) -> float:
    return UNLISTED.labels("stripe", code)._value.get()


async def test_what_comes_before_its_payment_is_known_waits_and_is_matched_then(
    environment, harness, owner, inbox
):
    await _tell(environment, _notice(psp_id="pi_1", outcome=None, dispute=DISPUTE))
    await inbox.run_once()
    assert _rows(owner) == [("waiting", "no_payment", None)]
    assert await inbox.run_once() == 0  # not due yet

    payment = captured(harness)
    _make_due(owner)
    await inbox.run_once()

    assert _rows(owner) == [("done", None, payment)]
    assert [told.payment_id for told in await _reports(environment)] == [payment]


async def test_an_operation_that_the_payment_does_not_have_waits_and_freezes_nothing(
    environment, harness, owner, inbox
):
    payment, _ = _started(harness)
    await _tell(environment, _notice(f"{payment.hex}-s9"), _notice(f"{uuid4().hex}-s1", event_id="evt_2"))

    await inbox.run_once()

    assert _rows(owner) == [("waiting", "no_payment", None)] * 2
    assert await _reports(environment) == []


async def test_each_try_comes_later_than_the_one_before_up_to_an_hour(environment, owner, inbox):
    await _tell(environment, _notice(psp_id="pi_of_nobody"))
    waits = []
    for _ in range(len(TRY_AFTER_S) + 1):
        assert await inbox.run_once() == 1
        (wait_s,) = owner.execute(
            "SELECT extract(epoch FROM next_try_at - clock_timestamp())::float8 FROM webhooks_in"
        ).fetchone()
        waits.append(wait_s)
        _make_due(owner)

    assert waits == pytest.approx([*TRY_AFTER_S, TRY_AFTER_S[-1]], abs=0.9)


@pytest.mark.parametrize(
    ("reference", "state", "counter"),
    [
        ("0" * 32 + "-s1", "unmatched", UNMATCHED.labels("of-nobody", "no_payment")),
        # Thousands a day may be another shop's on the same account.
        (None, "done", FOREIGN.labels("of-nobody")),
    ],
)
async def test_what_matches_nothing_for_three_days_takes_an_operator_if_it_has_a_reference_of_ours(
    environment, owner, inbox, *, reference, state, counter
):
    before = counter._value.get()
    await _tell(environment, _notice(reference, psp_id="pi_of_nobody"), account="of-nobody")
    owner.execute(
        "UPDATE webhooks_in SET received_at = received_at - %s", (timedelta(seconds=TRIED_FOR_S - 60),)
    )
    await inbox.run_once()
    assert _rows(owner) == [("waiting", "no_payment", None)]
    owner.execute("UPDATE webhooks_in SET received_at = received_at - interval '2 minutes'")
    _make_due(owner)

    await inbox.run_once()

    assert _rows(owner) == [(state, "no_payment", None)]
    assert counter._value.get() - before == 1


async def test_what_took_an_operator_is_looked_at_daily_and_closes_itself_once_its_payment_is_found(
    environment, harness, owner, inbox
):
    counter = UNMATCHED.labels("sim-eu", "no_payment")
    reference = f"{create_payment().payment_id.hex}-s1"
    await _tell(environment, _notice(reference, outcome=None, dispute=DISPUTE))
    owner.execute("UPDATE webhooks_in SET received_at = received_at - interval '4 days'")
    await inbox.run_once()
    before = counter._value.get()
    in_a_day = "UPDATE webhooks_in SET next_try_at = next_try_at - interval '1 day'"
    owner.execute(in_a_day)

    assert await inbox.run_once() == 1
    assert (_rows(owner), counter._value.get()) == ([("unmatched", "no_payment", None)], before)
    assert await inbox.run_once() == 0  # a day has to pass

    payment = captured(harness)
    owner.execute(in_a_day)
    assert await inbox.run_once() == 1
    assert _rows(owner) == [("done", None, payment)]
    assert [told.payment_id for told in await _reports(environment)] == [payment]


@pytest.mark.parametrize("again", ["told", "a day later"])
async def test_what_an_operator_has_closed_is_believed_once_its_payment_is_there(
    environment, harness, owner, inbox, again
):
    notice = _notice(f"{create_payment().payment_id.hex}-s1", outcome=None, dispute=DISPUTE)
    await _tell(environment, notice)
    owner.execute("UPDATE webhooks_in SET received_at = received_at - interval '4 days'")
    await inbox.run_once()
    owner.execute("SELECT close_webhook(id, NULL, 'Kim', 'done', 'a ticket') FROM webhooks_in")

    async def look_again() -> int:
        if again == "told":
            await _tell(environment, notice)
        else:
            owner.execute("UPDATE webhooks_in SET next_try_at = next_try_at - interval '1 day'")
        return await inbox.run_once()

    assert await look_again() == 1
    assert _rows(owner) == [("closed", "no_payment", None)]
    assert (await inbox.run_once(), await _named(environment)) == (0, [])

    payment = captured(harness)
    assert await _named(environment) == [payment]
    assert await look_again() == 1
    assert _rows(owner) == [("done", None, payment)]
    assert [told.payment_id for told in await _reports(environment)] == [payment]
    assert await _named(environment) == []


async def test_what_is_closed_while_the_inbox_has_it_stays_closed(environment, owner, inbox, monkeypatch):
    await _tell(environment, _notice(f"{create_payment().payment_id.hex}-s1"))
    owner.execute("UPDATE webhooks_in SET received_at = received_at - interval '4 days'")
    await inbox.run_once()
    owner.execute("UPDATE webhooks_in SET next_try_at = now()")
    rows = await inbox._take()

    owner.execute("SELECT close_webhook(id, NULL, 'Kim', 'done', 'a ticket') FROM webhooks_in")

    async def taken() -> list[dict[str, Any]]:
        return rows

    monkeypatch.setattr(inbox, "_take", taken)
    await inbox.run_once()

    assert _rows(owner) == [("closed", "no_payment", None)]


async def test_what_is_signed_as_one_before_is_reported_as_that_within_its_account(
    environment, harness, owner, inbox
):
    _, reference = _started(harness)
    say = partial(_notice, reference, signed_as="the same", dispute=DISPUTE)
    await _tell(environment, say(), account="sim-us")
    await _tell(environment, say())
    await _tell(environment, say(event_id="evt_2", at=datetime(2026, 11, 30, tzinfo=UTC)))
    await _tell(environment, _notice(reference, "evt_3", signed_as="another"), _notice(reference, "evt_4"))

    await inbox.run_once()

    flags = [(type(told), told.signed_before) for told in await _reports(environment)]
    assert flags == [
        (RecordOutcome, False),
        (RecordDispute, False),
        (RecordOutcome, True),
        (RecordDispute, True),
        (RecordOutcome, False),
        (RecordOutcome, False),
    ]


async def _named(environment: Environment) -> list[UUID]:
    """By `aegispay doubt list`."""
    async with await connect_async(environment.settings(DatabaseSettings, "audit"), "test") as connection:
        return [one.payment_id for one in await unmatched_webhooks.oldest(connection, 10)]


@pytest.mark.parametrize(("account", "gateway"), [("sim-us", "stripe"), ("sim-eu", "adyen")])
async def test_an_account_is_not_believed_about_an_operation_of_another(
    environment, harness, owner, inbox, *, account, gateway
):
    _, operation = _started(harness)
    await _tell(environment, _notice(operation), account=account, gateway=gateway)

    await inbox.run_once()

    assert _rows(owner) == [("unmatched", "other_account", None)]
    assert await _reports(environment) == []


async def test_an_id_at_the_psp_is_looked_for_within_its_account(environment, harness, owner, inbox):
    captured(harness)
    await _tell(environment, _notice(psp_id="pi_1"), account="sim-us")

    await inbox.run_once()

    assert _rows(owner) == [("waiting", "no_payment", None)]


async def test_what_says_nothing_of_a_payment_is_done_at_once(environment, owner, inbox):
    await _tell(environment, _notice(outcome=None))

    assert await inbox.run_once() == 1

    assert _rows(owner) == [("done", None, None)]
    assert await _reports(environment) == []


@pytest.mark.parametrize("reference", [None, "order 7", "x-s1"])
async def test_what_names_nothing_of_ours_takes_an_operator_at_once(environment, owner, inbox, reference):
    await _tell(environment, _notice(reference))

    await inbox.run_once()

    assert _rows(owner) == [("unmatched", "no_way", None)]


async def test_what_no_report_can_say_stops_no_other(environment, harness, owner, inbox):
    payment, operation = _started(harness)
    await _tell(
        environment,
        _notice(operation, "evt_1"),
        _notice(operation, "evt_2", outcome=None, alarm="dispute_unreadable"),
        _notice(operation, "evt_3"),
    )
    owner.execute("UPDATE webhooks_in SET notice = '{\"of\": \"another version\"}' WHERE event_id = 'evt_1'")

    assert await inbox.run_once() == 3

    assert sorted(_rows(owner), key=str) == [
        ("done", None, payment),
        ("unmatched", "not_valid", None),
        ("unmatched", "not_valid", payment),
    ]
    assert len(await _reports(environment)) == 1
    async with await connect_async(environment.settings(DatabaseSettings, "audit"), "test") as connection:
        (left,) = await unmatched_webhooks.oldest(connection, 10)
    assert (left.payment_id, left.why, left.event_type) == (payment, "not_valid", "payment_intent.succeeded")


async def test_killed_after_the_broker_has_the_report_it_is_sent_again_and_changes_nothing(
    environment, harness, owner
):
    payment, operation = _started(harness)
    await _tell(environment, _notice(operation))
    for _ in range(2):
        async with _inbox(environment) as inbox:
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
    _, operation = _started(harness)
    await _tell(environment, _notice(operation))
    owner.execute(_WAITS)
    owner.execute("SELECT pg_advisory_lock(4242)")
    async with _process(environment, accounts) as first:

        async def reported() -> bool:
            return len(await _reports(environment)) == 1

        await until(reported)
        first.kill()
        await first.wait()
    await until(lambda: owner.execute(_END_WAITING).fetchone() == (1,))
    owner.execute("SELECT pg_advisory_unlock(4242)")
    assert _rows(owner) == [("waiting", None, None)]

    _make_due(owner)  # its lease is over
    async with _process(environment, accounts):
        await until(lambda: _rows(owner)[0][0] == "done")

    told = await _reports(environment)
    assert len(told) == 2
    assert told[0] == told[1]


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
    await _tell(environment, _notice(psp_id="pi_of_nobody"))

    assert len(await inbox._take()) == 1
    assert await inbox.run_once() == 0

    (left_s,) = owner.execute(
        "SELECT extract(epoch FROM next_try_at - clock_timestamp())::float8 FROM webhooks_in"
    ).fetchone()
    assert left_s == pytest.approx(30, abs=5)


async def test_two_inboxes_report_each_webhook_once(environment, harness, owner):
    _, operation = _started(harness)
    await _tell(environment, *(_notice(operation, f"evt_{number}") for number in range(300)))
    async with _inbox(environment) as one, _inbox(environment) as other:
        while sum(await asyncio.gather(one.run_once(), other.run_once())):
            pass

    told = await _reports(environment)
    assert len(told) == len({report.command_id for report in told}) == 300
    assert {state for state, *_ in _rows(owner)} == {"done"}


async def test_the_process_reports_within_a_second_and_ends_in_order(environment, harness, owner, accounts):
    payment, operation = _started(harness)
    process = Process("inbox")
    settings = environment.settings(InboxSettings, "inbox", accounts_file=accounts)
    running = asyncio.create_task(inbox_process.main(process, settings))
    await until(lambda: process.state == "ready" or running.done())
    await _tell(environment, _notice(operation))

    await until(lambda: _rows(owner) == [("done", None, payment)], within_s=5)

    process.stop.set()
    await running


def test_the_inbox_may_not_change_what_was_told(environment):
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
