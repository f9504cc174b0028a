"""The command worker reads commands and outcomes, and writes events. One consumer reads both topics with
range assignment, so that one worker owns both sides of a payment.

For each batch it decides, commits, sends replies and dead letters, and then commits the offsets. A worker
that is killed anywhere in between reads the batch again: a repeat adds no event and gets the same reply.
"""

import asyncio
import random
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import psycopg
import structlog
from aiokafka import AIOKafkaProducer
from eventsourcing.utils import get_topic
from prometheus_client import Counter, Histogram

from aggregates.hooks import Verdict
from commands.decider import Decider, Result, Stream, Work, by_payment
from commands.failpoints import reached
from commands.messages import CreatePayment, RetryParked, dump
from commands.ports import Conflict
from commands.records import Record
from commands.reply import Reply
from commands.webhook_samples import batches
from infra.hooks import discovery
from infra.hooks.new_payments import NewPaymentHooks
from infra.kafka import topics
from infra.kafka.circuits import read_health
from infra.kafka.compacted import CompactedTopic
from infra.kafka.producers import BrokerClock, KafkaDeadLetters, producer
from infra.postgres.connections import connect
from infra.postgres.event_store import PaymentStore, Recorder
from infra.process import clock
from infra.process.runtime import Process, run
from infra.psp import fingerprints
from infra.psp.accounts import Accounts
from infra.psp.routed_accounts import ActivePolicy, RoutedAccounts, read_volumes
from infra.settings import CommandWorkerSettings
from infra.workers.command_loop import consume, consumer_of
from infra.workers.misplaced import Misplaced
from infra.workers.startup import ready_to_start

# Streams, of all workers together.
_PARKED_A_MINUTE_MAX: Final = 20
# Tries of one payment by itself, with a pause before each next one: at random up to _PAUSE_S, doubled each
# time.
_ALONE_MAX: Final = 5
_PAUSE_S: Final = 0.005
# Between rounds for payments that are overtaken each time. The partitions stand still for so long.
_WAIT_S: Final = (0.1, 0.5)
# Without its policy a merchant's residency would be passed over: nothing is decided before they are known.
_POLICIES_WITHIN_S: Final = 3600.0

REPLIES = Counter("aegispay_command_replies", "Replies sent", ["kind", "result", "code"])
LETTERS = Counter("aegispay_dead_letters", "Records that could not be used", ["code"])
PARKED = Counter("aegispay_parked", "Streams put aside, since neither reading nor deciding them works")
CONFLICTS = Counter("aegispay_command_conflicts", "Batches that another writer had overtaken")
CONFLICTS_ALONE = Counter(
    "aegispay_command_conflicts_alone", "Payments decided by themselves that another writer had overtaken"
)
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

_log = structlog.get_logger()


class TooManyParked(Exception):
    """Too many streams failed to decide: suspect the release, not the data."""


class CommandWorker:
    """Decides batches of records. One batch at a time; any error leaves the process to start again from
    Kafka's offsets."""

    def __init__(
        self,
        decider: Decider,
        store: PaymentStore,
        broker: AIOKafkaProducer,
        letters: KafkaDeadLetters,
        topic_prefix: str,
        *,
        partitions: int,
        broker_clock: BrokerClock,
        chance: random.Random,
        hooks: NewPaymentHooks | None = None,
    ) -> None:
        """`partitions`: of the commands' topic. `chance` spreads repeats. `hooks` None: none is installed."""
        self._decider = decider
        self._store = store
        self._broker = broker
        self._letters = letters
        self._replies_topic = topic_prefix + topics.REPLIES
        self._samples_topic = topic_prefix + topics.SAMPLES
        self._broker_clock = broker_clock
        self._chance = chance
        self._hooks = hooks
        self._misplaced = Misplaced(partitions)

    async def run_batch(self, records: Sequence[Record]) -> None:
        """Returns when everything that follows from the records is committed and acknowledged by the
        broker."""
        BATCH.observe(len(records))
        works, result = self._decider.read(records)
        misplaced = self._misplaced.among(works)
        verdicts: dict[UUID, list[Verdict]] = {}
        while True:
            streams = await self._consult(works, verdicts)
            with SECONDS.labels("decide_and_save").time():
                # The store is synchronous (docs/adr/0002). In a thread, the loop goes on with heartbeats to
                # Kafka meanwhile.
                decided, works = await asyncio.to_thread(self._decide_and_save, works, streams, verdicts)
            result.add(decided)
            self._count(result)
            with SECONDS.labels("publish").time():
                # Only what is committed is replied to. A worker that is killed here has saved and not
                # replied: it reads the batch again, each message is a repeat, and its reply is made anew from
                # the events or the stored refusal.
                await self._publish(result, misplaced)
            if not works:
                break
            # Another writer commits to these payments all the time; what follows them in their partition
            # waits too.
            result = Result()
            await asyncio.sleep(self._chance.uniform(*_WAIT_S))
        reached("command.after_replies")

    async def _consult(
        self, works: Sequence[Work], verdicts: dict[UUID, list[Verdict]]
    ) -> list[Stream] | None:
        """Adds the hooks' verdicts on the batch's new payments, and returns the streams that it loaded for
        that. None: there was no need. A worker that is killed before the save calls the hooks again."""
        if self._hooks is None:
            return None
        if not any(isinstance(work.message, (CreatePayment, RetryParked)) for work in works):
            return None
        streams = await asyncio.to_thread(self._decider.load, works)
        if new := self._unconsulted(streams, verdicts):
            with SECONDS.labels("hooks").time():
                verdicts |= await self._hooks.consult(new)
        return streams

    def _unconsulted(
        self, streams: Sequence[Stream], verdicts: Mapping[UUID, list[Verdict]]
    ) -> list[CreatePayment]:
        return [one for one in self._decider.new_payments(streams) if one.command_id not in verdicts]

    def _decide_and_save(
        self, works: Sequence[Work], streams: Sequence[Stream] | None, verdicts: dict[UUID, list[Verdict]]
    ) -> tuple[Result, list[Work]]:
        """Returns also the messages that are still to be decided, since other writers overtook them each
        time."""
        result, overtaken = Result(), list[Work]()
        if not works:
            return result, overtaken
        try:
            return self._save(streams or self._decider.load(works), verdicts), overtaken
        except Conflict:
            CONFLICTS.inc()
        # Stream by stream: what one of them holds against another writer must not hold the others.
        for group in by_payment(works).values():
            if (saved := self._save_alone(group, verdicts)) is None:
                overtaken += group
            else:
                result.add(saved)
        return result, overtaken

    def _save_alone(self, group: Sequence[Work], verdicts: dict[UUID, list[Verdict]]) -> Result | None:
        """Decides anew after each conflict, from what the store then has. None: other writers overtook it
        each time."""
        for number in range(_ALONE_MAX):
            try:
                streams = self._decider.load(group)
                if self._hooks is not None and self._unconsulted(streams, verdicts):
                    return None  # a create that was not to be decided before: the next round consults first
                return self._save(streams, verdicts)
            except Conflict:
                CONFLICTS_ALONE.inc()
                # The pause is random: two writers that wait for equally long would meet again.
                time.sleep(self._chance.uniform(0, _PAUSE_S * 2**number))
        return None

    def _save(self, streams: Sequence[Stream], verdicts: dict[UUID, list[Verdict]]) -> Result:
        decided = self._decider.decide(streams, None if self._hooks is None else verdicts)
        # Too many parked streams end the process before the save: an operator would have to retry them one by
        # one, while the release before decides them all.
        self._refuse_to_park_many(len(decided.writes.parked))
        # The save empties the aggregates, so the events are counted before it.
        kinds = [get_topic(type(e)) for payment in decided.writes.payments for e in payment.pending_events]
        reached("command.before_save")
        self._store.save(decided.writes)
        reached("command.after_save")
        for kind in kinds:
            EVENTS.labels(kind).inc()
        return decided

    async def _publish(self, result: Result, misplaced: Collection[UUID]) -> None:
        # Every reply is on its way before the first acknowledgement is awaited: one round trip for the batch.
        sends = [
            await self._send(
                reply.model_copy(update={"hint": "wrong_partition"})
                if reply.command_id in misplaced and reply.kind == "decision"
                else reply
            )
            for reply in result.replies
        ]
        for batch in batches(result.samples):
            key = batch.account.encode()
            sends.append(await self._broker.send(self._samples_topic, batch.dump(), key=key))
        for letter in result.letters:
            await self._letters.send(letter)
        for send in sends:
            self._broker_clock.stamped((await send).timestamp)

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
        """Raises `TooManyParked`, before anything is saved. Counted in the store, since a process that
        ended for it starts again."""
        if parked and (many := parked + self._store.parked_within_a_minute()) > _PARKED_A_MINUTE_MAX:
            raise TooManyParked(
                f"{many} payments would be parked within a minute (`aegispay parked list`): "
                "this release cannot decide them; put the one before back"
            )


async def main(process: Process, settings: CommandWorkerSettings) -> None:
    """Runs until a stop signal comes. Raises `TooManyParked`, and PostgreSQL's and Kafka's
    errors."""
    accounts = Accounts.load(settings.accounts_file)
    hooks = NewPaymentHooks.of(discovery.installed(settings), settings.hook_threads, settings.batch_max)
    if hooks is not None:
        process.log.info("hooks", names=hooks.names)
    if not await ready_to_start(process, settings):
        return
    connection: psycopg.Connection = connect(settings, "command")
    broker = producer(settings, "command")
    consumer = consumer_of(settings)
    store = PaymentStore(Recorder.for_this_cluster(connection))
    chance = random.Random()  # noqa: S311  # spreads retries; guards nothing
    policies = CompactedTopic(
        settings,
        topics.POLICIES,
        ActivePolicy.read,
        key_of=lambda one: one.merchant_id,
        replaces=ActivePolicy.replaces,
        first_within_s=_POLICIES_WITHIN_S,
    )
    health = CompactedTopic(settings, topics.HEALTH, read_health, key_of=lambda one: one.account)
    volumes = CompactedTopic(settings, topics.VOLUMES, read_volumes, key_of=lambda one: one.merchant_id)
    decider = Decider(
        store,
        RoutedAccounts(accounts, policies.now, health.now, volumes.now, clock.now),
        settings.topic_prefix + topics.OUTCOMES,
        clock.now,
        chance,
        fingerprints=fingerprints.of_settings(process, settings, accounts),
    )
    broker_clock = BrokerClock()
    worker = CommandWorker(
        decider,
        store,
        broker,
        KafkaDeadLetters(broker, settings),
        settings.topic_prefix,
        partitions=settings.partitions,
        broker_clock=broker_clock,
        chance=chance,
        hooks=hooks,
    )
    await broker.start()
    await consumer.start()
    try:
        # The topics are read to their ends before the first decision; those but the policies for 5 s at most.
        async with policies, health, volumes:
            await consume(
                process,
                settings,
                worker.run_batch,
                consumer,
                gateways=accounts.gateways,
                broker_clock=broker_clock,
            )
    finally:
        await consumer.stop()
        await broker.stop()
        connection.close()


if __name__ == "__main__":
    run("command-worker", CommandWorkerSettings, main)
