"""Before a relay publishes: is the store the one whose events Kafka already has?

A store that was set back in time would give the same versions to other events, which readers would drop as repeats.
"""

import asyncio
import re
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from psycopg import AsyncConnection

from relay.log import Position

_ID: Final = re.compile(rb"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/([0-9]{1,18})")
_STORED: Final = (
    "SELECT topic, state FROM payment_events WHERE originator_id = %s::uuid AND originator_version = %s"
)
_PATIENCE_S: Final = 30.0


class StoreDiffers(Exception):
    """Kafka has what the store has not."""


async def check_heads(
    connection: AsyncConnection, bootstrap: str, events_topic: str, cursor: Position
) -> None:
    """Compares the last record of each partition with the store. Raises `StoreDiffers`."""
    heads = await _heads(bootstrap, events_topic)
    if not heads and cursor.generation > 0:
        raise StoreDiffers(
            f"{events_topic} is empty, though the relay has published up to {cursor}: Kafka lost its log, or this is "
            "another Kafka. Bring the topic back; or, to publish the whole log again, stop the relay and set "
            "relay_cursor to (0, 0, 0)"
        )
    for head in heads:
        place = f"{events_topic}/{head.partition}/{head.offset}"
        named = dict(head.headers)
        if (found := _ID.fullmatch(named.get("ce_id", b""))) is None:
            raise StoreDiffers(f"{place} was not written by a relay: find out who else writes to this topic")
        payment_id, version = found[1].decode(), int(found[2])
        stored = await (await connection.execute(_STORED, (payment_id, version))).fetchone()
        if stored != (named.get("ce_type", b"").decode(), head.value):
            what = "is not in the event store" if stored is None else "is another event in the event store"
            raise StoreDiffers(
                f"{place} holds version {version} of payment {payment_id}, which {what}: the store was set back in "
                "time, or this Kafka belongs to another one. Restore the store to its newest state before starting "
                "the relay; nothing was published"
            )


async def _heads(bootstrap: str, topic: str) -> list[Any]:
    # Without a group it is given all partitions of the topic.
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await consumer.start()
            places = consumer.assignment()
            first, end = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            filled = [place for place in places if end[place] > first[place]]
            for place in filled:
                consumer.seek(place, end[place] - 1)
            return [await consumer.getone(place) for place in filled]
    finally:
        await consumer.stop()
