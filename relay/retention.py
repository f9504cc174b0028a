"""Deletes what is done with after its time, in batches: webhooks, and the declines that no limit on retries
counts any more. The database decides which may go."""

from datetime import timedelta
from typing import Final, Literal

from prometheus_client import Counter
from psycopg import AsyncConnection

from commands.sql import statements

FORGET_MAX: Final = 1000
"""The most rows that one batch deletes; the next batch follows a full one at once."""
# The pause after a batch that was not full.
EVERY_S: Final = 600.0
DECLINES_KEPT: Final = timedelta(days=31)
"""A day longer than the longest limit on retries (aggregates/routing/budgets.py)."""

_SQL: Final = statements(__file__)

FORGOTTEN = Counter("aegispay_inbox_forgotten", "Webhooks that were kept for their time, and deleted")
DECLINES_FORGOTTEN = Counter(
    "aegispay_declines_forgotten", "Declines that no limit on retries counts any more, deleted"
)
_KINDS: Final = {
    "webhooks": (_SQL["forget"], FORGOTTEN),
    "declines": (_SQL["forget_declines"], DECLINES_FORGOTTEN),
}


class Retention:
    """Deletes rows that are done with once they were kept for `kept_for`, at most `batch` of them at a
    time."""

    def __init__(
        self,
        connection: AsyncConnection,
        kept_for: timedelta,
        batch: int = FORGET_MAX,
        what: Literal["webhooks", "declines"] = "webhooks",
    ) -> None:
        self._connection = connection
        self._kept_for = kept_for
        self._batch = batch
        self._statement, self._counter = _KINDS[what]

    async def run_once(self) -> int:
        """Deletes one batch, and returns how many rows that were."""
        found = await self._connection.execute(self._statement, (self._kept_for, self._batch), prepare=True)
        row = await found.fetchone()
        assert row is not None
        forgotten = int(row[0])
        self._counter.inc(forgotten)
        return forgotten
