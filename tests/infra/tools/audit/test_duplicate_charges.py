"""A second charge is double until it was given back, in doubt while it is being given back, and no fault
then."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregates import disputes, outcomes, resolution
from aggregates.operation import OperationState
from aggregates.status import DisputeState
from tests.infra.tools.audit.truth import TAKEN, Truth, bank, doubts, name, verdict
from tests.support.builders import NOW, TWO_ACCOUNTS, cause, payment, report, word

S = OperationState


def _charged_twice() -> Truth:
    """The first attempt was proven absent, and charged when the second had."""
    truth = Truth(TWO_ACCOUNTS, payment(TWO_ACCOUNTS))
    truth.tell(name("s1"), S.UNKNOWN)
    truth.tell(name("s1"), S.PROVEN_ABSENT, source="query")
    truth.done(name("s2"))
    truth.move(name("s1"))
    return truth


def _confirm(truth: Truth) -> None:
    truth.tell(name("s1"))
    for short in ("s1", "s2"):
        later = report(
            name(short), psp_id=f"pi_{short[1]}", source="query", observed_at=NOW + timedelta(minutes=2)
        )
        outcomes.take(truth.life, later, truth.route, cause(NOW + timedelta(minutes=2)))


def test_a_duplicate_charge_that_nobody_found_is_double():
    assert "double_charges" in verdict(_charged_twice().facts)


def test_a_duplicate_charge_is_in_doubt_until_it_is_given_back_and_counted_apart_then():
    truth = _charged_twice()
    _confirm(truth)
    assert set(verdict(truth.facts)) == {"in_doubt", "unsettled"}
    assert [one.doubt for one in doubts(truth.facts)] == ["duplicate_charge"]

    truth.done(name("r3"))

    assert truth.life.status == "CAPTURED"
    assert verdict(truth.facts) == {"duplicate_charges_returned": [f"pi_1 for {name('s1')} was given back"]}


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("opened", {"in_doubt"}),
        ("lost", {"duplicate_charges_returned"}),
        ("won", {"in_doubt", "unsettled"}),  # now it goes back
    ],
)
def test_a_duplicate_charge_that_a_dispute_holds_or_took_is_no_double(state: DisputeState, found: set[str]):
    truth = _charged_twice()
    truth.tell(name("s1"))
    disputes.take(truth.life, word(truth.life, "opened"), cause(NOW, uuid4()))
    resolution.resolve(
        truth.life, name("s1"), "charged", None, evidence="-", who="ada", cause=cause(NOW, uuid4())
    )
    later = NOW + timedelta(seconds=1)
    disputes.take(truth.life, word(truth.life, state, observed_at=later), cause(later, uuid4()))
    facts = truth.facts
    facts.disputed.append(bank(TAKEN[state]))

    assert set(verdict(facts)) == found


def test_a_duplicate_charge_recorded_as_given_back_that_the_psp_still_has_is_double():
    truth = _charged_twice()
    _confirm(truth)
    truth.tell(name("r3"))

    assert set(verdict(truth.facts)) == {"double_charges", "lost_payments"}


def test_a_duplicate_charge_that_could_not_be_given_back_waits_for_an_operator():
    truth = _charged_twice()
    _confirm(truth)
    truth.tell(name("r3"), S.DECLINED_HARD, code="refund_failed")

    assert set(verdict(truth.facts)) == {"in_doubt"}
    assert {one.doubt for one in doubts(truth.facts)} == {"frozen", "duplicate_charge"}


def test_a_charge_given_back_by_hand_and_resolved_by_an_operator_is_no_fault():
    truth = _charged_twice()
    truth.tell(name("s1"))
    truth.move(name("s1"), kind="refunded", reference="")
    assert "double_charges" not in verdict(truth.facts)

    resolution.resolve(
        truth.life,
        name("s1"),
        "not_charged",
        None,
        evidence="refunded in the PSP's own console",
        who="ann",
        cause=cause(NOW + timedelta(minutes=3), uuid4()),
    )

    assert verdict(truth.facts) == {}


def test_the_doubt_about_what_gives_a_duplicate_charge_back_excuses_no_refund_of_the_one_that_paid():
    truth = _charged_twice()
    _confirm(truth)
    truth.tell(name("r3"), S.UNKNOWN)
    assert set(verdict(truth.facts)) == {"in_doubt"}

    truth.move(name("s2"), kind="refunded", reference="", psp_id="re_theirs")

    assert "lost_payments" in verdict(truth.facts)
