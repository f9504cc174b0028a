"""The relay process: one leads and publishes, the others stand by and try to lead every second."""

import asyncio
import time
from typing import Final

from prometheus_client import Gauge
from psycopg import AsyncConnection

from commands.records import Record
from infra.errors import Misconfigured
from infra.kafka import topics
from infra.kafka.producers import producing
from infra.kafka.reader import last_records, partitions_of
from infra.postgres.connections import connect_async
from infra.process.runtime import Process, run
from infra.settings import RelaySettings
from infra.workers.startup import ready_to_start
from relay import generation
from relay.head_check import StoreDiffers, check_heads, is_of_relay
from relay.leadership import limit_silence, stay, try_to_lead
from relay.log import load_cursor
from relay.outbox import Relay
from relay.policies import PolicyPublisher
from relay.publish import Publisher

_TRY_TO_LEAD_EVERY_S: Final = 1.0
# The pause between two looks into the log, in s: doubled from the least to the most while nothing is found.
_POLL_MIN_S: Final = 0.001
_POLL_MAX_S: Final = 0.050
_WATCH_EVERY_S: Final = 1.0
# With the pause above and a page of events in between, at most 0.25 s from one look for policies to the next.
_POLICIES_EVERY_S: Final = 0.15
# How often a relay that reads back behind records of others says so.
_LOG_EVERY_S: Final = 10.0
# Well below the silence that the server allows, `relay.leadership.SILENCE_MAX_S`.
_STAY_EVERY_S: Final = 1.0
# Nothing above a running transaction's id is published, so an open one delays every payment.
_TRANSACTION_ALARM_S: Final = 30.0

LEADS = Gauge("aegispay_relay_leads", "1 in the relay that publishes, 0 in one that stands by")


async def main(process: Process, settings: RelaySettings) -> None:
    """Stands by, then leads and publishes until a stop signal comes. Raises `Misconfigured` where
    the store is another than the one that Kafka's events come from."""
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
            # Another relay moved the cursor while this one stood by.
            cursor = await load_cursor(connection)
            events = settings.topic_prefix + topics.EVENTS
            # Only the leader can compare heads: a standby would see some that the leader is still moving.
            if (heads := await _heads(process, connection, settings)) is None:
                return
            await check_heads(connection, heads, events, cursor)
        except (generation.LogMoved, StoreDiffers) as error:
            raise Misconfigured(str(error)) from error
        publisher = Publisher(
            producer, events, lambda gateway: settings.topic_prefix + topics.requests(gateway)
        )
        policies = PolicyPublisher(connection, producer, settings.topic_prefix + topics.POLICIES, process.log)
        await _publish(process, Relay(connection, publisher, current, cursor, settings.page), policies)


async def _heads(
    process: Process, connection: AsyncConnection, settings: RelaySettings
) -> list[Record] | None:
    """Reads the last event of each partition. None: a stop signal came first.

    Records that no relay wrote are passed over, however many: the relay reads on until it finds an event or
    the partition's first record. Meanwhile the session shows each second that it lives: the server ends one
    that is silent for 5 s, and Kafka may be slow.
    """
    foreign = 0

    def accepts(record: Record) -> bool:
        nonlocal foreign
        of_relay = is_of_relay(record)
        foreign += not of_relay
        return of_relay

    places = partitions_of(settings, topics.EVENTS)

    def warn(what: str) -> None:
        process.log.warning(what, topic=places[0].topic, records=foreign)

    reading = asyncio.create_task(last_records(settings.kafka, places, accepts))
    logged_at = time.monotonic()
    try:
        while not (await asyncio.wait({reading}, timeout=_STAY_EVERY_S))[0]:
            if process.stop.is_set():
                return None
            await stay(connection)
            if foreign and time.monotonic() - logged_at > _LOG_EVERY_S:
                logged_at = time.monotonic()
                warn("reading back behind records that no relay wrote")
    finally:
        reading.cancel()
    if foreign:
        warn("passed over records that no relay wrote: end what writes to this topic, and its right to")
    return reading.result()


async def _lead(process: Process, connection: AsyncConnection) -> bool:
    """Waits until this relay leads. False: a stop signal came first."""
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


async def _publish(process: Process, relay: Relay, policies: PolicyPublisher) -> None:
    process.ready()
    pause_s = _POLL_MIN_S
    watched_at = policies_at = 0.0
    while not process.stop.is_set():
        published = await relay.run_once()
        pause_s = _POLL_MIN_S if published else min(2 * pause_s, _POLL_MAX_S)
        if time.monotonic() - policies_at > _POLICIES_EVERY_S:
            policies_at = time.monotonic()
            await policies.run_once()
        if time.monotonic() - watched_at > _WATCH_EVERY_S:
            watched_at = time.monotonic()
            if (age_s := await relay.watch()) > _TRANSACTION_ALARM_S:
                process.log.error("a transaction that stays open holds the relay up", age_s=round(age_s))
        await process.stopped_within(pause_s)
    # The next leader goes on from here, and publishes nothing twice.
    await relay.save()


if __name__ == "__main__":
    run("relay", RelaySettings, main)
