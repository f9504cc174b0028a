import asyncio
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from commands.records import Record
from infra.kafka import topics
from infra.kafka.faust_runtime import Agent, BatchMode, KeyedConcurrency, _app, run_agents
from infra.process.runtime import EXIT_CRASHED, Process
from infra.settings import KafkaSettings
from tests.infra.kafka.agents import committed, running, send
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack

PROGRAM = Path(__file__).with_name("agent_program.py")


class Program:
    """The process of tests/infra/kafka/agent_program.py."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self._env = environment.env("gateway", test_folder=folder, log_format="pretty")
        self._log = folder / "log"
        self._kafka, self._group = environment.kafka, f"{environment.prefix}view"
        self.topic = f"{environment.prefix}{topics.EVENTS}"

    async def start(self) -> asyncio.subprocess.Process:
        root = PROGRAM.parents[2]
        return await asyncio.create_subprocess_exec(
            sys.executable, PROGRAM, env=os.environ | self._env | {"PYTHONPATH": str(root)}
        )

    def lines(self, word: str) -> list[int]:
        text = self._log.read_text() if self._log.exists() else ""
        return [int(line.split()[1]) for line in text.splitlines() if line.startswith(word)]

    async def committed(self) -> int:
        return await committed(self._kafka, self._group, self.topic)


@pytest.fixture
def program(environment: Environment, tmp_path: Path) -> Program:
    return Program(environment, tmp_path)


async def test_a_record_that_makes_an_agent_fail_is_read_again_after_the_restart(
    program: Program, environment: Environment, tmp_path: Path
):
    await send(environment.kafka, program.topic, [*[b"ok"] * 3, b"fail", *[b"ok"] * 6])

    first = await program.start()

    assert await first.wait() == EXIT_CRASHED
    assert await program.committed() <= 3
    assert 3 not in program.lines("end")

    (tmp_path / "mended").touch()
    second = await program.start()
    try:
        await until(lambda: set(program.lines("end")) == set(range(10)))
    finally:
        second.send_signal(signal.SIGTERM)
    assert await second.wait() == 0
    assert await program.committed() == 10


async def test_sigterm_with_calls_in_flight_finishes_them_and_leaves_the_rest_to_the_next(
    program: Program, environment: Environment
):
    await send(environment.kafka, program.topic, [b"wait:2"] * 20)
    first = await program.start()
    await until(lambda: len(program.lines("begin")) == 8)

    first.send_signal(signal.SIGTERM)
    asked_at = time.monotonic()

    assert await first.wait() == 0
    assert time.monotonic() - asked_at < 12
    assert sorted(program.lines("begin")) == sorted(program.lines("end")) == list(range(8))
    assert await program.committed() == 8

    second = await program.start()
    try:
        await until(lambda: len(program.lines("end")) == 20)
    finally:
        second.send_signal(signal.SIGTERM)
    await second.wait()
    assert Counter(program.lines("end")) == Counter(range(20)), "none lost, none repeated"


async def test_sigterm_does_not_wait_for_a_call_that_never_ends(program: Program, environment: Environment):
    await send(environment.kafka, program.topic, [b"ok", b"wait:600", b"ok"])
    first = await program.start()
    await until(lambda: len(program.lines("end")) == 2)

    first.send_signal(signal.SIGTERM)
    asked_at = time.monotonic()
    await first.wait()

    assert time.monotonic() - asked_at < 12.5
    assert await program.committed() == 1


async def test_a_killed_process_is_replaced_and_what_it_had_in_flight_is_read_again(
    program: Program, environment: Environment
):
    await send(environment.kafka, program.topic, [b"ok", b"wait:600", b"ok"])
    first = await program.start()
    await until(lambda: len(program.lines("end")) == 2)
    await until(lambda: _is(program.committed, 1))

    first.kill()
    await first.wait()
    second = await program.start()

    await until(lambda: program.lines("begin").count(1) == 2)
    assert program.lines("begin").count(0) == 1
    second.kill()
    await second.wait()


async def test_one_slow_call_holds_no_other_and_nothing_behind_it_is_acknowledged(environment: Environment):
    settings, topic = environment.settings(KafkaSettings, "gateway"), f"{environment.prefix}{topics.EVENTS}"
    await send(environment.kafka, topic, [b"slow", *[b"quick"] * 30])
    handled: list[int] = []
    finished = asyncio.Event()

    async def handle(record: Record) -> None:
        if record.value == b"slow":
            await finished.wait()
        handled.append(record.offset)

    agent = Agent("view", topics.EVENTS, KeyedConcurrency(handle, in_flight_max=5))
    async with running(settings, "view", [agent]):
        await until(lambda: len(handled) == 30)
        assert await committed(environment.kafka, f"{environment.prefix}view", topic) == 0

        finished.set()
        await until(lambda: len(handled) == 31)

    assert await committed(environment.kafka, f"{environment.prefix}view", topic) == 31


async def test_a_stuck_call_stops_its_own_partition_only(environment: Environment):
    settings, topic = environment.settings(KafkaSettings, "gateway"), f"{environment.prefix}{topics.EVENTS}"
    await send(environment.kafka, topic, [b"slow", *[b"quick"] * 60], partition=0)
    await send(environment.kafka, topic, [b"quick"] * 60, partition=1)
    handled: list[tuple[int, int]] = []
    finished = asyncio.Event()

    async def handle(record: Record) -> None:
        if record.value == b"slow":
            await finished.wait()
        handled.append((record.partition, record.offset))

    agent = Agent("view", topics.EVENTS, KeyedConcurrency(handle, in_flight_max=5, ahead_max=10))
    async with running(settings, "view", [agent]):
        await until(lambda: len(handled) == 69)
        assert sorted(handled) == [(0, n) for n in range(1, 10)] + [(1, n) for n in range(60)]
        await send(environment.kafka, topic, [b"quick"] * 40, partition=0)
        finished.set()
        await until(lambda: len(handled) == 161)

    assert await committed(environment.kafka, f"{environment.prefix}view", topic) == 101


async def test_a_batch_holds_what_came_while_the_one_before_ran(environment: Environment):
    settings, topic = environment.settings(KafkaSettings, "gateway"), f"{environment.prefix}{topics.EVENTS}"
    batches: list[list[int]] = []
    handled = asyncio.Event()

    async def handle(records) -> None:
        batches.append([record.offset for record in records])
        await handled.wait()

    agent = Agent("view", topics.EVENTS, BatchMode(handle, most=20))
    async with running(settings, "view", [agent]):
        await send(environment.kafka, topic, [b"x"])
        await until(lambda: batches == [[0]])
        await send(environment.kafka, topic, [b"x"] * 49)
        assert batches == [[0]]
        handled.set()
        await until(lambda: sum(map(len, batches)) == 50)

    assert [offset for batch in batches for offset in batch] == list(range(50))
    assert max(map(len, batches)) == 20
    assert await committed(environment.kafka, f"{environment.prefix}view", topic) == 50


async def test_a_rebalance_repeats_the_call_in_flight_and_a_late_end_acknowledges_nothing(
    environment: Environment,
):
    settings, topic = environment.settings(KafkaSettings, "gateway"), f"{environment.prefix}{topics.EVENTS}"
    for partition in range(4):
        await send(environment.kafka, topic, [b"slow"], partition)
    begun: list[tuple[str, int]] = []
    handled = {"old": asyncio.Event(), "new": asyncio.Event()}

    def agent(owner: str) -> Agent:
        async def handle(record: Record) -> None:
            begun.append((owner, record.partition))
            await handled[owner].wait()

        return Agent("view", topics.EVENTS, KeyedConcurrency(handle, in_flight_max=8))

    async def commits() -> int:
        return sum(
            [await committed(environment.kafka, f"{environment.prefix}view", topic, n) for n in range(4)]
        )

    async with running(settings, "view", [agent("old")]):
        await until(lambda: len(begun) == 4)
        async with running(settings, "view", [agent("new")]):
            await until(lambda: len({n for owner, n in begun if owner == "new"}) == 2)
            moved = {n for owner, n in begun if owner == "new"}

            handled["old"].set()
            await until(lambda: _is(commits, 2))
            assert [
                await committed(environment.kafka, f"{environment.prefix}view", topic, n)
                for n in sorted(moved)
            ] == [
                0,
                0,
            ]
            handled["new"].set()
            await until(lambda: _is(commits, 4))


async def _is(look, wanted: object) -> bool:
    return await look() == wanted


def test_a_session_lasts_as_long_as_the_settings_say_and_six_heartbeats_keep_it():
    conf = _app(KafkaSettings(kafka="127.0.0.1:9092", session_timeout_s=3), "read-models").conf

    assert (conf.broker_session_timeout, conf.broker_heartbeat_interval) == (3.0, 0.5)


async def test_a_group_whose_leader_knew_no_partition_gets_them_all_the_same(environment: Environment):
    """As after an outage of Kafka's, whose first response may name none: here there is none yet."""
    settings = environment.settings(KafkaSettings, "gateway", topic_prefix=f"{environment.prefix}late.")
    topic = settings.topic_prefix + topics.EVENTS
    handled: list[bytes] = []

    async def handle(record: Record) -> None:
        handled.append(record.value)

    process = Process("test")
    agent = Agent("view", topics.EVENTS, KeyedConcurrency(handle, in_flight_max=5))
    task = asyncio.create_task(run_agents(process, settings, "view", [agent]))
    await until(lambda: process.state == "waiting for partitions")

    admin = AIOKafkaAdminClient(bootstrap_servers=environment.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    await send(environment.kafka, topic, [b"one"])

    await until(lambda: handled == [b"one"])
    process.stop.set()
    await task
