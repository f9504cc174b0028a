"""How long each gateway's oldest request has waited. While that is too long at every one of them no new payment is
started: with one PSP that is away the others go on, and its own payments wait in its queue.
"""

import time
from collections.abc import Collection
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from prometheus_client import Gauge

from infra import clock, topics
from infra.process import Process
from infra.settings import CommandWorkerSettings

_LOOK_EVERY_S: Final = 2.0
_READ_MAX_S: Final = 1.0

WAITING = Gauge(
    "aegispay_gateway_oldest_request_age_seconds", "Of requests that no worker has acknowledged", ["gateway"]
)


class Backlog:
    """Read from Kafka itself: it is right while the gateway's workers are dead, and after a restart of this one."""

    def __init__(self, settings: CommandWorkerSettings, process: Process, gateways: Collection[str]) -> None:
        """`gateways`: those that payments may go to."""
        self._settings = settings
        self._gateways = sorted(gateways)
        self._process = process
        self.too_old = False

    async def watch(self) -> None:
        """Until cancelled. Raises the broker's errors."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.kafka)
        reader = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka, enable_auto_commit=False, max_partition_fetch_bytes=65536
        )
        await admin.start()
        await reader.start()
        try:
            while not await self._process.stopped_within(_LOOK_EVERY_S):
                ages = [await self._age_s(gateway, admin, reader) for gateway in self._gateways]
                self.too_old = min(ages, default=0.0) > self._settings.pause_when_requests_wait_s
        finally:
            await reader.stop()
            await admin.close()

    async def _age_s(self, gateway: str, admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer) -> float:
        prefix = self._settings.topic_prefix
        topic = prefix + topics.requests(gateway)
        places = [TopicPartition(topic, number) for number in range(self._settings.partitions)]
        ends = await reader.end_offsets(places)
        committed = await admin.list_consumer_group_offsets(prefix + topics.gateway_group(gateway))
        behind = {
            place: committed[place].offset if place in committed and committed[place].offset >= 0 else 0
            for place in places
        }
        behind = {place: offset for place, offset in behind.items() if offset < ends[place]}
        age_s = await self._oldest_s(behind, reader) if behind else 0.0
        WAITING.labels(gateway).set(age_s)
        return age_s

    @staticmethod
    async def _oldest_s(behind: dict[TopicPartition, int], reader: AIOKafkaConsumer) -> float:
        reader.assign(list(behind))
        for place, offset in behind.items():
            reader.seek(place, offset)
        stamps: dict[TopicPartition, int] = {}
        give_up_at = time.monotonic() + _READ_MAX_S
        while behind.keys() - stamps.keys() and time.monotonic() < give_up_at:
            for place, messages in (await reader.getmany(timeout_ms=200)).items():
                stamps.setdefault(place, messages[0].timestamp)
        return max(0.0, clock.now().timestamp() - min(stamps.values()) / 1000) if stamps else 0.0
