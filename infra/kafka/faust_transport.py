"""Faust's consumer, as `infra.kafka.faust_runtime` needs it: it reads committed records alone, and reads
again what a rebalance has dropped.
"""

from collections.abc import Collection
from typing import Any

from faust.transport.drivers import aiokafka as aiokafka_driver
from mode.services import WaitResults
from mode.utils.queues import FlowControlEvent

from infra.kafka.reader import READ_COMMITTED


class FlowControl(FlowControlEvent):  # type: ignore[misc]  # mode has no types
    """Faust's flow control, which loses no record when a table has been recovered.

    While Faust seeks the partitions one by one to their committed offsets, it fetches already. Then it
    resumes the flow, and mode 0.7.1 clears the streams' buffers with that: of a partition whose seek came
    first, what was fetched since was lost. A rebalance clears the buffers by itself, before those seeks.
    """

    def resume(self) -> None:
        """Resumes, and keeps what the buffers hold."""
        self._suspend.clear()
        self._resume.set()


class _ConsumerThread(aiokafka_driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust has no types
    def _create_worker_consumer(self, transport: Any) -> Any:
        """Reads committed records. Faust does so with its own transactions only, and has no setting for
        it; a consumer passes its level on when it starts."""
        made = super()._create_worker_consumer(transport)
        made._isolation_level = READ_COMMITTED
        return made

    async def seek_to_committed(self) -> Any:
        """Seeks to the beginning where nothing was committed.

        Faust drops what it has fetched when a rebalance begins, and seeks to read it again. aiokafka 0.14
        does not seek without a committed offset, and what was dropped was lost. Changelogs have none:
        Faust's recovery seeks in them.
        """
        consumer = self._ensure_consumer()
        return await self.call_thread(_seek_to_committed, consumer, self.app.tables.changelog_topics)


async def _seek_to_committed(consumer: Any, changelogs: Collection[str]) -> Any:
    committed = await consumer.seek_to_committed()
    # Nothing is awaited between this look at the assignment and the seek.
    fresh = [
        place for place in consumer.assignment() if place.topic not in changelogs and not committed.get(place)
    ]
    if fresh:
        await consumer.seek_to_beginning(*fresh)
    return committed


class _Consumer(aiokafka_driver.Consumer):  # type: ignore[misc]
    def _new_consumer_thread(self) -> Any:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def wait_first(self, *awaited: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109  # Faust's own
        """Faust hands each record to its stream through four tasks, half of what a record costs it: one to do
        it, the others to stop waiting. Here it is done at once where it cannot be held up.
        """
        held_up = (
            len(awaited) != 2
            or self.suspend_flow.is_set()
            or not self.app.flow_control.is_active()
            or any(topic.queue.full() for topic in self.app.topics)
        )
        if held_up:
            return await super().wait_first(*awaited, timeout=timeout)
        delivery, suspended = awaited
        # Nobody will await this coroutine, and Python would warn of it.
        suspended.close()
        return WaitResults([delivery], [await delivery], stopped=False)


class Transport(aiokafka_driver.Transport):  # type: ignore[misc]
    """Faust's transport, whose consumer loses no record in a rebalance."""

    Consumer = _Consumer
