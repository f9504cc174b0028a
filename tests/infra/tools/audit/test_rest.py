"""What is under way is unsettled; what is at rest agrees with the ledger, in whatever way it came
to be so."""

from dataclasses import replace
from datetime import timedelta

import pytest

from aggregates import timers
from aggregates.operation import Balances, OperationState
from commands.messages import CapturePayment, RefundPayment, VoidPayment
from tests.infra.tools.audit.truth import Truth, held, movement, name, sold, verdict
from tests.support.builders import NOW, ORDERS, cause, payment

S = OperationState


@pytest.mark.parametrize("state", [S.STARTED, S.PENDING])
def test_an_operation_under_way_is_unsettled_in_whatever_state_the_payment_rests(state):
    truth = sold()
    truth.ask(RefundPayment, amount_minor=1)
    if state is S.PENDING:
        truth.tell(name("r2"), state)

    assert verdict(truth.facts) == {"unsettled": [f"{name('r2')} is still {state}"]}


def test_a_planned_retry_is_unsettled():
    truth = held()
    truth.ask(CapturePayment)
    truth.tell(name("c2"), S.NOT_SENT, code="connect_refused")

    (why,) = verdict(truth.facts)["unsettled"]

    assert why.startswith(f"{name('c2')} is tried again at")


def test_money_that_moved_before_its_outcome_was_read_is_only_unsettled():
    truth = held()
    truth.ask(CapturePayment)
    truth.move(name("c2"))

    assert set(verdict(truth.facts)) == {"unsettled"}


@pytest.mark.parametrize(
    ("state", "source"),
    [(S.NOT_SENT, "call"), (S.DECLINED_HARD, "call"), (S.EXPIRED, "query"), (S.PROVEN_ABSENT, "query")],
)
def test_money_that_moved_for_what_is_recorded_as_not_executed_is_lost(state, source):
    truth = held()
    truth.ask(VoidPayment)
    truth.tell(name("v2"), state, source=source, hint="CONFIG")
    assert set(verdict(truth.facts)) == set()

    truth.move(name("v2"))

    assert set(verdict(truth.facts)) == {"lost_payments"}


def _seen_open_after_its_time(truth: Truth, challenged: str) -> None:
    over = NOW + timedelta(hours=2)
    timers.wake(truth.life, truth.route, cause(over))
    truth.tell(challenged, S.ACTION_REQUIRED, source="query", observed_at=over)


def test_a_payment_that_waits_for_its_customer_is_at_rest_until_its_challenge_is_being_ended():
    truth = Truth()
    truth.tell(name("s1"), S.ACTION_REQUIRED)
    assert verdict(truth.facts) == {}

    _seen_open_after_its_time(truth, name("s1"))

    assert verdict(truth.facts) == {"unsettled": [f"the challenge of {name('s1')} is being ended at the PSP"]}


def test_what_a_cancelled_challenge_had_authorized_and_let_go_again_is_no_fault():
    truth = Truth(life=payment(capture="manual"))
    truth.tell(name("a1"), S.ACTION_REQUIRED)
    _seen_open_after_its_time(truth, name("a1"))
    truth.tell(name("a1"), S.EXPIRED, step="x", code="canceled")
    truth.move(name("a1"))
    assert set(verdict(truth.facts)) == {"lost_payments"}

    truth.move(name("a1"), kind="released")

    assert verdict(truth.facts) == {}


def test_an_authorization_that_is_recorded_as_let_go_while_its_hold_stands_is_a_fault():
    truth = held()
    truth.tell(name("a1"), S.EXPIRED, source="query", code="canceled")
    assert truth.life.status == "EXPIRED"
    assert set(verdict(truth.facts)) == {"amount_mismatches"}

    truth.move(name("a1"), kind="released", reference="")

    assert verdict(truth.facts) == {}


def test_a_sale_that_is_recorded_as_failed_while_its_hold_stands_is_a_fault():
    truth = Truth()
    truth.tell(name("s1"), S.DECLINED_HARD)
    assert truth.life.status == "FAILED"
    truth.move(name("s1"), kind="authorized")
    assert "lost_payments" in verdict(truth.facts)

    truth.move(name("s1"), kind="released")

    assert verdict(truth.facts) == {}


def test_what_an_external_move_did_is_no_fault_once_the_events_record_all_of_it():
    truth = held()
    truth.move(name("a1"), 900, kind="captured", reference="")
    truth.move(name("a1"), 199, kind="released", reference="")
    truth.move(name("a1"), 300, kind="refunded", reference="")
    assert set(verdict(truth.facts)) == {"lost_payments"}

    truth.tell(name("a1"), S.UNKNOWN, source="webhook", observed_at=NOW + timedelta(minutes=1))
    balances = Balances(900, 300, 0)
    at = NOW + timedelta(minutes=2)
    truth.tell(name("a1"), source="query", balances=balances, observed_at=at)

    assert verdict(truth.facts) == {}


def test_a_partial_approval_is_compared_with_what_was_approved():
    truth = Truth(life=payment(capture="manual"))
    truth.tell(name("a1"), amount_minor=600)
    truth.move(name("a1"), 600)

    assert verdict(truth.facts) == {}


def test_the_rest_that_a_last_capture_releases_is_in_the_sums():
    truth = held()
    truth.ask(CapturePayment, amount_minor=1000, final=True)
    truth.done()
    assert set(verdict(truth.facts)) == {"amount_mismatches"}

    truth.move(name("c2"), 99, kind="released")

    assert verdict(truth.facts) == {}


def test_a_sale_that_holds_first_and_takes_then_is_no_fault():
    truth = sold()
    truth.movements.insert(0, replace(truth.movements[0], kind="authorized"))

    assert verdict(truth.facts) == {}


def test_an_authorization_that_holds_twice_is_one_too_many():
    truth = held()
    truth.movements.append(replace(truth.movements[0], kind="captured"))

    assert verdict(truth.facts)["lost_payments"]


def test_a_refund_of_one_of_several_captures_is_about_what_was_authorized():
    truth = Truth(ORDERS, payment(ORDERS, capture="manual"))
    truth.done(name("a1"))
    truth.ask(CapturePayment, amount_minor=500)
    truth.done()
    truth.ask(RefundPayment, amount_minor=500)
    assert list(truth.life.operations.values())[-1].target == name("c2")
    truth.tell(name("r3"))
    truth.move(name("r3"), intent_id="pi_1", intent_reference=name("a1"))

    assert verdict(truth.facts) == {}
    truth.movements[-1] = replace(truth.movements[-1], intent_reference=name("r3"))
    assert verdict(truth.facts)["content_mismatches"]


def test_what_one_payment_took_and_gave_back_may_be_as_much_as_two():
    truth = sold()
    truth.ask(RefundPayment)
    truth.done()

    assert truth.life.status == "REFUNDED"
    assert verdict(truth.facts) == {}


def test_a_movement_for_a_payment_that_was_rejected_is_lost():
    truth = Truth(life=payment(expires_at=NOW))
    sale = movement(sold().life.operations[name("s1")])
    assert truth.life.status == "REJECTED"

    truth.movements.append(sale)

    assert set(verdict(truth.facts)) == {"lost_payments"}
