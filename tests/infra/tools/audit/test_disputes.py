"""What a bank took by a dispute is what is recorded of it; what ended unclearly is in doubt, and so is a
webhook of which nothing was made."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregates import disputes
from aggregates.operation import OperationState
from aggregates.status import DisputeState
from infra.postgres.unmatched_webhooks import Unmatched
from tests.infra.tools.audit.truth import (
    PAYMENT,
    TAKEN,
    bank,
    beside_the_bank,
    disputed,
    doubts,
    sold,
    verdict,
)
from tests.support.builders import NOW, cause

S = OperationState


@pytest.mark.parametrize(("state", "taken"), TAKEN.items())
def test_a_dispute_that_is_recorded_as_the_bank_has_it_is_no_fault(state: DisputeState, taken: str):
    assert verdict(beside_the_bank(state, taken=taken)) == {}


@pytest.mark.parametrize(
    ("state", "amount_minor", "taken"),
    [
        ("inquiry", 1099, "10.99"),
        ("won", 1099, "10.99"),
        ("closed", 1099, "0.01"),
        ("lost", 1099, "0"),
        ("opened", 400, "10.99"),
    ],
)
def test_a_bank_that_has_taken_something_else_than_is_recorded_is_a_fault(
    state: DisputeState, amount_minor: int, taken: str
):
    assert set(verdict(beside_the_bank(state, amount_minor, taken))) == {"dispute_mismatches"}


def test_a_dispute_that_only_one_side_knows_is_a_fault():
    facts = sold().facts
    facts.disputed.append(bank("10.99"))

    assert set(verdict(facts)) == {"dispute_mismatches"}
    assert set(verdict(disputed("opened").facts)) == {"dispute_mismatches"}


def test_an_operators_decision_on_a_dispute_is_not_held_against_the_bank():
    truth = disputed("opened")
    why = cause(NOW + timedelta(minutes=1), uuid4())
    disputes.resolve(truth.life, "dp_1", "won", None, evidence="a call", who="ada", cause=why)
    facts = truth.facts
    facts.disputed.append(bank("10.99"))

    assert verdict(facts) == {}


def test_a_dispute_that_ended_nobody_says_how_is_in_doubt():
    (found,) = doubts(beside_the_bank("unclear"))

    assert found.doubt == "dispute"
    assert "dp_1" in found.reason


def test_a_payment_that_is_disputed_beyond_what_was_paid_is_frozen_and_named():
    (found,) = doubts(beside_the_bank("opened", 2000, "20.00"))

    assert (found.doubt, "disputed 2000" in found.reason) == ("frozen", True)


def test_a_webhook_that_names_a_payment_and_was_not_taken_is_in_doubt():
    facts = sold().facts
    facts.unmatched.append(
        Unmatched(7, PAYMENT, "stripe", "sim-eu", "not_valid", "charge.dispute.created", NOW)
    )

    (found,) = doubts(facts)
    assert (found.doubt, "webhook 7" in found.reason) == ("webhook", True)
