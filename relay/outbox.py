"""Publishes committed events to Kafka: at least once, in order per payment. Invariant: the cursor moves
only after the broker has acknowledged."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from prometheus_client import Counter, Gauge, Histogram
from psycopg import AsyncConnection

from commands.failpoints import reached
from relay import log
from relay.leadership import SILENCE_MAX_S, stay
from relay.publish import Ack, Publisher

BROKER_MAX_S: Final = 10.0
"""The broker may take so long to acknowledge a page."""
# While Kafka is awaited the session sends nothing, and the server ends one that is silent for SILENCE_MAX_S:
# a slow broker would cost this relay the lead.
_STAY_EVERY_S: Final = SILENCE_MAX_S / 5
# A page that begins within so many seconds of the last save does not save the cursor. A killed relay's
# successor repeats these pages and at most one that began later, however long each took. To save after each
# small page would cost as much as reading it.
_SAVE_EVERY_S: Final = 0.05

RECORDS = Counter("aegispay_relay_records", "Records that the broker acknowledged")
SECONDS = Histogram(
    "aegispay_relay_page_seconds",
    "From the look for a page to the broker's acknowledgement of it",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
LAG = Gauge("aegispay_relay_lag_seconds", "Age of the oldest event that is committed and not yet published")
OLDEST_TX = Gauge(
    "aegispay_relay_oldest_transaction_seconds",
    "Age of the oldest running transaction id: nothing above it is published. Alarm above 30",
)


class BrokerSilent(Exception):
    """The broker did not respond in time. aiokafka's idempotent producer would go on trying for ever."""


class Relay:
    """The outbox of the session that leads. Any error is fatal for the process, which starts again from
    the cursor."""

    def __init__(
        self,
        connection: AsyncConnection,
        publisher: Publisher,
        generation: int,
        cursor: log.Position,
        page: int,
    ) -> None:
        self._connection = connection
        self._publisher = publisher
        self._generation = generation
        self._published = self._saved = cursor
        self._saved_at = 0.0
        self._page = page
        self._held_by: tuple[str | None, float] = (None, 0.0)

    async def run_once(self) -> int:
        """Publishes one page, and returns its count of events. With none, the cursor is saved. Raises
        `BrokerSilent`."""
        began = time.monotonic()
        entries = await log.page(self._connection, self._published, self._generation, self._page)
        if not entries:
            await self.save()
            return 0
        LAG.set(_age_s(entries[0].state))
        reached("relay.before_send")
        try:
            async with asyncio.timeout(BROKER_MAX_S):
                # The relay reads the next page when this one is acknowledged, so no record passes one before
                # it.
                records, acks = await self._publisher.send(entries)
                await acknowledged(self._connection, acks)
        except TimeoutError as error:
            raise BrokerSilent(f"Kafka has not taken a page within {BROKER_MAX_S:.0f} s") from error
        reached("relay.after_send")
        # The successor of a relay killed before the save publishes the page again. Readers drop it by payment
        # and version, and a gateway's agent finds its claims.
        self._published = entries[-1].position
        if began - self._saved_at > _SAVE_EVERY_S:
            await self.save()
        RECORDS.inc(records)
        SECONDS.observe(time.monotonic() - began)
        return len(entries)

    async def save(self) -> None:
        """Saves the cursor if it has moved. Raises `log.CursorMoved` where another relay leads."""
        if self._saved != self._published:
            await log.move_cursor(self._connection, self._saved, self._published)
            self._saved = self._published
            self._saved_at = time.monotonic()

    async def watch(self) -> float:
        """Sets the gauges of what holds the log's end back. Returns the age of the oldest running
        transaction, in s."""
        waiting = await log.waiting(self._connection, self._published)
        LAG.set(0 if waiting.oldest_state is None else _age_s(waiting.oldest_state))
        # Other roles can see that a transaction runs, but not its owner or start time.
        # The age counts from when this relay first saw the transaction, by its monotonic clock.
        if waiting.oldest_tx is None or waiting.oldest_tx != self._held_by[0]:
            self._held_by = (waiting.oldest_tx, time.monotonic())
        age_s = 0.0 if waiting.oldest_tx is None else time.monotonic() - self._held_by[1]
        OLDEST_TX.set(age_s)
        return age_s


async def acknowledged(connection: AsyncConnection[Any], acks: Sequence[Ack]) -> None:
    """Waits for the broker's acknowledgements, and meanwhile keeps the session that leads from being idle.
    Raises the first error of any."""
    waiting = set(acks)
    while waiting:
        done, waiting = await asyncio.wait(
            waiting, timeout=_STAY_EVERY_S, return_when=asyncio.FIRST_EXCEPTION
        )
        for ack in done:
            # Any error ends the process. To go on would leave a hole in a payment's events that no cursor
            # shows.
            ack.result()
        if waiting:
            await stay(connection)


def _age_s(state: bytes) -> float:
    # The command worker's clock gave the event its time, this machine's gives the present.
    decided_at = datetime.fromisoformat(orjson.loads(state)["timestamp"])
    return max(0.0, (datetime.now(UTC) - decided_at).total_seconds())
