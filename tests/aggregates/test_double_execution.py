"""An operation that the PSP executed twice: a word on one of its ids settles nothing of the other."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregates import merchant_commands, outcomes, resolution
from aggregates.decision import Refused
from aggregates.operation import Balances, Move, OperationState
from aggregates.payment import Payment
from tests.support.builders import (
    NOW,
    ROUTE,
    WEBHOOK_ONLY,
    authorized,
    captured,
    cause,
    operation_of,
    payment,
    report,
)

S = OperationState
LATER = NOW + timedelta(hours=1)


def command():
    return cause(LATER, uuid4(), fingerprint="content")


def say(made: Payment, psp_id: str | None, state: OperationState = S.APPROVED, **other) -> None:
    name = operation_of(made)
    fields = {"amount_minor": made.operations[name].amount.minor, "observed_at": LATER, "source": "query"}
    outcomes.take(made, report(name, state, psp_id=psp_id, **fields | other), ROUTE, cause(LATER))


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
    with pytest.raises(Refused, match=r"third is no id of \S+ at the PSP; its ids there: \w+, second"):
        resolve(made, "charged", "third")
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


def resolved_as_charged(psp_id: str | None = None) -> Payment:
    """A sale of which nothing was heard, until an operator saw it on the PSP's page."""
    made = payment()
    say(made, None, state=S.UNKNOWN, amount_minor=None, observed_at=NOW)
    resolve(made, "charged", psp_id)
    assert (made.totals.captured, made.frozen) == (1099, False)
    return made


def refunds_target(made: Payment) -> str | None:
    merchant_commands.refund(made, None, command(), reason=None)
    return made.pending_events[-1].target_psp_id


@pytest.mark.parametrize("source", ["webhook", "query", "stored"])
def test_the_first_id_that_the_psp_names_after_an_operators_decision_is_the_operations_own(source):
    made = resolved_as_charged()

    say(made, "pi_1", source=source)
    say(made, "pi_1", source=source, observed_at=LATER + timedelta(hours=1))

    assert [type(e).TOPIC for e in made.pending_events].count("operation.identified.v1") == 1
    assert (made.frozen, made.totals.captured) == (False, 1099)
    assert refunds_target(made) == "pi_1"


def test_a_second_id_after_that_freezes_the_payment():
    made = resolved_as_charged()
    say(made, "pi_1", source="webhook")

    say(made, "pi_2", source="webhook")

    assert (made.frozen, made.second_ids(operation_of(made))) == (True, ["pi_2"])


def test_another_amount_than_the_operator_named_freezes_the_payment_whatever_the_id():
    made = resolved_as_charged()

    say(made, "pi_1", source="webhook", amount_minor=500)

    assert made.frozen
    assert "operation.identified.v1" not in [type(e).TOPIC for e in made.pending_events]


def test_an_operator_names_the_id_with_the_decision_and_another_one_is_a_second_execution():
    made = resolved_as_charged("pi_1")

    say(made, "pi_1", source="webhook")
    assert not made.frozen
    say(made, "pi_2", source="webhook")
    assert made.frozen


def test_an_operator_names_the_id_after_the_decision_and_what_follows_can_be_sent():
    made = resolved_as_charged()

    resolve(made, "charged", "pi_1")

    assert (made.totals.captured, made.frozen) == (1099, False)
    assert refunds_target(made) == "pi_1"


def test_an_id_is_named_once_and_a_decision_without_one_is_not_repeated():
    made = resolved_as_charged()

    assert refusal(made, "charged") == refusal(made, "not_charged", "pi_1") == "not_in_doubt"
    resolve(made, "charged", "pi_1")
    assert refusal(made, "charged", "pi_2") == "not_in_doubt"


def test_the_id_that_a_late_report_named_is_the_only_one_that_a_decision_on_it_may_name():
    made = payment()
    say(made, None, state=S.PROVEN_ABSENT, amount_minor=None, observed_at=NOW)
    say(made, "pi_late", source="call")
    assert made.frozen

    assert refusal(made, "charged", "pi_other") == "not_in_doubt"
    resolve(made, "charged", "pi_late")

    assert (made.frozen, made.operations[operation_of(made)].psp_id) == (False, "pi_late")
