"""kill -9 of each process in turn under load; then nothing is lost, nobody is charged twice, and all is at
rest."""

import asyncio
from typing import Final

import pytest

from infra.tools.traffic.orders import orders
from tests.support.processes import ALL, running, shop

pytestmark = [pytest.mark.stack, pytest.mark.soak, pytest.mark.timeout(600)]

EVERY: Final = (*ALL, "api", "health", "routing")
_PAYMENTS: Final = 1000
_RATE: Final = 50.0


async def test_every_process_killed_in_turn_under_load_loses_and_doubles_nothing(environment, tmp_path):
    wanted = list(orders(seed=7, count=_PAYMENTS, rate=_RATE, run="kills"))
    async with running(environment, tmp_path, *EVERY, latency_ms=20.0) as stack:
        shopping = asyncio.create_task(shop(stack, wanted))
        for name in EVERY:
            await asyncio.sleep(_PAYMENTS / _RATE / (len(EVERY) + 1))  # the load between two kills
            await stack.restart(name)
        await shopping

        verdict = await stack.verdict()

    assert verdict.ok, verdict.as_json()
    assert verdict.payments == _PAYMENTS
    assert verdict.settled_s is not None
    assert sum(verdict.by_status[status] for status in ("CAPTURED", "FAILED")) == _PAYMENTS
