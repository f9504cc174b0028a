"""What an agent does with the records that it reads; nothing here knows of Faust.

Invariant: a partition's offset is committed only when every record before it was handled, in this assignment. What was
read in an older assignment is thrown away: calls in flight go on, but acknowledge nothing.
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

AHEAD_MAX: Final = 200
_HELD_BATCHES_MAX: Final = 2


class RecordsSkipped(Exception):
    """A partition's offsets jumped. Started again, the process reads on from the last one that it acknowledged."""


class Reading(Protocol):
    """What a partition's line asks of the consumer."""

    def hold(self, topic: str, partition: int) -> None:
        """Fetch no more of it; what was fetched still comes."""
        ...

    def go_on(self, topic: str, partition: int) -> None: ...


@dataclass(slots=True, eq=False)
class Entry:
    record: Record
    line: "Line"
    read_at: float
    done: bool = False


class Line:
    """The records of one partition in one assignment, in offset order; the first is the oldest unacknowledged."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.entries: deque[Entry] = deque()
        self.backlog: deque[Entry] = deque()  # read, but too far ahead of the oldest to begin
        self.next_offset: int | None = None  # what may be committed
        self.thrown_away = False
        self._last_read: int | None = None

    def add(self, record: Record) -> Entry | None:
        """None for a record that this assignment has read already."""
        last = self._last_read
        if last is not None and record.offset <= last:
            return None
        # Our topics are neither compacted nor written in transactions: a jump is a record that was lost on the way.
        if last is not None and record.offset > last + 1:
            raise RecordsSkipped(f"{record.place} follows offset {last}")
        self._last_read = record.offset
        return Entry(record, self, time.monotonic())

    def finish(self, entry: Entry) -> None:
        entry.done = True
        while self.entries and self.entries[0].done:
            self.next_offset = self.entries.popleft().record.offset + 1

    def throw_away(self) -> None:
        self.thrown_away = True
        self.backlog.clear()

    def oldest_read_at(self) -> float | None:
        return self.entries[0].read_at if self.entries else None


@dataclass(frozen=True, slots=True)
class Windowed:
    """Each record on its own, many at once, one at a time per key, in the key's order.

    In flight: at most `in_flight_max`, and none further than `ahead_max` records from its partition's oldest
    unacknowledged one: so many are repeated at most when the process is killed beside one stuck call.
    """

    handler: Callable[[Record], Awaitable[None]]
    in_flight_max: int
    ahead_max: int = AHEAD_MAX


@dataclass(frozen=True, slots=True)
class Batched:
    """One batch at a time, of at most `most` records. No wait: what comes while a batch runs forms the next one."""

    handler: Callable[[Sequence[Record]], Awaitable[None]]
    most: int


class Work(Protocol):
    """Tells of a handler's error by calling `fail`."""

    async def take(self, entry: Entry) -> None: ...

    def stop(self) -> None:
        """Begin nothing more."""
        ...

    def running(self) -> set["asyncio.Task[None]"]: ...


class Window:
    """See `Windowed`."""

    def __init__(
        self, name: str, shape: Windowed, reading: Reading, fail: Callable[[BaseException], None]
    ) -> None:
        self._shape = shape
        self._reading = reading
        self._fail = fail
        self._ready: deque[Entry] = deque()
        # A key is here while one of its records is ready or in flight, in this assignment or an older one.
        self._waiting: dict[bytes, deque[Entry]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._records, self._seconds, self._in_flight = _metrics(name)

    async def take(self, entry: Entry) -> None:
        line = entry.line
        if line.backlog or len(line.entries) >= self._shape.ahead_max:
            line.backlog.append(entry)
            self._reading.hold(line.topic, line.partition)
        else:
            self._admit(entry)
            self._begin()

    def stop(self) -> None:
        self._stopped = True

    def running(self) -> set["asyncio.Task[None]"]:
        return self._tasks

    def _admit(self, entry: Entry) -> None:
        entry.line.entries.append(entry)
        key = entry.record.key
        if key is not None and key in self._waiting:
            self._waiting[key].append(entry)
            return
        if key is not None:
            self._waiting[key] = deque()
        self._ready.append(entry)

    def _begin(self) -> None:
        while self._ready and len(self._tasks) < self._shape.in_flight_max and not self._stopped:
            entry = self._ready.popleft()
            if entry.line.thrown_away:
                self._release(entry.record.key)
                continue
            task = asyncio.create_task(self._run(entry))
            task.add_done_callback(self._ended)
            self._tasks.add(task)
            self._in_flight.inc()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
        else:
            self._begin()

    async def _run(self, entry: Entry) -> None:
        started = time.monotonic()
        try:
            await self._shape.handler(entry.record)
        finally:
            self._in_flight.dec()
        self._seconds.observe(time.monotonic() - started)
        self._records.inc()
        line = entry.line
        line.finish(entry)
        while line.backlog and len(line.entries) < self._shape.ahead_max:
            self._admit(line.backlog.popleft())
            if not line.backlog:
                self._reading.go_on(line.topic, line.partition)
        self._release(entry.record.key)

    def _release(self, key: bytes | None) -> None:
        if key is None:
            return
        if waiting := self._waiting[key]:
            self._ready.append(waiting.popleft())
        else:
            del self._waiting[key]


class Batches:
    """See `Batched`."""

    def __init__(self, name: str, shape: Batched, fail: Callable[[BaseException], None]) -> None:
        self._shape = shape
        self._fail = fail
        self._pending: deque[Entry] = deque()
        self._room = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._records, self._seconds, self._in_flight = _metrics(name)

    async def take(self, entry: Entry) -> None:
        while len(self._pending) >= _HELD_BATCHES_MAX * self._shape.most and not self._stopped:
            self._room.clear()
            await self._room.wait()
        if self._stopped or entry.line.thrown_away:
            return
        entry.line.entries.append(entry)
        self._pending.append(entry)
        if not self._tasks:
            task = asyncio.create_task(self._run())
            task.add_done_callback(self._ended)
            self._tasks.add(task)

    def stop(self) -> None:
        self._stopped = True
        self._room.set()

    def running(self) -> set["asyncio.Task[None]"]:
        return self._tasks

    async def _run(self) -> None:
        try:
            while self._pending and not self._stopped:
                batch = [self._pending.popleft() for _ in range(min(len(self._pending), self._shape.most))]
                self._room.set()
                await self._handle([entry for entry in batch if not entry.line.thrown_away])
        finally:
            self._tasks.clear()  # here, not in the callback: a record may come before that runs

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    async def _handle(self, batch: Sequence[Entry]) -> None:
        if not batch:
            return
        started = time.monotonic()
        self._in_flight.set(len(batch))
        await self._shape.handler([entry.record for entry in batch])
        self._in_flight.set(0)
        self._seconds.observe(time.monotonic() - started)
        self._records.inc(len(batch))
        for entry in batch:
            entry.line.finish(entry)


def _metrics(agent: str) -> tuple[Counter, Histogram, Gauge]:
    return RECORDS.labels(agent), SECONDS.labels(agent), IN_FLIGHT.labels(agent)
