"""A PSP that nobody could reach: such a try is no attempt, and the payment waits for its time."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest

from aggregates import merchant_commands, outcomes, timers
from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.routing.retries import LAST_TRY_BEFORE_S
from aggregates.routing.route import Route
from aggregates.status import Status
from tests.support.builders import (
    MULTICAPTURE,
    NOW,
    ROUTE,
    TWO_ACCOUNTS,
    authorized,
    captured,
    cause,
    operation_of,
    payment,
    report,
)
from tests.support.payment_stories import replayed

S = OperationState
HOUR = timedelta(hours=1)


def report_unsent(made: Payment, state: OperationState, at: datetime, route: Route = ROUTE, **other) -> None:
    """Of the newest operation, as a gateway worker reports it that sent nothing."""
    none = {"psp_id": None, "amount_minor": None, "currency": None, "call_ms": None, "first_try_at": None}
    fields = none | {"source": "none", "tries": 0, "code": "connect_failed", "observed_at": at} | other
    operation = made.operations[operation_of(made)]
    outcomes.take(made, report(operation.id, state, step=operation.step, **fields), route, cause(at))


def unreached(made: Payment, at: datetime, route: Route = ROUTE) -> None:
    """As the gateway worker reports: it closes the step only where the request asks for it."""
    request = [
        e
        for e in made.pending_events
        if type(e).TOPIC in {"operation.started.v1", "operation.follow_up_requested.v1"}
    ][-1]
    if getattr(request, "how", None) == "query":
        report_unsent(made, S.NOT_SENT, at, route, code="never_sent", unreached=True)
    elif datetime.fromisoformat(request.expires_at) <= at:
        report_unsent(made, S.NOT_SENT, at, route, code="expired")
    elif request.ends_unreached:
        report_unsent(made, S.NOT_SENT, at, route, unreached=True)
    else:
        report_unsent(made, S.UNREACHED, at, route)


def away(made: Payment, until: datetime, route: Route = ROUTE, start: datetime = NOW) -> Iterator[datetime]:
    """Nobody is reached until then: when each try was."""
    at = start
    while at < until and any(operation.open for operation in made.operations.values()):
        yield at
        unreached(made, at + timedelta(milliseconds=20), route)
        due = made.next_wake_at(at + timedelta(milliseconds=20))
        while due is not None and due < until and not _under_way(made):
            at = due
            timers.wake(made, route, cause(at))
            due = made.next_wake_at(at)
        if due is None or (due >= until and not _under_way(made)):
            return


def _under_way(made: Payment) -> bool:
    newest = made.operations[operation_of(made)]
    return newest.state is S.STARTED or (newest.state is S.UNREACHED and newest.retry_at is None)


def test_a_psp_that_is_away_for_nearly_an_hour_fails_no_payment_and_is_one_operation():
    made = payment()
    tries = list(away(made, NOW + timedelta(minutes=59)))

    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(tries)]
    assert gaps[:5] == pytest.approx([0.75, 1.5, 3.0, 6.0, 12.0], abs=0.1)
    assert 15 <= gaps[5] <= max(gaps) <= 30.1
    assert (made.status, len(made.operations)) == (Status.PROCESSING, 1)

    outcomes.take(made, report(operation_of(made), observed_at=NOW + HOUR), ROUTE, cause(NOW + HOUR))
    assert made.status is Status.CAPTURED
    assert replayed(made).status is Status.CAPTURED


def test_an_hour_of_waiting_costs_a_stream_two_events_for_each_try_and_no_more_than_five_hundred():
    made = payment()
    tries = list(away(made, NOW + timedelta(minutes=59)))

    assert len(made.pending_events) <= 2 + 2 * len(tries)
    assert len(made.pending_events) < 500


def test_a_payment_that_nobody_could_send_expires_at_its_time_and_not_before():
    made = payment()
    tries = list(away(made, NOW + timedelta(hours=3)))

    assert made.status is Status.EXPIRED
    assert tries[-1] <= NOW + HOUR + timedelta(seconds=1)
    assert len(made.operations) == 1
    assert made.next_wake_at(NOW) is None


def test_another_account_takes_at_once_what_reached_nobody():
    made = payment(TWO_ACCOUNTS)
    unreached(made, NOW + timedelta(milliseconds=20), TWO_ACCOUNTS)

    assert [o.psp.account for o in made.attempts] == ["sim-eu", "sim-us"]
    assert [o.attempt for o in made.attempts] == [1, 1]
    assert [o.state for o in made.attempts] == [S.NOT_SENT, S.STARTED]


def test_where_no_account_reaches_anybody_each_has_its_turn_and_none_starts_beside_another():
    made = payment(TWO_ACCOUNTS)
    for _ in away(made, NOW + timedelta(minutes=59), TWO_ACCOUNTS):
        assert sum(o.open for o in made.attempts) <= 1

    turns = [o.psp.account for o in made.attempts]
    assert made.status is Status.PROCESSING
    assert turns[:4] == ["sim-eu", "sim-us", "sim-eu", "sim-us"]
    assert len(turns) < 60
    assert len(made.pending_events) < 500


def test_what_a_psp_refused_in_between_counts_and_what_reached_nobody_does_not():
    made = payment()
    at = NOW
    for number in range(3):
        for _ in range(5):
            at += timedelta(seconds=40)
            unreached(made, at)
            timers.wake(made, ROUTE, cause(at + timedelta(seconds=31)))
        at += timedelta(seconds=40)
        assert made.operations[operation_of(made)].attempt == number + 1
        report_unsent(made, S.NOT_SENT, at, code="rate_limited", source="call", tries=1)
        timers.wake(made, ROUTE, cause(at + timedelta(seconds=31)))

    assert made.status is Status.FAILED
    assert made.pending_events[-1].reason == "no further attempt because 3 were made"


def test_a_psp_that_responds_that_it_is_not_available_uses_up_no_attempt_and_is_named_as_that():
    made = payment()
    at = NOW
    for _ in range(5):
        at += timedelta(seconds=40)
        report_unsent(made, S.UNREACHED, at, code="703", source="call", unreached=True)
        assert made.pending_events[-1].reason.startswith("the PSP was not available (703): again after ")
        timers.wake(made, ROUTE, cause(at + timedelta(seconds=31)))

    assert (made.status, len(made.operations)) == (Status.PROCESSING, 1)
    assert made.operations[operation_of(made)].attempt == 1


@pytest.mark.parametrize("before", ["waiting", "sent"])
def test_a_cancelled_payment_is_not_sent_any_more(before):
    made = payment()
    at = NOW + timedelta(seconds=2)
    if before == "waiting":
        unreached(made, at)
    merchant_commands.cancel(made, cause(at, uuid4(), fingerprint="f"))
    if before == "sent":
        unreached(made, at)

    assert made.pending_events[-1].how == "query"

    unreached(made, at + timedelta(seconds=1))
    assert made.status is Status.VOIDED
    assert made.next_wake_at(at) is None


def test_a_frozen_payment_sends_nothing_that_waited():
    made = payment()
    unreached(made, NOW + timedelta(seconds=1))
    outcomes.take(made, report("nothing-s9"), ROUTE, cause())
    timers.wake(made, ROUTE, cause(NOW + timedelta(minutes=1)))

    assert made.pending_events[-1].how == "query"


def test_a_report_from_before_the_last_try_changes_nothing():
    made = payment()
    first = NOW + timedelta(seconds=1)
    unreached(made, first)
    timers.wake(made, ROUTE, cause(NOW + timedelta(seconds=3)))
    version = made.version

    report_unsent(made, S.UNREACHED, first)

    assert (made.version, made.operations[operation_of(made)].state) == (version, S.STARTED)


def test_a_try_without_a_response_is_repeated_after_half_a_minute():
    made = payment()
    unreached(made, NOW + timedelta(seconds=1))
    again = NOW + timedelta(seconds=3)
    timers.wake(made, ROUTE, cause(again))

    assert made.next_wake_at(again) == again + timedelta(seconds=30)
    timers.wake(made, ROUTE, cause(again + timedelta(seconds=30)))
    assert made.pending_events[-1].how == "repeat"


def _refund(made: Payment) -> None:
    merchant_commands.refund(made, 600, cause(NOW, uuid4(), fingerprint="f"), reason=None)


def _capture(made: Payment) -> None:
    merchant_commands.capture(made, 600, cause(NOW, uuid4(), fingerprint="f"), final=False)


def _void(made: Payment) -> None:
    merchant_commands.void(made, cause(NOW, uuid4(), fingerprint="f"))


@pytest.mark.parametrize(
    ("make", "start"),
    [(captured, _refund), (lambda: authorized(MULTICAPTURE), _capture), (authorized, _void)],
)
def test_what_follows_a_payment_waits_until_its_own_time_is_over_in_ever_longer_gaps(make, start):
    made = make()
    start(made)
    operation = made.operations[operation_of(made)]
    first = len(made.pending_events)

    tries = list(
        away(made, operation.expires_at - timedelta(hours=1), MULTICAPTURE, NOW + timedelta(seconds=2))
    )
    assert operation.state in {S.STARTED, S.UNREACHED}
    assert operation_of(made) == operation.id
    assert len(made.pending_events) - first < 2500
    assert tries[-1] > operation.expires_at - timedelta(hours=4)

    rest = list(
        away(made, operation.expires_at + timedelta(days=1), MULTICAPTURE, tries[-1] + timedelta(hours=3))
    )
    assert rest
    assert operation.state is S.NOT_SENT
    ends = [event for event in made.pending_events if type(event).TOPIC == "operation.retries_ended.v1"]
    (end,) = [event for event in ends if event.operation_id == operation.id]
    assert end.reason == "no further attempt because its time is over (expired)"
    assert operation not in made.under_way(operation.kind)
    assert {one.attempt for one in made.operations.values()} == {1}


def test_however_long_its_gaps_are_a_capture_is_tried_shortly_before_its_time_is_over():
    made = authorized(MULTICAPTURE)
    _capture(made)
    until = made.operations[operation_of(made)].expires_at

    tries = list(away(made, until, MULTICAPTURE, NOW + timedelta(seconds=2)))

    assert tries[-2] < until - timedelta(seconds=LAST_TRY_BEFORE_S) < tries[-1], (
        "no circuit holds this one back"
    )
    assert (until - tries[-1]).total_seconds() == pytest.approx(600)
