"""Commits a consumer's offsets behind the batches that it has finished, and hands partitions over between
batches only.
"""

import asyncio
import time
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from infra.process.runtime import Process

_COMMIT_EVERY_S: Final = 0.2


class Progress:
    """Keeps the offsets behind finished batches. They are committed a few times a second, not for each
    batch: a commit costs a record on Kafka, and what a killed worker did not commit is only read again."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._done: dict[TopicPartition, int] = {}
        self._committed_at = time.monotonic()

    def finished(self, read: dict[TopicPartition, list[Any]]) -> None:
        """Takes note of a batch that was handled: `read` holds each partition's messages."""
        # Kafka commits the next offset to read. A batch holds each partition's messages in order, so the last
        # is enough.
        self._done |= {place: messages[-1].offset + 1 for place, messages in read.items()}

    async def commit_when_due(self) -> None:
        """Commits if the last commit is 0.2 s ago."""
        if self._done and time.monotonic() - self._committed_at >= _COMMIT_EVERY_S:
            await self.commit()

    async def commit(self) -> None:
        """Commits what is finished; does nothing where the partitions went to another worker."""
        done, self._done = self._done, {}
        self._committed_at = time.monotonic()
        if not done:
            return
        try:
            await self._consumer.commit(done)
        except (CommitFailedError, IllegalStateError):
            # The partitions are another worker's by now: it reads these records again, and they change
            # nothing.
            return


class Ownership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Gives partitions up between batches only: `busy` is held while one runs."""

    def __init__(self, busy: asyncio.Lock, progress: Progress, process: Process) -> None:
        self._busy = busy
        self._progress = progress
        self._process = process

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Commits what is finished, and is not ready until partitions are assigned again."""
        # aiokafka 0.14 awaits this before it joins the group again: the next owner begins behind this commit,
        # and no batch of this worker runs beside its first one.
        async with self._busy:
            self._process.not_ready("rebalancing")
            await self._progress.commit()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Reports that the process is ready, with partitions or without."""
        self._process.ready()
