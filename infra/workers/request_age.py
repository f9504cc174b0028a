"""Measures how long each gateway's oldest request has waited. While that is too long at every gateway, no new
payment is started. With one PSP away the others go on, and its own payments wait in its queue.
"""

import time
from collections.abc import Collection
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from prometheus_client import Gauge

from infra.kafka import reader, topics
from infra.kafka.producers import BrokerClock, passes
from infra.process import clock
from infra.process.runtime import Process
from infra.settings import CommandWorkerSettings

# A gateway that falls behind is noticed this much later.
_LOOK_EVERY_S: Final = 2.0
_READ_MAX_S: Final = 1.0

WAITING = Gauge(
    "aegispay_gateway_oldest_request_age_seconds", "Of requests that no worker has acknowledged", ["gateway"]
)


class Backlog:
    """Reads the ages from Kafka itself, so they are right while the gateway's workers are dead, and after
    a restart."""

    def __init__(
        self,
        settings: CommandWorkerSettings,
        process: Process,
        gateways: Collection[str],
        broker_clock: BrokerClock,
    ) -> None:
        """`gateways`: those that payments may go to."""
        self._broker_clock = broker_clock
        self._settings = settings
        self._gateways = sorted(gateways)
        self._process = process
        self.too_old = False

    async def watch(self) -> None:
        """Looks until the process stops. Raises the broker's errors but for those that pass: it then keeps
        to what it saw last, since a broker that has just come up names no coordinator of a group for some
        seconds."""
        while not self._process.stop.is_set():
            try:
                await self._look_on()
            except KafkaError as error:
                if not passes(error):
                    raise
                self._process.log.warning("requests' ages cannot be read yet", error=type(error).__name__)
                await self._process.stopped_within(_LOOK_EVERY_S)

    async def _look_on(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.kafka)
        # One record of each partition is enough: not the default of 1 MiB.
        consumer = reader.consumer(self._settings.kafka, max_partition_fetch_bytes=65536)
        try:
            await admin.start()
            await consumer.start()
            while not self._process.stop.is_set():
                ages = [await self._age_s(gateway, admin, consumer) for gateway in self._gateways]
                # The least of all: one gateway that keeps up is enough for new payments to go on
                # (docs/adr/0016).
                self.too_old = min(ages, default=0.0) > self._settings.pause_when_requests_wait_s
                await self._process.stopped_within(_LOOK_EVERY_S)
        finally:
            await consumer.stop()
            await admin.close()

    async def _age_s(self, gateway: str, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> float:
        places = reader.partitions_of(self._settings, topics.requests(gateway))
        ends = await consumer.end_offsets(places)
        group = self._settings.topic_prefix + topics.gateway_group(gateway)
        # A group keeps its offsets without a member, so a dead worker's requests are seen to grow old.
        committed = await admin.list_consumer_group_offsets(group)
        firsts = {
            place: max(committed[place].offset, 0) if place in committed else 0  # -1: nothing acknowledged
            for place in places
        }
        age_s = await self._oldest_s(firsts, ends, consumer)
        WAITING.labels(gateway).set(age_s)
        return age_s

    async def _oldest_s(
        self, firsts: reader.Offsets, ends: reader.Offsets, consumer: AIOKafkaConsumer
    ) -> float:
        """Returns the age of the oldest record in between, in s; 0 where there is none or none came within
        1 s."""
        stamps: list[int] = []
        give_up_at = time.monotonic() + _READ_MAX_S
        async for records in reader.read_between(consumer, firsts, ends, poll_ms=200, first_only=True):
            # The oldest in its partition: offsets and the broker's stamps grow together.
            stamps += [record.timestamp for record in records[:1]]
            if time.monotonic() > give_up_at:
                break
        return self._age_of(min(stamps)) if stamps else 0.0

    def _age_of(self, timestamp_ms: int) -> float:
        """Counts by the broker's clock, and by this machine's only until the broker has stamped something."""
        age_s = self._broker_clock.age_s(timestamp_ms)
        return max(0.0, clock.now().timestamp() - timestamp_ms / 1000) if age_s is None else age_s
