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


def test_a_person_may_do_whatever_a_report_may():
    for before, after in BY_PERSON.items():
        assert TRANSITIONS[before] <= after


def test_a_rejected_payment_never_moves():
    assert TRANSITIONS[Status.REJECTED] == frozenset()
    assert Status.REJECTED not in BY_PERSON
