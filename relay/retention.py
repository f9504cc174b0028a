"""Deletes webhooks that are done with after their time, in batches. The database decides which may go."""

from datetime import timedelta
from typing import Final

from prometheus_client import Counter
from psycopg import AsyncConnection

from commands.sql import statements

FORGET_MAX: Final = 1000
"""The most webhooks that one batch deletes; the next batch follows a full one at once."""
# The pause after a batch that was not full.
EVERY_S: Final = 600.0

_FORGET: Final = statements(__file__)["forget"]

FORGOTTEN = Counter("aegispay_inbox_forgotten", "Webhooks that were kept for their time, and deleted")


class Retention:
    """Deletes webhooks that are done with once they were kept for `kept_for`, at most `batch` rows at a
    time."""

    def __init__(self, connection: AsyncConnection, kept_for: timedelta, batch: int = FORGET_MAX) -> None:
        self._connection = connection
        self._kept_for = kept_for
        self._batch = batch

    async def run_once(self) -> int:
        """Deletes one batch, and returns how many rows that were."""
        found = await self._connection.execute(_FORGET, (self._kept_for, self._batch), prepare=True)
        row = await found.fetchone()
        assert row is not None
        forgotten = int(row[0])
        FORGOTTEN.inc(forgotten)
        return forgotten
