"""What is in doubt is named and no fault, and it excuses nothing else."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from aggregates import timers
from aggregates.operation import OperationState
from commands.messages import RefundPayment, VoidPayment
from infra.tools.audit.facts import Parked, Recorded
from tests.infra.tools.audit.truth import Truth, change, doubts, held, lived, name, sold, verdict, without
from tests.support.builders import NOW, cause

S = OperationState


def test_an_unknown_outcome_is_in_doubt_with_its_code_whether_or_not_the_psp_did_it():
    truth = sold()
    truth.ask(RefundPayment)
    truth.tell(name("r2"), S.UNKNOWN, code="read_timeout")
    facts = truth.facts
    assert facts.recorded is not None
    facts.recorded = replace(facts.recorded, codes={name("r2"): "read_timeout"})

    (found,) = doubts(facts)
    assert found.reason == f"the outcome of {name('r2')} is not known yet (read_timeout)"
    assert set(verdict(facts)) == {"in_doubt"}
    truth.move(name("r2"))
    assert set(verdict(truth.facts)) == {"in_doubt"}


def test_what_is_in_doubt_excuses_nothing_else():
    truth = lived()
    truth.ask(RefundPayment, amount_minor=1)
    truth.tell(list(truth.life.operations)[-1], S.UNKNOWN)
    without(truth, "c2")

    assert set(verdict(truth.facts)) == {"in_doubt", "lost_payments"}


def test_more_than_was_requested_is_a_mismatch_whatever_the_outcome_will_be():
    truth = Truth()
    truth.tell(name("s1"), S.UNKNOWN)
    truth.move(name("s1"), 1100)

    assert set(verdict(truth.facts)) == {"in_doubt", "amount_mismatches"}


def test_after_a_day_a_payment_in_doubt_is_escalated():
    truth = Truth()
    truth.tell(name("s1"), S.UNKNOWN)
    timers.wake(truth.life, truth.route, cause(NOW + timedelta(hours=25)))

    (found,) = doubts(truth.facts)

    assert found.doubt == "escalated"
    assert set(verdict(truth.facts)) == {"in_doubt"}


def test_an_operation_that_had_no_response_for_a_day_is_escalated():
    truth = Truth()
    assert set(verdict(truth.facts)) == {"unsettled"}
    timers.wake(truth.life, truth.route, cause(NOW + timedelta(hours=25)))

    (found,) = doubts(truth.facts)

    assert found.doubt == "escalated"
    assert set(verdict(truth.facts)) == {"in_doubt"}


def test_a_contradiction_is_in_doubt_and_says_why():
    truth = sold()
    truth.tell(name("s1"), amount_minor=1200)
    facts = truth.facts
    assert facts.recorded is not None
    facts.recorded = replace(facts.recorded, contradictions={name("s1"): "approved for another amount"})
    change(truth, "s1", amount=Decimal("12.00"))

    (found,) = doubts(facts)

    assert found.doubt == "frozen"
    assert "approved for another amount" in found.reason
    assert set(verdict(truth.facts)) == {"in_doubt"}


def test_a_parked_payment_is_in_doubt_also_without_a_stream_that_can_be_replayed():
    facts = sold().facts
    facts.parked = Parked("KeyError at apply:1", frozenset())
    facts.recorded = Recorded(3, broken="KeyError at version 3")

    assert verdict(facts) == {"in_doubt": ["parked: KeyError at apply:1"]}


# A void that found an external capture, and gave it back: nobody knows yet how it ended.


def _void_in_doubt(state: S = S.UNKNOWN) -> Truth:
    truth = held()
    truth.ask(VoidPayment)
    truth.tell(name("v2"), state, code="refunded_instead", amount_minor=None)
    return truth


def _captured_and_given_back(truth: Truth, minor: int = 1099) -> None:
    truth.move(name("a1"), minor, kind="captured", reference="")
    truth.move(name("v2"), minor, kind="refunded")


def test_while_a_void_is_in_doubt_what_was_done_to_its_authorization_is_in_doubt_with_it():
    truth = _void_in_doubt()
    _captured_and_given_back(truth)

    assert set(verdict(truth.facts)) == {"in_doubt"}


def test_the_same_of_a_void_that_ended_otherwise_is_lost():
    truth = _void_in_doubt(S.DECLINED_HARD)
    _captured_and_given_back(truth)

    assert "lost_payments" in verdict(truth.facts)


def test_the_doubt_about_a_void_hides_no_more_than_it_is_about():
    truth = _void_in_doubt()
    _captured_and_given_back(truth)
    truth.move(name("a1"), 1, kind="captured", reference="")
    assert {"double_charges", "lost_payments"} <= set(verdict(truth.facts))


@pytest.mark.parametrize(
    ("kind", "other", "found"),
    [
        ("captured", {"intent_id": "pi_2"}, "double_charges"),
        ("captured", {"reference": name("c9"), "amount_minor": 500}, "lost_payments"),
        ("captured", {"reference": name("v2"), "amount_minor": 500}, "lost_payments"),
        ("refunded", {"reference": name("v2"), "amount_minor": 1100}, "lost_payments"),
        ("authorized", {}, "double_charges"),
    ],
)
def test_the_doubt_about_a_void_hides_no_second_charge_and_no_loss(
    kind: str, other: dict[str, Any], found: str
):
    truth = _void_in_doubt()
    truth.move(name("a1"), **{"kind": kind} | other)

    assert found in verdict(truth.facts)


def test_the_doubt_about_a_refund_does_not_excuse_a_colleagues_capture_or_more_than_the_refund():
    for kind, minor in (("captured", 300), ("refunded", 301)):
        truth = sold()
        truth.ask(RefundPayment, amount_minor=300)
        truth.tell(name("r2"), S.UNKNOWN)
        truth.move(name("s1"), minor, kind=kind, reference="")

        assert "lost_payments" in verdict(truth.facts), kind


def test_a_frozen_void_that_gave_back_is_for_the_operator_and_not_lost():
    truth = held()
    truth.ask(VoidPayment)
    truth.tell(name("v2"), S.DECLINED_HARD, amount_minor=None)
    truth.tell(name("v2"), source="webhook", observed_at=NOW + timedelta(minutes=1))
    truth.move(name("v2"), kind="refunded")
    truth.move(name("a1"), kind="captured", reference="")
    assert truth.life.frozen_by == {name("v2")}

    assert set(verdict(truth.facts)) == {"in_doubt"}


def test_what_an_external_move_did_to_a_parked_payment_is_in_doubt_with_it():
    truth = held()
    truth.move(name("a1"), kind="captured", reference="")
    facts = truth.facts
    assert set(verdict(facts)) == {"lost_payments"}
    facts.parked = Parked("KeyError at apply:1", frozenset())

    assert set(verdict(facts)) == {"in_doubt"}
