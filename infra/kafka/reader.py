"""Makes every Kafka consumer, which reads only committed records, and reads ranges of a topic. Invariant: a
record that the client library cannot read ends no process.

Such a record (a header whose name is no text, every record of a batch whose checksum or compression is
broken) is handed on without key and value (see `Record.content`): its reader writes a dead letter and goes
on, and its neighbours in the batch are read. The library raises instead, for ever, and drops what it had read
of other partitions in the same call.
"""

import asyncio
import struct
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Final, Self

import cramjam
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaError
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint
from prometheus_client import Counter

from commands.records import UNREADABLE, Record, first_headers
from infra.settings import KafkaSettings

READ_COMMITTED: Final = "read_committed"
METADATA_MAX_AGE_MS: Final = 5_000
"""A group's leader that meets a broker just come back may know no partitions, and assigns none: the group
reads nothing until the leader's next look at them, which the library takes after five minutes."""
_ONE_RECORD_WITHIN_S: Final = 10.0
_NEXT_RECORDS_WITHIN_S: Final = 30.0
_ERRORS: Final = (
    KafkaError,
    cramjam.DecompressionError,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    IndexError,
    OverflowError,
)
_FETCHED_MAX: Final = 3
"""The number of times that the reader fetches a batch with a wrong checksum before it gives up: the network
may have broken it."""
_REMEMBERED_MAX: Final = 1000
# A broken batch may claim any number of records.
_RECORDS_MAX: Final = 100_000
# Version 2 of Kafka's format: base offset, length of what follows, leader's epoch, version.
_LENGTH_AT: Final = 8
_MAGIC_AT: Final = 16
_MAGIC: Final = 2

RECORDS = Counter("aegispay_unreadable_records", "Records that the Kafka client cannot read", ["topic"])

_log = structlog.get_logger()

Offsets = Mapping[TopicPartition, int]


class _Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    async def __aenter__(self) -> Self:
        """Stops what it began where the broker is away: the library would leave it open."""
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self


def consumer(bootstrap: str, *topics: str, **more: Any) -> AIOKafkaConsumer:
    """Returns a consumer that is not started, and that commits only when `commit` is called."""
    return _Consumer(
        *topics,
        bootstrap_servers=bootstrap,
        isolation_level=READ_COMMITTED,
        enable_auto_commit=False,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
        **more,
    )


def partitions_of(settings: KafkaSettings, topic: str) -> list[TopicPartition]:
    """Returns the partitions of a topic that is keyed by payment; `topic` without the installation's
    prefix."""
    return [TopicPartition(settings.topic_prefix + topic, number) for number in range(settings.partitions)]


def record_of(message: Any) -> Record:
    """Reads aiokafka's ConsumerRecord as ours."""
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        first_headers(message.headers),
        message.timestamp,
    )


async def read_between(
    consumer: AIOKafkaConsumer,
    firsts: Offsets,
    ends: Offsets,
    *,
    poll_ms: int = 1000,
    records_max: int | None = None,
    first_only: bool = False,
) -> AsyncIterator[list[Any]]:
    """Reads each partition of `firsts` from that offset and before its offset in `ends`, in the partition's
    order.

    `consumer` is started, belongs to no group and has subscribed to nothing. Yields what one poll of
    `poll_ms` gave from one partition, and an empty list after each poll, so that the caller can give up;
    where the broker is away it goes on until then. `first_only`: a partition is done with once it has given a
    record.
    """
    left = {place for place, first in firsts.items() if first < ends[place]}
    if not left:
        return
    consumer.assign(sorted(left))
    for place in left:
        consumer.seek(place, firsts[place])
    while left:
        read = await consumer.getmany(*left, timeout_ms=poll_ms, max_records=records_max)
        found = {
            place: [record for record in records if record.offset < ends[place]]
            for place, records in read.items()
        }
        for records in found.values():
            yield records
        yield []
        # Not by the last record: the marker of a transaction has an offset and is no record.
        left -= {place for place in left if await consumer.position(place) >= ends[place]}
        if first_only:
            left -= {place for place, records in found.items() if records}
        await asyncio.sleep(0)


async def record_at(bootstrap: str, place: TopicPartition, offset: int) -> Any | None:
    """Returns the ConsumerRecord at the offset; None where the topic has none there: deleted, not written
    yet, or a transaction's marker. Raises `TimeoutError` where the broker does not hand it out within 10
    s."""
    async with asyncio.timeout(_ONE_RECORD_WITHIN_S), consumer(bootstrap, group_id=None) as own:
        first = (await own.beginning_offsets([place]))[place]
        end = (await own.end_offsets([place]))[place]
        if not first <= offset < end:
            return None
        async for records in read_between(own, {place: offset}, {place: offset + 1}):
            for record in records:
                return record
    return None


_WINDOW_MAX: Final = 65_536
"""The number of offsets that `last_records` reads at once of a partition. It bounds what is read too far
back, and how long a window of aborted records can go on without handing out one."""


async def last_records(
    bootstrap: str,
    places: Sequence[TopicPartition],
    accepts: Callable[[Record], bool] = lambda _: True,
) -> list[Record]:
    """Returns the last committed record that `accepts` takes of each partition that has one, however far back
    it stands. Raises `TimeoutError` where Kafka hands out nothing for 30 s."""
    found: dict[TopicPartition, Record] = {}
    window = 1
    loop = asyncio.get_running_loop()
    async with (
        asyncio.timeout(_NEXT_RECORDS_WITHIN_S) as patience,
        consumer(bootstrap, group_id=None) as own,
    ):
        firsts, ends = await own.beginning_offsets(places), await own.end_offsets(places)
        left = {place for place in places if ends[place] > firsts[place]}
        while left:
            # Further back each time: the marker of a transaction has an offset and is no record.
            starts = {place: max(firsts[place], ends[place] - window) for place in left}
            async for records in read_between(own, starts, ends):
                if records:
                    patience.reschedule(loop.time() + _NEXT_RECORDS_WITHIN_S)
                for record in map(record_of, records):
                    if accepts(record):
                        found[TopicPartition(record.topic, record.partition)] = record
            patience.reschedule(loop.time() + _NEXT_RECORDS_WITHIN_S)
            left = {place for place in left if place not in found and starts[place] > firsts[place]}
            ends = starts
            window = min(2 * window, _WINDOW_MAX)
    return [found[place] for place in places if place in found]


async def committed_between(bootstrap: str, place: TopicPartition, first: int, end: int) -> bool:
    """True if Kafka has committed records from `first` on and before `end`. Called at a gap in the
    offsets, which is rare: only a producer with transactions makes one."""
    partition = TopicPartition(place.topic, place.partition)
    async with consumer(bootstrap, group_id=None) as own:
        async for records in read_between(own, {partition: first}, {partition: end}):
            if records:
                return True
    return False


class _Batch:
    """One batch of the library's. A stand-in takes the place of each record that cannot be read."""

    def __init__(self, batch: Any, raw: memoryview, place: TopicPartition, *, intact: bool) -> None:
        self._batch = batch
        self._raw = raw
        self._place = place
        self._intact = intact
        self.base_offset = batch.base_offset
        self.next_offset = batch.next_offset
        self.producer_id = batch.producer_id if intact else None
        self.is_control_batch = intact and batch.is_control_batch
        self.is_transactional = intact and batch.is_transactional

    def validate_crc(self) -> bool:
        return True

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        offset = self.base_offset
        reason = "its checksum is wrong"
        if self._intact:
            try:
                for record in self._batch:
                    yield record
                    offset = record.offset + 1
            except _ERRORS as error:
                reason = type(error).__name__
            else:
                return
            if self._raw[_MAGIC_AT] == _MAGIC:
                offset = yield from self._one_by_one(offset)
        if offset < self.next_offset:
            yield from self._stand_ins(offset, min(self.next_offset, offset + _RECORDS_MAX), reason)

    def _one_by_one(self, offset: int) -> Generator[Any, None, int]:
        """Reads on from there by the length before each record, which Kafka has checked. Returns the
        offset from which nothing can be read: the batch's end, where the lengths are right."""
        batch = _DefaultRecordBatchPy(bytes(self._raw))
        try:
            iter(batch)  # decompresses
        except _ERRORS:
            return offset
        for number in range(batch._num_records):
            try:
                delta, end = _record(batch._buffer, batch._pos)
            except _ERRORS:
                return offset
            try:
                record = next(batch)
            except _ERRORS as error:
                place = self.base_offset + delta
                if not offset <= place < self.next_offset:
                    return offset
                yield from self._stand_ins(place, place + 1, type(error).__name__)
                offset = place + 1
                batch._pos, batch._next_record_index = end, number + 1
                continue
            if record.offset >= offset:
                yield record
                offset = record.offset + 1
        return self.next_offset if batch._pos == len(batch._buffer) else offset

    def _stand_ins(self, offset: int, end: int, reason: str) -> Iterator[Any]:
        _log.error(
            "records cannot be read",
            place=f"{self._place.topic}/{self._place.partition}/{offset}",
            records=end - offset,
            reason=reason,
        )
        for number in range(offset, end):
            RECORDS.labels(self._place.topic).inc()
            yield SimpleNamespace(
                offset=number,
                timestamp=0,
                timestamp_type=1,
                key=None,
                value=None,
                checksum=None,
                headers=[(UNREADABLE, reason.encode())],
            )


def _record(buffer: bytearray, start: int) -> tuple[int, int]:
    """Returns how far the record stands behind the batch's first, and where it ends. Raises `ValueError` or
    `IndexError`."""
    length, at = decode_varint(buffer, start)
    _, time_end = decode_varint(buffer, at + 1)  # its attributes are one byte
    delta, _ = decode_varint(buffer, time_end)
    return delta, at + length


class _Fetched:
    """The library's batches of one fetch, with the bytes of the last one taken, which the library does not
    show."""

    def __init__(self, raw: bytes) -> None:
        self._raw = memoryview(raw)  # what is cut from it is no copy: every batch passes here
        self._end = 0
        self._records = MemoryRecords(raw)
        self.last = self._raw[:0]

    def size_in_bytes(self) -> int:
        return len(self._raw)

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        start = self._end
        self._end += _LENGTH_AT + 4 + struct.unpack_from(">i", self._raw, start + _LENGTH_AT)[0]
        self.last = self._raw[start : self._end]
        return self._records.next_batch()


class _Batches:
    """The library's batches of one fetch. Invariant: it ends before a batch that is to be fetched again."""

    _fetched: ClassVar[OrderedDict[tuple[TopicPartition, int], int]] = OrderedDict()

    def __init__(self, batches: _Fetched, place: TopicPartition) -> None:
        self._batches = batches
        self._place = place
        self._next: _Batch | None = None

    def has_next(self) -> bool:
        if self._next is None and self._batches.has_next():
            batch = self._batches.next_batch()
            intact = batch.validate_crc()
            if intact or self._given_up(batch.base_offset):
                self._next = _Batch(batch, self._batches.last, self._place, intact=intact)
        return self._next is not None

    def next_batch(self) -> _Batch:
        found, self._next = self._next, None
        assert found is not None
        return found

    def _given_up(self, base_offset: int) -> bool:
        which = (self._place, base_offset)
        self._fetched[which] = self._fetched.pop(which, 0) + 1
        if len(self._fetched) > _REMEMBERED_MAX:
            self._fetched.popitem(last=False)
        return self._fetched[which] >= _FETCHED_MAX


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, tp: Any, records: Any, *more: Any) -> None:
        super().__init__(tp, _Batches(records, tp), *more)


# The one place where the library makes these, for Faust's consumers too; it has no setting for it.
fetcher.MemoryRecords = _Fetched
fetcher.PartitionRecords = _PartitionRecords
