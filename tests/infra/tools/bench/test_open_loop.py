import asyncio
from datetime import timedelta

import pytest

from infra.settings import KafkaSettings
from infra.tools.bench.open_loop import Mix, OpenLoop, prepared
from infra.tools.traffic.orders import orders
from tests.support.processes import running

pytestmark = pytest.mark.stack


def _dues(count: int, rate: float, mix: Mix = "sale"):
    made = orders(seed=1, count=count, rate=rate, run="loop", conditions="calm")
    return prepared(list(made), "demo", timedelta(minutes=5), mix)


async def test_latency_counts_from_when_a_payment_was_due_also_where_the_system_stood_still(
    environment, tmp_path
):
    settled = []
    counted = []
    loop = OpenLoop(
        environment.settings(KafkaSettings, "audit"), lambda *reply: settled.append(reply), counted.append
    )
    async with running(environment, tmp_path, latency_ms=20) as stack:
        # Nobody decides until the last one was due a while ago: all of them have waited, the first ones
        # longest.
        await stack.kill("command")
        dues = _dues(20, 20.0)
        starting = stack.start("command")
        result, _ = await asyncio.gather(loop.run(dues, 60), starting)

    assert len(result.latencies_ms) == result.offered == 20
    assert result.unsettled == []
    assert result.by_status["CAPTURED"] + result.by_status["FAILED"] == 20
    assert min(result.latencies_ms) > 20
    # The first command was due at 0: no reply can come before the worker is up, and its latency says so.
    assert max(result.latencies_ms) >= 1000 * (result.settled_s - result.offered_s)
    assert len(settled) == 20
    assert counted[-1] == 20


async def test_what_does_not_settle_in_time_is_named(environment):
    dues = _dues(3, 50.0)

    result = await OpenLoop(
        environment.settings(KafkaSettings, "audit"), lambda *_: None, lambda _: None
    ).run(dues, 0.5)

    assert result.latencies_ms == []
    assert sorted(result.unsettled) == sorted(due.payment for due in dues)


async def test_a_life_goes_on_from_its_authorization_and_each_step_is_measured(environment, tmp_path):
    loop = OpenLoop(environment.settings(KafkaSettings, "audit"), lambda *_: None, lambda _: None)
    async with running(environment, tmp_path) as stack:
        result = await loop.run(_dues(20, 20.0, "life"), 60)
        verdict = await stack.verdict()

    assert result.unsettled == []
    assert set(result.by_status) <= {"CAPTURED", "REFUNDED", "FAILED"}
    steps = {step: len(times) for step, times in result.steps_ms.items()}
    assert steps["refund"] == result.by_status["REFUNDED"] > 0
    assert steps["capture"] == steps["refund"] + result.by_status["CAPTURED"]
    assert steps["authorize"] == len(result.latencies_ms) == 20
    assert verdict.ok, verdict.found
    assert verdict.movements["captured"] == steps["capture"]
