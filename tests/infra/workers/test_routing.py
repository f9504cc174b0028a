"""The routing worker on a real PostgreSQL and Kafka: an arm is stopped once, and volumes are published."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
import structlog

from aggregates.operation import OperationState
from aggregates.routing.policy import EMPTY, Commitment, Policy
from aggregates.routing_policy import By, RoutingPolicy
from commands import policy_records
from commands.policy_records import PolicyRecord
from commands.policy_records import dump as dump_policy
from commands.volume_records import VolumeRecord, month_of
from infra.kafka import topics
from infra.kafka.compacted import CompactedTopic
from infra.kafka.producers import producing
from infra.postgres import connections, policy_store
from infra.process import clock
from infra.process.runtime import Process
from infra.settings import RoutingWorkerSettings
from infra.workers import routing
from infra.workers.routing import Guardrails, Volumes
from projections import batch
from tests.relay.history import records_of
from tests.support.environment import Environment
from tests.support.event_stories import event_of, read_models_connection, stored
from tests.support.experiment_stories import EXPERIMENT, assigned, ended, route_of
from tests.support.policies import KIM, activate, api_session
from tests.support.until import until

pytestmark = pytest.mark.stack
S = OperationState
MERCHANT = "demo"
LOG = structlog.get_logger()


def settings_of(environment: Environment) -> RoutingWorkerSettings:
    return environment.settings(RoutingWorkerSettings, "routing")


@asynccontextmanager
async def connected(environment: Environment) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """With the rights of the routing worker."""
    async with await connections.connect_async(settings_of(environment), "routing") as conn:
        yield conn


def published(policy: RoutingPolicy, **stopped: list[str]) -> dict[str, PolicyRecord]:
    """The policy as its topic has it."""
    assert policy.active is not None
    record = PolicyRecord(
        merchant_id=MERCHANT,
        version=policy.active.number,
        change=policy.version,
        document=Policy.model_validate(policy.active.document),
        stopped_arms=stopped,
        activated_at=KIM.now,
        who=KIM.who,
    )
    return {MERCHANT: record}


async def stored_policy(environment: Environment, experiment: Any = EXPERIMENT) -> RoutingPolicy:
    async with api_session(environment) as conn:
        return await activate(conn, MERCHANT, strategy=experiment.model_dump(mode="json", exclude_none=True))


async def policy_of(environment: Environment) -> RoutingPolicy:
    async with connected(environment) as conn:
        policy = await policy_store.load(conn, MERCHANT)
    assert policy is not None
    return policy


async def live_through(environment: Environment, customers: int, **ends: S) -> None:
    """Each customer pays once, and the arm decides how that ends."""
    events = []
    for number in range(customers):
        payment = assigned(f"customer-{number}", route_of())
        ((first, operation),) = payment.operations.items()
        ended(payment, ends["a" if operation.psp.account == "sim-eu" else "b"], operation=first)
        events += [event_of(one) for one in stored(payment)]
    async with read_models_connection(environment) as conn:
        await batch.apply(conn, events, {}, clock.now())


async def test_an_arm_that_does_harm_is_stopped_once_with_the_figures(environment):
    policy = await stored_policy(environment)
    await live_through(environment, 40, a=S.APPROVED, b=S.DECLINED_HARD)

    async with connected(environment) as conn:
        guardrails = Guardrails(conn, lambda: published(policy), LOG)
        assert await guardrails.run_once() == 1
        # The topic is still behind, and then it is not.
        assert await guardrails.run_once() == 0
        known = published(policy, **{EXPERIMENT.id: ["b"]})
        assert await Guardrails(conn, lambda: known, LOG).run_once() == 0

    stopped = await policy_of(environment)
    assert stopped.stopped == {EXPERIMENT.id: ["b"]}
    with psycopg.connect(environment.dsn()) as conn:
        ((state,),) = conn.execute(
            f"SELECT convert_from(state, 'UTF8')::json FROM {environment.schema}.policy_events "
            "WHERE topic = 'routing_policy.arm_stopped.v1'"
        ).fetchall()
    assert state["who"] == "guardrail"
    assert state["reason"].startswith("guardrail: b approves ")
    assert " points below a, more than the 2 points that the experiment allows (0 of " in state["reason"]


async def test_an_arm_that_is_as_good_is_left_alone(environment):
    policy = await stored_policy(environment)
    await live_through(environment, 40, a=S.APPROVED, b=S.APPROVED)

    async with connected(environment) as conn:
        assert await Guardrails(conn, lambda: published(policy), LOG).run_once() == 0
    assert (await policy_of(environment)).stopped == {}


async def test_two_workers_stop_an_arm_once(environment):
    policy = await stored_policy(environment)
    await live_through(environment, 40, a=S.APPROVED, b=S.DECLINED_HARD)

    async with connected(environment) as one, connected(environment) as other:
        rounds = [Guardrails(conn, lambda: published(policy), LOG).run_once() for conn in (one, other)]
        assert sum(await asyncio.gather(*rounds)) == 1

    assert (await policy_of(environment)).stopped == {EXPERIMENT.id: ["b"]}


async def test_what_is_not_active_any_more_is_not_stopped(environment):
    policy = await stored_policy(environment)
    await live_through(environment, 40, a=S.APPROVED, b=S.DECLINED_HARD)
    known = published(policy)
    other = EXPERIMENT.model_validate(
        EXPERIMENT.model_dump(mode="json", exclude_none=True)
        | {"arms": {"a": {"share": 0.9, "account": "sim-eu"}, "b": {"share": 0.1, "account": "sim-us"}}}
    )
    changed = await stored_policy(environment, other)

    async with connected(environment) as conn:
        assert await Guardrails(conn, lambda: known, LOG).run_once() == 0
        # Under its new shares the arm has no payments yet.
        assert await Guardrails(conn, lambda: published(changed), LOG).run_once() == 0
        assert await Guardrails(conn, dict, LOG).run_once() == 0
    assert (await policy_of(environment)).stopped == {}


async def test_volumes_are_published_with_the_shares_that_commitments_need_and_only_when_they_change(
    environment,
):
    today = clock.now().date()
    commitment = {
        "account": "sim-us",
        "since": str(today),
        "by": str(today + timedelta(days=300)),
        # So many that these payments are too few at any time of the day.
        "payments": 1_000_000_000,
    }
    async with api_session(environment) as conn:
        policy = await activate(conn, MERCHANT, commitments=[commitment])
    payments = [ended(assigned(f"c-{n}", route_of()), S.APPROVED, observed_at=clock.now()) for n in range(10)]
    events = [event_of(one) for payment in payments for one in stored(payment)]
    async with read_models_connection(environment) as conn:
        await batch.apply(conn, events[:-3], {}, clock.now())

    async with connected(environment) as conn, producing(settings_of(environment), "test") as producer:
        volumes = Volumes(
            conn,
            lambda: published(policy),
            producer,
            settings_of(environment),
            are_whole=lambda: True,
            log=LOG,
        )
        assert await volumes.run_once() == 1
        async with read_models_connection(environment) as read_models:
            await batch.apply(read_models, events, {}, clock.now())
        assert await volumes.run_once() == 1
        assert await volumes.run_once() == 0

    first, second = [VolumeRecord.read(one.value) for one in await records_of(environment, topics.VOLUMES)]
    assert sum(one.payments for one in first.accounts) == 9
    assert sum(one.payments for one in second.accounts) == 10
    assert sum(one.amount_minor for one in second.accounts) == 10 * 1099
    assert second.month == month_of(clock.now())
    (share,) = second.commitments
    assert (share.account, share.target) == ("sim-us", 1_000_000_000)
    assert share.done == sum(one.payments for one in second.accounts if one.account == "sim-us")
    assert 0 < second.shares("EUR", clock.now())["sim-us"] <= 1


async def test_no_volumes_are_published_before_the_policies_are_read_to_their_end(environment):
    await live_through(environment, 1, a=S.APPROVED, b=S.APPROVED)
    settings = settings_of(environment)
    nowhere = settings.model_copy(update={"kafka": "127.0.0.1:9"})

    async def publish(policies: CompactedTopic[PolicyRecord]) -> int:
        async with policies, connected(environment) as conn, producing(settings, "test") as producer:
            volumes = Volumes(
                conn, policies.now, producer, settings, are_whole=lambda: policies.whole, log=LOG
            )
            return await volumes.run_once()

    unread = CompactedTopic(
        nowhere, topics.POLICIES, policy_records.read, key_of=lambda one: one.merchant_id, first_within_s=0.1
    )
    assert await publish(unread) == 0
    assert await records_of(environment, topics.VOLUMES) == []
    assert (
        await publish(
            CompactedTopic(settings, topics.POLICIES, policy_records.read, key_of=lambda one: one.merchant_id)
        )
        == 1
    )


@pytest.mark.parametrize("by", [date.max, date(9999, 1, 1)])
async def test_a_policy_that_cannot_be_computed_holds_no_other_merchant_up(environment, by):
    policy = await stored_policy(environment)
    await live_through(environment, 40, a=S.APPROVED, b=S.DECLINED_HARD)
    good = published(policy)[MERCHANT]
    endless = Commitment(account="a", since=date(2026, 1, 1), by=date(2199, 12, 31), payments=9)
    forged = good.model_copy(
        update={
            # As a release before wrote it: today's bounds refuse it.
            "document": good.document.model_copy(
                update={"commitments": [endless.model_copy(update={"by": by})]}
            )
        }
    )
    known = {"a": forged, "b\0": forged, "c": good.model_copy(update={"document": EMPTY}), MERCHANT: good}

    async with connected(environment) as conn, producing(settings_of(environment), "test") as producer:
        assert await Guardrails(conn, lambda: known, LOG).run_once() == 1
        volumes = Volumes(
            conn, lambda: known, producer, settings_of(environment), are_whole=lambda: True, log=LOG
        )
        assert await volumes.run_once() == 2

    records = [VolumeRecord.read(one.value) for one in await records_of(environment, topics.VOLUMES)]
    assert {one.merchant_id: one.commitments for one in records} == {"a": (), MERCHANT: ()}
    assert (await policy_of(environment)).stopped == {EXPERIMENT.id: ["b"]}


async def test_its_role_reads_counts_and_no_payments(environment):
    async with connected(environment) as conn:
        for table in ("payments", "operations", "experiment_units", "payment_events", "api_keys"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await conn.execute(f"SELECT 1 FROM {table}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await conn.execute("UPDATE experiment_arms SET approved = 0")


async def test_the_process_stops_an_arm_of_a_policy_on_its_topic(environment):
    policy = await stored_policy(environment)
    await live_through(environment, 40, a=S.APPROVED, b=S.DECLINED_HARD)
    async with producing(settings_of(environment), "test") as producer:
        await producer.send_and_wait(
            environment.prefix + topics.POLICIES,
            dump_policy(published(policy)[MERCHANT]),
            key=MERCHANT.encode(),
        )
    process = Process("routing")
    task = asyncio.create_task(routing.main(process, settings_of(environment)))
    try:
        await until(lambda: process.state == "ready" or task.done(), "the routing worker")
    finally:
        process.stop.set()
        await asyncio.wait([task])
    task.result()

    assert (await policy_of(environment)).stopped == {EXPERIMENT.id: ["b"]}
    assert len(await records_of(environment, topics.VOLUMES)) == 1


async def test_a_policy_that_somebody_changes_at_this_moment_is_looked_at_again(environment):
    policy = await stored_policy(environment)
    await live_through(environment, 40, a=S.APPROVED, b=S.DECLINED_HARD)

    async with connected(environment) as conn, api_session(environment) as api:
        mine = await policy_store.load(conn, MERCHANT)
        theirs = await policy_store.load(api, MERCHANT)
        assert mine is not None
        assert theirs is not None
        theirs.stop_arm(EXPERIMENT.id, "b", By("Kim", "she saw it first", clock.now()))
        await policy_store.save(api, theirs)
        mine.stop_arm(EXPERIMENT.id, "b", By("guardrail", "late", clock.now()))
        with pytest.raises(policy_store.PolicyChanged):
            await policy_store.save(conn, mine)
        assert await Guardrails(conn, lambda: published(policy), LOG).run_once() == 0

    assert (await policy_of(environment)).stopped == {EXPERIMENT.id: ["b"]}
