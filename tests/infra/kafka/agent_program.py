"""A process with one agent, for tests that kill it. It writes down what it begins and what it ends.

A record's value decides what becomes of it: `wait:SECONDS`, `fail` (while the folder has no file `mended`),
or anything else.
"""

import asyncio
import os
from pathlib import Path

from infra.kafka import topics
from infra.kafka.faust_runtime import Agent, KeyedConcurrency, run_agents
from infra.process.runtime import Process, run
from infra.settings import KafkaSettings, ProcessSettings


class Settings(ProcessSettings, KafkaSettings):
    test_folder: Path


async def main(process: Process, settings: Settings) -> None:
    log = os.open(settings.test_folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def handle(record):
        os.write(log, b"begin %d\n" % record.offset)
        match record.value.split(b":"):
            case [b"wait", seconds]:
                await asyncio.sleep(float(seconds))
            case [b"fail"] if not (settings.test_folder / "mended").exists():
                raise ConnectionError("the database is away")
        os.write(log, b"end %d\n" % record.offset)

    agent = Agent("view", topics.EVENTS, KeyedConcurrency(handle, in_flight_max=8, ahead_max=50))
    await run_agents(process, settings, "view", [agent])


if __name__ == "__main__":
    run("agent-program", Settings, main)
