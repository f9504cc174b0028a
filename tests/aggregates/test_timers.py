from datetime import timedelta

from aggregates import merchant_commands, outcomes, timers
from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.status import Status
from tests.support.builders import NOW, ROUTE, authorized, cause, operation_of, payment, report

S = OperationState


def topics(made: Payment) -> list[str]:
    return [type(event).TOPIC for event in made.pending_events]


def wake(made: Payment, now) -> None:
    timers.wake(made, ROUTE, cause(now))


def test_an_operation_without_a_response_is_found_from_the_store_and_queried():
    made = payment()
    due = made.next_wake_at(NOW)
    wake(made, due)

    assert due == NOW + timedelta(seconds=30)
    assert topics(made)[-1] == "operation.follow_up_requested.v1"
    assert made.pending_events[-1].how == "repeat"


def test_an_operator_is_called_to_an_operation_whose_queries_have_had_no_response_for_a_day():
    made, now = payment(), NOW
    (operation,) = made.attempts
    while (now - NOW) < timedelta(days=3):
        now = made.next_wake_at(now)
        wake(made, now)

    escalated = [event for event in made.pending_events if type(event).TOPIC == "payment.escalated.v1"]
    assert [(event.timestamp, event.since) for event in escalated] == [
        (NOW + timedelta(hours=24), NOW.isoformat())
    ]
    assert (operation.state, operation.unknown_since) == (S.STARTED, NOW)


def test_a_next_step_without_a_response_is_in_doubt_from_the_last_report():
    made = payment()
    heard = NOW + timedelta(hours=20)
    goes_on = report(operation_of(made), S.PENDING, next_step="2", observed_at=heard)
    outcomes.take(made, goes_on, ROUTE, cause(heard))
    (operation,) = made.attempts

    assert operation.state is S.STARTED
    assert operation.escalate_at() == heard + timedelta(hours=24)


def test_a_wake_before_its_time_does_nothing():
    made = payment()
    wake(made, NOW + timedelta(seconds=29))

    assert len(made.pending_events) == 2


def test_a_repeated_wake_asks_once():
    made = payment()
    due = made.next_wake_at(NOW)
    wake(made, due)
    before = made.version
    wake(made, due)

    assert made.version == before


def test_once_a_repeat_is_known_to_be_useless_the_psp_is_only_queried():
    made = payment()
    outcomes.take(made, report(operation_of(made), S.UNKNOWN, repeat_is_useless=True), ROUTE, cause())
    wake(made, made.next_wake_at(NOW))

    assert made.pending_events[-1].how == "query"


def test_the_questions_follow_their_schedule_and_an_operator_is_called_after_a_day():
    made = payment()
    outcomes.take(made, report(operation_of(made), S.UNKNOWN), ROUTE, cause())
    gaps, now = [], NOW
    while (now - NOW) < timedelta(days=3):
        later = made.next_wake_at(now)
        gaps.append((later - now).total_seconds())
        wake(made, later)
        now = later

    assert gaps[:6] == [5, 30, 120, 600, 3600, 21600]
    escalations = [event for event in made.pending_events if type(event).TOPIC == "payment.escalated.v1"]
    assert [event.timestamp for event in escalations] == [NOW + timedelta(hours=24)]
    assert made.status is Status.IN_DOUBT


def test_an_authorization_warns_a_day_before_it_ends_and_then_ends():
    made = authorized()
    warned_at = made.next_wake_at(NOW)
    wake(made, warned_at)
    assert warned_at == NOW + timedelta(days=6, seconds=1)
    assert topics(made)[-1] == "payment.authorization_expiring.v1"
    assert made.pending_events[-1].capturable_minor == 1099

    ends_at = made.next_wake_at(warned_at)
    wake(made, ends_at)
    assert ends_at == NOW + timedelta(days=7, seconds=1)
    assert (
        topics(made)[-1] == "operation.follow_up_requested.v1"
    )  # the PSP is queried first, and then our void goes
    held = report(operation_of(made), S.APPROVED, source="query", observed_at=ends_at)
    outcomes.take(made, held, ROUTE, cause(ends_at))
    assert (made.status, made.totals.capturable) == (Status.AUTHORIZED, 0)

    outcomes.take(made, report(operation_of(made), S.APPROVED, observed_at=ends_at), ROUTE, cause(ends_at))
    assert (made.status, made.totals.released) == (Status.EXPIRED, 1099)
    assert made.next_wake_at(ends_at) is None


def test_an_authorization_does_not_end_under_a_capture_that_is_under_way():
    made = authorized()
    merchant_commands.capture(made, None, cause(NOW, fingerprint="f"), final=False)
    for name in (operation_of(made),):
        outcomes.take(made, report(name, S.UNKNOWN), ROUTE, cause())
    late = NOW + timedelta(days=8)
    wake(made, late)
    assert not made.authorization_expired

    outcomes.take(made, report(operation_of(made), S.APPROVED, source="query"), ROUTE, cause(late))
    assert made.status is Status.CAPTURED
