from datetime import timedelta

import pytest

from aggregates import merchant_commands, outcomes, timers
from aggregates.operation import CANCEL_OVER_AFTER, OperationState
from aggregates.payment import Payment
from aggregates.payment_state import ACTION_LIFE
from aggregates.status import Status
from tests.support.builders import (
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

S = OperationState
NOW_OVER = NOW + ACTION_LIFE
"""When the time of a challenge is over."""


def topics(made: Payment) -> list[str]:
    return [type(event).TOPIC for event in made.pending_events]


def say(made: Payment, state: OperationState = S.APPROVED, now=NOW, **other) -> None:
    outcomes.take(made, report(operation_of(made), state, **other), ROUTE, cause(now))


def challenged(**fields) -> Payment:
    made = payment(**fields)
    say(made, S.ACTION_REQUIRED, psp_id="pi_1", action_url="https://psp/3ds")
    return made


def cancel_sent() -> Payment:
    """An authorization whose customer did not come in time."""
    made = challenged(capture="manual")
    timers.wake(made, ROUTE, cause(NOW_OVER))
    say(made, S.ACTION_REQUIRED, NOW_OVER, source="query", observed_at=NOW_OVER, psp_id="pi_1")
    assert made.pending_events[-1].how == "cancel"
    return made


def test_an_approval_captures_the_payment_and_ends_its_timer():
    made = payment()
    say(made)

    assert (made.status, made.totals.captured) == (Status.CAPTURED, 1099)
    assert made.next_wake_at(NOW) is None


def test_a_partial_approval_sets_what_is_authorized():
    made = payment(capture="manual")
    say(made, amount_minor=700)

    assert (made.status, made.totals.authorized, made.totals.capturable) == (Status.AUTHORIZED, 700, 700)


@pytest.mark.parametrize("other", [{"amount_minor": 1100}, {"currency": "USD"}, {"amount_minor": 0}])
def test_an_approval_of_more_or_of_another_currency_never_enters_a_sum(other):
    made = payment()
    say(made, **other)

    assert made.frozen
    assert made.status is not Status.CAPTURED
    assert made.totals.captured == 0


def test_a_second_execution_of_one_operation_freezes_the_payment():
    made = payment()
    say(made, psp_id="pi_1")
    say(made, psp_id="pi_2")

    assert made.frozen
    assert made.totals.captured == 1099


def test_an_approval_after_it_was_recorded_as_not_executed_freezes_the_payment():
    made = payment()
    say(made, S.NOT_SENT, code="connection_refused")
    say(made, S.APPROVED)

    assert topics(made)[-1] == "payment.contradicted.v1"
    assert made.frozen
    assert made.totals.captured == 0

    timers.wake(made, ROUTE, cause(NOW + timedelta(minutes=1)))
    assert len(made.attempts) == 1, "a frozen payment starts no new money step"


def test_a_psp_that_no_longer_knows_what_it_approved_freezes_the_payment():
    made = captured()
    say(made, S.PROVEN_ABSENT, source="query", observed_at=NOW + timedelta(minutes=1))

    assert made.frozen
    assert made.status is Status.CAPTURED


def test_a_lookup_from_before_the_approval_changes_nothing():
    made = payment()
    say(made, source="webhook", observed_at=NOW + timedelta(seconds=30))
    say(made, S.DECLINED_SOFT, source="query", observed_at=NOW + timedelta(seconds=21))

    assert (made.status, made.frozen) == (Status.CAPTURED, False)


@pytest.mark.parametrize("source", ["call", "query", "webhook"])
@pytest.mark.parametrize("state", [S.ACTION_REQUIRED, S.PENDING])
def test_what_may_still_charge_behind_a_proven_absence_freezes_the_payment_and_what_is_older_does_not(
    state, source
):
    made = payment(TWO_ACCOUNTS)
    first = operation_of(made)
    gone = report(first, S.PROVEN_ABSENT, source="query", observed_at=NOW + timedelta(hours=2))
    outcomes.take(made, gone, TWO_ACCOUNTS, cause())
    for hours, frozen in ((1, False), (3, True)):
        seen = report(first, state, source=source, observed_at=NOW + timedelta(hours=hours))
        outcomes.take(made, seen, TWO_ACCOUNTS, cause())
        assert made.frozen is frozen


def test_a_report_of_an_unknown_operation_is_recorded_once():
    made = payment()
    outcomes.take(made, report("nothing-s9"), ROUTE, cause())
    before = made.version
    outcomes.take(made, report("nothing-s9"), ROUTE, cause())

    assert made.frozen
    assert made.version == before


def test_an_older_report_does_not_move_a_captured_payment():
    made = captured()
    before = made.version
    for state in (S.UNKNOWN, S.PENDING, S.ACTION_REQUIRED, S.DECLINED_HARD, S.NOT_SENT):
        say(made, state)

    assert made.status is Status.CAPTURED
    assert made.version == before


@pytest.mark.parametrize("state", [S.DECLINED_SOFT, S.DECLINED_HARD, S.EXPIRED])
def test_a_decline_by_webhook_is_a_hint_that_asks_the_psp_and_starts_nothing(state):
    made = payment()
    say(made, state, source="webhook")

    assert topics(made)[-1] == "operation.follow_up_requested.v1"
    assert made.pending_events[-1].how == "query"
    assert made.status is Status.PROCESSING


def test_a_webhook_that_comes_before_the_response_captures_the_payment_once():
    made = payment()
    say(made, source="webhook")
    say(made, source="call")

    assert (made.status, made.totals.captured) == (Status.CAPTURED, 1099)
    assert topics(made).count("operation.approved.v1") == 1


def test_a_cancel_that_was_done_after_the_approval_has_released_the_authorization():
    made = cancel_sent()
    say(made, source="webhook")
    say(made, S.EXPIRED, step="x", source="call", code="canceled")

    assert (made.status, made.totals.released, made.frozen) == (Status.EXPIRED, 1099, False)


@pytest.mark.parametrize(("state", "status"), [(S.APPROVED, Status.AUTHORIZED), (S.EXPIRED, Status.EXPIRED)])
def test_an_approval_beside_a_cancel_without_a_response_is_looked_up_once_that_is_over(state, status):
    made = cancel_sent()
    say(made, S.UNKNOWN, NOW_OVER, step="x", source="call", observed_at=NOW_OVER)
    say(made, now=NOW_OVER, source="query", observed_at=NOW_OVER + timedelta(seconds=5))
    at = made.next_wake_at(NOW_OVER)
    assert at == NOW_OVER + CANCEL_OVER_AFTER

    timers.wake(made, ROUTE, cause(at))
    assert made.pending_events[-1].how == "confirm"
    first = made.pending_events[-1].reason
    at = made.next_wake_at(at)
    timers.wake(made, ROUTE, cause(at))  # the first response was lost
    assert (made.pending_events[-1].how, made.pending_events[-1].reason) == ("confirm", first)
    say(made, state, at, source="query", observed_at=at, code="canceled")

    assert (made.status, made.frozen) == (status, False)
    assert made.next_wake_at(at) is None or made.next_wake_at(at) > at + timedelta(days=1)


@pytest.mark.parametrize("state", [S.DECLINED_HARD, S.PROVEN_ABSENT])
def test_an_approval_that_no_longer_stands_when_it_is_looked_up_again_freezes_the_payment(state):
    made, at = cancel_sent(), NOW_OVER + CANCEL_OVER_AFTER
    say(made, now=NOW_OVER, source="webhook", observed_at=NOW_OVER)
    timers.wake(made, ROUTE, cause(at))
    say(made, state, at, source="query", observed_at=at)

    assert made.frozen


def test_an_authorization_that_was_released_beside_a_capture_of_all_is_expired_when_that_fails():
    made, at = cancel_sent(), NOW_OVER + CANCEL_OVER_AFTER
    say(made, now=NOW_OVER, source="webhook", observed_at=NOW_OVER)
    authorization = operation_of(made)
    timers.wake(made, ROUTE, cause(at))
    merchant_commands.capture(made, None, cause(at, fingerprint="f"), final=False)
    gone = report(authorization, S.EXPIRED, source="query", observed_at=at)
    outcomes.take(made, gone, ROUTE, cause(at))
    assert made.status is Status.AUTHORIZED

    say(made, S.DECLINED_HARD, at, observed_at=at)
    assert (made.status, made.totals.released) == (Status.EXPIRED, 1099)


def test_a_challenge_that_was_passed_in_time_by_a_customer_who_did_not_come_back_is_not_ended():
    made = challenged(capture="manual")
    timers.wake(made, ROUTE, cause(NOW_OVER))
    say(made, now=NOW_OVER, source="query", observed_at=NOW_OVER)

    assert made.status is Status.AUTHORIZED
    assert "cancel" not in {getattr(event, "how", None) for event in made.pending_events}


def test_a_challenge_that_is_still_open_when_its_time_is_over_is_ended_at_once():
    made = challenged()
    timers.wake(made, ROUTE, cause(NOW_OVER))
    assert made.pending_events[-1].how == "query"
    say(made, S.ACTION_REQUIRED, NOW_OVER, source="query", observed_at=NOW_OVER)

    assert made.pending_events[-1].how == "cancel"


def test_a_challenge_that_stays_open_although_it_was_to_end_is_in_doubt_and_told_again_until_an_operator_is_called():
    made, now = cancel_sent(), NOW_OVER + timedelta(seconds=1)
    hows = []
    while now < NOW_OVER + timedelta(days=3):
        say(made, S.ACTION_REQUIRED, now, source="query", observed_at=now)
        assert made.status is Status.IN_DOUBT
        now = made.next_wake_at(now)
        timers.wake(made, ROUTE, cause(now))
        hows += [event.how for event in made.collect_events() if hasattr(event, "how")]

    assert set(hows[1:]) == {"cancel"}
    assert made.attempts[0].escalated


def test_an_open_challenge_of_before_its_cancel_was_sent_reports_nothing():
    made = cancel_sent()
    made.collect_events()
    say(made, S.ACTION_REQUIRED, NOW_OVER, observed_at=NOW)

    assert not made.pending_events


def test_the_end_of_another_intent_ends_no_authorization():
    made = authorized()
    say(made, S.EXPIRED, source="query", code="canceled", psp_id="pi_2")

    assert made.status is Status.AUTHORIZED


def test_an_authorization_that_the_psp_released_is_expired():
    made = authorized()
    say(made, S.EXPIRED, source="query", code="canceled")

    assert (made.status, made.totals.released) == (Status.EXPIRED, 1099)


@pytest.mark.parametrize(
    ("state", "status"), [(S.APPROVED, Status.PARTIALLY_CAPTURED), (S.DECLINED_HARD, Status.EXPIRED)]
)
def test_an_authorization_that_ends_beside_a_capture_expires_only_when_that_has_failed(state, status):
    made = authorized()
    authorization = operation_of(made)
    merchant_commands.capture(made, 500, cause(fingerprint="f"), final=False)
    outcomes.take(made, report(authorization, S.EXPIRED, source="query"), ROUTE, cause())
    assert (made.status, made.totals.capturable, made.totals.reserved) == (Status.AUTHORIZED, 0, 500)

    say(made, state, amount_minor=500)
    assert (made.status, made.totals.capturable, made.frozen) == (status, 0, False)


def test_an_authorization_that_ends_beside_a_void_is_expired_once_the_void_has_ended():
    made = authorized()
    authorization = operation_of(made)
    merchant_commands.void(made, cause(fingerprint="f"))
    timers.wake(made, ROUTE, cause(NOW + timedelta(days=8)))
    outcomes.take(made, report(authorization, S.EXPIRED, source="query"), ROUTE, cause())
    assert made.status is Status.AUTHORIZED

    say(made)
    assert made.status is Status.EXPIRED
