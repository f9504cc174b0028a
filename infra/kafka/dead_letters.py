"""Reads `dead.letters`, and sends an original again. The original is read from its own topic: a letter
does not hold it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from aiokafka import TopicPartition

from commands.card_data import holds_card_data, sensitive_path
from commands.messages import SENSITIVE
from commands.records import LISTENER_FAILED, DeadLetter
from infra.kafka import reader, topics
from infra.kafka.producers import producing
from infra.settings import KafkaSettings

_HOLDS_CARD_DATA: Final = "the original holds a card number or a security code: it is not sent again"


class NotSent(Exception):
    """The original was not sent again, for the reason in the text."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter with the broker's time of it."""

    at: datetime
    letter: DeadLetter

    @property
    def place(self) -> str:
        """The place of the original: topic/partition/offset."""
        return f"{self.letter.topic}/{self.letter.partition}/{self.letter.offset}"


async def read(settings: KafkaSettings, last: int) -> list[Letter]:
    """Returns the last `last` letters, oldest first."""
    place = TopicPartition(settings.topic_prefix + topics.DEAD_LETTERS, 0)
    async with reader.consumer(settings.kafka, client_id="aegispay-operator", group_id=None) as consumer:
        ends = await consumer.end_offsets([place])
        first = (await consumer.beginning_offsets([place]))[place]
        firsts = {place: max(first, ends[place] - last)}
        return [
            _letter(record)
            async for records in reader.read_between(consumer, firsts, ends)
            for record in records
        ]


async def send_again(settings: KafkaSettings, letter: DeadLetter) -> tuple[int, int]:
    """Sends a copy with the original's value, key and headers, and returns the copy's partition and
    offset. Raises `NotSent`."""
    if letter.code == LISTENER_FAILED:
        # On its topic every other reader would get the event once more.
        remedy = f"`aegispay dead-letters deliver {letter.path} PLACE`"
        raise NotSent(f"it is about the listener {letter.path} alone: {remedy}")
    if letter.code == SENSITIVE:
        raise NotSent(_HOLDS_CARD_DATA)
    declared = {topic.name for topic in topics.declared(settings.partitions, settings.topic_prefix)}
    if letter.topic not in declared:
        raise NotSent(f"{letter.topic} is no topic of AegisPay")
    original = await _original(settings, letter)
    if original is None:
        raise NotSent("its topic no longer has the original: it is older than what the topic keeps")
    unreadable = letter.code == "unreadable"
    if unreadable and original.value is None:
        raise NotSent("the Kafka client cannot read it now either")
    # A record that could not be read then had no time of its own.
    if not unreadable and original.timestamp != letter.timestamp_ms:
        raise NotSent("what stands at that place is not what the letter was written about: its time differs")
    if letter.topic == settings.topic_prefix + topics.COMMANDS and _holds_card_data(original):
        raise NotSent(_HOLDS_CARD_DATA)
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
    """Returns the newest letter about the record at `place`, topic/partition/offset; None: there is none."""
    return next((one.letter for one in reversed(letters) if one.place == place), None)


def about_listener(letters: Sequence[Letter], place: str, listener: str) -> DeadLetter | None:
    """Returns the newest letter of this listener hook about the record at `place`; None: there is none."""
    own = [one for one in letters if (one.letter.code, one.letter.path) == (LISTENER_FAILED, listener)]
    return matching(own, place)


async def _original(settings: KafkaSettings, letter: DeadLetter) -> Any | None:
    try:
        return await reader.record_at(
            settings.kafka, TopicPartition(letter.topic, letter.partition), letter.offset
        )
    except TimeoutError as error:
        raise NotSent("Kafka did not hand out the original in time: try again") from error


def _holds_card_data(original: Any) -> bool:
    """True if a command holds a card number or a security code. The command worker names the first fault that
    it finds: of a record that is too large, or no JSON object, it has never searched the content.

    Records of other topics are AegisPay's own, which hold none: what a PSP sends is redacted before.
    """
    value = original.value or b""
    try:
        found = sensitive_path({"value": orjson.loads(value)}) is not None
    except orjson.JSONDecodeError:
        found = holds_card_data(_text(value))
    beside = (_text(one) for one in (original.key, *(raw for _, raw in original.headers)) if one)
    return found or any(map(holds_card_data, beside))


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _letter(record: Any) -> Letter:
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return Letter(at, DeadLetter(**orjson.loads(record.value)))
