"""Measures how far the read models are behind, as a producer sees it: from the reply until the row has its
version."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import psycopg

from commands.sql import statements

_POLL_S: Final = 0.005
_PATIENCE_S: Final = 30.0
_SHOWN: Final = statements(__file__)["shown"]


@dataclass(slots=True)
class ReadModelLag:
    """Watches one payment at a time: a sample, so that watching costs little."""

    connection: psycopg.AsyncConnection
    samples_ms: list[float] = field(default_factory=list)
    gave_up: int = 0
    _looking: "asyncio.Task[None] | None" = None

    def settled(self, payment_id: UUID, version: int) -> None:
        """Watches for the row of a payment whose reply was just read, unless it still watches another."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(payment_id, version, time.monotonic()))

    async def finish(self) -> None:
        """Waits for the watch that is still running."""
        if self._looking is not None:
            await self._looking

    async def _look(self, payment_id: UUID, version: int, since: float) -> None:
        while time.monotonic() - since < _PATIENCE_S:
            row = await (
                await self.connection.execute(_SHOWN, (version, payment_id), prepare=True)
            ).fetchone()
            if row is not None and row[0]:
                self.samples_ms.append((time.monotonic() - since) * 1000)
                await asyncio.sleep(20 * _POLL_S)
                return
            await asyncio.sleep(_POLL_S)
        self.gave_up += 1
