"""The order in which an agent's records are handled and acknowledged; nothing here knows of Faust.

Invariant: a partition's offset is committed only when every record before it was handled, in this assignment.
What was read in an older assignment is dropped: calls in flight go on, but acknowledge nothing.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from prometheus_client import Counter, Gauge, Histogram

from commands.records import Record

RECORDS = Counter("aegispay_agent_records", "Records handled", ["agent"])
SECONDS = Histogram(
    "aegispay_agent_handler_seconds",
    "From a handler's call to its return",
    ["agent"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
IN_FLIGHT = Gauge("aegispay_agent_in_flight", "Records that a handler has at this moment", ["agent"])

# Records of one partition, from its oldest unacknowledged one on. So many are read again after a kill beside
# one stuck call; those that were handled mostly find their claims closed, at the cost of one statement each.
AHEAD_MAX: Final = 200
# Batches of records that wait behind the one that runs: more would only be read again after a kill.
_HELD_BATCHES_MAX: Final = 2


class RecordsSkipped(Exception):
    """Records were lost on the way. Started again, the process reads on from the last one that it
    acknowledged."""


class Reading(Protocol):
    """Controls how a partition is fetched."""

    def hold(self, topic: str, partition: int) -> None:
        """Fetches no more of the partition; records that were fetched before still come."""
        ...

    def resume(self, topic: str, partition: int) -> None:
        """Fetches the partition again."""
        ...


@dataclass(slots=True, eq=False)
class InFlight:
    """A record that was read and not yet acknowledged; `read_at` of `time.monotonic`."""

    record: Record
    queue: "PartitionQueue"
    read_at: float
    done: bool = False


class PartitionQueue:
    """The records of one partition in one assignment, in offset order; the first is the oldest
    unacknowledged."""

    def __init__(self, topic: str, partition: int, due: int | None = None) -> None:
        """`due`: the committed offset, where the assignment begins to read; None: it is not known."""
        self.topic = topic
        self.partition = partition
        self.entries: deque[InFlight] = deque()
        self.backlog: deque[InFlight] = deque()  # read, but too far ahead of the oldest to begin
        self.next_offset: int | None = None  # what may be committed
        # A revoked queue stays so: a partition that comes back to this process gets a queue of its own.
        self.revoked = False
        self._last_read = None if due is None else due - 1

    def skipped_before(self, record: Record) -> tuple[int, int] | None:
        """Returns the first offset that is missing before this record, and the record's own; None: none is
        missing.

        Either a transaction's marker or an aborted record stands there, or a record was lost on the way.
        """
        last = self._last_read
        return None if last is None or record.offset <= last + 1 else (last + 1, record.offset)

    def add(self, record: Record) -> InFlight | None:
        """Returns the record as in flight; None for one that this assignment has read already."""
        # A consumer may go back within an assignment, as Faust does when a fetch meets a suspended flow. What
        # was read before is in the queue still, or was handled.
        if self._last_read is not None and record.offset <= self._last_read:
            return None
        self._last_read = record.offset
        return InFlight(record, self, time.monotonic())

    def finish(self, entry: InFlight) -> None:
        """Marks a record as handled, and moves `next_offset` behind all that were handled without a gap."""
        entry.done = True
        # Kafka's committed offset is the next one to read, so it may not pass an entry that has not ended:
        # after a restart nobody would read that record any more.
        while self.entries and self.entries[0].done:
            self.next_offset = self.entries.popleft().record.offset + 1

    def revoke(self) -> None:
        """Marks the partition as revoked: nothing of it begins or is acknowledged any more."""
        self.revoked = True
        self.backlog.clear()

    def oldest_read_at(self) -> float | None:
        """Returns when the oldest unacknowledged record was read, of `time.monotonic`; None: there is
        none."""
        return self.entries[0].read_at if self.entries else None


@dataclass(frozen=True, slots=True)
class KeyedConcurrency:
    """Handles many records at once, but one at a time per key, in the key's order.

    In flight: at most `in_flight_max`, and none further than `ahead_max` records from its partition's oldest
    unacknowledged one: so many are repeated at most when the process is killed beside one stuck call.
    """

    handler: Callable[[Record], Awaitable[None]]
    in_flight_max: int
    ahead_max: int = AHEAD_MAX


@dataclass(frozen=True, slots=True)
class BatchMode:
    """Handles one batch at a time, of at most `most` records. Nothing waits for a batch to fill: the
    records that come while one runs form the next."""

    handler: Callable[[Sequence[Record]], Awaitable[None]]
    most: int


class Work(Protocol):
    """Runs a handler over the records of an agent, and calls `fail` with what the handler raises."""

    async def take(self, entry: InFlight) -> None:
        """Takes a record in; waits where there is no room for it."""
        ...

    def stop(self) -> None:
        """Begins nothing more."""
        ...

    def running(self) -> set["asyncio.Task[None]"]:
        """Returns the tasks in which handlers run."""
        ...


class KeyedWork:
    """Runs a handler as `KeyedConcurrency` describes."""

    def __init__(
        self, name: str, mode: KeyedConcurrency, reading: Reading, fail: Callable[[BaseException], None]
    ) -> None:
        self._mode = mode
        self._reading = reading
        self._fail = fail
        self._ready: deque[InFlight] = deque()
        # A key is here while one of its records is ready or in flight, in this assignment or an older one.
        self._waiting: dict[bytes, deque[InFlight]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._records, self._seconds, self._in_flight = metrics_of(name)

    async def take(self, entry: InFlight) -> None:
        """Begins the record, or lets it wait for its key, for a slot, or for the oldest of its partition."""
        queue = entry.queue
        # A record stays behind an older one in the backlog even where there is room by now: begun before it,
        # it would break the order of its key. Nothing is awaited here: one stream carries all partitions, and
        # one that is far ahead would hold the others up.
        if queue.backlog or len(queue.entries) >= self._mode.ahead_max:
            queue.backlog.append(entry)
            self._reading.hold(queue.topic, queue.partition)
        else:
            self._admit(entry)
            self._begin()

    def stop(self) -> None:
        """Begins nothing more."""
        self._stopped = True

    def running(self) -> set["asyncio.Task[None]"]:
        """Returns the tasks in which handlers run, one for each record."""
        return self._tasks

    def _admit(self, entry: InFlight) -> None:
        # The entry is in the queue before it may begin: a later one that ends would else be committed past
        # it.
        entry.queue.entries.append(entry)
        key = entry.record.key
        if key is not None and key in self._waiting:
            self._waiting[key].append(entry)
            return
        if key is not None:
            self._waiting[key] = deque()
        self._ready.append(entry)

    def _begin(self) -> None:
        while self._ready and len(self._tasks) < self._mode.in_flight_max and not self._stopped:
            entry = self._ready.popleft()
            # Its partition was given up, and the next owner reads it again. The key is freed for what came
            # since.
            if entry.queue.revoked:
                self._release(entry.record.key)
                continue
            task = asyncio.create_task(self._run(entry))
            task.add_done_callback(self._ended)
            self._tasks.add(task)
            self._in_flight.inc()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        # A callback, not the end of `_run`: the task is counted until it has ended, so at most
        # `in_flight_max` run.
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
        else:
            self._begin()

    async def _run(self, entry: InFlight) -> None:
        started = time.monotonic()
        try:
            await self._mode.handler(entry.record)
        finally:
            self._in_flight.dec()
        self._seconds.observe(time.monotonic() - started)
        # Nothing from here on runs if the handler raised: its entry holds the partition's offset back, and
        # its key admits nothing, until the process has ended. The record is read again.
        self._records.inc()
        queue = entry.queue
        queue.finish(entry)
        while queue.backlog and len(queue.entries) < self._mode.ahead_max:
            self._admit(queue.backlog.popleft())
            # The partition is fetched again once the backlog is empty: until then `take` would put all that
            # comes behind it.
            if not queue.backlog:
                self._reading.resume(queue.topic, queue.partition)
        self._release(entry.record.key)

    def _release(self, key: bytes | None) -> None:
        if key is None:
            return
        # The next of the key may be of a newer assignment than the one that has just ended: a call in flight
        # outlives the loss of its partition, and the same record, read again, waits for it here instead of
        # running beside it.
        if waiting := self._waiting[key]:
            self._ready.append(waiting.popleft())
        else:
            del self._waiting[key]


class BatchWork:
    """Runs a handler as `BatchMode` describes."""

    def __init__(self, name: str, mode: BatchMode, fail: Callable[[BaseException], None]) -> None:
        self._mode = mode
        self._fail = fail
        self._pending: deque[InFlight] = deque()
        self._room = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._records, self._seconds, self._in_flight = metrics_of(name)

    async def take(self, entry: InFlight) -> None:
        """Puts the record into the next batch; waits while two batches are held."""
        while len(self._pending) >= _HELD_BATCHES_MAX * self._mode.most and not self._stopped:
            # This wait is the back-pressure: the stream of the agent stands, its buffer in Faust fills, and
            # Faust waits too. No await between the look and the clear, or the wake-up of a batch that begins
            # in between would be lost.
            self._room.clear()
            await self._room.wait()
        if self._stopped or entry.queue.revoked:
            return
        entry.queue.entries.append(entry)
        self._pending.append(entry)
        if not self._tasks:
            task = asyncio.create_task(self._run())
            task.add_done_callback(self._ended)
            self._tasks.add(task)

    def stop(self) -> None:
        """Begins nothing more."""
        self._stopped = True
        self._room.set()

    def running(self) -> set["asyncio.Task[None]"]:
        """Returns the task in which the batch runs, if one does."""
        return self._tasks

    async def _run(self) -> None:
        try:
            while self._pending and not self._stopped:
                batch = [self._pending.popleft() for _ in range(min(len(self._pending), self._mode.most))]
                self._room.set()
                # The next owner of a lost partition handles its records. If the partition is lost while the
                # batch runs, both apply it, and what they write to has to make that harmless: the read models
                # by each payment's version.
                await self._handle([entry for entry in batch if not entry.queue.revoked])
        finally:
            self._tasks.clear()  # here, not in the callback: a record may come before that runs

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    async def _handle(self, batch: Sequence[InFlight]) -> None:
        if not batch:
            return
        started = time.monotonic()
        self._in_flight.set(len(batch))
        await self._mode.handler([entry.record for entry in batch])
        self._in_flight.set(0)
        self._seconds.observe(time.monotonic() - started)
        self._records.inc(len(batch))
        for entry in batch:
            entry.queue.finish(entry)


def metrics_of(agent: str) -> tuple[Counter, Histogram, Gauge]:
    """Returns the metrics of one agent: records handled, the handler's seconds, records in flight."""
    return RECORDS.labels(agent), SECONDS.labels(agent), IN_FLIGHT.labels(agent)
