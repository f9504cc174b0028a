"""Checks, before a relay publishes, that the store is the one whose events Kafka already has.

A store that was set back in time would give the same versions to other events, which readers would drop as
repeats.
"""

import re
from collections.abc import Sequence
from typing import Final

from psycopg import AsyncConnection

from commands.records import Record
from commands.sql import statements
from relay.log import Position

_ID: Final = re.compile(rb"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/([0-9]{1,18})")
_STORED: Final = statements(__file__)["stored"]


class StoreDiffers(Exception):
    """Raised when Kafka holds an event that the store does not."""


def is_of_relay(record: Record) -> bool:
    """True if the record names an event as a relay does. Readers pass over any other."""
    return _ID.fullmatch(record.headers.get("ce_id", b"")) is not None


async def check_heads(
    connection: AsyncConnection, heads: Sequence[Record], events_topic: str, cursor: Position
) -> None:
    """Compares `heads`, the last record of a relay in each partition of `events_topic` that has one, with the
    store. Raises `StoreDiffers`."""
    # The cursor stands at generation 0 before its first event, and a topic without one is right then.
    if not heads and cursor.generation > 0:
        raise StoreDiffers(
            f"{events_topic} holds no event, though the relay has published up to {cursor}: Kafka lost its log, or "
            "this is another Kafka. Bring the topic back; or, to publish the whole log again, stop the relay and set "
            "relay_cursor to (0, 0, 0)"
        )
    # The newest of each partition is enough. A store that was set back lacks what came last, or has decided
    # anew since, with another command and another time in the event.
    for head in heads:
        place = f"{events_topic}/{head.partition}/{head.offset}"
        found = _ID.fullmatch(head.headers.get("ce_id", b""))
        assert found is not None, "every head is a relay's record: `is_of_relay`"
        payment_id, version = found[1].decode(), int(found[2])
        stored = await (await connection.execute(_STORED, (payment_id, version))).fetchone()
        if stored != (head.headers.get("ce_type", b"").decode(), head.value):
            what = "is not in the event store" if stored is None else "is another event in the event store"
            raise StoreDiffers(
                f"{place} holds version {version} of payment {payment_id}, which {what}: the store was set back in "
                "time, or this Kafka belongs to another one. Restore the store to its newest state before starting "
                "the relay; nothing was published"
            )
