"""What the read models show is held against the stream: every column, of every operation."""

from dataclasses import replace
from typing import Any

import pytest

from aggregates.operation import OperationState
from commands.messages import RefundPayment
from tests.infra.tools.audit.truth import beside_the_bank, lived, name, sold, verdict

S = OperationState


@pytest.mark.parametrize("column", list(sold().facts.shown.columns))
def test_every_column_of_a_payment_is_compared(column):
    facts = lived().facts
    assert facts.shown is not None
    facts.shown = replace(facts.shown, columns=dict(facts.shown.columns) | {column: "another"})

    assert set(verdict(facts)) == {"read_model_mismatches"}


@pytest.mark.parametrize("column", list(sold().facts.shown.operations[name("s1")]))
def test_every_column_of_an_operation_is_compared(column):
    facts = lived().facts
    assert facts.shown is not None
    of_refund = dict(facts.shown.operations[name("r5")]) | {column: "another"}
    operations = dict(facts.shown.operations) | {name("r5"): of_refund}
    facts.shown = replace(facts.shown, operations=operations)

    assert set(verdict(facts)) == {"read_model_mismatches"}


@pytest.mark.parametrize(
    "change",
    [
        lambda shown: None,
        lambda shown: replace(shown, version=shown.version - 1),
        lambda shown: replace(shown, stale=True),
        lambda shown: replace(shown, operations={}),
        lambda shown: replace(shown, operations=dict(shown.operations) | {name("r9"): {}}),
    ],
    ids=["absent", "behind", "stale", "without operations", "with an operation more"],
)
def test_a_read_model_that_lacks_something_is_named(change):
    facts = lived().facts
    facts.shown = change(facts.shown)

    assert set(verdict(facts)) == {"read_model_mismatches"}


def test_a_read_model_may_be_behind_while_something_goes_on():
    truth = sold()
    facts_before = truth.facts
    truth.ask(RefundPayment)
    facts = truth.facts
    facts.shown = facts_before.shown

    assert set(verdict(facts)) == {"unsettled"}


@pytest.mark.parametrize("changed", [{"state": "won"}, {"amount_minor": 400}])
def test_a_dispute_that_the_read_model_shows_otherwise_is_a_fault(changed: dict[str, Any]):
    facts = beside_the_bank("opened")
    assert facts.shown is not None
    shown = dict(facts.shown.columns)
    shown["disputes"] = [shown["disputes"][0] | changed]
    facts.shown = replace(facts.shown, columns=shown)

    assert "disputes is" in verdict(facts)["read_model_mismatches"][0]
