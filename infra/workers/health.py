"""The health worker keeps the health of the PSP accounts: samples in, `gateways.health` and the history out.

Payments do not depend on it: while it is away, its records grow stale, and every circuit counts as closed.
"""

from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from aggregates.routing.circuit import CircuitRules
from commands.health_records import CircuitChange, HealthRecord, MinuteRecord
from gateways.health.agent import HealthAgent
from infra.kafka import topics
from infra.kafka.faust_runtime import Agent, TableMode, run_agents
from infra.kafka.producers import KafkaDeadLetters, producing
from infra.process import clock
from infra.process.runtime import Process, run
from infra.settings import HealthWorkerSettings, KafkaSettings
from infra.workers.startup import ready_to_start

_TICK_EVERY_S: Final = 0.25


class KafkaPublishing:
    """Implements `gateways.health.agent.Publishing` on `gateways.health` and `gateways.history`."""

    def __init__(self, producer: AIOKafkaProducer, settings: KafkaSettings) -> None:
        self._producer = producer
        self._health = settings.topic_prefix + topics.HEALTH
        self._history = settings.topic_prefix + topics.HEALTH_HISTORY

    async def health(self, account: str, record: HealthRecord | None) -> None:
        """Returns when the broker has the record; None deletes it. Raises aiokafka's `KafkaError`."""
        value = None if record is None else record.dump()
        await self._producer.send_and_wait(self._health, value, key=account.encode())

    async def history(self, account: str, record: MinuteRecord | CircuitChange) -> None:
        """Returns when the broker has the record. Raises aiokafka's `KafkaError`."""
        await self._producer.send_and_wait(self._history, record.dump(), key=account.encode())


def partition_of(account: str) -> int:
    """Returns the partition of `gateways.samples` that has the account: the gateway workers' producers choose
    it so."""
    return int(murmur2(account.encode()) & 0x7FFFFFFF) % topics.SAMPLES_PARTITIONS


def rules_of(settings: HealthWorkerSettings) -> CircuitRules:
    """Returns the circuits' rules as they are set."""
    return CircuitRules(
        in_a_row=settings.circuit_failures,
        rate=settings.circuit_failure_rate,
        rate_from=settings.circuit_rate_from,
        open_s=settings.circuit_open_s,
        growth=settings.circuit_growth,
        open_max_s=max(settings.circuit_open_max_s, settings.circuit_open_s),
        closes_after=settings.circuit_successes,
        probes=settings.circuit_probes,
    )


async def main(process: Process, settings: HealthWorkerSettings) -> None:
    """Runs until a stop signal comes. Raises Kafka's errors."""
    if not await ready_to_start(process, settings):
        return
    async with producing(settings, process.name) as producer:
        agent = HealthAgent(
            publishing=KafkaPublishing(producer, settings),
            letters=KafkaDeadLetters(producer, settings),
            rules=rules_of(settings),
            partition_of=partition_of,
            now=clock.now,
        )
        mode = TableMode(
            agent.handle, agent.tick, topics.HEALTH_CHANGELOG, topics.SAMPLES_PARTITIONS, _TICK_EVERY_S
        )
        await run_agents(process, settings, topics.HEALTH_GROUP, [Agent("health", topics.SAMPLES, mode)])


if __name__ == "__main__":
    run("health", HealthWorkerSettings, main)
