"""The read-model worker applies every event once to every table, sweeps for what Kafka or Faust lost on the
way, and refreshes the figures of what is in doubt.

A record that is no event of ours becomes a dead letter; any other error ends the process, with nothing
acknowledged.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import orjson
import psycopg
from prometheus_client import Counter, Gauge, Histogram
from psycopg.types.json import set_json_loads

from commands.messages import InvalidMessage
from commands.records import DeadLetter, DeadLetters, Record
from commands.sql import statements
from infra.kafka import producers, topics
from infra.kafka.faust_runtime import Agent, BatchMode, run_agents
from infra.postgres import connections
from infra.process import clock, runtime
from infra.process.runtime import Process
from infra.settings import ReadModelSettings
from infra.workers.startup import ready_to_start
from projections import batch, events, gateway_history, in_doubt, sweep

# Records in one transaction.
_BATCH_MAX: Final = 500
_IN_DOUBT_EVERY_S: Final = 5.0
_SWEEP_EVERY_S: Final = 60.0
# Events of the log in one transaction of the sweep, which locks the rows that it repairs.
_SWEEP_PAGE: Final = 2000
_FORGET_EVERY_S: Final = 3600.0
# Minutes of accounts in one transaction.
_HISTORY_MAX: Final = 200
_PLAN_BY_INDEX: Final = statements(__file__)["plan_by_index"]

APPLIED = Counter("aegispay_read_model_events_applied", "Events applied to the read models")
SKIPPED = Counter(
    "aegispay_read_model_events_skipped", "Events that had been applied before, or cannot be yet"
)
FILLED = Counter("aegispay_read_model_gaps_filled", "Events that had to be read from the store")
SWEPT = Counter("aegispay_read_model_payments_swept", "Payments whose newest events only the sweep found")
UNKNOWN = Counter(
    "aegispay_read_model_events_unknown", "Events of a type that this release does not know", ["type"]
)
DEAD = Counter("aegispay_read_model_dead_letters", "Records that are no event of ours")
STALE = Counter(
    "aegispay_read_model_payments_stale", "Payments with a version missing in the topic and in the store"
)
LAG_SECONDS = Histogram(
    "aegispay_read_model_lag_seconds",
    "From the event's time to its commit here",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30, 300),
)
BATCH_RECORDS = Histogram(
    "aegispay_read_model_batch_records", "Records in a batch", buckets=(1, 2, 5, 20, 100, 500)
)
SWEPT_AT = Gauge("aegispay_read_model_swept_timestamp_seconds", "When the last sweep ended")

ALARMS: Final[dict[batch.Alarm, Counter]] = {
    "duplicate_charge": Counter(
        "aegispay_duplicate_charges",
        "Charges beside another one for the same payment, confirmed; they are given back",
    ),
    "contradiction": Counter(
        "aegispay_contradictions", "Reports that cannot be true beside the record; they freeze the payment"
    ),
    "escalated": Counter(
        "aegispay_escalated", "Operations that came into the queue for an operator after 24 h"
    ),
}
# Each process reports these for all merchants: take the largest, not the sum.
IN_DOUBT = Gauge("aegispay_in_doubt_payments", "Payments that are in doubt, frozen or parked")
IN_DOUBT_AMOUNT = Gauge(
    "aegispay_in_doubt_amount_minor", "The money at risk in them", ["gateway", "currency"]
)
IN_DOUBT_OLDEST_S = Gauge("aegispay_in_doubt_oldest_seconds", "Age of the oldest of them")
MANUAL_QUEUE = Gauge("aegispay_manual_queue_payments", "Those of them that an operator has to look at")


class PaymentReadModel:
    """Applies events to the tables, one batch at a time on `conn`."""

    def __init__(self, conn: psycopg.AsyncConnection, dead_letters: DeadLetters, log: Any) -> None:
        self._conn = conn
        self._dead_letters = dead_letters
        self._log = log

    async def handle(self, records: Sequence[Record]) -> None:
        """Returns when all of them are committed or dead letters."""
        arrived: list[events.Event] = []
        for record in records:
            try:
                arrived.append(events.from_record(record))
            except InvalidMessage as invalid:
                DEAD.inc()
                self._log.warning("not an event", place=record.place, code=invalid.code, path=invalid.path)
                # A letter is sent before the batch is acknowledged: a kill in between sends it twice, and
                # loses none.
                await self._dead_letters.send(DeadLetter.of(record, invalid))
        # A kill between this commit and the acknowledgement brings the events once more: their versions are
        # in the rows by then, and they count as skipped.
        done = await batch.apply(self._conn, arrived, {}, clock.now())
        BATCH_RECORDS.observe(len(records))
        now = clock.now()
        for event in arrived:
            # The command worker's clock gave the event its time, this machine's gives the present.
            LAG_SECONDS.observe((now - event.body.timestamp).total_seconds())
        _count(done, self._log)


class GatewayHistory:
    """Writes what comes over `gateways.history`, and deletes what is old."""

    def __init__(self, conn: psycopg.AsyncConnection, dead_letters: DeadLetters, log: Any) -> None:
        self._conn = conn
        self._dead_letters = dead_letters
        self._log = log

    async def handle(self, records: Sequence[Record]) -> None:
        """Returns when all of them are committed or dead letters."""
        arrived = []
        for record in records:
            try:
                arrived.append(gateway_history.from_record(record))
            except InvalidMessage as invalid:
                DEAD.inc()
                self._log.warning("no history", place=record.place, code=invalid.code, path=invalid.path)
                await self._dead_letters.send(DeadLetter.of(record, invalid))
        await gateway_history.put(self._conn, arrived)

    async def run_once(self) -> int:
        """Deletes all that is older than 90 days, and returns how many rows."""
        deleted = 0
        while some := await gateway_history.forget(self._conn, clock.now()):
            deleted += some
        return deleted

    async def run(self, process: Process) -> None:
        """Deletes once an hour until the process stops."""
        while not await process.stopped_within(_FORGET_EVERY_S):
            await self.run_once()


class Sweep:
    """Compares the log with the read models, up to the log's end at the sweep before: what is younger is
    still on its way."""

    def __init__(self, conn: psycopg.AsyncConnection, log: Any) -> None:
        self._conn = conn
        self._log = log
        self._horizon: sweep.Horizon | None = None

    async def run_once(self) -> int:
        """Repairs what was lost below the horizon of the last call, and returns how many payments had lost
        events."""
        # A sweep looks below the log's end of a minute ago: what the relay has just published would else
        # count as lost.
        below, self._horizon = self._horizon, await sweep.horizon(self._conn)
        lost = 0
        while below is not None:
            # `batch.apply` opens a savepoint in this transaction: what it applies commits with the sweep's
            # place.
            async with self._conn.transaction():
                heads = await sweep.lost_heads(self._conn, below, _SWEEP_PAGE)
                if heads is None:
                    break
                if heads:
                    _count(await batch.apply(self._conn, [], heads, clock.now()), self._log)
                    lost += len(heads)
        if lost:
            SWEPT.inc(lost)
            self._log.error("events were lost on their way to the read models", payments=lost)
        SWEPT_AT.set_to_current_time()
        return lost

    async def run(self, process: Process) -> None:
        """Sweeps once a minute until the process stops."""
        while not await process.stopped_within(_SWEEP_EVERY_S):
            await self.run_once()


class InDoubtGauges:
    """Keeps the gauges of what is in doubt fresh."""

    def __init__(self, conn: psycopg.AsyncConnection) -> None:
        self._conn = conn
        self._known: set[tuple[str, str]] = set()

    async def run_once(self) -> int:
        """Sets the gauges, and returns how many payments are in doubt."""
        figures = await in_doubt.figures(self._conn, clock.now())
        IN_DOUBT.set(figures.payments)
        IN_DOUBT_OLDEST_S.set(figures.oldest_s)
        MANUAL_QUEUE.set(figures.manual)
        # A series whose payments are settled is set to 0: one that only ends would keep its last value.
        for gateway, currency in self._known - figures.amounts.keys():
            IN_DOUBT_AMOUNT.labels(gateway, currency).set(0)
        for (gateway, currency), minor in figures.amounts.items():
            IN_DOUBT_AMOUNT.labels(gateway, currency).set(minor)
        self._known |= figures.amounts.keys()
        return figures.payments

    async def run(self, process: Process) -> None:
        """Refreshes the figures every 5 s until the process stops."""
        await self.run_once()
        while not await process.stopped_within(_IN_DOUBT_EVERY_S):
            await self.run_once()


def _count(done: batch.BatchResult, log: Any) -> None:
    APPLIED.inc(done.applied)
    SKIPPED.inc(done.skipped)
    FILLED.inc(done.filled)
    for topic in done.unknown:
        UNKNOWN.labels(topic).inc()
        log.warning("unknown type of event", type=topic)
    for payment_id in done.stale:
        STALE.inc()
        log.error("payment is stale: a version is in no topic and not in the store", payment_id=payment_id)
    for alarm, payment_id in done.alarms:
        ALARMS[alarm].inc()
        log.error("money needs a look", reason=alarm, payment_id=payment_id)


async def connect(settings: ReadModelSettings, process: Process) -> psycopg.AsyncConnection:
    """Returns a connection for statements that read and write by key alone."""
    conn = await connections.connect_async(settings, process.name)
    await conn.execute(_PLAN_BY_INDEX)
    set_json_loads(orjson.loads, conn)
    return conn


async def main(process: Process, settings: ReadModelSettings) -> None:
    """Runs until a stop signal comes. Raises PostgreSQL's and Kafka's errors."""
    if not await ready_to_start(process, settings):
        return
    producer = producers.producer(settings, process.name)
    await producer.start()
    try:
        async with (
            # One each: a sweep or a query of the gauges that takes long does not hold the events up.
            await connect(settings, process) as agents_own,
            await connections.connect_async(settings, process.name) as sweeps_own,
            await connections.connect_async(settings, process.name) as gauges_own,
            await connect(settings, process) as history_own,
            asyncio.TaskGroup() as tasks,
        ):
            letters = producers.KafkaDeadLetters(producer, settings)
            read_model = PaymentReadModel(agents_own, letters, process.log)
            history = GatewayHistory(history_own, letters, process.log)
            tasks.create_task(Sweep(sweeps_own, process.log).run(process))
            tasks.create_task(InDoubtGauges(gauges_own).run(process))
            tasks.create_task(history.run(process))
            agents = [
                Agent("read-models", topics.EVENTS, BatchMode(read_model.handle, _BATCH_MAX)),
                Agent("gateway-history", topics.HEALTH_HISTORY, BatchMode(history.handle, _HISTORY_MAX)),
            ]
            await run_agents(process, settings, topics.READ_MODELS_GROUP, agents)
    finally:
        await producer.stop()


if __name__ == "__main__":
    runtime.run("read-models", ReadModelSettings, main)
