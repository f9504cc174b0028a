"""The relay as a process: one leads and publishes, the others stand by and try to lead every second."""

import time
from typing import Final

from prometheus_client import Gauge
from psycopg import AsyncConnection

from infra import topics
from infra.broker import producing
from infra.database import connect_async
from infra.misconfigured import Misconfigured
from infra.process import Process, run
from infra.settings import RelaySettings
from infra.startup import ready_to_start
from relay import generation
from relay.head_check import StoreDiffers, check_heads
from relay.lead import limit_silence, try_to_lead
from relay.log import load_cursor
from relay.publish import Publisher
from relay.relay import Relay

_TRY_TO_LEAD_EVERY_S: Final = 1.0
_POLL_MIN_S: Final = 0.001
_POLL_MAX_S: Final = 0.050
_WATCH_EVERY_S: Final = 1.0
_TRANSACTION_ALARM_S: Final = 30.0

LEADS = Gauge("aegispay_relay_leads", "1 in the relay that publishes, 0 in one that stands by")


async def main(process: Process, settings: RelaySettings) -> None:
    if not await ready_to_start(process, settings):
        return
    async with (
        await connect_async(settings, "relay") as connection,
        producing(settings, "relay") as producer,
    ):
        await limit_silence(connection)
        try:
            # A standby, too, refuses a cluster that it could not lead on.
            await generation.current(connection)
            if not await _lead(process, connection):
                return
            current = await generation.current(connection)
            cursor = await load_cursor(connection)
            events = settings.topic_prefix + topics.EVENTS
            await check_heads(connection, settings.kafka, events, cursor)
        except (generation.LogMoved, StoreDiffers) as error:
            raise Misconfigured(str(error)) from error
        publisher = Publisher(
            producer, events, lambda gateway: settings.topic_prefix + topics.requests(gateway)
        )
        await _publish(process, Relay(connection, publisher, current, cursor, settings.page))


async def _lead(process: Process, connection: AsyncConnection) -> bool:
    """False: asked to stop first."""
    LEADS.set(0)
    while not await try_to_lead(connection):
        if process.state != "ready":
            process.log.info("standing by")
            process.ready()
        if await process.stopped_within(_TRY_TO_LEAD_EVERY_S):
            return False
    LEADS.set(1)
    process.log.info("leading")
    return True


async def _publish(process: Process, relay: Relay) -> None:
    process.ready()
    pause_s = _POLL_MIN_S
    watched_at = 0.0
    while not process.stop.is_set():
        published = await relay.run_once()
        pause_s = _POLL_MIN_S if published else min(2 * pause_s, _POLL_MAX_S)
        if time.monotonic() - watched_at > _WATCH_EVERY_S:
            watched_at = time.monotonic()
            if (age_s := await relay.watch()) > _TRANSACTION_ALARM_S:
                process.log.error("a transaction that stays open holds the relay up", age_s=round(age_s))
        await process.stopped_within(pause_s)
    await relay.save()


if __name__ == "__main__":
    run("relay", RelaySettings, main)
