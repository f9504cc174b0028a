"""An operation that the PSP executed twice: a word on one of its ids settles nothing of the other."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregates import merchant_commands, outcomes, resolution
from aggregates.decision import Refused
from aggregates.operation import Balances, Move, OperationState
from aggregates.payment import Payment
from tests.support.builders import NOW, ROUTE, WEBHOOK_ONLY, authorized, captured, cause, operation_of, report

S = OperationState
LATER = NOW + timedelta(hours=1)


def command():
    return cause(LATER, uuid4(), fingerprint="content")


def say(made: Payment, psp_id: str, **other) -> None:
    name = operation_of(made)
    fields = {"amount_minor": made.operations[name].amount.minor, "observed_at": LATER, "source": "query"}
    outcomes.take(made, report(name, psp_id=psp_id, **fields | other), ROUTE, cause(LATER))


def resolve(made: Payment, decision: str, psp_id: str | None = None) -> None:
    resolution.resolve(
        made,
        operation_of(made),
        decision,
        None,
        evidence="the PSP's page",
        who="ada",
        cause=command(),
        psp_id=psp_id,
    )


def refusal(made: Payment, decision: str, psp_id: str | None = None) -> str:
    before = len(made.pending_events)
    with pytest.raises(Refused) as refused:
        resolve(made, decision, psp_id)
    assert len(made.pending_events) == before
    return refused.value.code


def charged_twice(route=ROUTE, **other) -> Payment:
    made = captured(route)
    say(made, "second", **other)
    assert made.frozen
    return made


def refunded() -> Payment:
    made = captured()
    merchant_commands.refund(made, 300, command(), reason=None)
    say(made, "first", source="call")
    return made


@pytest.mark.parametrize("amount_minor", [1099, 1000], ids=["the same amount", "another"])
def test_a_word_that_names_no_id_settles_no_charge_that_was_made_twice(amount_minor):
    made = charged_twice(amount_minor=amount_minor)

    assert refusal(made, "charged") == refusal(made, "not_charged") == "executed_twice"
    assert refusal(made, "charged", "third") == "executed_twice"
    assert made.frozen


def test_a_word_on_the_first_id_leaves_the_payment_frozen_by_the_second():
    made = charged_twice()

    resolve(made, "charged", "pi_1")

    assert made.frozen
    resolved = next(e for e in made.pending_events if type(e).TOPIC == "payment.resolved.v1")
    assert resolved.open_reason == "executed twice: another id at the PSP for one operation"
    with pytest.raises(Refused):
        merchant_commands.refund(made, None, command(), reason=None)


def test_a_second_charge_is_given_back_before_the_payment_goes_on():
    made = charged_twice()

    assert refusal(made, "charged", "second") == "still_to_be_given_back"
    resolve(made, "not_charged", "second")

    assert (made.frozen, made.totals.captured, made.operations[operation_of(made)].psp_id) == (
        False,
        1099,
        "pi_1",
    )


def test_what_was_settled_by_its_id_freezes_the_payment_no_more_and_a_third_does():
    made = charged_twice()
    resolve(made, "not_charged", "second")

    say(made, "second", observed_at=LATER + timedelta(hours=1))
    assert not made.frozen
    say(made, "third", observed_at=LATER + timedelta(hours=2))
    assert made.frozen


@pytest.mark.parametrize(("decision", "refunded_minor"), [("charged", 600), ("not_charged", 300)])
def test_a_refund_that_was_made_twice_counts_twice_where_an_operator_says_so(decision, refunded_minor):
    made = refunded()
    say(made, "second")
    assert refusal(made, decision) == "executed_twice"

    resolve(made, decision, "second")

    assert (made.frozen, made.totals.refunded) == (False, refunded_minor)


def test_a_second_refund_of_more_than_was_captured_stays_before_an_operator():
    made = captured()
    merchant_commands.refund(made, 600, command(), reason=None)
    say(made, "first", source="call")
    say(made, "second")

    resolve(made, "charged", "second")

    assert (made.frozen, made.totals.refunded) == (True, 1200)


def test_a_capture_that_was_made_twice_is_recorded_beside_the_first():
    made = authorized()
    merchant_commands.capture(made, 500, command(), final=False)
    say(made, "first", source="call")
    say(made, "second")

    resolve(made, "charged", "second")

    assert (made.frozen, made.totals.captured) == (False, 1000)


@pytest.mark.parametrize("settled", [False, True], ids=["before", "after"])
def test_what_is_given_back_of_a_second_charge_is_no_refund_of_the_first(settled):
    made = charged_twice(WEBHOOK_ONLY, source="webhook")
    if settled:
        resolve(made, "not_charged", "second")

    balances = Balances(moves=(Move("refund", "adyen_r", 1099),))
    say(made, "second", state=S.UNKNOWN, source="webhook", balances=balances, code="refunded")

    assert (made.totals.refunded, made.frozen) == (0, not settled)
