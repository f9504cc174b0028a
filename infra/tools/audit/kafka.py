"""Reads every merchant's command from Kafka, and which records became dead letters."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from pydantic import TypeAdapter, ValidationError

from commands.handlers import check
from commands.ids import fingerprint
from commands.messages import AnyCommand, CreatePayment, InvalidMessage, MerchantCommand
from commands.messages import Command as CommandMessage
from commands.parsing import parse_command
from infra.kafka import reader, topics
from infra.kafka.producers import passes
from infra.settings import KafkaSettings
from infra.tools.audit.facts import Command, CommandKey, SentCommands

Offsets = dict[TopicPartition, int]
_READ_AHEAD: Final = 2000
_COORDINATOR_WITHIN_S: Final = 30.0
_ASK_AGAIN_S: Final = 0.2
_COMMAND: Final[TypeAdapter[AnyCommand]] = TypeAdapter(CommandMessage)


async def ends(settings: KafkaSettings) -> Offsets:
    """Returns the offsets behind the last command in each partition now."""
    async with _consumer(settings) as consumer:
        return dict(await consumer.end_offsets(reader.partitions_of(settings, topics.COMMANDS)))


async def unread(settings: KafkaSettings, until: Offsets) -> int:
    """Returns how many records before `until` the command worker has not acknowledged."""
    done = await _acknowledged(settings)
    behind = {place: done.get(place, 0) for place, end in until.items() if done.get(place, 0) < end}
    count = 0
    if behind:
        async with _consumer(settings) as consumer:
            async for records in reader.read_between(consumer, behind, until, records_max=_READ_AHEAD):
                count += len(records)
    return count


async def commands(settings: KafkaSettings, until: Offsets) -> tuple[dict[UUID, SentCommands], bool]:
    """Returns all commands by payment, from the topic's beginning; with False where Kafka no longer has
    its oldest records."""
    # A letter is written before its record is acknowledged: read in the other order, one could be missing.
    done = await _acknowledged(settings)
    reading = _Reading(done, await _letters(settings))
    async with _consumer(settings) as consumer:
        firsts = await consumer.beginning_offsets(list(until)) if until else {}
        async for records in reader.read_between(consumer, firsts, until, records_max=_READ_AHEAD):
            for record in records:
                reading.take(record)
    return reading.requests, not any(firsts.values())


@dataclass(frozen=True, slots=True)
class _Letters:
    """The dead letters by place. `since_ms`: the time of the oldest one that is kept; 0 where none was
    ever deleted."""

    places: set[str]
    since_ms: int

    def about(self, record: Any) -> bool:
        """True if there is a dead letter about the record, or may have been one."""
        return record.timestamp < self.since_ms or _place(record) in self.places


@dataclass(slots=True)
class _Reading:
    done: Offsets
    letters: _Letters
    requests: dict[UUID, SentCommands] = field(default_factory=dict)

    def take(self, record: Any) -> None:
        try:
            # A record that no dead letter is about was found free of card numbers: looking for them again
            # takes longest.
            aside = _place(record) in self.letters.places
            raw = record.value or b""
            command: AnyCommand = parse_command(raw) if aside else _COMMAND.validate_json(raw)
            check(command)
        except (InvalidMessage, ValidationError):
            return
        if record.key != str(command.payment_id).encode():
            return
        if isinstance(command, CreatePayment | MerchantCommand):
            request = self.requests.setdefault(command.payment_id, SentCommands())
            create = isinstance(command, CreatePayment)
            self._add(request.creates if create else request.commands, command, record)

    def _add(
        self, to: dict[CommandKey, Command], command: CreatePayment | MerchantCommand, record: Any
    ) -> None:
        made = Command(
            command_id=command.command_id,
            type=command.type,
            place=_place(record),
            fingerprint=fingerprint(command),
            amount_minor=getattr(command, "amount_minor", None),
            currency=getattr(command, "currency", None),
            read=self._read(record),
            put_aside=self.letters.about(record),
        )
        before = to.get(key := (made.command_id, made.fingerprint))
        if before is None or _is_fuller(made, before):
            to[key] = made

    def _read(self, record: Any) -> bool:
        place = TopicPartition(record.topic, record.partition)
        return bool(record.offset < self.done.get(place, 0))


def _is_fuller(one: Command, other: Command) -> bool:
    """True if more is known of `one` than of `other`, the same command sent again: a read one left a trace,
    one put aside was not decided."""
    return (not one.put_aside, one.read) > (not other.put_aside, other.read)


async def _letters(settings: KafkaSettings) -> _Letters:
    place = TopicPartition(settings.topic_prefix + topics.DEAD_LETTERS, 0)
    places: set[str] = set()
    since_ms: int | None = None
    async with _consumer(settings) as consumer:
        firsts, ends_ = await consumer.beginning_offsets([place]), await consumer.end_offsets([place])
        async for records in reader.read_between(consumer, firsts, ends_):
            for record in records:
                since_ms = record.timestamp if since_ms is None else since_ms
                letter = orjson.loads(record.value)
                places.add(f"{letter['topic']}/{letter['partition']}/{letter['offset']}")
    return _Letters(places, since_ms or 0 if firsts[place] else 0)


def _place(record: Any) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


@contextlib.asynccontextmanager
async def _consumer(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = reader.consumer(settings.kafka, client_id="aegispay-audit", group_id=None)
    async with consumer:
        yield consumer


async def _acknowledged(settings: KafkaSettings) -> Offsets:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, client_id="aegispay-audit")
    try:
        await admin.start()
        async with asyncio.timeout(_COORDINATOR_WITHIN_S):
            while (offsets := await _offsets(admin, settings.topic_prefix + topics.COMMAND_GROUP)) is None:  # noqa: ASYNC110  # what is waited for is in another process
                await asyncio.sleep(_ASK_AGAIN_S)
    finally:
        await admin.close()
    return {place: committed.offset for place, committed in offsets.items()}


async def _offsets(admin: AIOKafkaAdminClient, group: str) -> Any | None:
    """Returns the group's offsets. None: the broker is new or has just come back, and has no coordinator
    for the group yet."""
    try:
        return await admin.list_consumer_group_offsets(group)
    except KafkaError as error:
        if not passes(error):
            raise
        return None
