"""What PSPs told becomes reports, on a real Kafka and PostgreSQL."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from aggregates.status import Status
from commands.messages import AnyReport, Outcome, RecordDispute, RecordOutcome, parse_outcome
from commands.records import Record
from gateways.contract import DisputeNotice, Hook, Notice
from infra import inbox as inbox_process
from infra import topics
from infra.api import webhooks
from infra.broker import producing
from infra.database import connect_async
from infra.inbox import TRIED_FOR_S, TRY_AFTER_S, UNMATCHED, Inbox
from infra.process import Process
from infra.settings import ApiSettings, InboxSettings
from tests.commands.desk import OUTCOMES, Desk, captured
from tests.controls import create_payment, operation_of
from tests.place import Place
from tests.relay.history import connect, records_of
from tests.until import until

pytestmark = pytest.mark.stack

APPROVED = Outcome(kind="APPROVED", psp_id="pi_1", amount_minor=1099, currency="EUR")
DISPUTE = DisputeNotice("du_1", "opened", 1099, "EUR", "fraudulent", datetime(2026, 12, 9, tzinfo=UTC))


@pytest.fixture
def owner(place: Place) -> Iterator[psycopg.Connection]:
    with connect(place, "admin") as connection:
        yield connection


@pytest.fixture
def desk(place: Place) -> Iterator[Desk]:
    with connect(place, "command") as connection:
        yield Desk(connection)


@pytest.fixture
async def inbox(place: Place) -> AsyncIterator[Inbox]:
    async with _inbox(place) as made:
        yield made


@asynccontextmanager
async def _inbox(place: Place) -> AsyncIterator[Inbox]:
    settings = place.settings(InboxSettings, "inbox")
    async with (
        await connect_async(settings, "inbox") as connection,
        producing(settings, "inbox") as broker,
    ):
        yield Inbox(connection, broker, place.prefix + topics.OUTCOMES, Process("inbox"))


async def _tell(place: Place, *notices: Notice, account: str = "sim-eu", gateway: str = "stripe") -> None:
    """As the API stores them, in its role."""
    async with await connect_async(place.settings(ApiSettings, "api"), "test") as connection:
        await webhooks._store(connection, gateway, account, Hook({}, repr(notices).encode()), notices)


def _notice(reference: str | None = None, event_id: str = "evt_1", **more: Any) -> Notice:
    fields: dict[str, Any] = {"outcome": APPROVED} | more
    return Notice(event_id, "payment_intent.succeeded", reference=reference, **fields)


def _started(desk: Desk, key: str = "order-1") -> tuple[UUID, str]:
    """A payment whose first operation is under way at sim-eu."""
    command = create_payment(idempotency_key=key)
    desk.run(desk.record(command))
    return command.payment_id, operation_of(desk.payment(command.payment_id))


def _rows(owner: psycopg.Connection) -> list[tuple[str, str | None, UUID | None]]:
    return owner.execute("SELECT state, why, payment_id FROM webhooks_in ORDER BY id").fetchall()


def _make_due(owner: psycopg.Connection) -> None:
    owner.execute("UPDATE webhooks_in SET next_try_at = clock_timestamp() WHERE state = 'waiting'")


async def _reports(place: Place) -> list[AnyReport]:
    return [parse_outcome(record.value) for record in await records_of(place, topics.OUTCOMES)]


def _read(desk: Desk, record: Any) -> None:
    """As the command worker reads it."""
    desk.offset += 1
    desk.run(Record(OUTCOMES, 0, desk.offset, record.key, record.value, {}, 0))


async def test_what_names_our_operation_becomes_its_report_under_the_payments_key(place, desk, owner, inbox):
    payment, operation = _started(desk)
    await _tell(place, _notice(operation))

    assert await inbox.run_once() == 1
    assert await inbox.run_once() == 0

    (record,) = await records_of(place, topics.OUTCOMES)
    told = parse_outcome(record.value)
    assert isinstance(told, RecordOutcome)
    assert record.key == str(payment).encode()
    assert (told.payment_id, told.operation_id, told.step) == (payment, operation, "1")
    assert (told.gateway, told.account, told.source, told.tries) == ("stripe", "sim-eu", "webhook", 0)
    assert (told.outcome, told.first_try_at) == (APPROVED, None)
    assert _rows(owner) == [("done", None, payment)]
    _read(desk, record)
    assert desk.payment(payment).status is Status.CAPTURED


async def test_a_dispute_is_found_by_the_id_that_the_psp_gave_the_payment(place, desk, owner, inbox):
    payment = captured(desk)
    await _tell(place, _notice(psp_id="pi_1", outcome=None, dispute=DISPUTE))

    await inbox.run_once()

    (record,) = await records_of(place, topics.OUTCOMES)
    told = parse_outcome(record.value)
    assert isinstance(told, RecordDispute)
    assert (told.operation_id, told.respond_by) == (operation_of(desk.payment(payment)), DISPUTE.respond_by)
    _read(desk, record)
    assert desk.payment(payment).status is Status.DISPUTED


async def test_what_comes_before_its_payment_is_known_waits_and_is_matched_then(place, desk, owner, inbox):
    await _tell(place, _notice(psp_id="pi_1", outcome=None, dispute=DISPUTE))
    await inbox.run_once()
    assert _rows(owner) == [("waiting", "no_payment", None)]
    assert await inbox.run_once() == 0  # not due yet

    payment = captured(desk)
    _make_due(owner)
    await inbox.run_once()

    assert _rows(owner) == [("done", None, payment)]
    assert [told.payment_id for told in await _reports(place)] == [payment]


async def test_an_operation_that_the_payment_does_not_have_waits_and_freezes_nothing(
    place, desk, owner, inbox
):
    payment, _ = _started(desk)
    await _tell(place, _notice(f"{payment.hex}-s9"), _notice(f"{uuid4().hex}-s1", event_id="evt_2"))

    await inbox.run_once()

    assert _rows(owner) == [("waiting", "no_payment", None)] * 2
    assert await _reports(place) == []


async def test_each_try_comes_later_than_the_one_before_up_to_an_hour(place, owner, inbox):
    await _tell(place, _notice(psp_id="pi_of_nobody"))
    waits = []
    for _ in range(len(TRY_AFTER_S) + 1):
        assert await inbox.run_once() == 1
        (wait_s,) = owner.execute(
            "SELECT extract(epoch FROM next_try_at - clock_timestamp())::float8 FROM webhooks_in"
        ).fetchone()
        waits.append(wait_s)
        _make_due(owner)

    assert waits == pytest.approx([*TRY_AFTER_S, TRY_AFTER_S[-1]], abs=0.9)


async def test_what_matches_nothing_for_three_days_takes_a_person(place, owner, inbox):
    await _tell(place, _notice(psp_id="pi_of_nobody"), account="of-nobody")
    owner.execute(
        "UPDATE webhooks_in SET received_at = received_at - %s", (timedelta(seconds=TRIED_FOR_S - 60),)
    )
    await inbox.run_once()
    assert _rows(owner) == [("waiting", "no_payment", None)]
    owner.execute("UPDATE webhooks_in SET received_at = received_at - interval '2 minutes'")
    _make_due(owner)

    await inbox.run_once()

    assert _rows(owner) == [("unmatched", "no_payment", None)]
    assert UNMATCHED.labels("of-nobody", "no_payment")._value.get() == 1


@pytest.mark.parametrize(("account", "gateway"), [("sim-us", "stripe"), ("sim-eu", "adyen")])
async def test_an_account_is_not_believed_about_an_operation_of_another(
    place, desk, owner, inbox, *, account, gateway
):
    _, operation = _started(desk)
    await _tell(place, _notice(operation), account=account, gateway=gateway)

    await inbox.run_once()

    assert _rows(owner) == [("unmatched", "other_account", None)]
    assert await _reports(place) == []


async def test_an_id_at_the_psp_is_looked_for_within_its_account(place, desk, owner, inbox):
    captured(desk)
    await _tell(place, _notice(psp_id="pi_1"), account="sim-us")

    await inbox.run_once()

    assert _rows(owner) == [("waiting", "no_payment", None)]


async def test_what_says_nothing_of_a_payment_is_done_at_once(place, owner, inbox):
    await _tell(place, _notice(outcome=None))

    assert await inbox.run_once() == 1

    assert _rows(owner) == [("done", None, None)]
    assert await _reports(place) == []


@pytest.mark.parametrize("reference", [None, "order 7", "x-s1"])
async def test_what_names_nothing_of_ours_takes_a_person_at_once(place, owner, inbox, reference):
    await _tell(place, _notice(reference))

    await inbox.run_once()

    assert _rows(owner) == [("unmatched", "no_way", None)]


async def test_what_no_report_can_say_stops_no_other(place, desk, owner, inbox):
    payment, operation = _started(desk)
    nothing = replace(DISPUTE, amount_minor=0)
    await _tell(
        place,
        _notice(operation, "evt_1"),
        _notice(operation, "evt_2", outcome=None, dispute=nothing),
        _notice(operation, "evt_3"),
    )
    owner.execute("UPDATE webhooks_in SET notice = '{\"of\": \"another version\"}' WHERE event_id = 'evt_1'")

    assert await inbox.run_once() == 3

    assert sorted(_rows(owner), key=str) == [
        ("done", None, payment),
        ("unmatched", "not_valid", None),
        ("unmatched", "not_valid", payment),
    ]
    assert len(await _reports(place)) == 1


async def test_killed_after_the_broker_has_the_report_it_is_sent_again_and_changes_nothing(
    place, desk, owner
):
    payment, operation = _started(desk)
    await _tell(place, _notice(operation))
    for _ in range(2):
        async with _inbox(place) as inbox:
            assert await inbox.run_once() == 1
        # Its mark is lost, and its lease is over.
        owner.execute("UPDATE webhooks_in SET state = 'waiting', payment_id = NULL, next_try_at = now()")

    first, again = await records_of(place, topics.OUTCOMES)
    assert parse_outcome(first.value) == parse_outcome(again.value)
    _read(desk, first)
    versions = desk.versions()
    _read(desk, again)
    assert desk.versions() == versions
    assert desk.payment(payment).status is Status.CAPTURED


_WAITS = """
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_advisory_xact_lock(4242); RETURN NEW; END';
    CREATE TRIGGER waits BEFORE UPDATE ON webhooks_in FOR EACH ROW WHEN (NEW.state = 'done') EXECUTE FUNCTION wait()
"""
_END_WAITING = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE objid = 4242 AND NOT granted"


async def test_a_process_that_is_killed_before_its_mark_is_followed_by_one_that_repeats(place, desk, owner):
    _, operation = _started(desk)
    await _tell(place, _notice(operation))
    owner.execute(_WAITS)
    owner.execute("SELECT pg_advisory_lock(4242)")
    async with _process(place) as first:

        async def reported() -> bool:
            return len(await _reports(place)) == 1

        await until(reported)
        first.kill()
        await first.wait()
    await until(lambda: owner.execute(_END_WAITING).fetchone() == (1,))
    owner.execute("SELECT pg_advisory_unlock(4242)")
    assert _rows(owner) == [("waiting", None, None)]

    _make_due(owner)  # its lease is over
    async with _process(place):
        await until(lambda: _rows(owner)[0][0] == "done")

    told = await _reports(place)
    assert len(told) == 2
    assert told[0] == told[1]


@asynccontextmanager
async def _process(place: Place) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infra.inbox", env=os.environ | place.env("inbox"), stdout=subprocess.DEVNULL
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.terminate()
        await started.wait()


async def test_who_has_taken_a_row_keeps_it_from_the_others_for_a_while(place, owner, inbox):
    await _tell(place, _notice(psp_id="pi_of_nobody"))

    assert len(await inbox._take()) == 1
    assert await inbox.run_once() == 0

    (left_s,) = owner.execute(
        "SELECT extract(epoch FROM next_try_at - clock_timestamp())::float8 FROM webhooks_in"
    ).fetchone()
    assert left_s == pytest.approx(30, abs=5)


async def test_two_inboxes_report_each_webhook_once(place, desk, owner):
    _, operation = _started(desk)
    await _tell(place, *(_notice(operation, f"evt_{number}") for number in range(300)))
    async with _inbox(place) as one, _inbox(place) as other:
        while sum(await asyncio.gather(one.run_once(), other.run_once())):
            pass

    told = await _reports(place)
    assert len(told) == len({report.command_id for report in told}) == 300
    assert {state for state, *_ in _rows(owner)} == {"done"}


async def test_the_process_reports_within_a_second_and_ends_in_order(place, desk, owner):
    payment, operation = _started(desk)
    process = Process("inbox")
    running = asyncio.create_task(inbox_process.main(process, place.settings(InboxSettings, "inbox")))
    await until(lambda: process.state == "ready" or running.done())
    await _tell(place, _notice(operation))

    await until(lambda: _rows(owner) == [("done", None, payment)], within_s=5)

    process.stop.set()
    await running


def test_the_inbox_may_not_change_what_was_told(place):
    with connect(place, "inbox") as connection:
        for statement in (
            "UPDATE webhooks_in SET notice = '{}'",
            "DELETE FROM webhooks_in",
            "INSERT INTO webhooks_in (gateway) VALUES ('x')",
            "SELECT body FROM webhook_deliveries",
            "SELECT 1 FROM api_keys",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
