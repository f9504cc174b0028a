"""PostgreSQL and Kafka killed, cut off, full and slow under load, with two of each worker; then nothing is
lost or doubled."""

from typing import Any

import pytest

from infra.tools.chaos.plan import random_plan
from tests.faults.plans import assert_each_has_its_reason, assert_no_harm, carried_out

pytestmark = [pytest.mark.stack, pytest.mark.timeout(420)]

_PAIRS = {"command_workers": 2, "gateway_workers": 2, "relays": 2, "session_timeout_s": 2}


def _cut(at_s: float, process: str, when: str, statement: str = "COMMIT") -> dict[str, Any]:
    return {"fault": "cut_commit", "at_s": at_s, "process": process, "when": when, "statement": statement}


async def test_servers_killed_and_full_commits_cut_and_records_lost_doubled_and_reordered_lose_and_double_nothing():
    """One run for all of it: a stack's start and its last payments take as long as these faults do."""
    result = await carried_out(
        seed=21,
        payments=600,
        rate=12,
        stack=_PAIRS | {"relays": 1},  # a relay that stands by has nothing to be cut
        faults=[
            # After a cut the work is done and nobody got a response; or nobody knows whether it is.
            _cut(1, "command", "after"),
            _cut(1, "command-2", "before"),
            _cut(1, "gateway", "after", "INSERT"),
            _cut(1, "read-models", "after"),
            _cut(1, "relay", "after", "UPDATE"),
            _cut(1, "timers", "after", "UPDATE"),
            {"fault": "failpoint", "point": "timers.after_publish", "process": "timers"},
            # Early, since timers find what became of them only after a while.
            {"fault": "lose", "what": "requests", "at_s": 3, "for_s": 30},
            # A rebalance while calls are in flight, by a worker that goes and by one that dies.
            {
                "fault": "simulator",
                "set": {"latency_ms": 5000},
                "then": {"latency_ms": 20},
                "at_s": 9,
                "for_s": 7,
            },
            # Calls in flight have outcomes though no command is decided meanwhile. They take longer than
            # the command workers take to stop, on a busy machine too: else these would read every outcome.
            {"fault": "lose", "what": "outcomes", "at_s": 10.5, "for_s": 90},
            {"fault": "stop", "process": "gateway-2", "at_s": 11},
            {"fault": "kill", "process": "gateway", "at_s": 13},
            {"fault": "kill", "process": "relay", "at_s": 15},
            {"fault": "kill", "process": "kafka", "at_s": 17, "down_s": 12},
            {"fault": "kill", "process": "api", "at_s": 30},
            {"fault": "kill", "process": "simulator", "at_s": 31},
            {"fault": "kill", "process": "postgres", "at_s": 33, "down_s": 1},
            {"fault": "pause", "process": "read-models", "at_s": 36, "for_s": 2},
            {"fault": "kill", "process": "health", "at_s": 14},
            {"fault": "pause", "process": "health", "at_s": 37, "for_s": 3},
            {"fault": "pause", "process": "routing", "at_s": 37, "for_s": 3},
            {"fault": "kill", "process": "routing", "at_s": 43},
            {"fault": "disk_full", "at_s": 38, "for_s": 2},
            {"fault": "disk_full", "table": "gateway_sends", "at_s": 40, "for_s": 2},
            {"fault": "locked", "at_s": 42, "for_s": 3},
            {"fault": "no_connections", "at_s": 45, "for_s": 3},
            {"fault": "kill", "process": "command-2", "at_s": 46},
            {"fault": "duplicate", "topic": "gateways.outcomes", "at_s": 41},
            {"fault": "reorder", "topic": "payments.commands", "at_s": 43},
            {"fault": "duplicate", "topic": "gateways.stripe.requests", "at_s": 44},
            {"fault": "reorder", "topic": "payments.events", "at_s": 47},
            # What a command worker's clock that is ahead plans comes as much later: the soak waits for that.
            {"fault": "clock", "process": "command", "step_s": -600, "at_s": 48, "for_s": 2},
            {"fault": "clock", "process": "gateway", "step_s": 600, "at_s": 48, "for_s": 2},
            {"fault": "clock", "process": "timers", "step_s": 7200, "at_s": 48, "for_s": 2},
            {"fault": "clock", "process": "relay", "step_s": 7200, "at_s": 48, "for_s": 2},
            {"fault": "clock", "process": "read-models", "step_s": -7200, "at_s": 48, "for_s": 2},
        ],
    )

    assert_no_harm(result)
    assert all(one.detail["records"] > 0 for one in result.injected if "records" in one.detail)


@pytest.mark.soak
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("process", ["command", "gateway", "read-models", "timers", "api"])
@pytest.mark.parametrize("step_s", [600, -600])
async def test_a_clock_that_is_ten_minutes_wrong_charges_nobody_twice(process, step_s):
    result = await carried_out(
        seed=23,
        payments=500,
        rate=20,
        conditions="storm",
        settle_s=900,  # what a clock that was ahead has planned comes ten minutes later
        faults=[{"fault": "clock", "process": process, "step_s": step_s, "at_s": 5, "for_s": 12}],
    )

    assert_no_harm(result)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_kafka_away_for_longer_than_any_timeout_and_the_read_models_events_lost(how):
    result = await carried_out(
        seed=24,
        payments=1600,
        rate=20,
        settle_s=400,
        stack=_PAIRS,
        faults=[
            {"fault": how, "process": "kafka", "at_s": 8, "down_s": 45},
            # Only the sweep finds them, a minute later.
            {"fault": "lose", "what": "events", "at_s": 65},
        ],
    )

    assert_no_harm(result)


@pytest.mark.soak
@pytest.mark.timeout(1200)
async def test_no_payment_fails_for_a_gateway_worker_that_is_away_for_five_minutes_and_the_backlog_drains():
    result = await carried_out(
        seed=25,
        payments=3400,
        rate=10,
        conditions="calm",
        settle_s=400,
        faults=[{"fault": "kill", "process": "gateway", "at_s": 10, "down_s": 300}],
    )

    assert_no_harm(result)
    assert not result.as_json()["ended_otherwise"]


@pytest.mark.soak
@pytest.mark.timeout(2400)
async def test_five_thousand_payments_under_random_faults():
    """The seed is in the plan: the same one makes the same plan."""
    plan = random_plan(4, 5000).model_dump()
    result = await carried_out(**plan)
    content = result.as_json()

    assert result.ok, content
    # A random fault may hit what another has just taken away: some miss, most do not.
    assert content["faults_missed"] * 4 <= len(content["faults"]), content["faults"]
    assert_each_has_its_reason(result)
