"""Accounts that the accounts' file no longer names, and that have something open all the same.

Nobody can query it or end it there, and the PSP's webhooks get 404. A start is not refused for that: every
other account would stand still. It is logged as an error, counted, and shown by `aegispay doctor`, until it
is over.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from prometheus_client import Gauge
from psycopg import AsyncConnection, Connection
from psycopg.rows import class_row

from commands.sql import statements
from commands.wording import counted
from infra.process.reloading import Watched

EVERY_S: Final = 60.0
OPEN: Final = Gauge(
    "aegispay_removed_account_open",
    "Operations without an end, and webhooks not yet done with, of accounts that the accounts' file no longer names",
    ["account", "what"],
)
REMEDY: Final = (
    "Name the account again in the accounts' file, with its credentials and webhook_secret_files and in no merchant's "
    "list, until both counts are 0"
)

QUERY: Final = statements(__file__)["open"]


@dataclass(frozen=True, slots=True)
class Removed:
    """The open work at one account: operations without an end, and webhooks that wait."""

    account: str
    operations: int
    webhooks: int

    @property
    def text(self) -> str:
        """The account and both counts, in words."""
        operations = counted(self.operations, "open operation")
        return f"{self.account} has {operations} and {counted(self.webhooks, 'waiting webhook')}"


def find(connection: Connection[Any], named: Iterable[str]) -> list[Removed]:
    """Returns the removed accounts with something open. `named`: the accounts that the file names."""
    with connection.cursor(row_factory=class_row(Removed)) as cursor:
        return cursor.execute(QUERY, {"named": list(named)}).fetchall()


class RemovedAccounts:
    """Keeps the gauge fresh, and logs an error when an account appears in it."""

    def __init__(self, connection: AsyncConnection[Any], named: Watched[frozenset[str]]) -> None:
        self._connection = connection
        self._named = named
        self._reported: dict[str, Removed] = {}
        self._log: Any = structlog.get_logger(accounts="removed")

    async def run_once(self) -> int:
        """Refreshes the gauge, and returns how many such accounts there are."""
        async with self._connection.cursor(row_factory=class_row(Removed)) as cursor:
            await cursor.execute(QUERY, {"named": list(self._named.now())})
            found = {one.account: one for one in await cursor.fetchall()}
        # An account that is done with is set to 0: a series that only ends would keep its last value.
        over = {name: Removed(name, 0, 0) for name in self._reported.keys() - found.keys()}
        for one in (found | over).values():
            OPEN.labels(one.account, "operations").set(one.operations)
            OPEN.labels(one.account, "webhooks").set(one.webhooks)
        for name in found.keys() - self._reported.keys():
            self._log.error(
                "an account with something open was removed", reason=found[name].text, remedy=REMEDY
            )
        self._reported = found
        return len(found)
