"""The relay as a process that is stopped, killed and overtaken."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from infra.errors import Misconfigured
from infra.process.runtime import EXIT_CRASHED, Process
from infra.settings import RelaySettings
from infra.workers.relay import _heads, main
from tests.relay.history import (
    Written,
    drain,
    ids_of,
    in_order_per_payment,
    payments,
    records_of,
    relay_of,
    session,
    write,
    write_as_stranger,
)
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack


@dataclass(frozen=True, slots=True)
class _Running:
    process: asyncio.subprocess.Process
    log: Path

    def has_logged(self, what: str) -> bool:
        assert self.process.returncode is None, self.log.read_text()
        return f'"{what}"' in self.log.read_text()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


Start = Callable[[], Awaitable[_Running]]


@pytest.fixture
async def start(environment: Environment, tmp_path: Path) -> AsyncIterator[Start]:
    """Another relay process."""
    async with AsyncExitStack() as stack:
        count = 0

        async def one() -> _Running:
            nonlocal count
            count += 1
            return await stack.enter_async_context(_relay(environment, tmp_path / f"relay-{count}.log"))

        yield one


@asynccontextmanager
async def _relay(environment: Environment, log: Path) -> AsyncIterator[_Running]:
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "infra.workers.relay",
            env=dict(os.environ) | environment.env("relay", page=20),
            stdout=out,
            stderr=out,
        )
    try:
        yield _Running(process, log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _has(environment: Environment, written: list[Written]) -> bool:
    return {event.id for event in written} <= set(ids_of(await records_of(environment)))


async def test_on_a_stop_signal_it_ends_with_its_cursor_saved(environment: Environment, start: Start) -> None:
    relay = await start()
    with environment.connect() as connection:
        written = write(connection, payments(30))
    await until(lambda: _has(environment, written))

    relay.send(signal.SIGTERM)

    assert await relay.process.wait() == 0
    async with relay_of(environment) as next_one:
        assert await drain(next_one) == 0


async def test_a_leader_that_was_stopped_is_replaced_and_its_return_changes_no_order(
    environment: Environment, start: Start
) -> None:
    zombie = await start()
    await until(lambda: zombie.has_logged("leading"))
    standby = await start()
    await until(lambda: standby.has_logged("standing by"))
    ids = payments(10)
    with environment.connect() as connection:
        first = write(connection, ids)
        await until(lambda: _has(environment, first))
        second = write(connection, [Written(event.payment_id, 2) for event in ids])

        zombie.send(signal.SIGSTOP)
        third = write(connection, [Written(event.payment_id, 3) for event in ids])
        await until(lambda: standby.has_logged("leading"))
        await until(lambda: _has(environment, first + second + third))
        zombie.send(signal.SIGCONT)
        ended = await zombie.process.wait()
        fourth = write(connection, [Written(event.payment_id, 4) for event in ids])
        await until(lambda: _has(environment, fourth))

    published = ids_of(await records_of(environment))
    assert ended == EXIT_CRASHED
    assert set(published) == {event.id for event in first + second + third + fourth}
    assert in_order_per_payment(published)


async def test_killed_between_the_brokers_acknowledgement_and_its_cursor_it_only_leaves_repeats(
    environment: Environment, start: Start
) -> None:
    relay = await start()
    await until(lambda: relay.has_logged("leading"))
    with environment.connect("admin") as owner, environment.connect() as worker:
        with owner.transaction():
            # A lock that takes no transaction id: the relay would wait for that before it publishes.
            owner.execute("LOCK TABLE relay_cursor IN SHARE MODE")
            first = write(worker, payments(10, versions=2))
            await until(lambda: _has(environment, first))
            # It is acknowledged; the relay waits to write its cursor.
            await until(lambda: _waits_for_the_cursor(owner))
            relay.send(signal.SIGKILL)
            await relay.process.wait()
            _end_sessions_of_relays(owner)
        second = write(worker, payments(10))

    next_one = await start()
    await until(lambda: next_one.has_logged("leading"))
    await until(lambda: _has(environment, second))

    published = ids_of(await records_of(environment))
    assert set(published) == {event.id for event in first + second}
    assert len(published) == 2 * len(first) + len(second)
    assert in_order_per_payment(published)


def _waits_for_the_cursor(owner: psycopg.Connection) -> bool:
    found = owner.execute(
        "SELECT 1 FROM pg_stat_activity WHERE usename = 'aegispay_relay' AND wait_event_type = 'Lock'"
    )
    return found.fetchone() is not None


def _end_sessions_of_relays(owner: psycopg.Connection) -> None:
    owner.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'aegispay_relay'"
    )


async def test_a_store_set_back_in_time_is_not_published_from(environment: Environment) -> None:
    with environment.connect() as connection:
        write(connection, payments(5))
    async with relay_of(environment) as relay:
        await drain(relay)
    with environment.connect("admin") as owner:
        owner.execute("DELETE FROM payment_events")

    with pytest.raises(Misconfigured, match="set back in time"):
        await main(Process("relay"), environment.settings(RelaySettings, "relay"))


async def test_a_relay_starts_behind_any_number_of_records_that_no_relay_wrote(
    environment: Environment, start: Start
) -> None:
    with environment.connect() as connection:
        write(connection, payments(5))
    async with relay_of(environment) as relay:
        await drain(relay)
    await write_as_stranger(environment, 2_100)
    with environment.connect() as connection:
        later = write(connection, payments(5))

    running = await start()

    async def published() -> bool:
        # It ends a relay that it refuses, and says so in its log.
        running.has_logged("leading")
        of_relays = [one for one in await records_of(environment) if one.key != b"x"]
        return {one.id for one in later} <= set(ids_of(of_relays))

    await until(published, "the later events on Kafka")
    assert running.has_logged(
        "passed over records that no relay wrote: end what writes to this topic, and its right to"
    )


async def test_a_stop_signal_ends_the_search_for_the_last_events(environment: Environment) -> None:
    async def says_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    ended, process = asyncio.Event(), Process("relay")
    process.stop.set()
    async with (
        await asyncio.start_server(says_nothing, "127.0.0.1", 0) as kafka,
        session(environment) as connection,
    ):
        port = kafka.sockets[0].getsockname()[1]
        settings = environment.settings(RelaySettings, "relay").model_copy(
            update={"kafka": f"127.0.0.1:{port}"}
        )
        async with asyncio.timeout(10):
            assert await _heads(process, connection, settings) is None
        ended.set()
