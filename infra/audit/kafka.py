"""What Kafka says was asked for: every merchant's command, and which records were put aside as dead letters."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from pydantic import TypeAdapter, ValidationError

from commands.handlers import check
from commands.messages import (
    AnyCommand,
    CreatePayment,
    InvalidMessage,
    MerchantCommand,
    fingerprint,
    parse_command,
)
from commands.messages import Command as CommandMessage
from infra import topics
from infra.audit.facts import Asked, Command, Create
from infra.command_worker import GROUP
from infra.settings import KafkaSettings

Offsets = dict[TopicPartition, int]
_READ_AHEAD: Final = 2000
_COORDINATOR_WITHIN_S: Final = 30.0
_ASK_AGAIN_S: Final = 0.2
_COMMAND: Final[TypeAdapter[AnyCommand]] = TypeAdapter(CommandMessage)


async def ends(settings: KafkaSettings) -> Offsets:
    """Where the commands end now."""
    topic = settings.topic_prefix + topics.COMMANDS
    async with _consumer(settings) as consumer:
        places = [TopicPartition(topic, number) for number in range(settings.partitions)]
        return dict(await consumer.end_offsets(places))


async def unread(settings: KafkaSettings, until: Offsets) -> int:
    """Records before `until` that the command worker has not acknowledged."""
    done = await _acknowledged(settings)
    return sum(max(0, end - done.get(place, 0)) for place, end in until.items())


async def commands(settings: KafkaSettings, until: Offsets) -> tuple[dict[UUID, Asked], bool]:
    """From the topic's beginning. False with it where the topic no longer has its oldest records."""
    # A letter is written before its record is acknowledged: read in the other order, one could be missing.
    done = await _acknowledged(settings)
    reading = _Reading(done, await _letters(settings))
    async with _consumer(settings) as consumer:
        firsts = await consumer.beginning_offsets(list(until)) if until else {}
        async for records in _read(consumer, firsts, until):
            for record in records:
                reading.take(record)
    return reading.asked, not any(firsts.values())


@dataclass(frozen=True, slots=True)
class _Letters:
    """`since_ms`: of the oldest one that is kept; 0 where none was ever deleted."""

    places: set[str]
    since_ms: int

    def about(self, record: Any) -> bool:
        """Whether there is one, or may have been."""
        return record.timestamp < self.since_ms or _place(record) in self.places


@dataclass(slots=True)
class _Reading:
    done: Offsets
    letters: _Letters
    asked: dict[UUID, Asked] = field(default_factory=dict)

    def take(self, record: Any) -> None:
        try:
            # What no dead letter is about was found free of card numbers: looking for them again takes longest.
            aside = _place(record) in self.letters.places
            raw = record.value or b""
            command: AnyCommand = parse_command(raw) if aside else _COMMAND.validate_json(raw)
            check(command)
        except (InvalidMessage, ValidationError):
            return
        if record.key != str(command.payment_id).encode():
            return
        if isinstance(command, CreatePayment):
            self._create(command, record)
        elif isinstance(command, MerchantCommand):
            self._merchants(command, record)

    def _create(self, command: CreatePayment, record: Any) -> None:
        asked = self.asked.setdefault(command.payment_id, Asked())
        given = fingerprint(command)
        if asked.create is None:
            asked.create = Create(
                _place(record), given, command.amount_minor, command.currency, self._read(record)
            )
        elif given != asked.create.fingerprint:
            self._add(asked, command, record, given)

    def _merchants(self, command: MerchantCommand, record: Any) -> None:
        asked = self.asked.setdefault(command.payment_id, Asked())
        before = asked.commands.get(command.command_id)
        # One that was put aside was not decided: the same command may come again, and then it counts.
        if before is None or before.put_aside:
            self._add(asked, command, record, fingerprint(command))

    def _add(self, asked: Asked, command: CreatePayment | MerchantCommand, record: Any, given: str) -> None:
        asked.commands[command.command_id] = Command(
            command_id=command.command_id,
            type=command.type,
            place=_place(record),
            fingerprint=given,
            amount_minor=getattr(command, "amount_minor", None),
            read=self._read(record),
            put_aside=self.letters.about(record),
        )

    def _read(self, record: Any) -> bool:
        place = TopicPartition(record.topic, record.partition)
        return bool(record.offset < self.done.get(place, 0))


async def _letters(settings: KafkaSettings) -> _Letters:
    place = TopicPartition(settings.topic_prefix + topics.DEAD_LETTERS, 0)
    places: set[str] = set()
    since_ms: int | None = None
    async with _consumer(settings) as consumer:
        firsts, ends_ = await consumer.beginning_offsets([place]), await consumer.end_offsets([place])
        async for records in _read(consumer, firsts, ends_):
            for record in records:
                since_ms = record.timestamp if since_ms is None else since_ms
                letter = orjson.loads(record.value)
                places.add(f"{letter['topic']}/{letter['partition']}/{letter['offset']}")
    return _Letters(places, since_ms or 0 if firsts[place] else 0)


async def _read(consumer: AIOKafkaConsumer, firsts: Offsets, until: Offsets) -> AsyncIterator[Sequence[Any]]:
    """All records from `firsts` until `until`, partition by partition in their order."""
    left = {place for place, first in firsts.items() if first < until[place]}
    consumer.assign(sorted(left))
    for place in left:
        consumer.seek(place, firsts[place])
    while left:
        read = await consumer.getmany(*left, timeout_ms=1000, max_records=_READ_AHEAD)
        for place, records in read.items():
            yield [record for record in records if record.offset < until[place]]
            if records[-1].offset + 1 >= until[place]:
                left.discard(place)
        await asyncio.sleep(0)


def _place(record: Any) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


@contextlib.asynccontextmanager
async def _consumer(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, client_id="aegispay-audit", enable_auto_commit=False, group_id=None
    )
    async with consumer:
        yield consumer


async def _acknowledged(settings: KafkaSettings) -> Offsets:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, client_id="aegispay-audit")
    await admin.start()
    try:
        async with asyncio.timeout(_COORDINATOR_WITHIN_S):
            while (offsets := await _offsets(admin, settings.topic_prefix + GROUP)) is None:  # noqa: ASYNC110  # what is waited for is in another process
                await asyncio.sleep(_ASK_AGAIN_S)
    finally:
        await admin.close()
    return {place: committed.offset for place, committed in offsets.items()}


async def _offsets(admin: AIOKafkaAdminClient, group: str) -> Any | None:
    """None: the broker is new, or has just come back, and nobody looks after the group yet."""
    try:
        return await admin.list_consumer_group_offsets(group)
    except GroupCoordinatorNotAvailableError:
        return None
