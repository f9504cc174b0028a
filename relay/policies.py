"""Publishes the merchants' active routing policies to the compacted topic `routing.policies`: at least once.
Invariant: the cursor moves only after the broker has acknowledged.

All are published again when a relay begins to lead, and every quarter of an hour: a topic that was made anew
is whole again, and so is one in which a relay that had been stopped for long put an older version last.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from aiokafka import AIOKafkaProducer
from eventsourcing.persistence import StoredEvent
from prometheus_client import Counter
from psycopg import AsyncConnection

from aggregates.decision import Refused
from aggregates.routing_policy import PolicyState, read
from commands import policy_records
from commands.decider import UNDECIDABLE
from commands.policy_records import PolicyRecord
from commands.sql import statements
from commands.stored_events import POLICY_MAPPER
from relay.leadership import SILENCE_MAX_S, stay
from relay.log import CursorMoved
from relay.outbox import BROKER_MAX_S, BrokerSilent, acknowledged
from relay.ports import Log

_SQL: Final = statements(__file__)
# Payments wait meanwhile: to read and write a document of 128 KiB takes milliseconds.
_STREAMS: Final = 10
_EVENTS: Final = 500
_AGAIN_EVERY_S: Final = 900.0
_NIL: Final = UUID(int=0)

PUBLISHED = Counter("aegispay_relay_policies", "Records of routing policies that the broker acknowledged")
UNREADABLE = Counter(
    "aegispay_relay_policies_unreadable",
    "Times that a routing policy could not be read, and was not published",
)


class PolicyPublisher:
    """The policies of the session that leads. Any error is fatal for the process, which starts again from
    the cursor."""

    def __init__(
        self, connection: AsyncConnection[Any], producer: AIOKafkaProducer, topic: str, log: Log
    ) -> None:
        """`topic`: with the installation's prefix."""
        self._connection = connection
        self._producer = producer
        self._topic = topic
        self._log = log
        self._cursor: int | None = None
        # The last stream of the pass over all policies; None: none is under way.
        self._passed: UUID | None = _NIL
        self._pass_ended_at = 0.0

    async def run_once(self) -> int:
        """Publishes the policies that were changed since the last time, or else a page of the pass over all;
        returns how many. Raises `BrokerSilent`, `CursorMoved`."""
        if self._cursor is None:
            self._cursor = await self._saved()
        began = time.monotonic()
        if events := await self._rows(_SQL["changed"], (self._cursor, _EVENTS)):
            changed, last = _first_streams(events)
            published = await self._publish(changed, began)
            await self._move_cursor(last)
            return published
        if self._passed is None and began - self._pass_ended_at > _AGAIN_EVERY_S:
            self._passed = _NIL
        if self._passed is None:
            return 0
        streams = [row[0] for row in await self._rows(_SQL["after"], (self._passed, _STREAMS))]
        if not streams:
            self._passed, self._pass_ended_at = None, began
            return 0
        published = await self._publish(streams, began)
        self._passed = streams[-1]
        return published

    async def _publish(self, streams: Collection[UUID], began: float) -> int:
        # One after another: each one's statements show that the session lives.
        records = [record for stream in streams if (record := await self._record(stream))]
        # What was read before a long stop may be out of date. Then another relay leads, and this session is
        # lost.
        if time.monotonic() - began > SILENCE_MAX_S / 2:
            await stay(self._connection)
        try:
            async with asyncio.timeout(BROKER_MAX_S):
                acks = [
                    await self._producer.send(
                        self._topic, policy_records.dump(one), policy_records.key(one.merchant_id)
                    )
                    for one in records
                ]
                await acknowledged(self._connection, acks)
        except TimeoutError as error:
            raise BrokerSilent(f"Kafka has not taken policies within {BROKER_MAX_S:.0f} s") from error
        PUBLISHED.inc(len(records))
        return len(records)

    async def _record(self, stream: UUID) -> PolicyRecord | None:
        """Returns what is to be published of a stream; None: nothing was activated yet, or this release
        cannot read it. Then the last record stands."""
        change, events = await self._load(stream)
        try:
            policy = PolicyState()
            for one in events:
                POLICY_MAPPER.to_domain_event(one).record(policy)  # type: ignore[attr-defined]
            return record_of(policy, change)
        except (*UNDECIDABLE, Refused) as error:
            UNREADABLE.inc()
            what = f"{type(error).__name__}: {error}" if isinstance(error, Refused) else type(error).__name__
            self._log.error(
                "a routing policy cannot be read: payments go on by the version before",
                stream=str(stream),
                error=what,
            )
            return None

    async def _load(self, stream: UUID) -> tuple[int, list[StoredEvent]]:
        """Returns the version of the stream, and those of its events up to it that a record is made of. Of
        the drafts that is one: a merchant may have thousands, of 128 KiB each."""
        ((change,),) = await self._rows(_SQL["change"], (stream,))
        values = {"stream": stream, "change": change}
        rows = await self._rows(_SQL["active"], values)
        after = 0
        while page := await self._rows(_SQL["rare"], values | {"after": after, "page": _EVENTS}):
            rows += page
            after = page[-1][1]
        return change, [StoredEvent(*row) for row in rows]

    async def _saved(self) -> int:
        (row,) = await self._rows(_SQL["cursor"])
        return int(row[0])

    async def _move_cursor(self, to: int) -> None:
        moved = await self._connection.execute(_SQL["move_cursor"], (to, self._cursor))
        if moved.rowcount != 1:
            raise CursorMoved(f"the cursor of policies was moved from {self._cursor} by another relay")
        self._cursor = to

    async def _rows(self, statement: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[Any]:
        return await (await self._connection.execute(statement, values, prepare=True)).fetchall()


def _first_streams(events: Sequence[tuple[UUID, int]]) -> tuple[Collection[UUID], int]:
    """Returns the first `_STREAMS` streams, and the number of the last event before another one's."""
    streams: dict[UUID, None] = {}
    last = 0
    for stream, number in events:
        if stream not in streams and len(streams) == _STREAMS:
            break
        streams[stream] = None
        last = number
    return streams, last


def record_of(policy: PolicyState, change: int) -> PolicyRecord | None:
    """Returns the record of a merchant's policy, whose stream is at the version `change`; None: nothing was
    activated yet. Raises `Refused` where this release does not take the active version's document."""
    active = policy.active
    if active is None:
        return None
    assert active.activated_at is not None
    assert active.activated_by is not None
    return PolicyRecord(
        merchant_id=policy.merchant_id,
        version=active.number,
        change=change,
        document=read(active),
        stopped_arms=policy.stopped,
        activated_at=active.activated_at,
        who=_who(active.activated_by),
    )


def _who(words: str) -> str:
    """Returns the words as a record takes them. The CLI gives a name of any length."""
    return "".join(one if one.isprintable() else " " for one in words[: policy_records.WHO_MAX])
