"""A Kafka record as read, and the dead letter of one that cannot be used."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from commands.card_data import holds_card_data
from commands.messages import InvalidMessage

TRACEPARENT: Final = "traceparent"
UNREADABLE: Final = "aegispay-unreadable"
"""A header that only our consumer adds, never a producer: why the Kafka client could not read the record."""
# W3C Trace Context, version 00: neither id is all zeros, and version ff does not exist.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII
)


def is_traceparent(text: str) -> bool:
    """True for W3C's form, where no id looks like a card number."""
    return _TRACEPARENT.fullmatch(text) is not None and not holds_card_data(text)


def first_headers(pairs: Iterable[tuple[str, bytes | None]]) -> dict[str, bytes]:
    """Reads a record's headers, the same way for every consumer: the first value of a repeated name counts.

    Of `traceparent` the first valid one counts: it is the producer's own, and OpenTelemetry's reader takes
    the first too, while its instrumentation of aiokafka appends a second one. A null is no value.
    """
    found: dict[str, bytes] = {}
    for name, value in pairs:
        if value is None or (name in found and not (name == TRACEPARENT and not _is_trace(found[name]))):
            continue
        found[name] = value
    return found


def _is_trace(raw: bytes) -> bool:
    return is_traceparent(raw.decode("latin-1"))


@dataclass(frozen=True, slots=True)
class Record:
    """A record of any topic. `timestamp_ms`: the broker's clock, since 1970."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: Mapping[str, bytes]
    timestamp_ms: int

    def content(self) -> bytes:
        """Returns the value, empty for a null. Raises `InvalidMessage` if the Kafka client could not read the
        record (infra/kafka/reader.py)."""
        if self.value is None and (reason := self.headers.get(UNREADABLE)) is not None:
            detail = f"the Kafka client cannot read it: {reason.decode('ascii', 'replace')[:100]}"
            raise InvalidMessage("unreadable", None, detail, None)
        return self.value or b""

    @property
    def place(self) -> str:
        """Its topic/partition/offset."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    def header(self, name: str) -> str | None:
        """Returns a header's text. None: it is absent, over 200 bytes, not printable ASCII, or holds card
        data."""
        raw = self.headers.get(name)
        if raw is None or len(raw) > 200 or not raw.isascii():
            return None
        text = raw.decode("ascii")
        return text if text.isprintable() and not holds_card_data(text) else None

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context; None: there is no valid one."""
        text = self.header(TRACEPARENT)
        return text if text is not None and is_traceparent(text) else None


LISTENER_FAILED: Final = "listener_failed"
"""The code of a dead letter about an event that a listener hook failed on; its `path` is the hook's name."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record's place and why it was not used; never its payload."""

    topic: str
    partition: int
    offset: int
    code: str
    path: str | None
    detail: str
    timestamp_ms: int  # names the record, with its place; a hash would give a short value away

    @classmethod
    def of(cls, record: Record, invalid: InvalidMessage) -> "DeadLetter":
        """Makes the dead letter of a record that is no valid message."""
        place = (record.topic, record.partition, record.offset)
        return cls(*place, invalid.code, invalid.path, invalid.detail, record.timestamp_ms)


class DeadLetters(Protocol):
    """The topic `dead.letters`."""

    async def send(self, letter: DeadLetter) -> None:
        """Returns when the broker has acknowledged it. Raises aiokafka's `KafkaError`."""
        ...
