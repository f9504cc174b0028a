"""The command worker: commands and outcomes in, events out. One consumer reads both topics with range assignment, so
that one worker owns both sides of a payment.

A batch: decide, commit, then replies and dead letters, then the offsets. Killed anywhere in between it is read again:
a repeat adds no event and gets the same answer.
"""

import asyncio
import random
import time
from collections.abc import Collection, Sequence
from typing import Any, Final

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError
from eventsourcing.utils import get_topic
from prometheus_client import Counter, Gauge, Histogram

from commands.batch import Decider, Result, Work
from commands.crash_points import reached
from commands.messages import Reply, dump
from commands.ports import Conflict
from commands.records import Record
from infra import clock, topics
from infra.accounts import Accounts
from infra.backlog import Backlog
from infra.broker import KafkaDeadLetters, producer
from infra.database import connect
from infra.event_store import PaymentStore, Recorder
from infra.process import Process, run
from infra.settings import CommandWorkerSettings
from infra.startup import ready_to_start

GROUP: Final = "commands"
_PARKED_A_MINUTE_MAX: Final = 20
_COMMIT_EVERY_S: Final = 0.2

RECORDS = Counter("aegispay_command_records", "Records read", ["topic"])
REPLIES = Counter("aegispay_command_replies", "Replies sent", ["kind", "result", "code"])
LETTERS = Counter("aegispay_dead_letters", "Records that could not be used", ["code"])
PARKED = Counter("aegispay_parked", "Streams put aside, since neither reading nor deciding them works")
CONFLICTS = Counter("aegispay_command_conflicts", "Batches that another writer had overtaken")
EVENTS = Counter("aegispay_events_saved", "Events committed", ["type"])
SECONDS = Histogram(
    "aegispay_command_batch_seconds",
    "Of one batch, by part",
    ["part"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
BATCH = Histogram(
    "aegispay_command_batch_records", "Records in a batch", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
AGE = Gauge(
    "aegispay_command_oldest_record_age_seconds", "Of the oldest record in the last batch, when it was read"
)


class TooManyParked(Exception):
    """It is not the streams that are sick, it is this release."""


class CommandWorker:
    def __init__(
        self,
        decider: Decider,
        store: PaymentStore,
        broker: AIOKafkaProducer,
        letters: KafkaDeadLetters,
        replies_topic: str,
    ) -> None:
        self._decider = decider
        self._store = store
        self._broker = broker
        self._letters = letters
        self._replies_topic = replies_topic

    async def run_batch(self, records: Sequence[Record]) -> None:
        """Returns when everything that follows from the records is committed and acknowledged by the broker."""
        BATCH.observe(len(records))
        with SECONDS.labels("decide_and_save").time():
            result = await asyncio.to_thread(self._decide_and_save, records)
        self._count(result)
        with SECONDS.labels("publish").time():
            await self._publish(result)
        reached("command.after_replies")

    def _decide_and_save(self, records: Sequence[Record]) -> Result:
        works, result = self._decider.read(records)
        if not works:
            return result
        try:
            result.add(self._save(works))
        except Conflict:
            CONFLICTS.inc()
            # Stream by stream, once: what one of them holds against another writer must not hold the others.
            for group in _by_payment(works):
                result.add(self._save(group))
        return result

    def _save(self, works: Sequence[Work]) -> Result:
        decided = self._decider.decide(works)
        self._refuse_to_park_many(len(decided.writes.parked))
        kinds = [get_topic(type(e)) for payment in decided.writes.payments for e in payment.pending_events]
        reached("command.before_save")
        self._store.save(decided.writes)
        reached("command.after_save")
        for kind in kinds:
            EVENTS.labels(kind).inc()
        return decided

    async def _publish(self, result: Result) -> None:
        sends = [await self._send(reply) for reply in result.replies]
        for letter in result.letters:
            await self._letters.send(letter)
        for send in sends:
            await send

    async def _send(self, reply: Reply) -> "asyncio.Future[Any]":
        headers = [("correlation_id", reply.correlation_id.encode())] if reply.correlation_id else []
        key = str(reply.payment_id).encode() if reply.payment_id is not None else None
        future: asyncio.Future[Any] = await self._broker.send(
            self._replies_topic, dump(reply), key=key, headers=headers
        )
        return future

    def _count(self, result: Result) -> None:
        PARKED.inc(len(result.writes.parked))
        for reply in result.replies:
            REPLIES.labels(reply.kind, reply.result, reply.code if reply.result == "refused" else "").inc()
        for letter in result.letters:
            LETTERS.labels(letter.code).inc()

    def _refuse_to_park_many(self, parked: int) -> None:
        """Before anything is saved: counted in the store, since a process that ended for it starts again."""
        if parked and (many := parked + self._store.parked_within_a_minute()) > _PARKED_A_MINUTE_MAX:
            raise TooManyParked(
                f"{many} payments would be parked within a minute (`aegispay parked list`): "
                "this release cannot decide them; put the one before back"
            )


def _by_payment(works: Sequence[Work]) -> list[list[Work]]:
    groups: dict[Any, list[Work]] = {}
    for work in works:
        groups.setdefault(work.payment_id, []).append(work)
    return list(groups.values())


class Progress:
    """The offsets behind finished batches. Committed a few times a second, not for each batch: a commit costs a record
    on Kafka, and what a killed worker did not commit is only read again."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._done: dict[TopicPartition, int] = {}
        self._committed_at = time.monotonic()

    def finished(self, read: dict[TopicPartition, list[Any]]) -> None:
        self._done |= {place: messages[-1].offset + 1 for place, messages in read.items()}

    async def commit_when_due(self) -> None:
        if self._done and time.monotonic() - self._committed_at >= _COMMIT_EVERY_S:
            await self.commit()

    async def commit(self) -> None:
        done, self._done = self._done, {}
        self._committed_at = time.monotonic()
        if not done:
            return
        try:
            await self._consumer.commit(done)
        except (CommitFailedError, IllegalStateError):
            # The partitions are another worker's by now: it reads these records again, and they change nothing.
            return


class _Ownership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Partitions are given up between batches only: `busy` is held while one runs."""

    def __init__(self, busy: asyncio.Lock, progress: Progress, process: Process) -> None:
        self._busy = busy
        self._progress = progress
        self._process = process

    async def on_partitions_revoked(self, revoked: Any) -> None:
        async with self._busy:
            self._process.not_ready("rebalancing")
            await self._progress.commit()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._process.ready()


def record_of(message: Any) -> Record:
    """Of aiokafka's ConsumerRecord."""
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        dict(message.headers),
        message.timestamp,
    )


async def consume(
    process: Process,
    settings: CommandWorkerSettings,
    worker: CommandWorker,
    consumer: AIOKafkaConsumer,
    gateways: Collection[str],
) -> None:
    """`gateways`: to which payments may go."""
    busy = asyncio.Lock()
    commands = settings.topic_prefix + topics.COMMANDS
    outcomes = settings.topic_prefix + topics.OUTCOMES
    progress = Progress(consumer)
    consumer.subscribe([commands, outcomes], listener=_Ownership(busy, progress, process))
    backlog = Backlog(settings, process, gateways)
    watching = asyncio.create_task(backlog.watch())
    try:
        while not process.stop.is_set():
            if watching.done():
                watching.result()
            _hold_back(process, consumer, commands, hold=backlog.too_old)
            read = await consumer.getmany(timeout_ms=200, max_records=settings.batch_max)
            # Nothing is awaited between reading and taking the lock: the partitions are still ours.
            async with busy:
                if read:
                    await _run(read, worker)
                    progress.finished(read)
                await progress.commit_when_due()
    finally:
        watching.cancel()
        async with busy:
            await progress.commit()


async def _run(read: dict[TopicPartition, list[Any]], worker: CommandWorker) -> None:
    records = [record_of(message) for messages in read.values() for message in messages]
    for place, messages in read.items():
        RECORDS.labels(place.topic).inc(len(messages))
    AGE.set(clock.now().timestamp() - min(record.timestamp_ms for record in records) / 1000)
    await worker.run_batch(records)


def _hold_back(process: Process, consumer: AIOKafkaConsumer, commands: str, *, hold: bool) -> None:
    """No new work for a gateway that has not come to what it has; outcomes are read on."""
    ours = [place for place in consumer.assignment() if place.topic == commands]
    paused = consumer.paused()
    if hold and (fresh := [place for place in ours if place not in paused]):
        consumer.pause(*fresh)
        process.log.warning("commands held back: every gateway is behind", partitions=len(fresh))
    elif not hold and (held := [place for place in ours if place in paused]):
        consumer.resume(*held)
        process.log.warning("commands go on", partitions=len(held))


async def main(process: Process, settings: CommandWorkerSettings) -> None:
    accounts = Accounts.load(settings.accounts_file)
    if not await ready_to_start(process, settings):
        return
    connection: psycopg.Connection = connect(settings, "command")
    broker = producer(settings, "command")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        client_id="aegispay-command",
        group_id=settings.topic_prefix + GROUP,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        partition_assignment_strategy=[RangePartitionAssignor],
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
        max_poll_interval_ms=60_000,
        max_poll_records=settings.batch_max,
    )
    store = PaymentStore(Recorder.for_this_cluster(connection))
    decider = Decider(
        store,
        accounts,
        settings.topic_prefix + topics.OUTCOMES,
        clock.now,
        random.Random(),  # noqa: S311  # spreads retries; guards nothing
    )
    worker = CommandWorker(
        decider,
        store,
        broker,
        KafkaDeadLetters(broker, settings),
        settings.topic_prefix + topics.REPLIES,
    )
    await broker.start()
    await consumer.start()
    try:
        await consume(process, settings, worker, consumer, accounts.gateways)
    finally:
        await consumer.stop()
        await broker.stop()
        connection.close()


if __name__ == "__main__":
    run("command-worker", CommandWorkerSettings, main)
