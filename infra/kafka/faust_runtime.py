"""The one Faust runtime, for every agent. A record is acknowledged once its handler and those of all records
before it in its partition have returned.

    agent = Agent("read-models", topics.EVENTS, BatchMode(apply, 500))
    await run_agents(process, settings, topics.READ_MODELS_GROUP, [agent])

A handler raises only for a failure of the infrastructure: the process then ends without acknowledging the
record, and reads it again after its restart. For a record that cannot be used, the handler writes a dead
letter and returns.

Faust's own acknowledgements stay off, and so its commits: they pass a record that is in flight when offsets
have a gap, and its streams acknowledge what they drop in a rebalance. The offsets that are committed here
come from the queues of infra/kafka/window.py alone.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import faust
from faust.types import TP
from mode import CrashingSupervisor
from prometheus_client import Gauge

from commands.records import Record, first_headers
from infra.errors import EXIT_CRASHED
from infra.kafka.faust_transport import FlowControl, Transport
from infra.kafka.reader import METADATA_MAX_AGE_MS, committed_between
from infra.kafka.table import TableMode, TableWork
from infra.kafka.window import (
    BatchMode,
    BatchWork,
    KeyedConcurrency,
    KeyedWork,
    PartitionQueue,
    RecordsSkipped,
    Work,
)
from infra.process.runtime import Process
from infra.settings import KafkaSettings

__all__ = ["Agent", "BatchMode", "KeyedConcurrency", "TableMode", "run_agents"]

LAG = Gauge("aegispay_agent_lag_records", "Not yet acknowledged, by partition", ["topic", "partition"])
OLDEST = Gauge("aegispay_agent_oldest_unacknowledged_seconds", "Since it was read", ["agent"])

DRAIN_S: Final = 10.0
"""The deadline of a call (gateways.contract): whatever is in flight ends by itself within this time."""

# The watchdog counts from the beginning of the drain, and stays below the 15 s that compose.yaml gives a
# container. A call that takes all of DRAIN_S leaves 1.5 s for the last commit; what that misses is read
# again.
_EXIT_AFTER_S: Final = 11.5
# Each commit is a record on Kafka. What was finished within this time is read again after a kill.
_COMMIT_EVERY_S: Final = 1.0
# A commit on the way out, or the consumer's stop, gets so long. While Kafka is away neither comes back.
_KAFKA_WITHIN_S: Final = 2.0
_LOOK_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Agent:
    """A handler of one topic, which is named without the installation's prefix; `name` labels its metrics."""

    name: str
    topic: str
    mode: KeyedConcurrency | BatchMode | TableMode


class ConsumerEnded(Exception):
    """Faust stopped by itself."""


class _App(faust.App):  # type: ignore[misc]
    def _create_directories(self) -> None:
        """Nothing is kept on disk."""

    def _new_transport(self) -> Any:
        return Transport(self.conf.broker_consumer, self)

    @cached_property
    def flow_control(self) -> FlowControl:
        return FlowControl(loop=self.loop)


async def run_agents(process: Process, settings: KafkaSettings, group: str, agents: Sequence[Agent]) -> None:
    """Runs the agents until a stop signal comes. Raises what a handler raised, and
    `ConsumerEnded`."""
    runtime = _Runtime(process, _app(settings, group), settings)
    for agent in agents:
        runtime.add(agent)
    await runtime.run()


def _app(settings: KafkaSettings, group: str) -> Any:
    return _App(
        id=settings.topic_prefix + group,
        broker=";".join(f"kafka://{server.strip()}" for server in settings.kafka.split(",")),
        store="memory://",
        # Faust 0.15.3's default one starts a failed agent again behind the record that failed: it would be
        # lost.
        agent_supervisor=CrashingSupervisor,
        key_serializer="raw",
        value_serializer="raw",
        stream_wait_empty=False,  # every record in flight may be repeated: the group need not wait for it
        stream_buffer_maxsize=4096,
        # Faust's default is 60 s: for so long nobody would call the PSP for a killed worker's payments.
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.heartbeat_every_s,
        broker_max_poll_records=500,
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        # Faust's default is 1200 s: a send to a broker that is away would hang for 20 minutes.
        producer_request_timeout=30.0,
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        # With Faust's default of 1 every group would take the assignor that only tables need, and each worker
        # would read the changelogs of the others.
        table_standby_replicas=0,
        web_enabled=False,
    )


class _Runtime:
    def __init__(self, process: Process, app: Any, settings: KafkaSettings) -> None:
        self._process = process
        self._bootstrap = settings.kafka
        self._prefix = settings.topic_prefix
        self._app = app
        self._works: dict[str, Work] = {}
        self._agent_of: dict[str, str] = {}
        self._queues: dict[TP, PartitionQueue] = {}
        self._committed: dict[TP, int] = {}
        self._draining = False
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        app.on_partitions_revoked.connect(self._on_revoked)

    def add(self, agent: Agent) -> None:
        topic = self._prefix + agent.topic
        match agent.mode:
            case KeyedConcurrency():
                work: Work = KeyedWork(agent.name, agent.mode, self, self._fail)
            case BatchMode():
                work = BatchWork(agent.name, agent.mode, self._fail)
            case TableMode():
                work = TableWork(agent.name, agent.mode, self._table(agent.name, agent.mode))
        self._works[topic] = work
        self._agent_of[topic] = agent.name
        # The agents decode: Faust would drop a record that it cannot decode before a handler sees it. With
        # acks=False it commits nothing of this topic (docs/adr/0005).
        source = self._app.topic(topic, key_serializer="raw", value_serializer="raw", acks=False)
        self._app.agent(source, name=agent.name, concurrency=1)(self._reader(work))

    def _table(self, name: str, mode: TableMode) -> Any:
        # Faust finds the changelog by this topic alone; `infra.kafka.topics` declares it.
        changelog = self._app.topic(
            self._prefix + mode.changelog,
            key_type=bytes,
            value_type=bytes,
            partitions=mode.partitions,
            compacting=True,
            acks=False,
            internal=True,
            allow_empty=True,
            maxsize=131_072,
        )
        return self._app.Table(
            name, key_type=bytes, value_type=bytes, partitions=mode.partitions, changelog_topic=changelog
        )

    async def run(self) -> None:
        tasks: list[asyncio.Task[Any]] = []
        try:
            await self._run_until_stopped(tasks)
        finally:
            for task in tasks:
                task.cancel()
            self._process.not_ready("stopping")
            await self._drain()
        if self._failure.done():  # of a handler, on the way out
            self._failure.result()

    async def _run_until_stopped(self, tasks: list["asyncio.Task[Any]"]) -> None:
        tasks += map(asyncio.create_task, (self._process.stop.wait(), self._app.start()))
        stop_requested, _ = tasks
        await self._first_of(tasks)
        if stop_requested.done():
            return
        ticks = (
            self._tick(topic, work) for topic, work in self._works.items() if isinstance(work, TableWork)
        )
        tasks[1:] = map(
            asyncio.create_task, (self._app.wait_until_stopped(), self._look(), self._acknowledge(), *ticks)
        )
        await self._first_of(tasks)
        if not stop_requested.done():
            raise ConsumerEnded("the Kafka consumer stopped") from self._app.crash_reason

    async def _first_of(self, tasks: Sequence["asyncio.Task[Any]"]) -> None:
        """Raises what the first one to end raised, or a handler."""
        done, _ = await asyncio.wait({*tasks, self._failure}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    # Records in

    def _reader(self, work: Work) -> Callable[[Any], Awaitable[None]]:
        async def read(stream: AsyncIterator[Any]) -> None:
            async for event in stream.noack().events():  # type: ignore[attr-defined]
                await self._take(work, event.message)

        return read

    async def _take(self, work: Work, message: Any) -> None:
        # Faust's buffer may hold records of an older assignment, whose partition is another process's by now.
        # What is dropped here was not acknowledged, and whoever has the partition reads it.
        if self._draining or message.generation_id != self._app.consumer_generation_id:
            return
        queue = self._queues.get(message.tp)
        if queue is None:
            # None until Faust has looked, and where nothing was committed.
            due = self._app.consumer._committed_offset.get(message.tp)
            queue = self._queues[message.tp] = PartitionQueue(message.topic, message.partition, due)
        record = Record(
            message.topic,
            message.partition,
            message.offset,
            message.key,
            message.value,
            first_headers(message.headers or ()),
            round(message.timestamp * 1000),
        )
        # A gap has to be looked at, and not passed over: offsets behind it would be committed, and what was
        # lost there would be a request that nobody sends, until the payment's timer finds it.
        gap = queue.skipped_before(record)
        if gap is not None and await committed_between(self._bootstrap, message.tp, *gap):
            self._fail(RecordsSkipped(f"{record.place} came where {gap[0]} was due"))
            return
        # The partition may have been revoked while the runtime queried Kafka.
        entry = None if queue.revoked else queue.add(record)
        if entry is not None:
            await work.take(entry)

    def hold(self, topic: str, partition: int) -> None:
        # Not pause_partitions: Faust drops what it had fetched of a partition that is paused in between.
        self._app.consumer.on_buffer_full(TP(topic, partition))

    def resume(self, topic: str, partition: int) -> None:
        self._app.consumer.on_buffer_drop(TP(topic, partition))

    def _fail(self, error: BaseException) -> None:
        for work in self._works.values():
            work.stop()
        if not self._failure.done():
            self._failure.set_exception(error)

    # Offsets out

    async def _commit(self) -> None:
        offsets = {
            tp: queue.next_offset
            for tp, queue in self._queues.items()
            if queue.next_offset is not None and queue.next_offset != self._committed.get(tp)
        }
        # False: the group has moved on, and the partitions with it.
        if offsets and await self._app.consumer._commit(offsets):
            self._committed.update(offsets)

    async def _on_revoked(self, app: Any, revoked: set[TP], **_: Any) -> None:
        # All of them, not `revoked` alone: the classic protocol of aiokafka 0.14 takes every partition from
        # every member in each rebalance, and gives back what stays as a new assignment.
        queues, self._queues = self._queues, {}
        finished = {tp: queue.next_offset for tp, queue in queues.items() if queue.next_offset is not None}
        for tp, queue in queues.items():
            queue.revoke()
            # Faust 0.15.3 forgets no held partition in a rebalance, and no backlog is left to let go of it.
            app.consumer.on_buffer_drop(tp)
        # Another member may commit these partitions before they come back: what was committed here shows
        # nothing then.
        self._committed.clear()
        if finished:
            # The whole group waits for this. While Kafka is away, rather read again what was finished than
            # hold it up.
            await asyncio.wait(
                [asyncio.ensure_future(app.consumer._commit(finished))], timeout=_KAFKA_WITHIN_S
            )

    async def _acknowledge(self) -> None:
        """Apart from `_look`: a commit waits for as long as Kafka is away."""
        while True:
            await asyncio.sleep(_COMMIT_EVERY_S)
            await self._commit()

    async def _tick(self, topic: str, work: TableWork) -> None:
        while True:
            await asyncio.sleep(work.mode.tick_every_s)
            if self._has_tables():
                ours = {tp.partition for tp in self._app.consumer.assignment() if tp.topic == topic}
                await work.mode.tick(work.table, ours)

    def _has_tables(self) -> bool:
        app = self._app
        return not app.rebalancing and bool(app.tables.recovery.completed.is_set())

    async def _look(self) -> None:
        """Readiness and gauges."""
        while True:
            self._tell_readiness()
            self._measure()
            await asyncio.sleep(_LOOK_EVERY_S)

    def _tell_readiness(self) -> None:
        app = self._app
        kafka = app.consumer._thread._consumer
        if kafka is None or kafka._coordinator.coordinator_id is None:
            self._process.not_ready("waiting for Kafka")
        elif not app.consumer.assignment() or not self._has_tables():
            self._process.not_ready("waiting for partitions")
        else:
            self._process.ready()

    def _measure(self) -> None:
        now = time.monotonic()
        LAG.clear()
        oldest = dict.fromkeys(self._agent_of.values(), 0.0)
        for tp, queue in self._queues.items():
            end = self._app.consumer.highwater(tp)
            if end is not None and (next_offset := queue.next_offset) is not None:
                LAG.labels(tp.topic, tp.partition).set(end - next_offset)
            if (read_at := queue.oldest_read_at()) is not None:
                agent = self._agent_of[tp.topic]
                oldest[agent] = max(oldest[agent], now - read_at)
        for agent, age in oldest.items():
            OLDEST.labels(agent).set(age)

    # The end

    async def _drain(self) -> None:
        """Finishes and acknowledges what is in flight, and leaves the rest to the next owner.

        Whatever hangs here, the process is gone in time: a thread sees to it, since the loop may be stuck.
        """
        watchdog = threading.Timer(_EXIT_AFTER_S, os._exit, (EXIT_CRASHED,))
        watchdog.daemon = True
        watchdog.start()
        self._draining = True
        running: set[asyncio.Task[None]] = set()
        for work in self._works.values():
            work.stop()
            running |= work.running()
        # A call ends within DRAIN_S by its own deadline. What is cut off here, a report that Kafka does not
        # take say, stays unacknowledged: its request is read again, and the claim shows what is left to do.
        if running:
            await asyncio.wait(running, timeout=DRAIN_S)
        if not self._app.crashed:
            await asyncio.wait([asyncio.ensure_future(self._commit())], timeout=_KAFKA_WITHIN_S)
        # asyncio.wait, not wait_for: that would wait for the cancellation of `stop`, which Faust 0.15.3 may
        # never grant.
        stopping = asyncio.ensure_future(self._app.stop())
        await asyncio.wait([stopping], timeout=_KAFKA_WITHIN_S)
        # The watchdog stays armed where Faust has not stopped: the event loop's own end waits for Faust's
        # tasks, maybe for ever.
        if stopping.done():
            watchdog.cancel()
