from dataclasses import replace

import pytest

from aggregates.operation import OperationState
from aggregates.status import BY_PERSON, TRANSITIONS, Marks, Part, Status, status, sums

S = OperationState


def part(kind, state=S.APPROVED, asked=100, approved=None, *, final=False, extra=False):
    approved = (asked if state is S.APPROVED else 0) if approved is None else approved
    return Part(kind, state, asked, approved, final, extra)


def test_an_operation_under_way_reserves_its_amount_and_one_that_failed_releases_it():
    under_way = [part("authorize"), part("capture", S.UNKNOWN, 60)]
    failed = [part("authorize"), part("capture", S.DECLINED_HARD, 60)]

    assert sums(under_way, Marks()).capturable == 40
    assert sums(failed, Marks()).capturable == 100


def test_what_waits_for_its_next_attempt_stays_reserved():
    total = sums([part("sale")], Marks(retrying=(("refund", 70),)))

    assert total.refundable == 30


def test_an_extra_charge_and_its_return_are_in_no_sum():
    parts = [part("sale", extra=True), part("sale"), part("refund", extra=True)]

    assert sums(parts, Marks()) == sums([part("sale")], Marks())
    assert status(parts, Marks()) is Status.CAPTURED


def test_any_operation_whose_outcome_is_unknown_puts_the_payment_in_doubt():
    assert status([part("sale"), part("refund", S.UNKNOWN, 10)], Marks()) is Status.IN_DOUBT


def test_a_void_of_the_rest_leaves_what_was_captured():
    parts = [part("authorize"), part("capture", asked=30), part("void", asked=70)]

    assert status(parts, Marks()) is Status.PARTIALLY_CAPTURED
    assert sums(parts, Marks()).released == 70


@pytest.mark.parametrize("kind", ["capture", "void"])
def test_an_authorization_that_ended_has_expired_only_when_nothing_of_it_is_under_way(kind):
    over = Marks(authorization_expired=True)

    assert status([part("authorize"), part(kind, S.STARTED)], over) is Status.AUTHORIZED
    assert status([part("authorize")], replace(over, retrying=((kind, 100),))) is Status.AUTHORIZED
    assert status([part("authorize"), part(kind, S.DECLINED_HARD)], over) is Status.EXPIRED


def test_what_a_void_reserves_is_told_and_is_not_there_for_a_capture():
    total = sums([part("authorize"), part("capture", asked=30), part("void", S.STARTED, 70)], Marks())

    assert (total.reserved, total.capturable) == (70, 0)


def test_a_person_may_do_whatever_a_report_may():
    for before, after in BY_PERSON.items():
        assert TRANSITIONS[before] <= after


def test_a_rejected_payment_never_moves():
    assert TRANSITIONS[Status.REJECTED] == frozenset()
    assert Status.REJECTED not in BY_PERSON
