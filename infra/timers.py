"""The timers process: due rows of payment_timers become wakes on `payments.commands`. It deletes and moves nothing.

A row is leased by one statement, so several of these may run at once; the handler moves or clears the row. A row whose
wakes change nothing, or whose wake was dead-lettered, is marked stuck: that takes a person.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer
from prometheus_client import Counter, Gauge
from psycopg import AsyncConnection
from psycopg.rows import class_row

from commands.crash_points import reached
from commands.messages import Wake, dump
from infra import topics
from infra.broker import producing
from infra.database import connect_async
from infra.dead_wakes import DeadWakes
from infra.process import Process, run
from infra.settings import TimersSettings
from infra.startup import ready_to_start

LEASES_MAX: Final = 10
_LEASE_FIRST_S: Final = 30
_LEASE_MAX_S: Final = 3600
_BATCH: Final = 500
_SLEEP_MAX_S: Final = 1.0
_SLEEP_MIN_S: Final = 0.005
_BROKER_MAX_S: Final = 10.0

WAKES = Counter("aegispay_timers_wakes", "Wakes that the broker acknowledged")
STUCK = Counter(
    "aegispay_timers_marked_stuck", "Timers given up: 10 wakes without effect, or a dead-lettered one"
)
LATE = Gauge(
    "aegispay_timers_late_seconds", "Of the timer most overdue in the last batch, when it was leased"
)

# now() is the statement's beginning here, in autocommit: one moment for all rows, and a bound for the index.
_LEASE: Final = """
WITH due AS (
    SELECT payment_id FROM payment_timers
    WHERE wake_at <= now() AND stuck_since IS NULL AND NOT suspended
      AND (leased_until IS NULL OR leased_until <= now())
    ORDER BY wake_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
)
UPDATE payment_timers AS timer SET
    leases = CASE WHEN timer.leases < %(leases_max)s THEN timer.leases + 1 ELSE timer.leases END,
    leased_until = now() + least(%(first_s)s * 2 ^ timer.leases, %(max_s)s) * interval '1 second',
    stuck_since = CASE WHEN timer.leases >= %(leases_max)s THEN now() END
FROM due WHERE timer.payment_id = due.payment_id
RETURNING timer.payment_id, timer.wake_at, timer.stuck_since IS NOT NULL AS stuck,
    extract(epoch FROM now() - timer.wake_at)::float8 AS late_s
"""
_LEASE_FIGURES: Final = {
    "batch": _BATCH,
    "leases_max": LEASES_MAX,
    "first_s": _LEASE_FIRST_S,
    "max_s": _LEASE_MAX_S,
}

_NEXT: Final = """
SELECT extract(epoch FROM min(greatest(wake_at, leased_until)) - clock_timestamp())::float8 FROM payment_timers
WHERE wake_at <= now() + %(ahead_s)s * interval '1 second' AND stuck_since IS NULL AND NOT suspended
  AND (leased_until IS NULL OR leased_until <= now() + %(ahead_s)s * interval '1 second')
"""


class Leased(NamedTuple):
    payment_id: UUID
    wake_at: datetime
    stuck: bool
    late_s: float


class Timers:
    def __init__(
        self, connection: AsyncConnection, broker: AIOKafkaProducer, commands_topic: str, process: Process
    ) -> None:
        self._connection = connection
        self._broker = broker
        self._commands_topic = commands_topic
        self._process = process

    async def run_once(self) -> int:
        """Wakes what is due, one batch; the count of rows that were due."""
        cursor = self._connection.cursor(row_factory=class_row(Leased))
        await cursor.execute(_LEASE, _LEASE_FIGURES, prepare=True)
        due = await cursor.fetchall()
        LATE.set(max((row.late_s for row in due), default=0))
        if due:
            reached("timers.after_lease")
        for row in due:
            if row.stuck:
                STUCK.inc()
                self._process.log.error(
                    "timer is stuck: its wakes change nothing",
                    payment_id=str(row.payment_id),
                    wakes=LEASES_MAX,
                )
        await self._publish([row for row in due if not row.stuck])
        if due:
            reached("timers.after_publish")
        return len(due)

    async def _publish(self, due: Sequence[Leased]) -> None:
        """A row whose wake is lost on the way is leased again after its lease."""
        async with asyncio.timeout(_BROKER_MAX_S):
            for ack in [await self._send(row) for row in due]:
                await ack
        WAKES.inc(len(due))

    async def _send(self, row: Leased) -> "asyncio.Future[object]":
        # A new id each time: a wake that came to nothing must not make the next one a repeat. Without a
        # correlation id, as the payment's own goes on.
        wake = Wake(command_id=uuid4(), payment_id=row.payment_id, due_at=row.wake_at)
        key = str(row.payment_id).encode()
        ack: asyncio.Future[object] = await self._broker.send(self._commands_topic, dump(wake), key=key)
        return ack

    async def pause_s(self) -> float:
        """Until the next row is due, at most a second: an earlier one may be written meanwhile."""
        row = await (
            await self._connection.execute(_NEXT, {"ahead_s": _SLEEP_MAX_S}, prepare=True)
        ).fetchone()
        if row is None or row[0] is None:
            return _SLEEP_MAX_S
        return min(max(float(row[0]), _SLEEP_MIN_S), _SLEEP_MAX_S)


async def main(process: Process, settings: TimersSettings) -> None:
    if not await ready_to_start(process, settings):
        return
    async with (
        await connect_async(settings, "timers") as connection,
        producing(settings, "timers") as broker,
        DeadWakes.reading(settings, process) as dead_wakes,
    ):
        timers = Timers(connection, broker, settings.topic_prefix + topics.COMMANDS, process)
        process.ready()
        while not process.stop.is_set():
            stuck = await dead_wakes.run_once(connection)
            STUCK.inc(stuck)
            if not await timers.run_once():
                await process.stopped_within(await timers.pause_s())


if __name__ == "__main__":
    run("timers", TimersSettings, main)
