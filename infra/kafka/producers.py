"""Idempotent producers, the broker's clock, and dead letters, as every process uses them."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from commands.records import DeadLetter
from infra.kafka import topics
from infra.process import clock
from infra.settings import KafkaSettings

Headers = Sequence[tuple[str, bytes]]
_FLUSH_MAX_S: Final = 5.0


class _Producer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka has no types
    async def send(  # noqa: PLR0917  # as aiokafka has it
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Headers | None = None,
    ) -> Any:
        """Stamps a record with the process' clock, which may be wrong: the broker's own stamp replaces it."""
        if timestamp_ms is None:
            timestamp_ms = int(clock.now().timestamp() * 1000)
        return await super().send(topic, value, key, partition, timestamp_ms, headers)


def producer(settings: KafkaSettings, process: str) -> AIOKafkaProducer:
    """Returns a producer that is not started. Any error of it is fatal for the process: a lost sequence
    number cannot be mended."""
    return _Producer(
        bootstrap_servers=settings.kafka,
        client_id=f"aegispay-{process}",
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=512 * 1024,
        request_timeout_ms=30_000,
    )


@asynccontextmanager
async def producing(settings: KafkaSettings, process: str) -> AsyncIterator[AIOKafkaProducer]:
    """Yields a started producer, and stops it at the end. Gives a broker that is away 5 s for what was not
    sent yet."""
    started = producer(settings, process)
    try:
        await started.start()
        yield started
    finally:
        # Its flush waits for ever where the broker is away.
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_MAX_S):
                await started.stop()


def passes(error: KafkaError) -> bool:
    """True if the same request may succeed later: the broker is away, has just come up, or hands a role to
    another one. Not for a producer's errors, see `producer`."""
    return bool(error.retriable) or isinstance(error, KafkaTimeoutError)


class BrokerClock:
    """Reads the broker's clock from its stamps, so that an age is the difference of two readings of one
    clock.

    Every topic has LogAppendTime: what was just acknowledged or read was stamped no later than now.
    """

    def __init__(self) -> None:
        self._ahead_s: float | None = None  # of time.monotonic

    def stamped(self, timestamp_ms: int) -> None:
        """Takes the stamp of a record that the broker has just acknowledged or handed out."""
        ahead_s = timestamp_ms / 1000 - time.monotonic()
        self._ahead_s = ahead_s if self._ahead_s is None else max(ahead_s, self._ahead_s)

    def age_s(self, timestamp_ms: int) -> float | None:
        """Returns how long ago a record was appended, at least. None: no stamp was seen yet."""
        if self._ahead_s is None:
            return None
        return max(0.0, time.monotonic() + self._ahead_s - timestamp_ms / 1000)


class KafkaDeadLetters:
    """Implements `commands.records.DeadLetters` on the topic `dead.letters`."""

    def __init__(self, producer: AIOKafkaProducer, settings: KafkaSettings) -> None:
        self._producer = producer
        self._topic = settings.topic_prefix + topics.DEAD_LETTERS

    async def send(self, letter: DeadLetter) -> None:
        """Returns when the broker has acknowledged the letter. Raises aiokafka's `KafkaError`."""
        await self._producer.send_and_wait(self._topic, orjson.dumps(asdict(letter)))
