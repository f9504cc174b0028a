"""The inbox process: webhooks become reports, what is done with is forgotten, removed accounts are looked
for.

A PSP whose webhooks have to be confirmed has a loop of its own, as it may be slow.
"""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Final

from gateways.agent import metrics
from gateways.contract import Confirms, Credentials
from gateways.registry import ADAPTERS
from infra.kafka import topics
from infra.kafka.producers import producing
from infra.postgres.connections import connect_async
from infra.process import clock
from infra.process.reloading import Watched
from infra.process.runtime import Process, run
from infra.psp.accounts import account_names, credentials
from infra.psp.http_client import HttpClient
from infra.psp.removed_accounts import EVERY_S as REMOVED_EVERY_S
from infra.psp.removed_accounts import RemovedAccounts
from infra.psp.webhook_confirmation import Confirming
from infra.settings import InboxSettings
from infra.workers.startup import ready_to_start
from relay.inbox import CONFIRMED_BATCH, Inbox
from relay.retention import DECLINES_KEPT, EVERY_S, FORGET_MAX, Retention

CONFIRMING: Final = {name: one for name, one in ADAPTERS.items() if isinstance(one, Confirms)}
# The pause between two looks, in s: doubled from the least to the most while nothing is due.
_PAUSE_MIN_S: Final = 0.01
_PAUSE_MAX_S: Final = 0.25


async def main(process: Process, settings: InboxSettings) -> None:
    """Runs until a stop signal comes. Raises PostgreSQL's and Kafka's errors."""
    accounts = {
        name: Watched("accounts", settings.accounts_file, partial(credentials, name)) for name in CONFIRMING
    }
    if not await ready_to_start(process, settings):
        return
    topic = settings.topic_prefix + topics.OUTCOMES
    async with (
        producing(settings, "inbox") as producer,
        HttpClient.open(CONFIRMED_BATCH) as http,
        AsyncExitStack() as connections,
        asyncio.TaskGroup() as loops,
    ):
        confirming = [
            Confirming(one, http, partial(_credentials, accounts[name])) for name, one in CONFIRMING.items()
        ]
        # Each loop has a connection of its own: one at a time uses it, and a PSP that is slow holds only its
        # own.
        for one in (None, *confirming):
            connection = await connections.enter_async_context(await connect_async(settings, "inbox"))
            inbox = Inbox(
                connection,
                producer,
                topic,
                process.log,
                count=metrics.notified,
                now=clock.now,
                confirmed_gateways=CONFIRMING,
                confirmation=one,
            )
            loops.create_task(_run(inbox, process))
        connection = await connections.enter_async_context(await connect_async(settings, "inbox"))
        kept_for = timedelta(days=settings.webhooks_kept_days)
        loops.create_task(_forget(Retention(connection, kept_for), process))
        connection = await connections.enter_async_context(await connect_async(settings, "inbox"))
        declines = Retention(connection, DECLINES_KEPT, what="declines")
        loops.create_task(_forget(declines, process))
        connection = await connections.enter_async_context(await connect_async(settings, "inbox"))
        removed = RemovedAccounts(connection, Watched("accounts", settings.accounts_file, account_names))
        loops.create_task(_look_for(removed, process))
        process.ready()


async def _forget(retention: Retention, process: Process) -> None:
    while not process.stop.is_set():
        # A full batch may not have been all: the next follows at once.
        if await retention.run_once() < FORGET_MAX:
            await process.stopped_within(EVERY_S)


async def _look_for(removed: RemovedAccounts, process: Process) -> None:
    while not process.stop.is_set():
        await removed.run_once()
        await process.stopped_within(REMOVED_EVERY_S)


def _credentials(watched: Watched[dict[str, Credentials]], account: str) -> Credentials | None:
    return watched.now().get(account)


async def _run(inbox: Inbox, process: Process) -> None:
    pause_s = _PAUSE_MIN_S
    while not process.stop.is_set():
        found = await inbox.run_once()
        pause_s = _PAUSE_MIN_S if found else min(2 * pause_s, _PAUSE_MAX_S)
        await process.stopped_within(pause_s)


if __name__ == "__main__":
    run("inbox", InboxSettings, main)
