import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import structlog

from commands.messages import InvalidMessage, Wake, dump
from commands.parsing import parse_command
from commands.records import DeadLetter, Record
from infra.kafka import topics
from infra.kafka.producers import KafkaDeadLetters, producing
from infra.postgres.connections import connect_async
from infra.process.runtime import Process
from infra.settings import TimersSettings
from infra.workers import timers as timers_process
from relay.timers import LEASES_MAX, Timers
from tests.relay.history import records_of
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack


@asynccontextmanager
async def _timers(environment: Environment) -> AsyncIterator[Timers]:
    settings = environment.settings(TimersSettings, "timers")
    async with (
        await connect_async(settings, "timers") as connection,
        producing(settings, "timers") as broker,
    ):
        yield Timers(connection, broker, environment.prefix + topics.COMMANDS, structlog.get_logger())


@asynccontextmanager
async def _running(environment: Environment) -> AsyncIterator[Process]:
    process = Process("timers")
    task = asyncio.create_task(timers_process.main(process, environment.settings(TimersSettings, "timers")))
    await until(lambda: process.state == "ready" or task.done())
    yield process
    process.stop.set()
    await task


def _timer(owner: psycopg.Connection, due_in_s: float = -1.0, **columns: object) -> UUID:
    payment_id = uuid4()
    names = "".join(f", {name}" for name in columns)
    marks = ", %s" * len(columns)
    owner.execute(
        f"INSERT INTO payment_timers (payment_id, version, wake_at{names})"
        f" VALUES (%s, 1, clock_timestamp() + %s * interval '1 second'{marks})",
        (payment_id, due_in_s, *columns.values()),
    )
    return payment_id


def _row(owner: psycopg.Connection, payment_id: UUID) -> tuple[int, float | None, bool]:
    """Leases, the lease's length in s, stuck."""
    row = owner.execute(
        "SELECT leases, extract(epoch FROM leased_until - clock_timestamp())::float8, stuck_since IS NOT NULL"
        " FROM payment_timers WHERE payment_id = %s",
        (payment_id,),
    ).fetchone()
    assert row is not None
    return row


async def _wakes(environment: Environment) -> list[Wake]:
    found = [parse_command(record.value) for record in await records_of(environment, topics.COMMANDS)]
    return [one for one in found if isinstance(one, Wake)]


async def test_a_due_timer_becomes_a_wake_under_the_payments_key_without_a_correlation_of_its_own(
    environment: Environment,
) -> None:
    with environment.connect("admin") as owner:
        payment_id = _timer(owner)
        (wake_at,) = owner.execute("SELECT wake_at FROM payment_timers").fetchone()
    async with _timers(environment) as timers:
        assert await timers.run_once() == 1
        assert await timers.run_once() == 0

    (record,) = await records_of(environment, topics.COMMANDS)
    wake = parse_command(record.value)
    assert isinstance(wake, Wake)
    assert record.key == str(payment_id).encode()
    assert (wake.payment_id, wake.due_at) == (payment_id, wake_at)
    assert not record.headers


async def test_what_is_not_due_or_suspended_or_stuck_or_at_rest_is_left_alone(
    environment: Environment,
) -> None:
    with environment.connect("admin") as owner:
        _timer(owner, due_in_s=60)
        _timer(owner, suspended=True)
        _timer(owner, stuck_since=datetime.fromisoformat("2026-11-22T12:00:00+00:00"))
        owner.execute("INSERT INTO payment_timers (payment_id, version) VALUES (gen_random_uuid(), 1)")
    async with _timers(environment) as timers:
        assert await timers.run_once() == 0


async def test_each_lease_is_twice_as_long_as_the_one_before_up_to_an_hour(environment: Environment) -> None:
    lengths = []
    with environment.connect("admin") as owner:
        payment_id = _timer(owner)
        async with _timers(environment) as timers:
            for _ in range(LEASES_MAX):
                await timers.run_once()
                _, length, _ = _row(owner, payment_id)
                lengths.append(length)
                owner.execute("UPDATE payment_timers SET leased_until = clock_timestamp()")

    expected = [min(30.0 * 2**n, 3600.0) for n in range(LEASES_MAX)]
    assert lengths == pytest.approx(expected, abs=5)


async def test_after_ten_wakes_without_effect_a_timer_is_stuck_and_wakes_no_more(
    environment: Environment,
) -> None:
    with environment.connect("admin") as owner:
        payment_id = _timer(owner)
        async with _timers(environment) as timers:
            for _ in range(LEASES_MAX + 2):
                await timers.run_once()
                owner.execute("UPDATE payment_timers SET leased_until = clock_timestamp()")

        assert _row(owner, payment_id)[::2] == (LEASES_MAX, True)
    assert len(await _wakes(environment)) == LEASES_MAX


async def test_two_timers_processes_wake_each_payment_once(environment: Environment) -> None:
    with environment.connect("admin") as owner:
        due = {_timer(owner) for _ in range(700)}
    async with _timers(environment) as one, _timers(environment) as other:
        await asyncio.gather(one.run_once(), other.run_once())
        await asyncio.gather(one.run_once(), other.run_once())

    woken = [wake.payment_id for wake in await _wakes(environment)]
    assert len(woken) == len(due)
    assert set(woken) == due


async def test_the_pause_ends_when_the_next_timer_is_due(environment: Environment) -> None:
    with environment.connect("admin") as owner:
        async with _timers(environment) as timers:
            without_any = await timers.pause_s()
            _timer(owner, due_in_s=0.5)
            with_one_soon = await timers.pause_s()

    assert without_any == 1.0
    assert 0 < with_one_soon <= 0.5


async def test_the_process_wakes_what_becomes_due(environment: Environment) -> None:
    with environment.connect("admin") as owner:
        async with _running(environment):
            payment_id = _timer(owner, due_in_s=0.2)

            async def woken() -> bool:
                return [wake.payment_id for wake in await _wakes(environment)] == [payment_id]

            await until(woken)


async def test_a_timer_whose_wake_was_dead_lettered_is_stuck(environment: Environment) -> None:
    with environment.connect("admin") as owner:
        async with _running(environment):
            payment_id = _timer(owner)
            await until(lambda: _row(owner, payment_id)[0] == 1)
            await until(lambda: _count(environment, 1))
            (record,) = await records_of(environment, topics.COMMANDS)

            await _dead_letter(environment, record)

            await until(lambda: _row(owner, payment_id)[2])


async def test_a_dead_letter_about_another_timer_or_another_message_marks_nothing(
    environment: Environment,
) -> None:
    settings = environment.settings(TimersSettings, "timers")
    with environment.connect("admin") as owner:
        moved, later = _timer(owner, due_in_s=600), datetime.fromisoformat("2020-01-01T00:00:00+00:00")
        last = _timer(owner, due_in_s=600)
        (due_at,) = owner.execute(
            "SELECT wake_at FROM payment_timers WHERE payment_id = %s", (last,)
        ).fetchone()
        messages = [
            (str(moved).encode(), dump(Wake(command_id=uuid4(), payment_id=moved, due_at=later))),
            (b"another key", dump(Wake(command_id=uuid4(), payment_id=moved, due_at=due_at))),
            (b"x", b"not json"),
            (b"x", b"[]"),
            (str(last).encode(), dump(Wake(command_id=uuid4(), payment_id=last, due_at=due_at))),
        ]
        async with producing(settings, "test") as broker:
            for key, value in messages:
                await broker.send_and_wait(environment.prefix + topics.COMMANDS, value, key=key, partition=0)
        async with _running(environment):
            for record in await records_of(environment, topics.COMMANDS):
                await _dead_letter(environment, record)
            await until(lambda: _row(owner, last)[2])

        assert not _row(owner, moved)[2]


async def _count(environment: Environment, count: int) -> bool:
    return len(await records_of(environment, topics.COMMANDS)) == count


async def _dead_letter(environment: Environment, message: Any) -> None:
    record = Record(message.topic, message.partition, message.offset, message.key, message.value, {}, 0)
    settings = environment.settings(TimersSettings, "timers")
    async with producing(settings, "test") as broker:
        await KafkaDeadLetters(broker, settings).send(
            DeadLetter.of(record, InvalidMessage("type_unknown", "type", "no message has this type"))
        )
