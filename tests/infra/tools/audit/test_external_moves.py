"""What somebody else did at the PSP, or the PSP by itself, and AegisPay took for its own act: no fault
where no object at the PSP tells the two apart and the amounts agree. A loss and a second charge are found
as before."""

from typing import Any

import pytest

from aggregates.operation import OperationState
from commands.messages import CapturePayment, RefundPayment, VoidPayment
from tests.infra.tools.audit.truth import Truth, held, name, sold, verdict

S = OperationState


def _voided_when_it_had_lapsed() -> Truth:
    """Braintree ended the authorization early: the capture is declined, and the void finds nothing left to
    let go."""
    truth = held()
    truth.ask(CapturePayment)
    truth.tell(name("c2"), S.DECLINED_HARD, amount_minor=None)
    truth.ask(VoidPayment)
    truth.tell(name("v3"))
    return truth


def _captured_by_a_colleague(amount_minor: int = 600) -> Truth:
    """Ours never ran, and its repeat finds the transaction captured."""
    truth = held()
    truth.ask(CapturePayment, amount_minor=amount_minor)
    truth.tell(name("c2"))
    return truth


def _by_another(truth: Truth, kind: str, amount_minor: int, **other: Any) -> None:
    truth.move(name("a1"), amount_minor, kind=kind, reference="", **other)


def test_a_void_of_what_had_lapsed_at_the_psp_is_no_fault():
    truth = _voided_when_it_had_lapsed()
    _by_another(truth, "released", 1099)

    assert verdict(truth.facts) == {}


@pytest.mark.parametrize("released", [None, 600, 1098])
def test_a_void_of_which_the_psp_still_holds_something_is_lost(released: int | None):
    truth = _voided_when_it_had_lapsed()
    if released is not None:
        _by_another(truth, "released", released)

    assert "lost_payments" in verdict(truth.facts)


def test_money_that_moved_for_a_capture_recorded_as_declined_is_lost_though_the_void_was_done():
    truth = _voided_when_it_had_lapsed()
    _by_another(truth, "released", 1099)
    truth.move(name("c2"))

    assert "lost_payments" in verdict(truth.facts)


@pytest.mark.parametrize("psp_id", [None, "pi_1", "ch_1"])
def test_a_capture_that_a_colleague_made_in_place_of_ours_is_no_fault(psp_id: str | None):
    truth = held()
    truth.ask(CapturePayment, amount_minor=600)
    truth.tell(name("c2"), psp_id=psp_id)
    _by_another(truth, "captured", 600, psp_id="ch_1")

    assert verdict(truth.facts) == {}


def test_a_capture_recorded_under_an_id_that_the_psp_does_not_have_is_lost_beside_a_colleagues():
    truth = held()
    truth.ask(CapturePayment, amount_minor=600)
    truth.tell(name("c2"), psp_id="cap_ours")
    _by_another(truth, "captured", 600, psp_id="cap_theirs")

    assert len(verdict(truth.facts)["lost_payments"]) == 2


@pytest.mark.parametrize("captured", [None, 599, 601])
def test_a_capture_that_the_psp_has_nothing_of_or_another_amount_is_lost(captured: int | None):
    truth = _captured_by_a_colleague()
    if captured is not None:
        _by_another(truth, "captured", captured)

    assert "lost_payments" in verdict(truth.facts)


def test_a_colleagues_capture_beside_ours_is_no_stand_in_for_it():
    truth = _captured_by_a_colleague(500)
    truth.move(name("c2"))
    _by_another(truth, "captured", 500)

    assert set(verdict(truth.facts)) == {"lost_payments"}


def test_one_capture_at_the_psp_stands_for_one_of_ours_and_not_for_two():
    truth = _captured_by_a_colleague(500)
    truth.ask(CapturePayment, amount_minor=500)
    truth.tell(name("c3"))
    _by_another(truth, "captured", 500)
    assert "lost_payments" in verdict(truth.facts)

    _by_another(truth, "captured", 500)

    assert verdict(truth.facts) == {}


def test_what_stands_for_a_capture_of_ours_may_still_be_more_than_was_authorized():
    truth = _captured_by_a_colleague(1099)
    _by_another(truth, "captured", 1099)
    assert verdict(truth.facts) == {}

    _by_another(truth, "captured", 1099)

    assert "double_charges" in verdict(truth.facts)


def test_a_refund_of_ours_is_distinguished_from_an_external_one_by_its_id():
    truth = sold()
    truth.ask(RefundPayment, amount_minor=300)
    truth.tell(name("r2"))
    truth.move(name("r2"), reference="")
    assert verdict(truth.facts) == {}

    truth.movements.pop()
    truth.move(name("r2"), reference="", psp_id="re_theirs")

    assert len(verdict(truth.facts)["lost_payments"]) == 2


def test_a_sale_is_done_under_its_own_name_or_it_is_lost():
    truth = sold()
    truth.movements.clear()
    truth.move(name("s1"), reference="")

    assert "lost_payments" in verdict(truth.facts)


@pytest.mark.parametrize("called", ["INV-7", "5f0c6f4e-2a52-4d3b-9b0c", "5f0c6f4e2a524d3b9b0c5f0c6f4e2a52"])
def test_what_an_external_move_did_under_a_name_of_its_own_is_no_fault(called: str):
    truth = _voided_when_it_had_lapsed()
    truth.move(name("a1"), 1099, kind="released", reference=called)

    assert verdict(truth.facts) == {}


def test_what_was_done_under_the_id_of_an_operation_that_no_event_records_is_lost():
    truth = _voided_when_it_had_lapsed()
    truth.move(name("a1"), 1099, kind="released", reference=name("v9"))

    assert "lost_payments" in verdict(truth.facts)
