"""Kafka, as every process uses it: idempotent producers, and dead letters."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Final

import orjson
from aiokafka import AIOKafkaProducer

from commands.records import DeadLetter
from infra import topics
from infra.settings import KafkaSettings

Headers = Sequence[tuple[str, bytes]]
_FLUSH_MAX_S: Final = 5.0


def producer(settings: KafkaSettings, process: str) -> AIOKafkaProducer:
    """Not started. Any error of it is fatal for the process: a lost sequence number cannot be mended."""
    return AIOKafkaProducer(
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
    """A started producer, and its orderly end."""
    started = producer(settings, process)
    try:
        await started.start()
        yield started
    finally:
        # Its flush waits for ever where the broker is away.
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_MAX_S):
                await started.stop()


class KafkaDeadLetters:
    def __init__(self, producer: AIOKafkaProducer, settings: KafkaSettings) -> None:
        self._producer = producer
        self._topic = settings.topic_prefix + topics.DEAD_LETTERS

    async def send(self, letter: DeadLetter) -> None:
        await self._producer.send_and_wait(self._topic, orjson.dumps(asdict(letter)))
