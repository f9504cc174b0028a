"""A producer that leaves a transaction open holds back all that stands behind it in its partitions: every
reader of committed records waits, and nothing fails. This module detects it; it ends with the producer, or
after its timeout.
"""

import time
from collections.abc import Callable
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import Gauge

from infra.process.runtime import Process

PATIENCE_S: Final = 5.0
"""A transaction of one batch takes milliseconds."""

SECONDS = Gauge(
    "aegispay_command_open_transaction_seconds",
    "For how long records have waited behind an open transaction of a producer; the oldest",
)


class OpenTransactions:
    """Detects an open transaction by the last fetch of each partition: its stable offset stays behind its
    end."""

    def __init__(
        self, consumer: AIOKafkaConsumer, process: Process, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._consumer = consumer
        self._process = process
        self._now_s = now_s
        self._since: dict[tuple[TopicPartition, int], float] = {}
        self._not_ready = False

    def look(self) -> None:
        """Checks every partition, and makes the process not ready while records wait for longer than
        `PATIENCE_S`."""
        now_s = self._now_s()
        self._since = {stuck: self._since.get(stuck, now_s) for stuck in self._open()}
        SECONDS.set(max((now_s - since for since in self._since.values()), default=0.0))
        long = [stuck for stuck, since in self._since.items() if now_s - since > PATIENCE_S]
        if long:
            place, offset = min(long, key=lambda stuck: self._since[stuck])
            if not self._not_ready:
                self._process.log.error(
                    "records wait behind a transaction that a producer has left open",
                    place=f"{place.topic}/{place.partition}/{offset}",
                    partitions=len(long),
                )
            self._process.not_ready(
                "records wait behind a producer's open transaction: "
                f"{place.topic}/{place.partition}/{offset}, kafka-transactions.sh find-hanging and abort"
            )
        elif self._not_ready:
            self._process.ready()
        self._not_ready = bool(long)

    def _open(self) -> list[tuple[TopicPartition, int]]:
        """Returns the partitions with an open transaction, and the stable offset of each. A paused
        partition is left out: it is not fetched, so nothing new is known of it."""
        found = []
        paused = self._consumer.paused()
        for place in self._consumer.assignment():
            stable, end = self._consumer.last_stable_offset(place), self._consumer.highwater(place)
            if place not in paused and stable is not None and end is not None and stable < end:
                found.append((place, stable))
        return found
