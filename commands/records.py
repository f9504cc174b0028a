"""A Kafka record as read, and where a record that cannot be used goes."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from commands.messages import InvalidMessage
from commands.sensitive import holds_pan

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Record:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: Mapping[str, bytes]
    timestamp_ms: int

    @property
    def place(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    def header(self, name: str) -> str | None:
        """None where it may not be passed on: absent, too long, not plain text, or with a card number in it."""
        raw = self.headers.get(name)
        if raw is None or len(raw) > 200 or not raw.isascii():
            return None
        text = raw.decode("ascii")
        return text if text.isprintable() and not holds_pan(text) else None

    @property
    def traceparent(self) -> str | None:
        """W3C trace context, where it is one."""
        text = self.header("traceparent")
        return text if text is not None and _TRACEPARENT.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Where the record stands and why it was not used; never its payload."""

    topic: str
    partition: int
    offset: int
    code: str
    path: str | None
    detail: str
    sha256: str | None  # of the value; None where it may hold a card number, which a hash would give away

    @classmethod
    def of(cls, record: Record, why: InvalidMessage) -> "DeadLetter":
        digest = None if why.sensitive or record.value is None else hashlib.sha256(record.value).hexdigest()
        return cls(record.topic, record.partition, record.offset, why.code, why.path, why.detail, digest)


class DeadLetters(Protocol):
    async def send(self, letter: DeadLetter) -> None:
        """Returns when the broker has it. Raises the broker's error otherwise."""
        ...
