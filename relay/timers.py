"""Turns due rows of payment_timers into wakes on `payments.commands`.

A row is leased by one statement, so that several of these may run at once; nothing is deleted or moved here:
the handler of the wake moves or clears the row. A row whose wakes change nothing is marked stuck: an operator
has to look at it.
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

from commands.failpoints import reached
from commands.messages import Wake, dump
from commands.sql import statements
from relay.ports import Log

# A timer is stuck after so many wakes without effect.
LEASES_MAX: Final = 10
# Each wake without effect doubles the lease: a payment that cannot be decided does not fill the commands'
# topic.
_LEASE_FIRST_S: Final = 30
_LEASE_MAX_S: Final = 3600
_BATCH: Final = 500
# The pause between two looks, in s. A row that is written meanwhile, and due before, waits for the most.
_PAUSE_MAX_S: Final = 1.0
_PAUSE_MIN_S: Final = 0.005
_BROKER_MAX_S: Final = 10.0

WAKES = Counter("aegispay_timers_wakes", "Wakes that the broker acknowledged")
STUCK = Counter(
    "aegispay_timers_marked_stuck", "Timers given up: 10 wakes without effect, or a dead-lettered one"
)
LATE = Gauge(
    "aegispay_timers_late_seconds", "Of the timer most overdue in the last batch, when it was leased"
)

_SQL: Final = statements(__file__)
_LEASE: Final = _SQL["lease"]
_NEXT: Final = _SQL["next_due"]
_LEASE_VALUES: Final = {
    "batch": _BATCH,
    "leases_max": LEASES_MAX,
    "first_s": _LEASE_FIRST_S,
    "max_s": _LEASE_MAX_S,
}


class Leased(NamedTuple):
    """A due row. `stuck`: its last lease had no effect either. `late_s`: by how much it is overdue."""

    payment_id: UUID
    wake_at: datetime
    stuck: bool
    late_s: float


class Timers:
    """Wakes due payments. Any error is fatal for the process: what was leased is leased again after its
    lease."""

    def __init__(
        self, connection: AsyncConnection, producer: AIOKafkaProducer, commands_topic: str, log: Log
    ) -> None:
        """`connection` in autocommit; `commands_topic` with the installation's prefix."""
        self._connection = connection
        self._producer = producer
        self._commands_topic = commands_topic
        self._log = log

    async def run_once(self) -> int:
        """Wakes one batch of what is due, and returns how many rows were due. Raises `TimeoutError` where
        the broker does not acknowledge the wakes within 10 s."""
        cursor = self._connection.cursor(row_factory=class_row(Leased))
        # The row is leased first: after a kill in between it is leased again, 30 s later or more. The other
        # order would send a wake from each timers process that looks at the same time.
        await cursor.execute(_LEASE, _LEASE_VALUES, prepare=True)
        due = await cursor.fetchall()
        LATE.set(max((row.late_s for row in due), default=0))
        if due:
            reached("timers.after_lease")
        for row in due:
            if row.stuck:
                STUCK.inc()
                self._log.error(
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
        ack: asyncio.Future[object] = await self._producer.send(self._commands_topic, dump(wake), key=key)
        return ack

    async def pause_s(self) -> float:
        """Returns the seconds until the next row is due, at most one: an earlier row may be written
        meanwhile."""
        row = await (
            await self._connection.execute(_NEXT, {"ahead_s": _PAUSE_MAX_S}, prepare=True)
        ).fetchone()
        if row is None or row[0] is None:
            return _PAUSE_MAX_S
        return min(max(float(row[0]), _PAUSE_MIN_S), _PAUSE_MAX_S)
