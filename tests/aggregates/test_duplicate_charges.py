"""Two charges of one payment: both are looked up, and the late one is given back."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregates import disputes, timers
from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.status import DisputeState, Status
from tests.aggregates.charges import LATER, given_back, resolve, say, twice_charged
from tests.support.builders import (
    NOW,
    TWO_ACCOUNTS,
    cause,
    operation_of,
    payment,
    word,
)

S = OperationState


def test_two_reported_charges_are_both_looked_up_and_nothing_is_given_back_yet():
    made, first, second = twice_charged()

    queries = [
        event for event in made.pending_events if type(event).TOPIC == "operation.follow_up_requested.v1"
    ]
    assert [(event.operation_id, event.how) for event in queries] == [(first, "confirm"), (second, "confirm")]
    assert made.frozen
    assert (made.status, made.totals.captured) == (Status.CAPTURED, 1099)


@pytest.mark.parametrize(("capture", "letter"), [("automatic", "r"), ("manual", "v")])
def test_the_duplicate_charge_is_given_back_once_the_psp_confirmed_both(capture, letter):
    made, first, second = twice_charged(capture)
    say(made, first, source="query")
    assert len(made.operations) == 2
    say(made, second, source="query")

    assert type(made.pending_events[-2]).TOPIC == "payment.duplicate_charge_confirmed.v1"
    returning = made.operations[operation_of(made)]
    assert returning.id.endswith(f"-{letter}3")
    assert (returning.target, returning.amount.minor, returning.duplicate_charge) == (first, 1099, True)
    assert not made.frozen

    say(made, returning.id)
    assert made.totals.refunded == 0, "what gives back a duplicate charge is in no sum of the payment"
    assert made.status in {Status.CAPTURED, Status.AUTHORIZED}


@pytest.mark.parametrize("state", ["opened", "lost"])
def test_a_duplicate_charge_that_a_dispute_has_taken_is_not_refunded_on_top(state):
    made, first, second = twice_charged()
    disputes.take(made, word(made, state, operation_id=first), cause(LATER, uuid4()))
    say(made, first, source="query")
    say(made, second, source="query")

    assert [o.id for o in made.operations.values() if o.kind == "refund"] == []
    assert made.frozen, "an operator looks at it"


def dispute(made: Payment, state: DisputeState, amount_minor: int = 1099) -> None:
    """Of the first attempt; each word a second later than the one before."""
    first, now = next(iter(made.operations)), NOW + timedelta(seconds=made.version)
    dispute_report = word(made, state, amount_minor, operation_id=first, observed_at=now)
    disputes.take(made, dispute_report, cause(now, uuid4()))


@pytest.mark.parametrize("state", ["opened", "lost"])
def test_an_operators_second_charge_is_not_refunded_on_top_of_a_dispute_that_has_taken_it(state):
    made, first, _ = twice_charged()
    dispute(made, state)
    resolve(made, first, "charged")

    assert given_back(made) == []
    assert made.operations[first].duplicate_charge
    assert (made.frozen, made.status, made.totals.captured) == (False, Status.CAPTURED, 1099)
    assert made.totals.refundable == 1099, "the dispute has taken the other charge"


def test_a_duplicate_charge_goes_back_once_the_dispute_that_held_it_is_won():
    made, first, _ = twice_charged()
    dispute(made, "opened")
    resolve(made, first, "charged")
    dispute(made, "won")
    dispute(made, "won")

    assert given_back(made) == [1099]
    assert made.operations[operation_of(made)].target == first


def test_of_a_duplicate_charge_only_what_a_lost_dispute_left_goes_back():
    made, first, _ = twice_charged()
    dispute(made, "opened", 500)
    resolve(made, first, "charged")
    assert given_back(made) == []
    dispute(made, "lost", 500)

    assert given_back(made) == [599]
    assert made.totals.refundable == 1099


def test_what_a_dispute_takes_of_a_duplicate_charge_that_went_back_counts_against_the_payment():
    made, first, _ = twice_charged()
    resolve(made, first, "charged")
    say(made, operation_of(made))
    dispute(made, "opened")

    assert (made.status, made.totals.refundable) == (Status.DISPUTED, 0)


def test_the_refund_of_a_duplicate_charge_is_not_tried_again_once_a_dispute_has_taken_it():
    made, first, _ = twice_charged()
    resolve(made, first, "charged")
    say(made, operation_of(made), S.NOT_SENT, code="connect_failed")
    dispute(made, "opened")
    timers.wake(made, TWO_ACCOUNTS, cause(LATER + timedelta(hours=1)))
    assert (len(given_back(made)), made.frozen) == (1, False)

    dispute(made, "won")

    assert len(given_back(made)) == 2


def test_a_report_that_comes_again_confirms_nothing():
    made, first, second = twice_charged()
    say(made, first, source="query", observed_at=NOW)
    say(made, second, source="query", observed_at=NOW)

    assert made.operations[first].confirmed is None
    assert len(made.operations) == 2


def test_where_the_psp_does_not_confirm_the_late_charge_an_operator_decides():
    made, first, second = twice_charged()
    say(made, second, source="query")
    say(made, first, S.PROVEN_ABSENT, source="query")

    assert made.frozen
    assert len(made.operations) == 2


def test_a_duplicate_charge_that_cannot_be_given_back_freezes_the_payment():
    made, first, second = twice_charged()
    say(made, first, source="query")
    say(made, second, source="query")
    say(made, operation_of(made), S.DECLINED_HARD, code="refused")

    assert made.frozen
    assert made.pending_events[-1].reason.endswith(
        "could not be given back: it ended as DECLINED_HARD (refused)"
    )


def test_a_late_charge_while_the_next_attempt_runs_leads_to_one_charge():
    made = payment(TWO_ACCOUNTS)
    first = operation_of(made)
    say(made, first, S.PROVEN_ABSENT, source="query")
    second = operation_of(made)
    say(made, first, source="webhook")
    assert made.frozen

    say(made, second)
    say(made, first, source="query")
    say(made, second, source="query")
    assert made.operations[first].duplicate_charge
    assert made.totals.captured == 1099
