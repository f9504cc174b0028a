"""Waiting for payments that are still in flight."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from aggregates import outcomes, timers
from aggregates.operation import OperationState
from aggregates.payment import Payment
from commands.ports import Timer, Writes
from tests.infra.tools.audit.world import (
    CAPTURED,
    IN_DOUBT,
    faults_of,
    next_step,
    payment_of,
    refund_command,
    report_outcome,
)
from tests.support.builders import NOW, ROUTE, cause, operation_of, report
from tests.support.builders import create_payment as a_command

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("kind", ["create", "refund"])
async def test_a_command_that_was_not_read_yet_is_unsettled_and_not_lost(world, kind):
    late = a_command(idempotency_key="late") if kind == "create" else refund_command(CAPTURED, 1)
    await world.send(late, read=False)

    assert faults_of(await world.verdict()) == {"unsettled": [str(late.payment_id)]}

    await world.send(a_command(idempotency_key="later"))

    faults = faults_of(await world.verdict())
    assert set(faults) == {"lost_payments"}
    assert str(late.payment_id) in faults["lost_payments"]


async def test_a_payment_that_goes_on_is_unsettled(world):
    command = a_command(idempotency_key="going-on")
    await world.send(command)
    world.save(Writes(payments=[payment_of(command)]))
    await world.project()

    assert faults_of(await world.verdict()) == {"unsettled": [str(command.payment_id)]}


async def test_settling_waits_for_what_is_in_flight_and_no_longer(world):
    command = a_command(idempotency_key="in-flight")
    await world.send(command)
    payment = payment_of(command)
    report_outcome(payment, OperationState.APPROVED)
    world.save(Writes(payments=[payment]))
    world.move("captured", operation_of(payment))
    waiting = asyncio.create_task(world.verdict(settle_s=60))
    done, _ = await asyncio.wait({waiting}, timeout=1)
    assert not done

    await world.project()
    verdict = await waiting

    assert verdict.ok
    assert verdict.settled_s is not None
    assert verdict.settled_s < 30


async def test_settling_gives_up_in_time_and_says_so(world):
    world.execute(
        "INSERT INTO {store}.payment_timers (payment_id, version, wake_at) VALUES (%s, 3, %s)",
        IN_DOUBT,
        datetime.now(UTC),
    )

    verdict = await world.verdict(settle_s=0.3)

    assert verdict.settled_s is None


@pytest.mark.parametrize("being_asked", [False, True])
async def test_a_payment_that_waits_for_its_customer_is_not_waited_for_unless_its_psp_is_being_queried(
    world, being_asked
):
    command = a_command(idempotency_key="challenged")
    await world.send(command)
    payment = payment_of(command)
    report_outcome(payment, OperationState.ACTION_REQUIRED)
    if being_asked:
        timers.wake(payment, ROUTE, cause(NOW + timedelta(seconds=10)))
    world.save(Writes(payments=[payment], timers=[Timer(payment.id, payment.version, datetime.now(UTC))]))
    await world.project()

    verdict = await world.verdict(settle_s=0.3)

    assert verdict.ok
    assert (verdict.settled_s is None) == being_asked
    assert verdict.by_status["REQUIRES_ACTION"] == 1


@pytest.mark.parametrize(
    ("goes_on", "waited_for"), [("", False), ("its PSP is queried", True), ("a refund is under way", True)]
)
async def test_a_frozen_payment_is_listed_and_not_waited_for_unless_something_of_ours_goes_on(
    world, goes_on, waited_for
):
    command = a_command(idempotency_key="frozen")
    await world.send(command)
    payment = payment_of(command)
    sale = operation_of(payment)
    report_outcome(payment, OperationState.APPROVED)
    world.move("captured", sale)
    writes = Writes()
    if goes_on == "a refund is under way":
        refund = refund_command(payment.id, 300)
        await world.send(refund)
        next_step(refund, payment)
    _gone(payment, sale, "query", 2)
    assert payment.frozen
    if goes_on == "its PSP is queried":
        _gone(payment, sale, "webhook", 3)
        timers.wake(payment, ROUTE, cause(NOW + timedelta(seconds=60)))
    writes.payments.append(payment)
    writes.timers.append(Timer(payment.id, payment.version, datetime.now(UTC)))
    world.save(writes)
    await world.project()

    verdict = await world.verdict(settle_s=0.3)

    assert (verdict.settled_s is None) == waited_for
    assert verdict.doubts["frozen"] == 1
    assert str(payment.id) in verdict.found["in_doubt"]


def _gone(payment: Payment, sale: str, source: str, at_s: float) -> None:
    """The PSP reports that a sale which went well has failed."""
    at = NOW + timedelta(seconds=at_s)
    reported = report(sale, OperationState.DECLINED_HARD, source=source, observed_at=at)
    outcomes.take(payment, reported, ROUTE, cause(at))
