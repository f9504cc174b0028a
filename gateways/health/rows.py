"""The rows of the health worker's table: what is kept of one segment of one account, and of its present
minute.

Invariant: a record of samples changes a row once, however often it is read: the row holds the place of the
last one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from aggregates.routing.adaptive import Arm
from aggregates.routing.circuit import Breaker
from aggregates.routing.window import Minute, Transaction, Window
from commands.records import Record

_MINUTE: Final = "#minute"  # no segment's name
_VERSION: Final = 1
_BREAKER: Final = tuple(one.name for one in fields(Breaker))


class Place(NamedTuple):
    """Where a record of samples stands in its partition. Its time tells it from one of the same offset in a
    topic that was made anew."""

    offset: int = -1
    timestamp_ms: int = 0

    def has_seen(self, record: Record) -> bool:
        """True for this record, and for those before it."""
        return record.offset <= self.offset and record.timestamp_ms <= self.timestamp_ms


_NOWHERE: Final = Place()


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One segment of one account. `breaker`: the circuit, of the segments that are a kind of operation."""

    gateway: str
    last_at: datetime
    window: Window = field(default_factory=Window)
    arm: Arm = field(default_factory=Arm)
    breaker: Breaker | None = None
    seen: Place = _NOWHERE


@dataclass(frozen=True, slots=True)
class MinuteCounts:
    """The transactions of one segment in a minute. `digest`: of the latencies in ms, as minutes.py writes it;
    empty: of none."""

    approved: int = 0
    declined: int = 0
    failed: int = 0
    unknown: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    digest: str = ""


_COUNTS: Final = tuple(one.name for one in fields(MinuteCounts))


@dataclass(frozen=True, slots=True)
class MinuteRow:
    """The present minute of an account, by its number since 1970, with its segments."""

    gateway: str
    minute: int
    segments: dict[str, MinuteCounts] = field(default_factory=dict)
    seen: Place = _NOWHERE


def segment_key(account: str, segment: str) -> bytes:
    """Returns the key of a segment's row."""
    return f"{account}\0{segment}".encode()


def minute_key(account: str) -> bytes:
    """Returns the key of the row of the account's present minute."""
    return segment_key(account, _MINUTE)


def key_parts(key: bytes) -> tuple[str, str | None]:
    """Returns the account of a row, and its segment; None: the row is of the account's minute."""
    account, _, segment = key.decode().partition("\0")
    return account, None if segment == _MINUTE else segment


def dump_segment(row: SegmentRow) -> bytes:
    """Returns the row as the table holds it: lists, since each batch of samples writes several rows."""
    breaker = row.breaker
    return orjson.dumps(
        [
            _VERSION,
            row.gateway,
            row.last_at,
            [list(one) for one in row.window.transactions],
            [list(one) for one in row.window.minutes],
            row.arm.history,
            None if breaker is None else [getattr(breaker, name) for name in _BREAKER],
            list(row.seen),
        ]
    )


def read_segment(raw: bytes) -> SegmentRow | None:
    """Reads a row. None: another release has written it in a form that this one does not know; it begins
    anew."""
    try:
        version, gateway, last_at, transactions, minutes, history, breaker, seen = orjson.loads(raw)
        if version != _VERSION:
            return None
        return SegmentRow(
            gateway,
            datetime.fromisoformat(last_at),
            Window(tuple(Transaction(*one) for one in transactions), tuple(Minute(*one) for one in minutes)),
            Arm(tuple((wins, losses) for wins, losses in history)),
            None if breaker is None else _breaker(breaker),
            Place(*seen),
        )
    except (ValueError, TypeError, AttributeError):
        return None


def dump_minute(row: MinuteRow) -> bytes:
    """Returns the row as the table holds it."""
    counts = {name: [getattr(one, field) for field in _COUNTS] for name, one in row.segments.items()}
    return orjson.dumps([_VERSION, row.gateway, row.minute, counts, list(row.seen)])


def read_minute(raw: bytes) -> MinuteRow | None:
    """Reads a row. None: as of a segment."""
    try:
        version, gateway, minute, counts, seen = orjson.loads(raw)
        if version != _VERSION:
            return None
        segments = {name: MinuteCounts(*one) for name, one in counts.items()}
        return MinuteRow(gateway, minute, segments, Place(*seen))
    except (ValueError, TypeError, AttributeError):
        return None


def _breaker(values: list[Any]) -> Breaker:
    found = dict(zip(_BREAKER, values, strict=True))
    return Breaker(**found | {"since": datetime.fromisoformat(found["since"])})


def chain(kind: str, segment: str) -> Iterator[str]:
    """Yields the segments that a transaction counts in, the narrowest first, the whole account last. A name
    that does not begin with the kind says nothing."""
    parts = segment.split("/")
    if parts[0] != kind:
        parts = [kind]
    for length in range(len(parts), 0, -1):
        yield "/".join(parts[:length])
    yield ""
