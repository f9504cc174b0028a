"""What became of charges is counted once, whatever is repeated, late or taken back."""

import asyncio
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import psycopg
import pytest

from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.routing.experiment import ArmResults
from aggregates.routing.policy import Experiment
from aggregates.routing.sequential import Sums
from projections import batch, experiments
from tests.support import builders
from tests.support.builders import NOW
from tests.support.environment import Environment
from tests.support.event_stories import event_of, read_models_connection, stored
from tests.support.experiment_stories import EXPERIMENT, assigned, ended, fees, route_of

pytestmark = pytest.mark.stack
S = OperationState
MERCHANT = builders.payment_request().merchant_id


@pytest.fixture
def environment(database):
    return database


async def apply(environment: Environment, *payments: Payment) -> None:
    """The events of each that were not applied before."""
    events = [event_of(one) for payment in payments for one in stored(payment)]
    async with read_models_connection(environment) as conn:
        await batch.apply(conn, events, {}, NOW)


async def results(environment: Environment, experiment: Experiment = EXPERIMENT) -> dict[str, ArmResults]:
    async with read_models_connection(environment) as conn:
        return await experiments.results(conn, MERCHANT, experiment.id, experiment.definition)


def volumes(environment: Environment) -> list[tuple[Any, ...]]:
    with psycopg.connect(environment.dsn()) as conn:
        return conn.execute(
            "SELECT merchant_id, account, currency, day, payments, amount_minor "
            f"FROM {environment.schema}_read.account_volumes WHERE payments <> 0 ORDER BY account, day"
        ).fetchall()


def arm_of(payment: Payment) -> str:
    return "a" if next(iter(payment.operations.values())).psp.account == "sim-eu" else "b"


async def test_a_payment_is_assigned_before_it_is_decided_and_counts_once(environment):
    payment = assigned("customer-1")
    arm = arm_of(payment)
    await apply(environment, payment)

    waiting = (await results(environment))[arm]
    assert (waiting.assigned, waiting.decided, waiting.pending, waiting.customers) == (1, 0, 1, 1)
    assert waiting.approval == Sums()

    await apply(environment, ended(payment, S.APPROVED))

    approved = (await results(environment))[arm]
    assert (approved.assigned, approved.approved, approved.pending) == (1, 1, 0)
    assert approved.approval == Sums(groups=1, n=1, y=1, nn=1, ny=1, yy=1)
    assert (approved.first_approved, approved.first_not_approved) == (1, 0)
    assert (approved.latency_ms, approved.latencies) == (20, 1)


@pytest.mark.parametrize(
    ("state", "counted"),
    [
        (S.DECLINED_SOFT, "declined"),
        (S.DECLINED_HARD, "declined"),
        (S.PROVEN_ABSENT, "failed"),
        (S.UNKNOWN, "pending"),
        (S.ACTION_REQUIRED, "pending"),
    ],
)
async def test_each_outcome_of_a_first_attempt_counts_for_what_it_is(environment, state, counted):
    payment = assigned("customer-1")
    more = {"source": "query"} if state is S.PROVEN_ABSENT else {}
    more |= {"action_url": "https://bank"} if state is S.ACTION_REQUIRED else {}
    await apply(environment, ended(payment, state, **more))

    found = (await results(environment))[arm_of(payment)]
    got = {name: getattr(found, name) for name in ("approved", "declined", "failed", "pending")}
    assert got == {"approved": 0, "declined": 0, "failed": 0, "pending": 0} | {counted: 1}
    assert found.approval.n == (counted != "pending")


async def test_a_second_attempt_counts_for_no_arm(environment):
    payment = ended(assigned("customer-1"), S.DECLINED_SOFT)
    assert len(payment.operations) == 2, "the decline is followed by the other account"
    await apply(environment, ended(payment, S.APPROVED))

    found = await results(environment)
    assert sum(one.assigned for one in found.values()) == 1
    assert sum(one.approved for one in found.values()) == 0
    assert sum(one.declined for one in found.values()) == 1


async def test_a_payment_of_a_stopped_arm_counts_for_none(environment):
    names = [f"customer-{number}" for number in range(20)]
    payments = [assigned(name, route_of(stopped=frozenset({"b"}))) for name in names]
    await apply(environment, *payments)

    found = await results(environment)
    assert set(found) == {"a"}
    assert 0 < found["a"].assigned < 20


async def test_other_arms_or_shares_are_counted_apart_and_a_new_version_of_the_policy_is_not(environment):
    other = EXPERIMENT.model_validate(
        EXPERIMENT.model_dump()
        | {"arms": {"a": {"share": 0.9, "account": "sim-eu"}, "b": {"share": 0.1, "account": "sim-us"}}}
    )
    for route in (route_of(), route_of(version=4), route_of(other, version=5)):
        await apply(environment, *(ended(assigned("customer-1", route), S.APPROVED) for _ in range(2)))

    (first,), (second,) = (await results(environment)).values(), (await results(environment, other)).values()
    assert (first.assigned, first.customers) == (4, 1)
    assert first.approval == Sums(groups=1, n=4, y=4, nn=16, ny=16, yy=16)
    assert (second.assigned, second.customers) == (2, 1)
    async with read_models_connection(environment) as conn:
        assert await experiments.counted_before(conn, MERCHANT, other.id, other.definition) == 4
        assert await experiments.counted_before(conn, "another", other.id, other.definition) == 0


async def test_the_cost_of_approved_payments_is_what_the_whole_payment_was_expected_to_cost(environment):
    book = fees(sim_eu=14_000, sim_us=14_000)
    for name, state in (
        ("customer-1", S.APPROVED),
        ("customer-1", S.APPROVED),
        ("customer-1", S.DECLINED_HARD),
    ):
        await apply(environment, ended(assigned(name, book=book), state))
    (priced,) = (await results(environment)).values()

    fee_minor = 15  # 1.4 % of 10.99
    ppm = round(fee_minor * 1_000_000 / 1099)
    assert priced.cost_ppm == Sums(groups=1, n=2, y=2 * ppm, nn=4, ny=4 * ppm, yy=4 * ppm * ppm)

    await apply(environment, ended(assigned("customer-1"), S.APPROVED))
    (unpriced,) = (await results(environment)).values()
    assert unpriced.approved == 3
    assert unpriced.cost_ppm == priced.cost_ppm, "an unknown fee is in no mean"


async def test_a_volume_counts_on_the_day_of_the_approval_in_utc(environment):
    late = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    payments = [
        ended(assigned(None, builders.ROUTE), S.APPROVED, observed_at=late + timedelta(hours=hours))
        for hours in (0, 0, 1)
    ]
    await apply(environment, *payments, ended(assigned(None, builders.ROUTE), S.DECLINED_HARD))

    assert volumes(environment) == [
        (MERCHANT, "sim-eu", "EUR", date(2026, 11, 30), 2, 2198),
        (MERCHANT, "sim-eu", "EUR", date(2026, 12, 1), 1, 1099),
    ]
    assert await results(environment) == {}


async def test_two_processes_with_the_same_events_count_them_once(environment):
    payments = [ended(assigned(f"customer-{number % 3}"), S.APPROVED) for number in range(20)]
    events = [event_of(one) for payment in payments for one in stored(payment)]

    async def one_process() -> None:
        async with read_models_connection(environment) as conn:
            for start in range(0, len(events), 7):
                await batch.apply(conn, events[start : start + 7], {}, NOW)

    await asyncio.gather(one_process(), one_process(), one_process())

    found = (await results(environment)).values()
    assert sum(one.assigned for one in found) == sum(one.approved for one in found) == 20
    assert sum(one.customers for one in found) == 3
    assert sum(row[4] for row in volumes(environment)) == 20


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_any_batches_with_repeats_give_what_the_outcomes_give_at_once(environment, seed):
    chance = Random(seed)
    outcomes = [S.APPROVED, S.APPROVED, S.DECLINED_HARD, S.UNKNOWN]
    payments, customers = [], {}
    for _ in range(40):
        customer = chance.choice([None, *(f"customer-{number}" for number in range(6))])
        payment = assigned(customer)
        first = builders.operation_of(payment)
        if (state := chance.choice(outcomes)) is S.UNKNOWN and chance.random() < 0.5:
            ended(payment, S.UNKNOWN)
            state = S.APPROVED
        ended(payment, state, operation=first)
        payments.append((payment, state))
        customers[payment.id] = customer or str(payment.id)
    events = [event_of(one) for payment, _ in payments for one in stored(payment)]
    async with read_models_connection(environment) as conn:
        left = list(events)
        while left:
            size = chance.randrange(1, 12)
            # Some of what was applied already comes again.
            again = chance.sample(events[: len(events) - len(left)], k=min(3, len(events) - len(left)))
            await batch.apply(conn, [*left[:size], *again], {}, NOW)
            left = left[size:]

    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for payment, state in payments:
        outcome = groups[arm_of(payment)][customers[payment.id]]
        if state is not S.UNKNOWN:
            outcome.append(int(state is S.APPROVED))
    found = await results(environment)
    for arm, by_customer in groups.items():
        decided = [one for one in by_customer.values() if one]
        assert found[arm].customers == len(by_customer)
        assert found[arm].approval == Sums(
            groups=len(decided),
            n=sum(map(len, decided)),
            y=sum(map(sum, decided)),
            nn=sum(len(one) ** 2 for one in decided),
            ny=sum(len(one) * sum(one) for one in decided),
            yy=sum(sum(one) ** 2 for one in decided),
        )
        assert found[arm].first_approved + found[arm].first_not_approved == len(decided)
