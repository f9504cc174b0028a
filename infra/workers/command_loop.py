"""The loop of the command worker: it reads batches from Kafka, and commits their offsets once they were
handled.

Invariant: partitions are given up only between two batches, and commands wait while every gateway is behind.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from prometheus_client import Counter, Gauge

from commands.records import Record
from infra.kafka import reader, topics
from infra.kafka.offsets import Ownership, Progress
from infra.kafka.open_transactions import OpenTransactions
from infra.kafka.producers import BrokerClock
from infra.process.runtime import Process
from infra.settings import CommandWorkerSettings
from infra.workers.request_age import Backlog

RunBatch = Callable[[Sequence[Record]], Awaitable[None]]

# A read waits so long for records; a stop, and commands to be held back, are noticed after it.
_POLL_MS: Final = 200
# A worker whose batch takes longer leaves the group, and another one reads its partitions.
_BATCH_WITHIN_MS: Final = 60_000

RECORDS = Counter("aegispay_command_records", "Records read", ["topic"])
AGE = Gauge(
    "aegispay_command_oldest_record_age_seconds", "Of the oldest record in the last batch, when it was read"
)


def consumer_of(settings: CommandWorkerSettings) -> AIOKafkaConsumer:
    """Returns the worker's consumer, which is not started yet."""
    return reader.consumer(
        settings.kafka,
        client_id="aegispay-command",
        group_id=settings.topic_prefix + topics.COMMAND_GROUP,
        auto_offset_reset="earliest",
        # It gives partition n of both topics, which have equally many, to one member; round robin would part
        # a payment's commands from its outcomes, and two workers would decide about it and conflict.
        partition_assignment_strategy=[RangePartitionAssignor],
        session_timeout_ms=round(settings.session_timeout_s * 1000),
        heartbeat_interval_ms=round(settings.heartbeat_every_s * 1000),
        max_poll_interval_ms=_BATCH_WITHIN_MS,
        max_poll_records=settings.batch_max,
    )


async def consume(
    process: Process,
    settings: CommandWorkerSettings,
    run_batch: RunBatch,
    consumer: AIOKafkaConsumer,
    *,
    gateways: Collection[str],
    broker_clock: BrokerClock,
) -> None:
    """Reads and handles batches until a stop signal comes. `run_batch` returns when all that follows from its
    records is committed. `gateways`: those to which payments may go."""
    # A batch holds this from its first decision to its last reply: `Ownership` waits for it before partitions
    # are given up.
    busy = asyncio.Lock()
    commands = settings.topic_prefix + topics.COMMANDS
    outcomes = settings.topic_prefix + topics.OUTCOMES
    progress = Progress(consumer)
    consumer.subscribe([commands, outcomes], listener=Ownership(busy, progress, process))
    backlog = Backlog(settings, process, gateways, broker_clock)
    watching = asyncio.create_task(backlog.watch())
    transactions = OpenTransactions(consumer, process)
    try:
        while not process.stop.is_set():
            # Raises what the watch raised: without the requests' ages, nothing would hold new payments back
            # any more.
            if watching.done():
                watching.result()
            # Commands are paused before each read, and not once: a rebalance forgets what was paused.
            _hold_back(process, consumer, commands, hold=backlog.too_old)
            read = await consumer.getmany(timeout_ms=_POLL_MS, max_records=settings.batch_max)
            transactions.look()
            # Nothing is awaited between reading and taking the lock: the partitions are still ours.
            async with busy:
                if read:
                    await _run(read, run_batch, broker_clock)
                    progress.finished(read)
                await progress.commit_when_due()
    finally:
        watching.cancel()
        async with busy:
            await progress.commit()


async def _run(read: dict[TopicPartition, list[Any]], run_batch: RunBatch, broker_clock: BrokerClock) -> None:
    records = [reader.record_of(message) for messages in read.values() for message in messages]
    for place, messages in read.items():
        RECORDS.labels(place.topic).inc(len(messages))
    # A record that cannot be read has no stamp.
    if stamps := [record.timestamp_ms for record in records if record.timestamp_ms > 0]:
        broker_clock.stamped(max(stamps))
        AGE.set(broker_clock.age_s(min(stamps)) or 0.0)
    await run_batch(records)


def _hold_back(process: Process, consumer: AIOKafkaConsumer, commands: str, *, hold: bool) -> None:
    """Pauses commands while every gateway is behind; keeps reading outcomes."""
    ours = [place for place in consumer.assignment() if place.topic == commands]
    paused = consumer.paused()
    if hold and (fresh := [place for place in ours if place not in paused]):
        consumer.pause(*fresh)
        process.log.warning("commands held back: every gateway is behind", partitions=len(fresh))
    elif not hold and (held := [place for place in ours if place in paused]):
        consumer.resume(*held)
        process.log.warning("commands go on", partitions=len(held))
