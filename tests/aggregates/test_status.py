from dataclasses import replace

import pytest

from aggregates.operation import OperationState
from aggregates.status import BY_OPERATOR, TRANSITIONS, Flags, OperationAmounts, Status, status, totals

S = OperationState


def part(kind, state=S.APPROVED, requested=100, approved=None, *, final=False, duplicate_charge=False):
    approved = (requested if state is S.APPROVED else 0) if approved is None else approved
    return OperationAmounts(kind, state, requested, approved, final, duplicate_charge, may_be_disputed=False)


def test_an_operation_under_way_reserves_its_amount_and_one_that_failed_releases_it():
    under_way = [part("authorize"), part("capture", S.UNKNOWN, 60)]
    failed = [part("authorize"), part("capture", S.DECLINED_HARD, 60)]

    assert totals(under_way, Flags()).capturable == 40
    assert totals(failed, Flags()).capturable == 100


def test_what_waits_for_its_next_attempt_stays_reserved():
    total = totals([part("sale")], Flags(retrying=(("refund", 70),)))

    assert total.refundable == 30


def test_a_duplicate_charge_and_its_return_are_in_no_sum():
    parts = [part("sale", duplicate_charge=True), part("sale"), part("refund", duplicate_charge=True)]

    assert totals(parts, Flags()) == totals([part("sale")], Flags())
    assert status(parts, Flags()) is Status.CAPTURED


def test_any_operation_whose_outcome_is_unknown_puts_the_payment_in_doubt():
    assert status([part("sale"), part("refund", S.UNKNOWN, 10)], Flags()) is Status.IN_DOUBT


def test_a_void_of_the_rest_leaves_what_was_captured():
    parts = [part("authorize"), part("capture", requested=30), part("void", requested=70)]

    assert status(parts, Flags()) is Status.PARTIALLY_CAPTURED
    assert totals(parts, Flags()).released == 70


@pytest.mark.parametrize("kind", ["capture", "void"])
def test_an_authorization_that_ended_has_expired_only_when_nothing_of_it_is_under_way(kind):
    over = Flags(authorization_expired=True)

    assert status([part("authorize"), part(kind, S.STARTED)], over) is Status.AUTHORIZED
    assert status([part("authorize")], replace(over, retrying=((kind, 100),))) is Status.AUTHORIZED
    assert status([part("authorize"), part(kind, S.DECLINED_HARD)], over) is Status.EXPIRED


def test_what_a_void_reserves_is_reported_and_is_not_there_for_a_capture():
    total = totals([part("authorize"), part("capture", requested=30), part("void", S.STARTED, 70)], Flags())

    assert (total.reserved, total.capturable) == (70, 0)


def test_an_operator_may_do_whatever_a_report_may():
    for before, after in BY_OPERATOR.items():
        assert TRANSITIONS[before] <= after


def test_a_rejected_payment_never_moves():
    assert TRANSITIONS[Status.REJECTED] == frozenset()
    assert Status.REJECTED not in BY_OPERATOR
