"""Events written straight into the store, a relay to publish them, and what Kafka has of them."""

import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import orjson
import psycopg
from aiokafka import TopicPartition
from psycopg import AsyncConnection

from infra.kafka import reader, topics
from infra.kafka.producers import producing
from infra.postgres.connections import connect_async
from infra.settings import RelaySettings
from relay.log import load_cursor
from relay.outbox import Relay
from relay.publish import Publisher
from tests.support.environment import Environment

_INSERT = """
INSERT INTO payment_events (originator_id, originator_version, topic, state, generation)
VALUES (%s, %s, %s, %s, %s)
"""
_INSERT_AT = """
INSERT INTO payment_events (originator_id, originator_version, topic, state, generation, tx)
VALUES (%s, %s, %s, %s, %s, %s::xid8)
"""


class Written(NamedTuple):
    payment_id: UUID
    version: int
    topic: str = "payment.requested.v1"

    @property
    def id(self) -> str:
        return f"{self.payment_id}/{self.version}"

    @property
    def state(self) -> bytes:
        return orjson.dumps(
            {
                "timestamp": "2026-11-22T12:00:00+00:00",
                "command_id": str(self.payment_id),
                "correlation_id": f"correlation-{self.payment_id}",
                "traceparent": None,
                "gateway": "stripe",
            }
        )


def write(
    connection: psycopg.Connection,
    events: Iterable[Written],
    generation: int = 1,
    before_commit: Callable[[], object] = lambda: None,
) -> list[Written]:
    """In one transaction."""
    written = list(events)
    with connection.transaction():
        for event in written:
            connection.execute(_INSERT, (*event, event.state, generation))
        before_commit()
    return written


def write_at(connection: psycopg.Connection, event: Written, generation: int, tx: int) -> None:
    """As a transaction of another time would have. Only the schema's owner may."""
    connection.execute(_INSERT_AT, (*event, event.state, generation, str(tx)))


def payments(count: int, versions: int = 1) -> list[Written]:
    ids = [uuid4() for _ in range(count)]
    return [Written(one, version) for one in ids for version in range(1, versions + 1)]


@asynccontextmanager
async def session(environment: Environment) -> AsyncIterator[AsyncConnection]:
    async with await connect_async(environment.settings(RelaySettings, "relay"), "relay") as connection:
        yield connection


@asynccontextmanager
async def relay_of(environment: Environment, generation: int = 1, page: int = 500) -> AsyncIterator[Relay]:
    """Without its leadership."""
    settings = environment.settings(RelaySettings, "relay")
    async with session(environment) as connection, producing(settings, "relay") as producer:
        publisher = Publisher(
            producer,
            environment.prefix + topics.EVENTS,
            lambda gateway: environment.prefix + topics.requests(gateway),
        )
        yield Relay(connection, publisher, generation, await load_cursor(connection), page)


async def drain(relay: Relay) -> int:
    """Until nothing is left."""
    total = 0
    while published := await relay.run_once():
        total += published
    return total


async def drain_until(relay: Relay, done: Callable[[], bool], within_s: float = 60) -> int:
    """Until nothing is left after it is done."""
    total, deadline = 0, time.monotonic() + within_s
    while not done():
        total += await relay.run_once()
        assert time.monotonic() < deadline
    return total + await drain(relay)


async def records_of(environment: Environment, name: str = topics.EVENTS) -> list[Any]:
    """All records that the topic has now, in the order of each partition."""
    (topic,) = [one for one in environment.topics if one.name == environment.prefix + name]
    places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    async with reader.consumer(environment.kafka) as consumer:
        firsts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        return [record async for records in reader.read_between(consumer, firsts, ends) for record in records]


def ids_of(records: Iterable[Any]) -> list[str]:
    return [dict(record.headers)["ce_id"].decode() for record in records]


def in_order_per_payment(ids: Iterable[str]) -> bool:
    """Whether each payment's versions, repeats aside, come one after the other."""
    newest: dict[str, int] = {}
    for one in ids:
        payment_id, version = one.split("/")
        seen = newest.get(payment_id, 0)
        if int(version) > seen + 1:
            return False
        newest[payment_id] = max(seen, int(version))
    return True


async def write_as_stranger(environment: Environment, count: int) -> None:
    """Writes so many records to one partition of the events, as nobody but a relay should."""
    async with producing(environment.settings(RelaySettings, "relay"), "stranger") as stranger:
        for ack in [
            await stranger.send(environment.prefix + topics.EVENTS, b"{}", key=b"x") for _ in range(count)
        ]:
            await ack
