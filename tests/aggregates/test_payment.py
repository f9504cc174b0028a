"""What holds for every story of a payment."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates import timers
from aggregates.events import EVENTS, REQUEST_TOPICS, Reviewed
from aggregates.operation import NOT_EXECUTED, OperationState
from aggregates.operation import TRANSITIONS as OPERATION_TRANSITIONS
from aggregates.payment import Payment
from aggregates.routing.route import Route
from aggregates.status import BY_EXTERNAL_MOVE, BY_OPERATOR, TRANSITIONS, Status
from tests.support.builders import (
    MULTICAPTURE,
    NOW,
    ORDERS,
    ROUTE,
    TWO_ACCOUNTS,
    WEBHOOK_ONLY,
    WHOLE,
    cause,
    held,
    payment,
)
from tests.support.payment_stories import STEPS, STORIES, act, play, replayed

ROUTES = st.sampled_from([ROUTE, TWO_ACCOUNTS, MULTICAPTURE, WEBHOOK_ONLY, ORDERS, WHOLE])
BEGINNINGS = st.sampled_from(
    [
        partial(make, capture=capture)
        for make in (payment, payment, held)
        for capture in ("automatic", "manual")
    ]
)
MOVES = {"payment.external_move_recorded.v1", "payment.external_move_reversed.v1"}
MAY_MOVE_WHAT_ENDED = {
    "payment.resolved.v1",
    "payment.duplicate_charge_confirmed.v1",
    "payment.external_move_reversed.v1",
}


def topics(made: Payment) -> list[str]:
    return [type(event).TOPIC for event in made.pending_events]


@given(STORIES, ROUTES, BEGINNINGS)
@settings(max_examples=400)
def test_we_never_ask_for_more_than_the_sums_allow(steps, route: Route, begin):
    made = begin(route)
    now = NOW
    for number, step in enumerate(steps):
        before, started = made.totals, len(made.operations)
        now = _later(now, step.seconds)
        act(made, step, number, now, route)
        for operation in list(made.operations.values())[started:]:
            if operation.duplicate_charge or step.what not in {"capture", "void", "refund"}:
                continue
            most = before.refundable if operation.kind == "refund" else before.capturable
            assert operation.amount.minor <= most


@given(STORIES, ROUTES, BEGINNINGS)
@settings(max_examples=400)
def test_an_attempt_starts_only_when_every_earlier_one_is_proven_not_executed(steps, route: Route, begin):
    made = begin(route)
    play(made, steps, route)

    copy = None
    for event in made.pending_events:
        if type(event).TOPIC == "operation.started.v1" and event.kind in {"sale", "authorize"}:
            assert copy is None or all(o.state in NOT_EXECUTED for o in copy.attempts)
        copy = event.mutate(copy)
    assert len([o for o in made.attempts if not o.duplicate_charge]) <= route.retry.attempts_max


@given(STORIES, STEPS, STORIES, ROUTES)
@settings(max_examples=300)
def test_a_held_payment_starts_nothing_until_an_operator_allows_it_and_never_after_one_denied_it(
    before, step, after, route: Route
):
    made = held(route)
    play(made, [*before, replace(step, what="review"), *after], route)

    copy, allowed = None, False
    for event in made.pending_events:
        if isinstance(event, Reviewed):
            assert copy.held
            assert not copy.operations
            allowed = event.decision == "allow"
        copy = event.mutate(copy)
        assert allowed or not copy.operations


@given(STORIES, ROUTES, BEGINNINGS)
@settings(max_examples=400)
def test_no_story_makes_a_transition_that_is_not_in_the_table(steps, route: Route, begin):
    made = begin(route)
    now = NOW
    for number, step in enumerate(steps):
        before, version = made.status, made.version
        now = _later(now, step.seconds)
        act(made, step, number, now, route)
        table = BY_OPERATOR if step.what == "resolve" else TRANSITIONS
        if step.what == "report" and MOVES & {type(e).TOPIC for e in made.pending_events[version:]}:
            table = TRANSITIONS | BY_EXTERNAL_MOVE
        assert made.status is before or made.status in table[before], (
            f"{step.what}: {before} to {made.status}"
        )


@given(STORIES, ROUTES, BEGINNINGS)
@settings(max_examples=300)
def test_an_operation_that_ended_is_moved_by_an_operator_a_confirmed_duplicate_charge_or_a_failed_move_only(
    steps, route, begin
):
    made = begin(route)
    play(made, steps, route)

    ended: dict[str, OperationState] = {}
    copy = None
    for event in made.pending_events:
        copy = event.mutate(copy)
        if type(event).TOPIC in MAY_MOVE_WHAT_ENDED:
            ended.pop(event.operation_id, None)
        for operation in copy.operations.values():
            assert ended.get(operation.id, operation.state) is operation.state
            if not operation.open:
                ended[operation.id] = operation.state


@given(STORIES, BEGINNINGS)
@settings(max_examples=400)
def test_no_operation_changes_its_state_in_a_way_that_is_not_in_the_table(steps, begin):
    """At a PSP with steps: there every row of the table is used."""
    made = begin(ORDERS)
    play(made, steps, ORDERS)

    copy, before = None, dict[str, OperationState]()
    for event in made.pending_events:
        copy = event.mutate(copy)
        after = {name: one.state for name, one in copy.operations.items()}
        if type(event).TOPIC not in MAY_MOVE_WHAT_ENDED:
            for operation_id, state in after.items():
                was = before.get(operation_id, OperationState.STARTED)
                assert state is was or state in OPERATION_TRANSITIONS[was], (type(event).TOPIC, was)
        before = after


@given(STORIES, ROUTES, BEGINNINGS)
@settings(max_examples=300)
def test_a_step_is_sent_once_named_by_the_one_before_and_never_of_a_frozen_or_cancelled_payment(
    steps, route, begin
):
    made = begin(route)
    play(made, steps, route)

    copy, sent = None, set()
    for event in made.pending_events:
        if getattr(event, "how", None) == "continue":
            step = (event.operation_id, event.step)
            assert copy.operations[event.operation_id].next_step == event.step
            assert step not in sent
            assert not copy.frozen
            assert not copy.cancel_requested
            sent.add(step)
        copy = event.mutate(copy)


@given(STORIES, ROUTES, BEGINNINGS)
@settings(max_examples=300)
def test_replaying_the_stream_gives_the_state_at_every_version(steps, route: Route, begin):
    made = begin(route)
    now = NOW
    seen = []
    for number, step in enumerate(steps):
        now = _later(now, step.seconds)
        act(made, step, number, now, route)
        seen.append((made.version, made.status, made.totals, made.due()))

    for version, status, totals, due in seen:
        copy = replayed(made, version)
        assert (copy.version, copy.status, copy.totals, copy.due()) == (version, status, totals, due)
    copy = replayed(made)
    ours = {name: value for name, value in vars(made).items() if not name.startswith("_")}
    assert {name: vars(copy)[name] for name in ours} == ours


@given(STORIES, ROUTES, BEGINNINGS)
@settings(max_examples=300)
def test_any_message_a_second_time_adds_nothing(steps, route: Route, begin):
    once, twice = begin(route), begin(route)
    play(once, steps, route, times=1)
    play(twice, steps, route, times=2)

    assert topics(once) == topics(twice)


@given(STORIES, ROUTES, BEGINNINGS)
@settings(max_examples=300)
def test_a_wake_leaves_nothing_due_and_a_payment_under_way_always_has_a_timer(steps, route: Route, begin):
    made = begin(route)
    play(made, steps, route)
    now = _later(NOW, sum(step.seconds for step in steps))

    timers.wake(made, route, cause(now))

    assert [moment for moment in made.due() if moment <= now] == []
    wake_at = made.next_wake_at(now)
    assert wake_at is None or wake_at > now
    # What was executed is not tried again: where it turned out so late, an operator decides first.
    assert made.frozen or not any(
        retry.operation.state is OperationState.APPROVED for retry in made.retries.values()
    )
    # Once an operator was called, what only a webhook can end waits for either.
    left_to_webhooks = any(o.webhook_only and o.escalated for o in made.operations.values())
    if (
        not made.frozen
        and not left_to_webhooks
        and made.status in {Status.PROCESSING, Status.REQUIRES_ACTION, Status.IN_DOUBT}
    ):
        assert wake_at is not None


@given(STORIES, ROUTES, BEGINNINGS)
@settings(max_examples=200)
def test_every_end_of_the_attempts_and_every_start_says_why(steps, route: Route, begin):
    made = begin(route)
    play(made, steps, route)

    for event in made.pending_events:
        if type(event).TOPIC == "payment.attempts_ended.v1":
            assert event.reason.startswith("no further attempt because ")
        if type(event).TOPIC in REQUEST_TOPICS | {"payment.retry_scheduled.v1"}:
            assert event.reason
    assert Counter(topics(made))["payment.attempts_ended.v1"] <= 1


@given(STORIES, ROUTES, BEGINNINGS)
@settings(max_examples=400)
def test_what_is_to_be_given_back_is_on_its_way_or_stands_before_an_operator(steps, route: Route, begin):
    made = begin(route)
    play(made, steps, route)

    total = made.totals
    goes_on = made.frozen or made.retries or any(o.open or o.confirming for o in made.operations.values())
    if made.cancel_requested and not goes_on:
        assert total.authorized - total.released - total.refunded <= total.disputed
    for duplicate_charge in (o for o in made.attempts if o.duplicate_charge):
        back = [o for o in made.operations.values() if o.duplicate_charge and o.target == duplicate_charge.id]
        assert goes_on or any(o.state is OperationState.APPROVED for o in back)


@pytest.mark.parametrize("status", list(Status))
def test_every_status_is_in_the_table_of_transitions(status):
    assert status in TRANSITIONS
    assert status not in TRANSITIONS[status]


def test_every_event_has_its_own_topic_and_is_registered():
    assert all(topic.endswith(".v1") for topic in EVENTS)
    assert len({event.__name__ for event in EVENTS.values()}) == len(EVENTS) == 39


def _later(now: datetime, seconds: int) -> datetime:
    return now + timedelta(seconds=seconds)
