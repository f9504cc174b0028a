"""An agent that keeps a table, which Kafka holds as a changelog: one record at a time, and a clock beside
them.

A table is lost with its changelog, and a record may be applied to it twice: Faust writes a change without
waiting for the broker, and apart from the offsets. So only what may be lost and found again is kept in one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, KeysView
from dataclasses import dataclass
from typing import Protocol

from commands.records import Record
from infra.kafka.window import InFlight, metrics_of


class Table(Protocol):
    """Values by key, of the partitions that this process has; some of other partitions may be left from
    before. It is written by the handler alone."""

    def get(self, key: bytes) -> bytes | None:
        """Returns the value, None where there is none."""
        ...

    def keys(self) -> KeysView[bytes]:
        """Returns all keys."""
        ...

    def __setitem__(self, key: bytes, value: bytes) -> None: ...

    def __delitem__(self, key: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class TableMode:
    """Handles one record at a time, and calls `tick` every `tick_every_s` while the table is whole, with the
    partitions that this process has. `changelog`: its topic, without the installation's prefix; it has
    `partitions`, as the source has."""

    handler: Callable[[Record, Table], Awaitable[None]]
    tick: Callable[[Table, Collection[int]], Awaitable[None]]
    changelog: str
    partitions: int
    tick_every_s: float


class TableWork:
    """Runs a handler as `TableMode` describes."""

    def __init__(self, name: str, mode: TableMode, table: Table) -> None:
        self.mode = mode
        self.table = table
        self._stopped = False
        self._records, self._seconds, self._in_flight = metrics_of(name)

    async def take(self, entry: InFlight) -> None:
        """Handles the record before it returns: Faust knows by the task from which partition a key of the
        table comes. What the handler raises ends the agent, and so the process."""
        if self._stopped or entry.queue.revoked:
            return
        entry.queue.entries.append(entry)
        self._in_flight.set(1)
        with self._seconds.time():
            await self.mode.handler(entry.record, self.table)
        self._in_flight.set(0)
        self._records.inc()
        entry.queue.finish(entry)

    def stop(self) -> None:
        """Begins nothing more."""
        self._stopped = True

    def running(self) -> set["asyncio.Task[None]"]:
        """Returns no task: the handler runs in the stream's."""
        return set()
