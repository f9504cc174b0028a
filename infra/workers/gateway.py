"""The gateway worker calls one PSP and reports what came back: one Faust group for each gateway."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Final

from aiokafka import AIOKafkaProducer

from commands.messages import RecordOutcome, dump
from gateways.agent.handle import GatewayAgent
from gateways.registry import ADAPTERS
from infra.errors import Misconfigured
from infra.hooks import discovery, lifecycle
from infra.kafka import topics
from infra.kafka.circuits import KnownCircuits, read_health
from infra.kafka.compacted import CompactedTopic
from infra.kafka.faust_runtime import Agent, KeyedConcurrency, run_agents
from infra.kafka.producers import KafkaDeadLetters, producing
from infra.kafka.samples import KafkaSamples
from infra.postgres.claims import PostgresClaims
from infra.process import clock
from infra.process.reloading import Watched
from infra.process.runtime import Process, run
from infra.psp.accounts import credentials
from infra.psp.http_client import HttpClient
from infra.psp.return_token import ReturnPages
from infra.settings import GatewayWorkerSettings, KafkaSettings
from infra.workers.startup import ready_to_start

# Longer than a drain: a worker that ends before its outcome is acknowledged loses nothing. A definite outcome
# is stored in the closed claim, and published from there when the request is read again; any other leaves the
# claim open, and the step is repeated or queried.
_PUBLISH_WITHIN_S: Final = 60.0
# For hooks that observe outcomes, at the end of a drain, of which 1.5 s are left at the least.
_HOOKS_DRAIN_S: Final = 0.5


class KafkaOutcomes:
    """Implements `gateways.agent.ports.Outcomes` on the topic `gateways.outcomes`."""

    def __init__(self, producer: AIOKafkaProducer, settings: KafkaSettings) -> None:
        self._producer = producer
        self._topic = settings.topic_prefix + topics.OUTCOMES

    async def publish(self, outcome: RecordOutcome, headers: Sequence[tuple[str, bytes]]) -> None:
        """Returns when the broker has acknowledged the outcome. Raises `TimeoutError` after 60 s."""
        key = str(outcome.payment_id).encode()
        # An idempotent producer tries for ever by itself; a new process has new connections.
        async with asyncio.timeout(_PUBLISH_WITHIN_S):
            await self._producer.send_and_wait(self._topic, dump(outcome), key=key, headers=headers)


def _no_page(_operation_id: str, _action_until: datetime) -> None:
    """Gives no address: none is set under which customers reach the API."""


@asynccontextmanager
async def sending(producer: AIOKafkaProducer, settings: GatewayWorkerSettings) -> AsyncIterator[KafkaSamples]:
    """Yields the way of the samples, which are sent beside the caller until the end."""
    samples = KafkaSamples(producer, settings, settings.gateway)
    task = asyncio.create_task(samples.run())
    try:
        yield samples
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
        await samples.run_once()


async def main(process: Process, settings: GatewayWorkerSettings) -> None:
    """Runs until a stop signal comes. Raises `Misconfigured`, and PostgreSQL's and Kafka's
    errors."""
    gateway = ADAPTERS.get(settings.gateway)
    if gateway is None:
        raise Misconfigured(
            f"AEGISPAY_GATEWAY: no gateway is called {settings.gateway}; known: {', '.join(ADAPTERS)}"
        )
    accounts = Watched("accounts", settings.accounts_file, partial(credentials, settings.gateway))
    installed = discovery.installed(settings)
    pages = ReturnPages.of(settings)
    if pages is None:
        process.log.warning("no AEGISPAY_PUBLIC_URL: customers cannot come back from a challenge")
    if not await ready_to_start(process, settings):
        return
    async with (
        producing(settings, process.name) as producer,
        PostgresClaims.open(settings, process.name) as claims,
        HttpClient.open(settings.calls_max) as http,
        CompactedTopic(settings, topics.HEALTH, read_health, key_of=lambda one: one.account) as health,
        sending(producer, settings) as samples,
        lifecycle.running(
            settings.gateway, installed.lifecycle, settings.hook_threads, _HOOKS_DRAIN_S
        ) as hooks,
    ):
        agent = GatewayAgent(
            gateway,
            claims=claims,
            http=http,
            outcomes=KafkaOutcomes(producer, settings),
            letters=KafkaDeadLetters(producer, settings),
            # Looked up for each call: a key that was changed in the file is used without a restart.
            credentials_of=lambda account: accounts.now().get(account),
            return_url_of=pages.url if pages is not None else _no_page,
            samples=samples,
            circuits=KnownCircuits(health.now, clock.now),
            hooks=hooks,
            now=clock.now,
        )
        await run_agents(
            process,
            settings,
            topics.gateway_group(gateway.facts.name),
            [
                Agent(
                    topics.gateway_group(gateway.facts.name),
                    topics.requests(gateway.facts.name),
                    # One request of a payment at a time, in order: in this worker no cancel runs beside the
                    # call that it cancels. Across workers the claims see to it.
                    KeyedConcurrency(agent.handle, in_flight_max=settings.calls_max),
                )
            ],
        )


if __name__ == "__main__":
    run("gateway-worker", GatewayWorkerSettings, main)
