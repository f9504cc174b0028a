"""Sends the gateway agents' samples to `gateways.samples`, in small batches.

Invariant: nobody waits for a sample. What finds no room, or cannot be sent, is dropped and counted.
"""

import asyncio
from collections import defaultdict, deque
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from commands.samples import SAMPLES_MAX, Sample, SampleBatch
from infra.kafka import topics
from infra.settings import KafkaSettings

BATCH_WITHIN_S: Final = 1.0
"""The time for which a sample waits for others; one of a failure waits less."""
_SOON_S: Final = 0.05
# Of all accounts together. At 300 payments/s it takes half a minute to fill, and 5 MB.
_WAITING_MAX: Final = 10_000
_SENT_WITHIN_S: Final = 5.0

SENT = Counter("aegispay_samples_sent", "Samples that the broker has", ["gateway"])
DROPPED = Counter("aegispay_samples_dropped", "Samples that were lost here: no payment was", ["gateway"])

_log: Any = structlog.get_logger()


class KafkaSamples:
    """Implements `gateways.agent.ports.Samples` for one gateway's worker."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        settings: KafkaSettings,
        gateway: str,
        *,
        waiting_max: int = _WAITING_MAX,
        batch_within_s: float = BATCH_WITHIN_S,
    ) -> None:
        self._producer = producer
        self._topic = settings.topic_prefix + topics.SAMPLES
        self._gateway = gateway
        self._waiting_max = waiting_max
        self._batch_within_s = batch_within_s
        self._waiting: defaultdict[str, deque[Sample]] = defaultdict(deque)
        self._count = 0
        self._any = asyncio.Event()
        self._urgent = asyncio.Event()

    def add(self, account: str, sample: Sample) -> None:
        """Takes the sample; a failure is sent soon, since circuits open by it."""
        if self._count >= self._waiting_max:
            DROPPED.labels(self._gateway).inc()
            return
        self._waiting[account].append(sample)
        self._count += 1
        self._any.set()
        if sample.outcome in {"failed", "unknown"} or self._count >= SAMPLES_MAX:
            self._urgent.set()

    async def run(self) -> None:
        """Sends until it is cancelled."""
        while True:
            await self._any.wait()
            try:
                async with asyncio.timeout(self._batch_within_s):
                    await self._urgent.wait()
                # Failures come in crowds: the next ones of the same moment go with the first.
                await asyncio.sleep(_SOON_S)
            except TimeoutError:
                pass
            await self.run_once()

    async def run_once(self) -> int:
        """Sends what waits, and returns how many samples the broker has got."""
        waiting, self._waiting, self._count = self._waiting, defaultdict(deque), 0
        self._any.clear()
        self._urgent.clear()
        sent = 0
        for account, samples in waiting.items():
            while samples:
                some = tuple(samples.popleft() for _ in range(min(len(samples), SAMPLES_MAX)))
                if await self._send(account, some):
                    sent += len(some)
        return sent

    async def _send(self, account: str, samples: tuple[Sample, ...]) -> bool:
        batch = SampleBatch(gateway=self._gateway, account=account, samples=samples)
        try:
            async with asyncio.timeout(_SENT_WITHIN_S):
                await self._producer.send_and_wait(self._topic, batch.dump(), key=account.encode())
        except (KafkaError, TimeoutError) as error:
            DROPPED.labels(self._gateway).inc(len(samples))
            _log.warning("samples were lost", samples=len(samples), error=type(error).__name__)
            return False
        SENT.labels(self._gateway).inc(len(samples))
        return True
