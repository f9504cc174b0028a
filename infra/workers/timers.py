"""The timers process: due payments are woken, and timers whose wake was dead-lettered are marked stuck."""

from functools import partial
from typing import Any

from aiokafka import TopicPartition

from infra.kafka import reader, topics
from infra.kafka.producers import producing
from infra.postgres.connections import connect_async
from infra.process.runtime import Process, run
from infra.settings import TimersSettings
from infra.workers.startup import ready_to_start
from relay.stuck_timers import StuckTimers
from relay.timers import Timers


async def main(process: Process, settings: TimersSettings) -> None:
    """Runs until a stop signal comes. Raises PostgreSQL's and Kafka's errors."""
    if not await ready_to_start(process, settings):
        return
    commands_topic = settings.topic_prefix + topics.COMMANDS
    letters = reader.consumer(
        settings.kafka,
        settings.topic_prefix + topics.DEAD_LETTERS,
        client_id="aegispay-timers",
        group_id=settings.topic_prefix + topics.TIMERS_GROUP,
        auto_offset_reset="earliest",
    )
    async with (
        await connect_async(settings, "timers") as connection,
        producing(settings, "timers") as producer,
        letters,
    ):
        timers = Timers(connection, producer, commands_topic, process.log)
        record_at = partial(_record_at, settings.kafka)
        stuck = StuckTimers(connection, letters, record_at, commands_topic, process.log)
        process.ready()
        while not process.stop.is_set():
            # A timer whose wake was dead-lettered is marked first, so that it is not leased once more.
            await stuck.run_once()
            # After a batch there may be more that is due: no pause. On any error the process ends, and what
            # it had leased is due again when its lease is over.
            if not await timers.run_once():
                await process.stopped_within(await timers.pause_s())


async def _record_at(bootstrap: str, topic: str, partition: int, offset: int) -> Any | None:
    return await reader.record_at(bootstrap, TopicPartition(topic, partition), offset)


if __name__ == "__main__":
    run("timers", TimersSettings, main)
