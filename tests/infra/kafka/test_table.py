"""An agent with a table, on a real Kafka: what it keeps over a restart, and what it does without."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest

from commands.records import Record
from infra.kafka import topics
from infra.kafka.faust_runtime import Agent, ConsumerEnded, TableMode
from infra.kafka.table import Table
from infra.settings import KafkaSettings
from tests.infra.kafka.agents import committed, running, send
from tests.infra.kafka.compaction import empty
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack


class Counts:
    """Counts the records of each key in a table."""

    def __init__(self) -> None:
        self.handled = 0
        self.fails_at: bytes | None = None
        self.seen: dict[bytes, bytes] = {}
        self.partitions: Collection[int] = ()

    async def handle(self, record: Record, table: Table) -> None:
        assert record.key is not None
        if record.value == self.fails_at:
            raise ZeroDivisionError
        if record.value == b"forget the first":
            del table[b"0/0"]
        else:
            table[record.key] = b"%d" % (int(table.get(record.key) or b"0") + 1)
        self.handled += 1

    async def tick(self, table: Table, partitions: Collection[int]) -> None:
        self.seen = {key: table.get(key) or b"" for key in table.keys()}  # noqa: SIM118  # no mapping
        self.partitions = partitions


def agent_of(counts: Counts) -> Agent:
    mode = TableMode(
        counts.handle, counts.tick, topics.HEALTH_CHANGELOG, topics.SAMPLES_PARTITIONS, tick_every_s=0.05
    )
    return Agent("counts", topics.SAMPLES, mode)


@asynccontextmanager
async def counting(environment: Environment) -> AsyncIterator[Counts]:
    counts = Counts()
    async with running(environment.settings(KafkaSettings, "admin"), "counts", [agent_of(counts)]):
        yield counts


async def send_to(environment: Environment, values: list[bytes], partition: int = 0) -> None:
    await send(environment.kafka, environment.prefix + topics.SAMPLES, values, partition)


async def test_a_table_outlives_its_process_and_only_new_records_change_it(environment: Environment):
    await send_to(environment, [b"x"] * 3)
    await send_to(environment, [b"x"] * 2, partition=3)
    async with counting(environment) as counts:
        await until(lambda: len(counts.seen) == 5, "five keys")
        assert set(counts.partitions) == set(range(topics.SAMPLES_PARTITIONS))
    assert await committed(environment.kafka, f"{environment.prefix}counts", _samples(environment)) == 3

    await send_to(environment, [b"x"])
    async with counting(environment) as again:
        await until(lambda: again.seen.get(b"0/0") == b"2", "the second count")

    assert again.handled == 1
    assert again.seen == {b"0/0": b"2", b"0/1": b"1", b"0/2": b"1", b"3/0": b"1", b"3/1": b"1"}


async def test_what_is_deleted_stays_so_over_a_restart(environment: Environment):
    await send_to(environment, [b"x", b"x", b"forget the first"])
    async with counting(environment) as counts:
        await until(lambda: counts.handled == 3 and set(counts.seen) == {b"0/1"}, "the deletion")

    async with counting(environment) as again:
        await until(lambda: again.seen, "the table")
        assert again.seen == {b"0/1": b"1"}


async def test_without_its_changelog_a_table_begins_anew(environment: Environment):
    await send_to(environment, [b"x"] * 3)
    async with counting(environment) as counts:
        await until(lambda: len(counts.seen) == 3, "three keys")
    await empty(environment, topics.HEALTH_CHANGELOG)
    await send_to(environment, [b"x"] * 2)

    async with counting(environment) as again:
        await until(lambda: again.handled == 2 and again.seen, "the new records")

    assert again.seen == {b"0/0": b"1", b"0/1": b"1"}


async def test_a_handler_that_raises_ends_the_process_and_its_record_is_read_again(environment: Environment):
    await send_to(environment, [b"x", b"bad", b"x"])
    counts = Counts()
    counts.fails_at = b"bad"
    with pytest.raises(ConsumerEnded) as ended:
        async with running(
            environment.settings(KafkaSettings, "admin"), "counts", [agent_of(counts)]
        ) as task:
            await until(task.done, "its end")
    assert isinstance(ended.value.__cause__, ZeroDivisionError)
    assert await committed(environment.kafka, f"{environment.prefix}counts", _samples(environment)) <= 1

    async with counting(environment) as again:
        await until(lambda: again.seen.get(b"0/2") == b"1", "the last record")


def _samples(environment: Environment) -> str:
    return environment.prefix + topics.SAMPLES
