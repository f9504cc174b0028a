"""The health agent: samples in, health records and the history out.

It keeps its figures in a table of the runtime's. Each batch of samples changes the rows of one account; a
clock beside it publishes the accounts that have changed, and every few seconds each of them: a record says
until when it holds, and an open circuit becomes half-open by time alone.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog

from aggregates.operation import Kind
from aggregates.routing.circuit import Change, CircuitRules
from commands.health_records import CircuitChange, HealthRecord, MinuteRecord
from commands.messages import InvalidMessage
from commands.records import DeadLetter, DeadLetters, Record
from commands.samples import SampleBatch
from gateways.health import metrics, minutes
from gateways.health.keeping import Account
from gateways.health.records import record_of
from gateways.health.rows import (
    MinuteRow,
    SegmentRow,
    dump_minute,
    dump_segment,
    key_parts,
    minute_key,
    read_minute,
    read_segment,
    segment_key,
)

PUBLISHED_EVERY: Final = timedelta(seconds=5)
"""The longest time between two records of an account: a reader takes one for stale after 30 s."""
PUBLISHED_AFTER: Final = timedelta(seconds=1)
"""The shortest, unless a circuit has changed: each command and gateway worker reads each record."""
FORGOTTEN_AFTER: Final = timedelta(days=7)
"""An account without a sample for so long is taken out of `gateways.health`."""
_MINUTE_ENDS_AFTER: Final = timedelta(seconds=65)
_LOOK_EVERY: Final = timedelta(seconds=5)

_log: Any = structlog.get_logger(agent="health")


class Rows(Protocol):
    """The table of the runtime, which the handler of a record alone may change."""

    def get(self, key: bytes) -> bytes | None:
        """Returns the row, None where there is none."""
        ...

    def keys(self) -> Collection[bytes]:
        """Returns the keys of all rows."""
        ...

    def __setitem__(self, key: bytes, value: bytes) -> None: ...

    def __delitem__(self, key: bytes) -> None: ...


class Publishing(Protocol):
    """The topics that the agent writes to. What a method has sent is with the broker when it returns."""

    async def health(self, account: str, record: HealthRecord | None) -> None:
        """Publishes the account's record; None: there is none any more."""
        ...

    async def history(self, account: str, record: MinuteRecord | CircuitChange) -> None:
        """Publishes a minute, or a change of a circuit."""
        ...


class HealthAgent:
    """Handles the samples of the partitions that this process has."""

    def __init__(
        self,
        *,
        publishing: Publishing,
        letters: DeadLetters,
        rules: CircuitRules,
        partition_of: Callable[[str], int],
        now: Callable[[], datetime],
    ) -> None:
        """`partition_of`: the partition of an account's samples."""
        self._publishing = publishing
        self._letters = letters
        self._rules = rules
        self._partition_of = partition_of
        self._now = now
        # Rows as they were read, with their bytes: of other bytes, another process has written them since.
        self._read: dict[bytes, tuple[bytes, SegmentRow]] = {}
        self._segments: dict[str, set[str]] = {}
        self._looked_at: datetime | None = None
        self._due: dict[str, datetime] = {}
        self._published: dict[str, datetime] = {}
        self._announced: dict[tuple[str, str], Change] = {}
        self._minutes_sent: dict[str, int] = {}
        self._forgotten: set[str] = set()

    async def handle(self, record: Record, table: Rows) -> None:
        """Takes a batch of samples in. Raises Kafka's errors."""
        try:
            batch = _read(record)
        except InvalidMessage as invalid:
            metrics.LETTERS.labels(invalid.code).inc()
            await self._letters.send(DeadLetter.of(record, invalid))
            return
        name = batch.account
        raw_minute = table.get(minute_key(name))
        account = Account(
            self._rules,
            lambda segment: self._row(table, segment_key(name, segment)),
            None if raw_minute is None else read_minute(raw_minute),
            self._segments.get(name, set()),
        )
        account.apply(batch, record)
        # Published before the table is changed: a process that is killed in between reads the batch again,
        # and publishes the same once more.
        for ended in account.ended:
            await self._send_minute(name, ended)
        for kind, change in account.changes:
            await self._announce(batch.gateway, name, kind, change)
        # Before the rows that take their places: a process that is killed in between has room for them.
        for key in (segment_key(name, segment) for segment in account.gone):
            self._read.pop(key, None)
            if table.get(key) is not None:
                del table[key]
        for segment, row in account.changed.items():
            key, raw = segment_key(name, segment), dump_segment(row)
            table[key] = raw
            self._read[key] = raw, row
        if account.minute is not None:
            table[minute_key(name)] = dump_minute(account.minute)
        known = self._segments.setdefault(name, set())
        known.difference_update(account.gone)
        known.update(account.changed)
        metrics.taken(batch, account.dropped + len(account.gone))
        published = self._published.get(name)
        if account.changes or published is None:
            self._due[name] = self._now()
        else:
            self._due[name] = published + PUBLISHED_AFTER

    async def tick(self, table: Rows, partitions: Collection[int]) -> None:
        """Publishes the accounts whose time has come. Raises Kafka's errors."""
        now = self._now()
        if self._looked_at is None or now - self._looked_at >= _LOOK_EVERY:
            self._look(table, partitions)
            self._looked_at = now
        for name, due in list(self._due.items()):
            if due <= now and self._partition_of(name) in partitions:
                await self._publish(table, name, now)

    def _look(self, table: Rows, partitions: Collection[int]) -> None:
        """Finds the accounts: after a rebalance, those that came with its partitions."""
        found: dict[str, set[str]] = {}
        for key in table.keys():  # noqa: SIM118  # it is no mapping
            name, segment = key_parts(key)
            if segment is not None and self._partition_of(name) in partitions:
                found.setdefault(name, set()).add(segment)
        for name in self._segments.keys() - found.keys():
            for segment in self._segments[name]:
                self._read.pop(segment_key(name, segment), None)
        self._segments = found
        self._due = {
            name: self._due.get(name, datetime.min.replace(tzinfo=self._now().tzinfo)) for name in found
        }

    async def _publish(self, table: Rows, name: str, now: datetime) -> None:
        rows = {
            segment: row
            for segment in self._segments[name]
            if (row := self._row(table, segment_key(name, segment))) is not None
        }
        self._due[name] = now + PUBLISHED_EVERY
        if not rows:
            return
        if now - max(row.last_at for row in rows.values()) > FORGOTTEN_AFTER:
            if name not in self._forgotten:
                await self._publishing.health(name, None)
                self._forgotten.add(name)
            return
        self._forgotten.discard(name)
        record, changes = record_of(name, rows, self._rules, now)
        for kind, change in changes:
            await self._announce(record.gateway, name, kind, change)
        await self._publishing.health(name, record)
        metrics.published(record)
        self._published[name] = now
        ends = [circuit.until for circuit in record.circuits.values() if circuit.until is not None]
        self._due[name] = min([self._due[name], *ends])
        await self._send_minute_if_over(table, name, now)

    async def _send_minute_if_over(self, table: Rows, name: str, now: datetime) -> None:
        """Publishes the minute of an account that has gone silent: no sample ends it."""
        raw = table.get(minute_key(name))
        row = None if raw is None else read_minute(raw)
        if row is None or self._minutes_sent.get(name) == row.minute:
            return
        if now - minutes.record_of(name, row).minute >= _MINUTE_ENDS_AFTER:
            await self._send_minute(name, row)

    async def _send_minute(self, name: str, row: MinuteRow) -> None:
        await self._publishing.history(name, minutes.record_of(name, row))
        self._minutes_sent[name] = row.minute

    async def _announce(self, gateway: str, name: str, kind: Kind, change: Change) -> None:
        if self._announced.get((name, kind)) == change:
            return
        await self._publishing.history(
            name,
            CircuitChange(
                gateway=gateway,
                account=name,
                kind=kind,
                before=change.before,
                after=change.after,
                at=change.at,
                reason=change.reason,
            ),
        )
        self._announced[name, kind] = change
        metrics.CHANGES.labels(name, kind, change.after).inc()
        _log.warning(
            "circuit changed",
            account=name,
            kind=kind,
            before=change.before,
            after=change.after,
            reason=change.reason,
        )

    def _row(self, table: Rows, key: bytes) -> SegmentRow | None:
        raw = table.get(key)
        if raw is None:
            return None
        kept = self._read.get(key)
        if kept is not None and kept[0] == raw:
            return kept[1]
        row = read_segment(raw)
        if row is not None:
            self._read[key] = raw, row
        return row


def _read(record: Record) -> SampleBatch:
    """Raises `InvalidMessage`."""
    batch = SampleBatch.read(record.content())
    if record.key != batch.account.encode():
        raise InvalidMessage("wrong_key", None, "the record's key is not the account")
    return batch
