"""A PSP account that fails, with three gateway workers: traffic leaves it, a few payments probe it, and it
comes back."""

import asyncio
import re
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aggregates.routing.health import AccountHealth
from infra.kafka import topics
from infra.kafka.circuits import read_health
from infra.kafka.compacted import CompactedTopic
from infra.settings import KafkaSettings
from tests.support import simulator
from tests.support.environment import Environment
from tests.support.processes import TWO_ACCOUNTS, Running, running
from tests.support.until import until

pytestmark = pytest.mark.stack

_PER_S = 10
_REST = ("simulator", "command", "relay", "gateway", "gateway-2", "gateway-3", "timers", "read-models")
_DOWN = {"on": "create", "account": "sim-eu", "do": "429", "share": 1.0}
_FAULTS = re.compile(
    r'^aegispay_simulator_faults_total\{do="429",gateway="stripe",on="create"\} ([0-9.]+)', re.MULTILINE
)


def failed_calls(stack: Running) -> int:
    """At the simulator: how many calls reached the account that fails."""
    with urllib.request.urlopen(stack.metrics_url("simulator"), timeout=10) as response:
        found = _FAULTS.search(response.read().decode())
    return round(float(found[1])) if found else 0


@asynccontextmanager
async def traffic(stack: Running) -> AsyncIterator[list[str]]:
    """Payments, `_PER_S` a second, whatever becomes of them; the list has their keys."""
    keys: list[str] = []
    enough = asyncio.Event()
    async with stack.client(reply_timeout_s=30) as client:

        async def run() -> None:
            async with asyncio.TaskGroup() as tasks:
                while not enough.is_set():
                    keys.append(f"order-{len(keys)}")
                    tasks.create_task(
                        client.create_payment(
                            idempotency_key=keys[-1],
                            payment_method="pm_card_visa",
                            amount_minor=1099,
                            currency="EUR",
                        )
                    )
                    await asyncio.sleep(1 / _PER_S)

        task = asyncio.create_task(run())
        try:
            yield keys
        finally:
            enough.set()
            await task


@pytest.mark.timeout(400)
async def test_half_open_probes_of_three_workers_are_few_and_traffic_comes_back(
    environment: Environment, tmp_path
):
    async with running(environment, tmp_path, *_REST, accounts=TWO_ACCOUNTS) as stack:
        await stack.start("health", circuit_open_s=4, circuit_growth=1)
        settings = environment.settings(KafkaSettings, "admin")
        async with (
            CompactedTopic(settings, topics.HEALTH, read_health, key_of=lambda one: one.account) as health,
            traffic(stack) as keys,
        ):

            def known() -> AccountHealth | None:
                return health.now().get("sim-eu")

            def state() -> str:
                found = known()
                return "unknown" if found is None else found.circuits["sale"].state

            await until(lambda: len(keys) >= 10 * _PER_S and state() == "closed", "a rate to plan by")
            async with simulator.faulty(stack, _DOWN):
                began = time.monotonic()
                await until(lambda: state() == "open", "an open circuit")
                noticed_s = time.monotonic() - began
                probes = []
                for _ in range(3):
                    # What was queued for it is given back: while it is open, nothing reaches it.
                    await until(lambda: state() == "half_open", "a half-open circuit")
                    before = failed_calls(stack)
                    await until(lambda: state() == "open", "a probe that failed")
                    probes.append(failed_calls(stack) - before)
            ended = time.monotonic()
            await until(lambda: state() == "closed", "a closed circuit", within_s=120)
            back_s = time.monotonic() - ended
            print(f"noticed within {noticed_s:.1f} s; probes {probes}; closed {back_s:.1f} s after its end")

        # About three within the time of a call, and the first one that fails ends the round.
        assert all(1 <= one <= 8 for one in probes), probes
        rows = "SELECT count(*) FROM payments WHERE status = 'CAPTURED'"
        await until(lambda: _is(stack, rows, len(keys)), "every payment")
        assert (await stack.verdict()).ok


async def _is(stack: Running, query: str, expected: int) -> bool:
    return (await stack.rows(query))[0][0] == expected
