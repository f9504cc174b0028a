"""The health worker on a real Kafka: what it knows after a restart, and after its table was lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from aggregates.routing.health import STALE_AFTER, AccountHealth
from commands.health_records import CircuitChange, HealthRecord
from commands.samples import Sample
from infra.kafka import reader, topics
from infra.kafka.circuits import KnownCircuits, read_health
from infra.kafka.compacted import CompactedTopic
from infra.kafka.producers import producing
from infra.kafka.samples import KafkaSamples
from infra.process import clock
from infra.process.runtime import Process
from infra.settings import HealthWorkerSettings
from infra.workers import health
from tests.infra.kafka.compaction import empty
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack

ACCOUNT = "stripe-eu"
Known = CompactedTopic[AccountHealth]


def settings_of(environment: Environment, **more: Any) -> HealthWorkerSettings:
    return environment.settings(HealthWorkerSettings, "command", **more)


@asynccontextmanager
async def working(environment: Environment, **more: Any) -> AsyncIterator[None]:
    """A health worker, until its orderly end."""
    process = Process("health")
    task = asyncio.create_task(health.main(process, settings_of(environment, **more)))
    try:
        await until(lambda: process.state == "ready" or task.done(), "the health worker")
        yield
    finally:
        process.stop.set()
        await asyncio.wait([task])
    task.result()


@asynccontextmanager
async def watching(environment: Environment) -> AsyncIterator[Known]:
    async with CompactedTopic(
        settings_of(environment), topics.HEALTH, read_health, key_of=lambda one: one.account
    ) as known:
        yield known


async def send(environment: Environment, *outcomes: str, account: str = ACCOUNT) -> None:
    settings = settings_of(environment)
    async with producing(settings, "test") as producer:
        samples = KafkaSamples(producer, settings, "stripe")
        for outcome in outcomes:
            samples.add(
                account,
                Sample.model_validate(
                    {"kind": "sale", "segment": "sale/card/EUR/eea", "outcome": outcome, "at": clock.now()}
                    | ({"error": "http_503"} if outcome == "failed" else {"latency_ms": 20.0})
                ),
            )
        assert await samples.run_once() == len(outcomes)


def approved(known: Known, account: str = ACCOUNT) -> int:
    found = known.now().get(account)
    return 0 if found is None else found.segments[""].approved


async def history(environment: Environment) -> list[CircuitChange]:
    place = reader.TopicPartition(environment.prefix + topics.HEALTH_HISTORY, 0)
    async with reader.consumer(environment.kafka) as consumer:
        ends = await consumer.end_offsets([place])
        return [
            CircuitChange.read(record.value)
            async for records in reader.read_between(consumer, {place: 0}, ends)
            for record in records
            if b"circuit_changed.v1" in record.value
        ]


async def test_samples_become_health_and_a_restart_forgets_nothing(environment: Environment):
    async with watching(environment) as known:
        async with working(environment):
            await send(environment, *["approved"] * 8, "declined", "unknown")
            await until(lambda: approved(known) == 8, "the first samples")
        found = known.now()[ACCOUNT].segments["sale/card/EUR/eea"]
        assert (found.declined, found.failed, found.unknown, found.p95_ms) == (1, 0, 1, 20.0)

        await send(environment, "approved")  # while no worker runs
        async with working(environment):
            await until(lambda: approved(known) == 9, "the figures of before and the new one")


async def test_a_circuit_opens_becomes_half_open_and_closes_each_with_its_reason(environment: Environment):
    async with watching(environment) as known, working(environment, circuit_open_s=1):
        circuits = KnownCircuits(known.now, clock.now)

        def state() -> str | None:
            found = circuits.of(ACCOUNT, "sale")
            return None if found is None else found.state

        await send(environment, *["failed"] * 5)
        await until(lambda: state() == "open", "an open circuit")
        await until(lambda: state() == "half_open", "a half-open one, without any sample")
        await send(environment, "approved", "approved")
        await until(lambda: state() == "closed", "a closed one")

    changes = await history(environment)
    assert list(dict.fromkeys((one.before, one.after, one.reason) for one in changes)) == [
        ("closed", "open", "5 calls in a row failed, the last with http_503"),
        ("open", "half_open", "it was open for 1 s"),
        ("half_open", "closed", "2 probes worked"),
    ]


@pytest.mark.parametrize("running", [True, False], ids=["under_a_worker", "before_it_starts"])
async def test_without_its_changelog_the_figures_come_back_with_the_samples(
    environment: Environment, running: bool
):
    """A wiped table, and a deleted segment of its changelog."""
    async with watching(environment) as known:
        async with working(environment):
            await send(environment, *["approved"] * 5)
            await until(lambda: approved(known) == 5, "the figures")
            if running:
                await empty(environment, topics.HEALTH_CHANGELOG)
                await send(environment, "approved")
                await until(lambda: approved(known) == 6, "a worker that goes on with what it has in memory")
        if not running:
            await empty(environment, topics.HEALTH_CHANGELOG)

        await send(environment, "approved", "approved")
        async with working(environment):
            # Under a worker, the rows that were written since are in the changelog again.
            await until(lambda: approved(known) == (8 if running else 2), "figures of the samples since")


async def test_a_dead_workers_record_is_no_information_after_30_s(environment: Environment):
    async with watching(environment) as known:
        async with working(environment):
            await send(environment, *["failed"] * 5)
            await until(lambda: ACCOUNT in known.now(), "the record")
        as_of = known.now()[ACCOUNT].as_of

        late = KnownCircuits(known.now, lambda: as_of + STALE_AFTER)
        assert late.of(ACCOUNT, "sale") is not None
        later = KnownCircuits(known.now, lambda: as_of + STALE_AFTER + timedelta(microseconds=1))
        assert later.of(ACCOUNT, "sale") is None
    assert KnownCircuits(dict, clock.now).of(ACCOUNT, "sale") is None


async def test_two_workers_share_the_accounts_and_one_takes_over_the_others(environment: Environment):
    names = [f"account-{number}" for number in range(8)]
    assert len({health.partition_of(name) for name in names}) > 2
    async with watching(environment) as known, working(environment):
        async with working(environment):
            for name in names:
                await send(environment, "approved", account=name)
            await until(lambda: all(approved(known, name) == 1 for name in names), "all accounts")
        for name in names:
            await send(environment, "approved", account=name)
        await until(lambda: all(approved(known, name) == 2 for name in names), "all by the one left")


def test_a_record_of_health_is_read_as_a_decision_sees_it():
    record = HealthRecord(gateway="stripe", account=ACCOUNT, as_of=clock.now())

    assert read_health(record.dump()) == record.health()
