"""Attempts that a policy and health decide: where they go, what they record, and when they wait."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from aggregates import attempts, merchant_commands, outcomes, timers
from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.routing.explain import recompute
from aggregates.routing.health import AccountHealth, Circuit, Health, SegmentHealth
from aggregates.routing.payment_facts import payment_facts
from aggregates.routing.policy import Policy
from aggregates.routing.route import Route
from aggregates.routing.rules import ReadyPolicy
from aggregates.status import Status
from tests.support.builders import (
    NOW,
    PSP,
    ROUTE,
    SECOND_PSP,
    TWO_ACCOUNTS,
    cause,
    create_payment,
    operation_of,
    payment,
    payment_request,
    report,
)

S = OperationState
US_FIRST = replace(
    TWO_ACCOUNTS,
    policy=ReadyPolicy.of(
        Policy.model_validate({"rules": [{"id": "us", "then": {"prefer": ["sim-us"]}}]}), 4
    ),
)


def policy_of(**document) -> ReadyPolicy:
    return ReadyPolicy.of(Policy.model_validate(document), 1)


def open_at(*accounts: str, now: datetime = NOW, state: str = "open") -> Health:
    circuit = Circuit(state, now, "5 technical failures in a row", probe_share=1.0)
    return Health({name: AccountHealth(name, now, {"sale": circuit}) for name in accounts})


def requested(route: Route, **other) -> Payment:
    return attempts.request(
        create_payment().payment_id, payment_request(**other), route, cause(fingerprint="f")
    )


def accounts(made: Payment) -> list[str]:
    return [operation.psp.account for operation in made.attempts]


def topics(made: Payment) -> list[str]:
    return [type(event).TOPIC for event in made.pending_events]


def test_a_policy_decides_where_the_first_attempt_goes_and_the_event_says_why():
    started = requested(US_FIRST).pending_events[-1]

    assert (started.account, started.decision["account"]) == ("sim-us", "sim-us")
    assert (started.decision["policy_version"], started.decision["rules"]) == (4, ["us"])
    assert started.segment == "sale/card/EUR/unknown"


def test_every_decision_of_a_payment_can_be_made_again_from_its_events():
    known = Health(
        {"sim-eu": AccountHealth("sim-eu", NOW, {}, {"": SegmentHealth(approved=90, declined=10)})}
    )
    route = replace(US_FIRST, health=known)
    made = requested(route)
    outcomes.take(made, report(operation_of(made), S.DECLINED_SOFT), route, cause())

    started = [event for event in made.pending_events if type(event).TOPIC == "operation.started.v1"]

    assert [event.account for event in started] == ["sim-us", "sim-eu"]
    for event in started:
        facts = payment_facts(made, event.attempt)
        again = recompute(event.decision, facts, route.policy, event.timestamp)
        assert again.record() == event.decision


def test_a_retry_leaves_an_account_whose_circuit_has_opened_since():
    made = payment(TWO_ACCOUNTS)
    third = replace(SECOND_PSP, account="sim-asia")
    route = replace(TWO_ACCOUNTS, accounts=(*TWO_ACCOUNTS.accounts, third), health=open_at("sim-us"))

    outcomes.take(made, report(operation_of(made), S.DECLINED_SOFT), route, cause())

    assert accounts(made) == ["sim-eu", "sim-asia"]


def test_with_all_circuits_open_a_payment_waits_and_starts_once_one_has_closed():
    made = requested(replace(TWO_ACCOUNTS, health=open_at("sim-eu", "sim-us")))

    assert topics(made) == ["payment.requested.v1", "payment.account_awaited.v1"]
    assert (made.status, made.attempts) == (Status.REQUESTED, [])
    again = made.next_wake_at(NOW)
    assert NOW < again <= NOW + timedelta(seconds=1)

    timers.wake(made, replace(TWO_ACCOUNTS, health=open_at("sim-eu", now=again)), cause(again))

    assert (made.status, accounts(made)) == (Status.PROCESSING, ["sim-us"])
    assert made.awaits_account is None


def test_a_wait_ends_with_the_payment_and_says_so():
    end = NOW + timedelta(milliseconds=250)
    made = requested(replace(TWO_ACCOUNTS, health=open_at("sim-eu", "sim-us")), expires_at=end)

    waits = made.pending_events[-1]

    assert waits.retry_at == end.isoformat()
    assert waits.reason.endswith("; again after 0.25 s")


def test_a_payment_that_waits_looks_less_often_the_longer_it_waits():
    made = requested(
        replace(TWO_ACCOUNTS, health=open_at("sim-eu", "sim-us")), expires_at=NOW + timedelta(days=3)
    )
    now, looks = NOW, 0
    while (now := made.next_wake_at(now)) < NOW + timedelta(days=2):
        timers.wake(made, replace(TWO_ACCOUNTS, health=open_at("sim-eu", "sim-us", now=now)), cause(now))
        looks += 1

    # Each gap is at least half of 1/120 of what it has waited; at first 30 s at most.
    assert looks < 1500
    assert made.status is Status.REQUESTED


def test_a_payment_that_found_no_account_before_it_expired_is_rejected_with_each_reason():
    route = replace(TWO_ACCOUNTS, health=open_at("sim-eu", "sim-us"))
    made = requested(route)

    end = made.expires_at
    timers.wake(made, replace(route, health=open_at("sim-eu", "sim-us", now=end)), cause(end))

    assert (made.status, made.rejected) == (Status.REJECTED, "expired")
    for name in ("sim-eu", "sim-us"):
        assert f"{name}: its circuit is open: 5 technical failures in a row" in made.detail
    assert made.next_wake_at(end) is None


def test_a_payment_that_expired_while_it_waited_starts_nothing_though_an_account_is_there():
    made = requested(replace(TWO_ACCOUNTS, health=open_at("sim-eu", "sim-us")))

    timers.wake(made, TWO_ACCOUNTS, cause(made.expires_at))

    assert (made.status, made.attempts) == (Status.REJECTED, [])


def test_a_payment_that_waits_can_be_cancelled():
    made = requested(replace(TWO_ACCOUNTS, health=open_at("sim-eu", "sim-us")))

    merchant_commands.cancel(made, cause(fingerprint="f"))

    assert made.status is Status.VOIDED
    assert made.next_wake_at(NOW) is None
    timers.wake(made, TWO_ACCOUNTS, cause(NOW + timedelta(hours=2)))
    assert made.attempts == []


def test_an_account_that_rules_exclude_is_not_waited_for():
    never = {"rules": [{"id": "no", "then": {"never": ["sim-eu", "sim-us"]}}]}
    route = replace(TWO_ACCOUNTS, policy=ReadyPolicy.of(Policy.model_validate(never), 1))

    made = requested(route)

    assert (made.status, made.rejected) == (Status.REJECTED, "no_psp_account")
    assert made.detail == (
        "no PSP account may take it: sim-eu: rule no rules it out; sim-us: rule no rules it out"
    )


def test_a_retry_waits_while_every_circuit_is_open():
    route = replace(TWO_ACCOUNTS, health=open_at("sim-eu", "sim-us"))
    made = payment(TWO_ACCOUNTS)
    outcomes.take(
        made, report(operation_of(made), S.NOT_SENT, code="circuit_open", unreached=True), route, cause()
    )

    assert topics(made)[-1] == "payment.retry_scheduled.v1"
    assert "its circuit is open" in made.pending_events[-1].reason

    at = made.next_wake_at(NOW)
    timers.wake(made, replace(route, health=open_at("sim-eu", "sim-us", now=at)), cause(at))
    assert topics(made)[-1] == "payment.retry_scheduled.v1"

    at = made.next_wake_at(at)
    timers.wake(made, replace(route, health=open_at("sim-eu", now=at)), cause(at))
    assert accounts(made) == ["sim-eu", "sim-us"]


def test_a_probe_is_marked_so_that_the_agent_lets_it_pass():
    started = requested(replace(TWO_ACCOUNTS, health=open_at("sim-eu", state="half_open"))).pending_events[-1]

    assert (started.account, started.probe) == ("sim-eu", True)
    assert not payment(TWO_ACCOUNTS).pending_events[-1].probe


@pytest.mark.parametrize("state", [S.UNKNOWN, S.PENDING, S.ACTION_REQUIRED])
def test_no_policy_and_no_circuit_moves_a_payment_that_may_have_charged(state):
    made = payment(TWO_ACCOUNTS)
    outcomes.take(made, report(operation_of(made), state), TWO_ACCOUNTS, cause())
    now = NOW
    route = replace(US_FIRST, health=open_at("sim-eu"))
    for _ in range(20):
        now = made.next_wake_at(now) or now
        timers.wake(made, replace(route, health=open_at("sim-eu", now=now)), cause(now))

    assert accounts(made) == ["sim-eu"]


def test_the_account_of_a_demanded_challenge_stays_though_the_policy_prefers_another():
    made = payment(TWO_ACCOUNTS)

    said = report(operation_of(made), S.DECLINED_SOFT, hint="RETRY_WITH_3DS")
    outcomes.take(made, said, US_FIRST, cause())

    assert accounts(made) == ["sim-eu", "sim-eu"]
    assert made.pending_events[-1].decision is None
    assert PSP.account == "sim-eu"


def decisions(made: Payment) -> list[dict]:
    return [event.decision for event in made.pending_events if getattr(event, "decision", None) is not None]


def test_a_decision_that_starts_nothing_is_recorded_too():
    route = replace(TWO_ACCOUNTS, health=open_at("sim-eu", "sim-us"))
    never = replace(
        TWO_ACCOUNTS, policy=policy_of(rules=[{"id": "no", "then": {"never": ["sim-eu", "sim-us"]}}])
    )
    retried, ended = payment(TWO_ACCOUNTS), payment(TWO_ACCOUNTS)
    outcomes.take(retried, report(operation_of(retried), S.DECLINED_SOFT), route, cause())
    outcomes.take(ended, report(operation_of(ended), S.DECLINED_SOFT), never, cause())

    for made, topic in (
        (requested(never), "payment.rejected.v1"),
        (retried, "payment.retry_scheduled.v1"),
        (ended, "payment.attempts_ended.v1"),
    ):
        assert topics(made)[-1] == topic
        assert decisions(made)[-1]["account"] is None
        assert {one["account"] for one in decisions(made)[-1]["accounts"]} == {"sim-eu", "sim-us"}


def test_a_payment_whose_failed_account_was_removed_waits_for_the_others_circuits():
    made = payment(TWO_ACCOUNTS)
    only_us = replace(TWO_ACCOUNTS, accounts=(SECOND_PSP,), health=open_at("sim-us"))

    outcomes.take(made, report(operation_of(made), S.DECLINED_SOFT), only_us, cause())

    assert topics(made)[-1] == "payment.retry_scheduled.v1"


def test_the_demand_of_3_d_secure_outlives_a_wait_for_a_circuit():
    made = payment(ROUTE)
    said = report(operation_of(made), S.DECLINED_SOFT, hint="RETRY_WITH_3DS")
    outcomes.take(made, said, ROUTE, cause())
    outcomes.take(made, report(operation_of(made), S.NOT_SENT), ROUTE, cause())
    at = made.next_wake_at(NOW)
    gone = replace(ROUTE, accounts=(replace(PSP, account="sim-asia"),), health=open_at("sim-asia", now=at))

    timers.wake(made, gone, cause(at))

    assert topics(made)[-1] == "payment.retry_scheduled.v1"
    assert made.pending_events[-1].three_ds


def test_a_frozen_payment_starts_nothing_when_an_account_is_there_again():
    made = requested(replace(TWO_ACCOUNTS, health=open_at("sim-eu", "sim-us")))
    outcomes.take(made, report(f"{made.id.hex}-s1", S.APPROVED), TWO_ACCOUNTS, cause())
    assert made.frozen
    assert made.next_wake_at(NOW) is None

    timers.wake(made, TWO_ACCOUNTS, cause(NOW + timedelta(minutes=5)))

    assert made.attempts == []


def test_a_merchant_without_an_account_for_it_is_told_so_by_a_decision_too():
    made = requested(Route((), none_because="no account", excluded={"sim-eu": "does not take KWD"}))

    assert made.rejected == "no_psp_account"
    assert decisions(made)[-1]["excluded"] == [["sim-eu", "declared", "does not take KWD"]]
