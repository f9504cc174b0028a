"""Wakes that the command worker could not use. Their timers are marked stuck, as no later wake would fare better."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, OffsetOutOfRangeError
from psycopg import AsyncConnection
from pydantic import BaseModel, ValidationError

from commands.messages import Wake
from infra import topics
from infra.process import Process
from infra.settings import TimersSettings

GROUP: Final = "timers"
_READ_MAX_S: Final = 10.0

# A row that was moved since is another timer.
_MARK: Final = """
UPDATE payment_timers SET stuck_since = clock_timestamp()
WHERE payment_id = %s AND wake_at = %s AND stuck_since IS NULL
"""


class _Place(BaseModel):
    """Of a dead letter: where the record stands that it is about."""

    topic: str
    partition: int
    offset: int


class DeadWakes:
    """One reader of `dead.letters` in the group of all timers processes."""

    def __init__(self, consumer: AIOKafkaConsumer, settings: TimersSettings, process: Process) -> None:
        self._consumer = consumer
        self._kafka = settings.kafka
        self._commands_topic = settings.topic_prefix + topics.COMMANDS
        self._process = process

    @classmethod
    @asynccontextmanager
    async def reading(cls, settings: TimersSettings, process: Process) -> AsyncIterator["DeadWakes"]:
        consumer = AIOKafkaConsumer(
            settings.topic_prefix + topics.DEAD_LETTERS,
            bootstrap_servers=settings.kafka,
            client_id="aegispay-timers",
            group_id=settings.topic_prefix + GROUP,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            yield cls(consumer, settings, process)
        finally:
            await consumer.stop()

    async def run_once(self, connection: AsyncConnection) -> int:
        """Marks what the letters since the last look name; how many rows. Never waits for letters."""
        marked = 0
        read = await self._consumer.getmany(timeout_ms=0)
        for letters in read.values():
            for letter in letters:
                marked += await self._mark(connection, letter.value)
        if read:
            # Lost partitions: another process reads these letters again, and marks nothing twice.
            with suppress(CommitFailedError, IllegalStateError):
                await self._consumer.commit()
        return marked

    async def _mark(self, connection: AsyncConnection, letter: bytes) -> int:
        try:
            place = _Place.model_validate_json(letter)
        except ValidationError:
            return 0
        if place.topic != self._commands_topic:
            return 0
        record = await self._original(place)
        if record is None or (wake := _wake(record.value)) is None:
            return 0
        # Under another key it is not one that a timers process sent.
        if record.key != str(wake.payment_id).encode():
            return 0
        done = await connection.execute(_MARK, (wake.payment_id, wake.due_at))
        if done.rowcount:
            self._process.log.error(
                "timer is stuck: its wake was dead-lettered",
                payment_id=str(wake.payment_id),
                place=f"{place.topic}/{place.partition}/{place.offset}",
            )
        return done.rowcount

    async def _original(self, place: _Place) -> Any | None:
        """None: deleted since, as its retention ended."""
        reader = AIOKafkaConsumer(
            bootstrap_servers=self._kafka, enable_auto_commit=False, auto_offset_reset="none"
        )
        await reader.start()
        try:
            partition = TopicPartition(place.topic, place.partition)
            reader.assign([partition])
            reader.seek(partition, place.offset)
            async with asyncio.timeout(_READ_MAX_S):
                record = await reader.getone(partition)
        except OffsetOutOfRangeError:
            return None
        finally:
            await reader.stop()
        return record if record.offset == place.offset else None


def _wake(value: bytes | None) -> Wake | None:
    """Also of a later release, of which only the three fields are known."""
    try:
        content = orjson.loads(value or b"")
        if not str(content["type"]).startswith("wake."):
            return None
        return Wake(
            command_id=content["command_id"], payment_id=content["payment_id"], due_at=content["due_at"]
        )
    except (orjson.JSONDecodeError, LookupError, TypeError, ValidationError):
        return None
