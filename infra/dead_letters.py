"""What stands in `dead.letters`, and sending one again: the original is read from its own topic, never from a letter."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from commands.records import DeadLetter
from infra import topics
from infra.broker import producing
from infra.settings import KafkaSettings

_READ_MS: Final = 5000


class NotSent(Exception):
    """Its text says why the original was not sent again."""


@dataclass(frozen=True, slots=True)
class Letter:
    at: datetime
    letter: DeadLetter

    @property
    def place(self) -> str:
        """Of the original."""
        return f"{self.letter.topic}/{self.letter.partition}/{self.letter.offset}"


async def read(settings: KafkaSettings, last: int) -> list[Letter]:
    """The last so many, oldest first."""
    place = TopicPartition(settings.topic_prefix + topics.DEAD_LETTERS, 0)
    async with _consumer(settings) as consumer:
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        first = (await consumer.beginning_offsets([place]))[place]
        consumer.seek(place, max(first, end - last))
        letters: list[Letter] = []
        while await consumer.position(place) < end:
            records = (await consumer.getmany(place, timeout_ms=1000)).get(place, [])
            letters += [_letter(record) for record in records if record.offset < end]
    return letters


async def send_again(settings: KafkaSettings, letter: DeadLetter) -> tuple[int, int]:
    """The partition and offset of the copy, which has the original's value, key and headers. Raises `NotSent`."""
    if letter.sha256 is None:
        raise NotSent("the original may hold a card number, or it has no value: it is not sent again")
    declared = {topic.name for topic in topics.declared(settings.partitions, settings.topic_prefix)}
    if letter.topic not in declared:
        raise NotSent(f"{letter.topic} is no topic of AegisPay")
    original = await _original(settings, letter)
    if original is None:
        raise NotSent("its topic no longer has the original: it is older than what the topic keeps")
    if original.value is None or hashlib.sha256(original.value).hexdigest() != letter.sha256:
        raise NotSent(
            "what stands at that place is not what the letter was written about: its SHA-256 differs"
        )
    async with producing(settings, "operator") as broker:
        sent = await broker.send_and_wait(
            letter.topic,
            original.value,
            key=original.key,
            partition=letter.partition,
            headers=[(name, value) for name, value in original.headers],
        )
    return sent.partition, sent.offset


def matching(letters: Sequence[Letter], place: str) -> DeadLetter | None:
    """The newest letter about the record at `place`, topic/partition/offset."""
    return next((one.letter for one in reversed(letters) if one.place == place), None)


async def _original(settings: KafkaSettings, letter: DeadLetter) -> Any | None:
    place = TopicPartition(letter.topic, letter.partition)
    async with _consumer(settings) as consumer:
        consumer.assign([place])
        first = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        if not first <= letter.offset < end:
            return None
        consumer.seek(place, letter.offset)
        records = (await consumer.getmany(place, timeout_ms=_READ_MS, max_records=1)).get(place, [])
    return next((record for record in records if record.offset == letter.offset), None)


def _letter(record: Any) -> Letter:
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return Letter(at, DeadLetter(**orjson.loads(record.value)))


def _consumer(settings: KafkaSettings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        client_id="aegispay-operator",
        group_id=None,
        enable_auto_commit=False,
    )
