from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.money import Money
from aggregates.operation import NOT_CHARGED, OperationState
from aggregates.payment import ATTEMPTS_MAX, EVENTS, Payment, Status
from tests.controls import NOW, PSP, asked, cause, operation_of, payment, report

S = OperationState


def states(payment: Payment) -> list[OperationState]:
    return [operation.state for operation in payment.operations.values()]


def topics(payment: Payment) -> list[str]:
    return [type(event).TOPIC for event in payment.pending_events]


def replayed(payment: Payment) -> Payment:
    copy = None
    for event in payment.pending_events:
        copy = event.mutate(copy)
    return copy


# Creating


def test_a_payment_starts_one_sale_for_the_whole_amount():
    made = payment()

    assert topics(made) == ["payment.requested.v1", "operation.started.v1"]
    assert made.status is Status.PROCESSING
    assert made.operations[operation_of(made)].amount == Money(1099, "EUR")


def test_a_create_past_its_expiry_is_recorded_and_rejected_and_starts_nothing():
    made = Payment.request(uuid4(), asked(expires_at=NOW), PSP, cause())

    assert topics(made) == ["payment.requested.v1", "payment.rejected.v1"]
    assert (made.status, made.rejected) == (Status.REJECTED, "expired")
    assert made.next_wake_at(NOW) is None


def test_a_merchant_without_an_account_is_rejected():
    made = Payment.request(uuid4(), asked(), None, cause())

    assert (made.status, made.rejected) == (Status.REJECTED, "no_psp_account")


# Reports


def test_an_approval_captures_the_payment_and_ends_its_timer():
    made = payment()
    made.report(report(operation_of(made)), 0.5, cause())

    assert made.status is Status.CAPTURED
    assert made.captured == Money(1099, "EUR")
    assert made.next_wake_at(NOW) is None


@pytest.mark.parametrize("state", [S.DECLINED_SOFT, S.DECLINED_HARD])
def test_a_decline_ends_the_payment_and_says_why_there_is_no_further_attempt(state):
    made = payment()
    made.report(report(operation_of(made), state, code="insufficient_funds"), 0.5, cause())

    assert made.status is Status.FAILED
    assert made.reason == "insufficient_funds"
    assert made.pending_events[-1].because.startswith("no further attempt because")


def test_an_unknown_outcome_is_in_doubt_and_never_fails_for_lack_of_patience():
    made = payment()
    made.report(report(operation_of(made), S.UNKNOWN), 0.5, cause())
    now = NOW
    for _ in range(40):
        now = made.next_wake_at(now)
        made.wake(PSP, cause(now))

    assert made.status is Status.IN_DOUBT
    assert len(made.operations) == 1
    assert now > NOW + timedelta(days=20)


def test_what_was_proven_not_sent_is_tried_again_after_a_back_off():
    made = payment()
    made.report(report(operation_of(made), S.NOT_SENT, code="connection_refused"), 0.0, cause())

    assert made.status is Status.PROCESSING
    assert made.next_wake_at(NOW) == NOW + timedelta(seconds=0.5)

    made.wake(PSP, cause(NOW + timedelta(seconds=1)))
    assert states(made) == [S.NOT_SENT, S.STARTED]


def test_the_attempts_end():
    made = payment()
    now = NOW
    for _ in range(ATTEMPTS_MAX):
        made.report(report(operation_of(made), S.NOT_SENT, code="connection_refused"), 0.9, cause(now))
        now = made.next_wake_at(now) or now
        made.wake(PSP, cause(now))

    assert made.status is Status.FAILED
    assert len(made.operations) == ATTEMPTS_MAX


def test_no_attempt_starts_after_the_expiry():
    made = payment()
    made.report(report(operation_of(made), S.NOT_SENT, code="connection_refused"), 0.5, cause())
    made.wake(PSP, cause(NOW + timedelta(hours=2)))

    assert made.status is Status.FAILED
    assert states(made) == [S.NOT_SENT]


@pytest.mark.parametrize("code", ["amount_not_expressible", "expired"])
def test_what_would_be_refused_again_is_not_tried_again(code):
    made = payment()
    made.report(report(operation_of(made), S.NOT_SENT, code=code), 0.5, cause())

    assert made.status is Status.FAILED


def test_an_approval_after_a_proof_of_absence_is_recorded_and_freezes_the_payment():
    made = payment()
    made.report(report(operation_of(made), S.NOT_SENT, code="connection_refused"), 0.5, cause())
    made.report(report(operation_of(made), S.APPROVED), 0.5, cause())

    assert topics(made)[-1] == "payment.contradicted.v1"
    assert made.frozen
    assert made.captured == Money(0, "EUR")

    made.wake(PSP, cause(NOW + timedelta(minutes=1)))
    assert len(made.operations) == 1, "a frozen payment starts no new money step"


@pytest.mark.parametrize("other", [{"amount_minor": 1100}, {"currency": "USD"}])
def test_an_approval_of_another_amount_or_currency_never_enters_a_sum(other):
    made = payment()
    made.report(report(operation_of(made), **other), 0.5, cause())

    assert made.frozen
    assert made.status is not Status.CAPTURED
    assert made.captured == Money(0, "EUR")


def test_a_second_charge_for_one_operation_freezes_the_payment():
    made = payment()
    made.report(report(operation_of(made), psp_id="pi_1"), 0.5, cause())
    made.report(report(operation_of(made), psp_id="pi_2"), 0.5, cause())

    assert made.frozen
    assert made.captured == Money(1099, "EUR")


def test_a_report_of_an_unknown_operation_is_recorded_once():
    made = payment()
    made.report(report("nothing-s9"), 0.5, cause())
    before = len(made.pending_events)
    made.report(report("nothing-s9"), 0.5, cause())

    assert made.frozen
    assert len(made.pending_events) == before


def test_an_older_report_does_not_move_a_captured_payment():
    made = payment()
    made.report(report(operation_of(made)), 0.5, cause())
    before = len(made.pending_events)
    for state in (S.UNKNOWN, S.PENDING, S.DECLINED_HARD, S.NOT_SENT):
        made.report(report(operation_of(made), state), 0.5, cause())

    assert made.status is Status.CAPTURED
    assert len(made.pending_events) == before


# Timers


def test_an_operation_without_an_answer_is_found_from_the_store_and_asked_about():
    made = payment()
    due = made.next_wake_at(NOW)
    made.wake(PSP, cause(due))

    assert due == NOW + timedelta(seconds=30)
    assert topics(made)[-1] == "operation.asked.v1"
    assert made.pending_events[-1].how == "repeat"


def test_a_wake_before_its_time_does_nothing():
    made = payment()
    made.wake(PSP, cause(NOW + timedelta(seconds=29)))

    assert len(made.pending_events) == 2


def test_a_repeated_wake_asks_once():
    made = payment()
    due = made.next_wake_at(NOW)
    made.wake(PSP, cause(due))
    before = len(made.pending_events)
    made.wake(PSP, cause(due))

    assert len(made.pending_events) == before


def test_once_a_repeat_is_known_to_be_useless_the_psp_is_only_queried():
    made = payment()
    made.report(report(operation_of(made), S.UNKNOWN, repeat_is_useless=True), 0.5, cause())
    later = NOW + timedelta(minutes=1)
    made.report(report(operation_of(made), S.UNKNOWN, source="query", observed_at=later), 0.5, cause(later))
    made.wake(PSP, cause(made.next_wake_at(later)))

    assert made.pending_events[-1].how == "query"


# Properties

reports = st.builds(
    dict,
    state=st.sampled_from([state for state in S if state is not S.STARTED]),
    psp_id=st.sampled_from(["pi_1", "pi_2", None]),
    amount_minor=st.sampled_from([1099, 1099, 1099, 1, None]),
    currency=st.sampled_from(["EUR", "EUR", "USD", None]),
    source=st.sampled_from(["call", "query", "stored"]),
    which=st.integers(0, 3),
    seconds=st.integers(0, 4000),
    wake=st.booleans(),
)


def play(made: Payment, steps: Sequence[dict], *, times: int = 2) -> None:
    """Every step so many times, as Kafka may deliver it."""
    now = NOW
    for step in steps:
        now += timedelta(seconds=step["seconds"])
        operations = list(made.operations)
        fields = {key: step[key] for key in ("psp_id", "amount_minor", "currency", "source")}
        given = report(operations[step["which"] % len(operations)], step["state"], observed_at=now, **fields)
        for _ in range(times):
            made.wake(PSP, cause(now)) if step["wake"] else made.report(given, 0.5, cause(now))


@given(st.lists(reports, max_size=25))
@settings(max_examples=300, deadline=None)
def test_no_sequence_of_reports_breaks_the_money_rules(steps):
    made = payment()
    play(made, steps)

    open_or_charged = [
        operation for operation in made.operations.values() if operation.state not in NOT_CHARGED
    ]
    assert len(open_or_charged) <= 1, "two attempts that may both charge"
    assert made.captured.minor <= made.amount.minor
    assert (made.status is Status.CAPTURED) == (made.captured == made.amount)
    wake_at = made.next_wake_at(NOW)
    assert wake_at is None or wake_at > NOW
    if made.status in {Status.IN_DOUBT, Status.PROCESSING, Status.REQUIRES_ACTION}:
        assert wake_at is not None, "a payment that is not at rest always has a timer"


@given(st.lists(reports, max_size=25))
@settings(max_examples=200, deadline=None)
def test_replaying_the_stream_gives_the_state_at_every_version(steps):
    made = payment()
    play(made, steps)

    copy = replayed(made)
    assert copy.version == made.version
    assert vars(copy).keys() == vars(made).keys()
    ours = {name: value for name, value in vars(made).items() if not name.startswith("_")}
    assert {name: vars(copy)[name] for name in ours} == ours
    assert copy.status is made.status


@given(st.lists(reports, max_size=25))
@settings(max_examples=200, deadline=None)
def test_any_message_a_second_time_adds_nothing(steps):
    once, twice = payment(), payment()
    play(once, steps, times=1)
    play(twice, steps, times=2)

    assert topics(once) == topics(twice)


def test_every_event_has_its_own_topic_and_is_registered():
    assert len(EVENTS) == 16
    assert all(topic.endswith(".v1") for topic in EVENTS)
