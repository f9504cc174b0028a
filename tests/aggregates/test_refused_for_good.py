"""Payments that one account refused for good, while another account's circuit is open: they wait for it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from aggregates import attempts, merchant_commands, outcomes, timers
from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.routing.explain import recompute
from aggregates.routing.health import AccountHealth, Circuit, Health
from aggregates.routing.payment_facts import payment_facts
from aggregates.routing.route import Route
from aggregates.status import Status
from tests.support.builders import (
    NOW,
    ROUTE,
    SECOND_PSP,
    TWO_ACCOUNTS,
    cause,
    operation_of,
    payment,
    report,
)

S = OperationState
REFUSALS = [{"hint": "CONFIG", "code": "account_not_configured"}, {"code": "amount_not_expressible"}]
THIRD = replace(SECOND_PSP, account="sim-asia")


def open_at_us(now: datetime) -> Route:
    circuit = Circuit("open", now, "5 technical failures in a row", probe_share=0.0)
    return replace(TWO_ACCOUNTS, health=Health({"sim-us": AccountHealth("sim-us", now, {"sale": circuit})}))


def refused(refusal: dict[str, str], route: Route | None = None) -> Payment:
    made = payment(TWO_ACCOUNTS)
    outcomes.take(made, report(operation_of(made), S.NOT_SENT, **refusal), route or open_at_us(NOW), cause())
    return made


def accounts(made: Payment) -> list[str]:
    return [operation.psp.account for operation in made.attempts]


def topics(made: Payment) -> list[str]:
    return [type(event).TOPIC for event in made.pending_events]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_it_waits_for_the_circuit_and_then_goes_to_the_other_account_once(refusal):
    made = refused(refusal)

    assert topics(made)[-1] == "payment.retry_scheduled.v1"
    assert "sim-us: its circuit is open: 5 technical failures in a row" in made.pending_events[-1].reason
    assert made.status is Status.PROCESSING
    now = NOW
    for _ in range(5):
        now = made.next_wake_at(now)
        timers.wake(made, open_at_us(now), cause(now))
    assert accounts(made) == ["sim-eu"], "it would refuse it again"

    now = made.next_wake_at(now)
    timers.wake(made, TWO_ACCOUNTS, cause(now))

    assert accounts(made) == ["sim-eu", "sim-us"]
    outcomes.take(made, report(operation_of(made)), TWO_ACCOUNTS, cause(now))
    assert (made.status, made.retries) == (Status.CAPTURED, {})


def test_a_half_open_circuit_takes_it_as_a_probe():
    made = refused(REFUSALS[0])
    now = made.next_wake_at(NOW)
    circuit = Circuit("half_open", now, "5 technical failures in a row", probe_share=1.0)
    route = replace(TWO_ACCOUNTS, health=Health({"sim-us": AccountHealth("sim-us", now, {"sale": circuit})}))

    timers.wake(made, route, cause(now))

    assert accounts(made) == ["sim-eu", "sim-us"]
    assert made.pending_events[-1].probe


@pytest.mark.parametrize("refusal", REFUSALS)
def test_at_its_expiry_it_ends_with_the_reason_of_each_account(refusal):
    made = refused(refusal)
    now = NOW
    # An hour: the gap doubles up to 30 s, of which chance takes up to half.
    for _ in range(200):
        if (due := made.next_wake_at(now)) is None:
            break
        now = due
        timers.wake(made, open_at_us(now), cause(now))

    assert (made.status, now) == (Status.EXPIRED, made.expires_at)
    ended = made.pending_events[-1]
    assert ended.reason == (
        "no further attempt because the payment has expired; no PSP account can take it: "
        f"sim-eu: it refused this payment for good: {refusal['code']}; "
        "sim-us: its circuit is open: 5 technical failures in a row"
    )
    assert ended.decision["excluded"] == [
        ["sim-eu", "refused", f"it refused this payment for good: {refusal['code']}"]
    ]
    assert accounts(made) == ["sim-eu"]


def test_its_decisions_can_be_made_again_from_their_record():
    made = refused(REFUSALS[0])
    waited = made.pending_events[-1]

    facts = payment_facts(made, waited.attempt)
    again = recompute(waited.decision, facts, TWO_ACCOUNTS.policy, waited.timestamp)

    assert again.record() == waited.decision
    assert again.account is None


def test_where_no_circuit_is_open_it_fails_at_once():
    made = payment(ROUTE)
    outcomes.take(made, report(operation_of(made), S.NOT_SENT, **REFUSALS[0]), ROUTE, cause())

    assert made.status is Status.FAILED
    assert (
        "sim-eu: it refused this payment for good: account_not_configured" in made.pending_events[-1].reason
    )


def test_the_account_that_refused_it_is_left_out_of_every_turn():
    three = replace(TWO_ACCOUNTS, accounts=(*TWO_ACCOUNTS.accounts, THIRD))
    route = replace(three, retry=replace(three.retry, attempts_max=6))
    made, now = refused(REFUSALS[0], route), NOW
    for _ in range(4):
        outcomes.take(made, report(operation_of(made), S.DECLINED_SOFT), route, cause(now))
        if (due := made.next_wake_at(now)) is not None and made.retries:
            now = due
            timers.wake(made, route, cause(now))

    assert accounts(made) == ["sim-eu", "sim-us", "sim-asia", "sim-us", "sim-asia", "sim-us"]


def test_with_3_d_secure_too_the_account_that_refused_it_gets_nothing_more():
    made = payment(TWO_ACCOUNTS)
    demands = report(operation_of(made), S.DECLINED_SOFT, hint="RETRY_WITH_3DS")
    outcomes.take(made, demands, TWO_ACCOUNTS, cause())
    outcomes.take(made, report(operation_of(made), S.NOT_SENT, **REFUSALS[0]), open_at_us(NOW), cause())
    assert accounts(made) == ["sim-eu", "sim-eu"]
    at = made.next_wake_at(NOW)

    timers.wake(made, TWO_ACCOUNTS, cause(at))

    assert accounts(made) == ["sim-eu", "sim-eu", "sim-us"]
    assert made.attempts[-1].three_ds


@pytest.mark.parametrize("state", [S.UNKNOWN, S.PENDING])
def test_an_unknown_outcome_with_the_same_hint_goes_nowhere(state):
    made = payment(TWO_ACCOUNTS)
    outcomes.take(made, report(operation_of(made), state, **REFUSALS[0]), TWO_ACCOUNTS, cause())
    now = NOW
    for _ in range(20):
        now = made.next_wake_at(now) or now
        timers.wake(made, TWO_ACCOUNTS, cause(now))

    assert accounts(made) == ["sim-eu"]


def test_while_it_waits_it_can_be_cancelled():
    made = refused(REFUSALS[0])

    merchant_commands.cancel(made, cause(fingerprint="f"))

    assert made.status is Status.VOIDED
    timers.wake(made, TWO_ACCOUNTS, cause(NOW + timedelta(minutes=1)))
    assert accounts(made) == ["sim-eu"]


def test_a_try_that_reaches_nobody_ends_for_no_account_that_refused_the_payment():
    made = refused(REFUSALS[0], TWO_ACCOUNTS)

    assert accounts(made) == ["sim-eu", "sim-us"]
    assert not attempts.moves_on(made, SECOND_PSP, 3, TWO_ACCOUNTS)
    assert not made.pending_events[-1].ends_unreached
