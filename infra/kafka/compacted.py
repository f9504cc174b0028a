"""Follows a compacted topic: the latest value of each key, in memory.

    async with CompactedTopic(settings, topics.HEALTH, read, key_of=lambda one: one.account) as health:
        health.now().get("stripe-eu")

Invariant: what cannot be read changes nothing. A record without use is skipped, and while Kafka is away the
last values stay; both are logged, and neither ends the process.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Final, Generic, Self, TypeVar

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from commands.messages import InvalidMessage
from infra.kafka import reader, topics
from infra.settings import KafkaSettings

FIRST_WITHIN_S: Final = 5.0
"""The time for which a start waits until the topic has been read to its end."""
KEYS_MAX: Final = 100_000
"""The keys that are held; a record of a further one is skipped."""
_VALUE_BYTES_MAX: Final = 1024 * 1024
# A record is read when it comes: this is how often an idle reader asks again, of which a process has several.
_POLL_MS: Final = 5000
_AGAIN_AFTER_S: Final = (0.5, 1.0, 2.0, 5.0)
_SOUND_AFTER_S: Final = 10.0
# Broken records that the log names once: a topic of such must not fill the memory.
_LOGGED_MAX: Final = 1000

SKIPPED = Counter("aegispay_compacted_skipped", "Records of a compacted topic that cannot be used", ["topic"])
VALUES = Gauge("aegispay_compacted_values", "Keys whose latest value is held", ["topic"])

V = TypeVar("V")


class CompactedTopic(Generic[V]):
    """The latest value of each key of a topic. `read` makes a value of a record's bytes, and raises
    `InvalidMessage` or `ValueError` where it cannot. A record whose key is not that of its value is
    skipped."""

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        read: Callable[[bytes], V],
        *,
        key_of: Callable[[V], str | None],
        first_within_s: float = FIRST_WITHIN_S,
        keys_max: int = KEYS_MAX,
        replaces: Callable[[V, V], bool] = lambda _read, _held: True,
    ) -> None:
        """`topic`: without the installation's prefix. `key_of`: the key under which a value belongs, by its
        own content; None: it does not say. `replaces(read, held)`: False where a record that comes
        later is older than the one that is held, since a writer that was stopped went on."""
        declared = {one.name: one for one in topics.declared(settings.partitions, settings.topic_prefix)}
        found = declared[settings.topic_prefix + topic]
        self._topic = topic
        self._bootstrap = settings.kafka
        self._read = read
        self._key_of = key_of
        self._first_within_s = first_within_s
        self._keys_max = keys_max
        self._replaces = replaces
        self._places = [TopicPartition(found.name, number) for number in range(found.partitions)]
        # The offsets to read from, kept beyond a consumer's end: a broken record is met once.
        self._next: dict[TopicPartition, int] = {}
        self._values: Mapping[str, V] = MappingProxyType({})
        self._whole = asyncio.Event()
        self._log: Any = structlog.get_logger(topic=topic)
        self._logged: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Returns when the topic has been read to its end, or after `first_within_s`: then it is read on
        beside the caller."""
        self._task = asyncio.create_task(self._follow())
        waiting = asyncio.create_task(self._whole.wait())
        try:
            await asyncio.wait(
                {waiting, self._task}, timeout=self._first_within_s, return_when=asyncio.FIRST_COMPLETED
            )
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        finally:
            waiting.cancel()
        if not self._whole.is_set():
            self._log.warning("not read to its end yet: going on with what is known", keys=len(self._values))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops reading. Raises what ended the reading before, which is a bug."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.result()

    @property
    def whole(self) -> bool:
        """True once the topic has been read to the end that it had at the start: what `now` lacks is not
        there."""
        return self._whole.is_set()

    def now(self) -> Mapping[str, V]:
        """Returns the latest value of each key. Costs nothing; a later change is in the next call's result,
        never in this one's, so another thread may read it."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()
        return self._values

    async def _follow(self) -> None:
        tries = 0
        while True:
            since = time.monotonic()
            try:
                await self._follow_on()
            except (KafkaError, OSError) as error:
                tries = tries + 1 if time.monotonic() - since < _SOUND_AFTER_S else 0
                self._log.warning("cannot be read: the last values stay", error=type(error).__name__)
                await asyncio.sleep(_AGAIN_AFTER_S[min(tries, len(_AGAIN_AFTER_S) - 1)])

    async def _follow_on(self) -> None:
        async with reader.consumer(
            self._bootstrap,
            client_id="aegispay-compacted",
            group_id=None,
            auto_offset_reset="earliest",  # also where the topic was made anew, and the offset is gone
            fetch_max_wait_ms=_POLL_MS,
        ) as consumer:
            consumer.assign(self._places)
            for place in self._places:
                if place in self._next:
                    consumer.seek(place, self._next[place])
            # A topic may be written to faster than its end is asked for: the first end is enough.
            ends = await consumer.end_offsets(self._places)
            while True:
                # Not by the last record: the marker of a transaction has an offset and is no record. And
                # before the first read, which nothing ends where the topic is empty.
                for place in self._places:
                    self._next[place] = await consumer.position(place)
                if all(self._next[place] >= ends[place] for place in self._places):
                    self._whole.set()
                read = await consumer.getmany(timeout_ms=_POLL_MS)
                if messages := [message for some in read.values() for message in some]:
                    self._take(messages)

    def _take(self, messages: list[Any]) -> None:
        values = dict(self._values)
        for message in messages:
            try:
                self._apply(values, message)
            except (InvalidMessage, ValueError) as error:
                SKIPPED.labels(self._topic).inc()
                self._complain(message, error)
        # A new mapping, put in place at once: a thread that reads the old one is not disturbed.
        self._values = MappingProxyType(values)
        VALUES.labels(self._topic).set(len(values))

    def _apply(self, values: dict[str, V], message: Any) -> None:
        """Raises `InvalidMessage` or `ValueError`, and has changed nothing then."""
        record = reader.record_of(message)
        content = record.content()
        if record.key is None:
            raise ValueError("no key")
        key = record.key.decode()
        if record.value is None:
            values.pop(key, None)
        elif len(content) > _VALUE_BYTES_MAX:
            raise ValueError("too long")
        elif key not in values and len(values) >= self._keys_max:
            raise ValueError("too many keys")
        else:
            value = self._read(content)
            if self._key_of(value) not in {None, key}:
                raise InvalidMessage("wrong_key", None, "the record's key is not that of its content")
            if key not in values or self._replaces(value, values[key]):
                values[key] = value

    def _complain(self, message: Any, error: Exception) -> None:
        place = f"{message.partition}/{message.offset}"
        if place not in self._logged and len(self._logged) < _LOGGED_MAX:
            self._logged.add(place)
            # Not the error's text: pydantic's quotes the value.
            reason = error.code if isinstance(error, InvalidMessage) else type(error).__name__
            self._log.error("a record cannot be used", place=place, reason=reason)
