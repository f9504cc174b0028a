"""What a process makes sure of before it takes work, against real servers."""

import asyncio

import psycopg
import pytest

from infra.errors import Misconfigured
from infra.process.runtime import Process
from infra.settings import RelaySettings
from infra.workers.startup import ready_to_start
from tests.support import ports
from tests.support.environment import Environment

pytestmark = pytest.mark.stack


async def test_a_process_may_start_where_all_is_in_place(environment: Environment):
    assert await ready_to_start(Process("relay"), environment.settings(RelaySettings, "relay"))


async def test_a_process_that_waits_for_kafka_stops_on_a_signal(environment: Environment):
    (nobody,) = ports.free(1)
    process = Process("relay")
    settings = environment.settings(RelaySettings, "relay", kafka=f"127.0.0.1:{nobody}")

    waiting = asyncio.create_task(ready_to_start(process, settings))
    async with asyncio.timeout(30):
        while not process.state.startswith("waiting for Kafka"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    process.stop.set()

    assert await waiting is False


async def test_a_process_that_waits_for_postgresql_says_so(environment: Environment):
    (nobody,) = ports.free(1)
    process = Process("relay")
    url = f"postgresql://aegispay_relay:x@127.0.0.1:{nobody}/aegispay"

    waiting = asyncio.create_task(
        ready_to_start(process, environment.settings(RelaySettings, "relay", database_url=url))
    )
    async with asyncio.timeout(30):
        while not process.state.startswith("waiting for PostgreSQL"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert process.state == f"waiting for PostgreSQL at 127.0.0.1:{nobody}: Connection refused"
    process.stop.set()

    assert await waiting is False


async def test_a_wrong_password_is_not_waited_for(environment: Environment):
    url = environment.dsn("relay").replace("for-tests-only", "wrong")

    with pytest.raises(Misconfigured, match="PostgreSQL refuses relay"):
        await ready_to_start(Process("relay"), environment.settings(RelaySettings, "relay", database_url=url))


async def test_production_refuses_a_commit_that_a_crash_could_lose(environment: Environment):
    with psycopg.connect(environment.dsn(), autocommit=True) as admin:
        admin.execute("ALTER ROLE aegispay_timers SET synchronous_commit = local")
        try:
            with pytest.raises(Misconfigured, match="synchronous_commit=local"):
                await ready_to_start(
                    Process("timers"), environment.settings(RelaySettings, "timers", environment="production")
                )

            assert await ready_to_start(Process("timers"), environment.settings(RelaySettings, "timers"))
        finally:
            admin.execute("ALTER ROLE aegispay_timers RESET synchronous_commit")
