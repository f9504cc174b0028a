"""What an experiment shows, by HTTP and in the terminal, on a real PostgreSQL."""

import pytest

from aggregates.operation import OperationState
from aggregates.routing.policy import Experiment
from aggregates.routing_policy import By
from infra.api.experiment_schemas import ExperimentReport
from infra.postgres.policy_store import load, save
from projections import batch
from tests.support.builders import NOW
from tests.support.event_stories import event_of, read_models_connection, stored
from tests.support.experiment_stories import EXPERIMENT, assigned, ended, route_of
from tests.support.policies import KIM, activate, api_session

pytestmark = pytest.mark.stack
S = OperationState
_PATH = f"/v1/routing/experiments/{EXPERIMENT.id}"


@pytest.fixture
async def experimenting(environment) -> None:
    """A policy of the merchant demo, with payments of thirty customers."""
    async with api_session(environment) as conn:
        await activate(conn, "demo", strategy=EXPERIMENT.model_dump(mode="json", exclude_none=True))
    events = []
    for number in range(30):
        payment = assigned(f"customer-{number}", route_of())
        ((name, operation),) = payment.operations.items()
        if number:
            approved = operation.psp.account == "sim-eu"
            ended(payment, S.APPROVED if approved else S.DECLINED_HARD, operation=name)
        events += [event_of(one) for one in stored(payment)]
    async with read_models_connection(environment) as conn:
        await batch.apply(conn, events, {}, NOW)


@pytest.mark.usefixtures("experimenting")
async def test_the_report_has_arms_intervals_ratio_and_a_verdict_in_words(api):
    answer = await api.get(_PATH)

    assert answer.status == 200, answer.raw
    found = ExperimentReport.model_validate(answer.body)
    assert (found.policy_version, found.running, found.counted_before) == (1, True, 0)
    assert (found.outcome, found.winner) == ("winner", "a")
    assert found.words.startswith("a wins: the approval rate of b is ")
    assert found.sample_ratio.sound
    control, other = found.arms
    assert control.assigned + other.assigned == 30
    assert control.pending + other.pending == 1
    assert (control.approval_rate, other.approval_rate) == (1.0, 0.0)
    assert control.approval_difference is None
    assert other.approval_difference is not None
    assert other.approval_difference.estimate == -1.0
    assert other.approval_difference.upper < 0
    assert other.cost_difference_ppm is None, "no fee is known"
    assert found.guardrail == EXPERIMENT.guardrail


@pytest.mark.usefixtures("experimenting")
async def test_an_experiment_that_ended_is_shown_and_a_stopped_arm_says_so(api, environment):
    async with api_session(environment) as conn:
        policy = await load(conn, "demo")
        assert policy is not None
        policy.stop_arm(EXPERIMENT.id, "b", By("Kim", "declines", KIM.now))
        await save(conn, policy)
        await activate(conn, "demo", strategy={"kind": "success"})

    found = ExperimentReport.model_validate((await api.get(_PATH)).body)

    assert (found.running, found.policy_version) == (False, 1)
    assert [arm.stopped for arm in found.arms] == [False, True]


@pytest.mark.usefixtures("experimenting")
async def test_payments_under_other_shares_are_named_and_not_counted(api, environment):
    other = EXPERIMENT.model_dump(mode="json", exclude_none=True)
    other["arms"] = {"a": {"share": 0.9, "account": "sim-eu"}, "b": {"share": 0.1, "account": "sim-us"}}
    assert Experiment.model_validate(other).definition != EXPERIMENT.definition
    async with api_session(environment) as conn:
        await activate(conn, "demo", strategy=other)

    found = ExperimentReport.model_validate((await api.get(_PATH)).body)

    assert (found.policy_version, found.counted_before) == (2, 30)
    assert [arm.assigned for arm in found.arms] == [0, 0]


@pytest.mark.usefixtures("experimenting")
async def test_what_the_merchant_has_not_is_not_found(api):
    missing = await api.get("/v1/routing/experiments/other")

    assert (missing.status, missing.body["code"]) == (404, "experiment_not_found")
