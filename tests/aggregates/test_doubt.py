from datetime import timedelta
from uuid import uuid4

import pytest

from aggregates import doubt, merchant, reports
from aggregates.asked import Refused
from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.status import Status
from tests.controls import NOW, TWO_ACCOUNTS, cause, operation_of, payment, report

S = OperationState
LATER = NOW + timedelta(minutes=1)


def command():
    return cause(LATER, uuid4(), fingerprint="content")


def say(made: Payment, operation: str, state: OperationState = S.APPROVED, **other) -> None:
    """Each a second later than the one before."""
    observed_at = NOW + timedelta(seconds=made.version)
    fields = {"psp_id": f"psp_{operation[-2:]}", "observed_at": observed_at} | other
    reports.take(made, report(operation, state, **fields), TWO_ACCOUNTS, cause(LATER))


def resolve(made: Payment, operation: str, decision: str, amount_minor: int | None = None) -> None:
    doubt.resolve(
        made, operation, decision, amount_minor, evidence="statement of 22 Nov", who="ada", cause=command()
    )


def twice_charged(capture: str = "automatic") -> tuple[Payment, str, str]:
    """The second attempt charged, and then the first, which was proven absent, turns out to have charged too."""
    made = payment(TWO_ACCOUNTS, capture=capture)
    first = operation_of(made)
    say(made, first, S.PROVEN_ABSENT, source="query")
    second = operation_of(made)
    say(made, second)
    say(made, first, source="webhook")
    return made, first, second


# Two charges


def test_two_reported_charges_are_both_looked_up_and_nothing_is_given_back_yet():
    made, first, second = twice_charged()

    asked = [event for event in made.pending_events if type(event).TOPIC == "operation.asked.v1"]
    assert [(event.operation_id, event.how) for event in asked] == [(first, "confirm"), (second, "confirm")]
    assert made.frozen
    assert (made.status, made.sums.captured) == (Status.CAPTURED, 1099)


@pytest.mark.parametrize(("capture", "letter"), [("automatic", "r"), ("manual", "v")])
def test_the_extra_charge_is_given_back_once_the_psp_confirmed_both(capture, letter):
    made, first, second = twice_charged(capture)
    say(made, first, source="query")
    assert len(made.operations) == 2
    say(made, second, source="query")

    assert type(made.pending_events[-2]).TOPIC == "payment.extra_charge_confirmed.v1"
    returning = made.operations[operation_of(made)]
    assert returning.id.endswith(f"-{letter}3")
    assert (returning.target, returning.amount.minor, returning.extra) == (first, 1099, True)
    assert not made.frozen

    say(made, returning.id)
    assert made.sums.refunded == 0, "what gives back an extra charge is in no sum of the payment"
    assert made.status in {Status.CAPTURED, Status.AUTHORIZED}


def test_a_report_that_comes_again_confirms_nothing():
    made, first, second = twice_charged()
    say(made, first, source="query", observed_at=NOW)
    say(made, second, source="query", observed_at=NOW)

    assert made.operations[first].confirmed is None
    assert len(made.operations) == 2


def test_where_the_psp_does_not_confirm_the_late_charge_a_person_decides():
    made, first, second = twice_charged()
    say(made, second, source="query")
    say(made, first, S.PROVEN_ABSENT, source="query")

    assert made.frozen
    assert len(made.operations) == 2


def test_an_extra_charge_that_cannot_be_given_back_freezes_the_payment():
    made, first, second = twice_charged()
    say(made, first, source="query")
    say(made, second, source="query")
    say(made, operation_of(made), S.DECLINED_HARD, code="refused")

    assert made.frozen


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
    assert made.operations[first].extra
    assert made.sums.captured == 1099


# A person


def test_a_person_may_say_that_an_operation_in_doubt_was_charged():
    made = payment()
    name = operation_of(made)
    say(made, name, S.UNKNOWN)
    resolve(made, name, "charged")

    assert (made.status, made.sums.captured) == (Status.CAPTURED, 1099)
    last = [event for event in made.pending_events if type(event).TOPIC == "payment.resolved.v1"][-1]
    assert (last.who, last.evidence) == ("ada", "statement of 22 Nov")


def test_a_person_may_say_that_nothing_was_charged_once_the_psp_was_looked_up():
    made = payment(TWO_ACCOUNTS)
    name = operation_of(made)
    say(made, name, S.UNKNOWN)
    with pytest.raises(Refused, match="not_asked_yet"):
        resolve(made, name, "not_charged")

    say(made, name, S.UNKNOWN, source="query", observed_at=LATER)
    resolve(made, name, "not_charged")
    assert made.status is Status.FAILED
    assert len(made.attempts) == 1, "after a person's word no attempt starts by itself"


def test_what_is_not_in_doubt_is_not_a_persons_to_decide():
    made = payment()
    say(made, operation_of(made))

    with pytest.raises(Refused, match="not_in_doubt"):
        resolve(made, operation_of(made), "not_charged")


def test_a_person_unfreezes_a_payment_by_deciding_about_what_contradicted():
    made = payment()
    name = operation_of(made)
    say(made, name, S.DECLINED_HARD, code="lost_card")
    say(made, name, source="webhook")
    assert (made.status, made.frozen) == (Status.FAILED, True)

    resolve(made, name, "charged")
    assert (made.status, made.frozen) == (Status.CAPTURED, False)


def test_a_charge_for_no_operation_of_ours_can_only_be_given_back_at_the_psp():
    made = payment()
    say(made, "nothing-s9")
    with pytest.raises(Refused, match="operation_unknown"):
        resolve(made, "nothing-s9", "charged")

    resolve(made, "nothing-s9", "not_charged")
    assert not made.frozen


def test_a_persons_second_charge_is_an_extra_one_and_is_given_back():
    made, first, _ = twice_charged()
    resolve(made, first, "charged")

    assert made.operations[first].extra
    assert operation_of(made).endswith("-r3")
    assert not made.frozen


def test_what_was_taken_in_spite_of_a_cancel_is_given_back_when_the_person_is_done():
    made = payment()
    name = operation_of(made)
    merchant.cancel(made, command())
    say(made, "nothing-s9")
    say(made, name)
    assert len(made.operations) == 1, "a frozen payment starts nothing that moves money"

    resolve(made, "nothing-s9", "not_charged")
    assert operation_of(made).endswith("-r2")


# Questions


def test_the_psp_can_be_asked_at_once_but_not_again_and_again():
    made = payment()
    say(made, operation_of(made), S.UNKNOWN)
    with pytest.raises(Refused, match="asked_just_now"):
        doubt.ask_now(made, None, command())

    doubt.ask_now(made, None, cause(LATER + timedelta(seconds=6), uuid4(), fingerprint="f"))
    assert made.pending_events[-1].how == "query"


def test_where_nothing_is_in_doubt_nothing_is_asked():
    made = payment()
    say(made, operation_of(made))

    with pytest.raises(Refused, match="nothing_in_doubt"):
        doubt.ask_now(made, None, command())
