"""What was requested on Kafka is what was decided, and all else was refused or put aside."""

from typing import Any
from uuid import uuid4

import pytest

from aggregates.operation import OperationState
from commands.messages import CapturePayment, CreatePayment, RefundPayment
from infra.tools.audit.facts import Facts, Parked
from tests.infra.tools.audit.truth import Truth, change_commands, held, sent, sold, verdict
from tests.support.builders import create_payment

S = OperationState


def test_a_command_is_accounted_for_by_its_dead_letter_or_its_place_behind_a_parked_stream():
    truth = sold()
    truth.command(RefundPayment, amount_minor=1)
    facts = truth.facts
    change_commands(facts.requested.commands, put_aside=True)
    assert verdict(facts) == {}

    facts = truth.facts
    facts.parked = Parked("KeyError at apply:1", frozenset({"payments.commands/0/1"}))
    assert set(verdict(facts)) == {"in_doubt"}


# Of one payment's records in several partitions any may be decided first.


def _beside(first: bool, *others: CreatePayment) -> Truth:
    """The create that made the payment, read behind or before others with its key."""
    truth = sold()
    truth.creates = [*others, *truth.creates] if first else [*truth.creates, *others]
    return truth


def _another(amount_minor: int, **other: Any) -> CreatePayment:
    return create_payment(command_id=uuid4(), amount_minor=amount_minor, **other)


FIRST = pytest.mark.parametrize("first", [True, False], ids=["read before it", "read behind it"])


@FIRST
def test_creates_with_the_same_key_and_other_contents_are_no_fault_once_they_are_refused(first: bool):
    others = [_another(1000), _another(1001), _another(1099, description="another"), _another(1099)]
    truth = _beside(first, *others)
    truth.refused |= {one.command_id for one in others[:3]}

    assert verdict(truth.facts) == {}


@FIRST
def test_a_create_of_other_content_without_a_refusal_is_lost(first: bool):
    assert set(verdict(_beside(first, _another(1000)).facts)) == {"lost_payments"}


@FIRST
@pytest.mark.parametrize(
    ("wrong", "kind"), [("amount_minor", "amount_mismatches"), ("description", "content_mismatches")]
)
def test_a_payment_made_otherwise_than_its_own_create_asked_is_a_fault_whatever_others_asked(
    first: bool, wrong: str, kind: str
):
    right = _another(1099)
    truth = _beside(first, right)
    value = {"amount_minor": 1000, "description": "another"}[wrong]
    truth.creates = [
        right if one is right else one.model_copy(update={wrong: value}) for one in truth.creates
    ]

    assert set(verdict(truth.facts)) == {kind}


@FIRST
def test_one_create_id_with_two_contents_is_judged_by_the_one_that_was_recorded(first: bool):
    other = create_payment(amount_minor=5)
    truth = _beside(first, other)
    assert other.command_id == truth.life.create_command_id

    assert verdict(truth.facts) == {}


def test_a_stream_whose_own_create_is_not_on_kafka_was_not_requested_though_its_key_was():
    truth = sold()
    truth.creates = [_another(1099)]

    assert set(verdict(truth.facts)) == {"unrequested_payments"}


def test_a_create_that_was_put_aside_leaves_no_stream_and_one_beside_it_must():
    truth = sold()
    facts = Facts(truth.facts.requested)
    change_commands(facts.requested.creates, put_aside=True)
    assert verdict(facts) == {}

    facts.requested.creates |= sent([_another(1000)])

    assert set(verdict(facts)) == {"lost_payments"}


@FIRST
@pytest.mark.parametrize(
    ("kind", "requested", "other"),
    [
        (CapturePayment, {"amount_minor": 500}, {"amount_minor": 400}),
        (RefundPayment, {"amount_minor": 300}, {"amount_minor": 301}),
        (RefundPayment, {"amount_minor": 300}, {"reason": "another"}),
    ],
)
def test_an_act_requested_with_one_id_and_two_contents_is_judged_by_the_one_that_was_recorded(
    first: bool, kind: type[Any], requested: dict[str, Any], other: dict[str, Any]
):
    truth = sold() if kind is RefundPayment else held()
    truth.ask(kind, **requested)
    truth.done()
    done = truth.commands[0]
    repeated = done.model_copy(update=other)
    truth.commands.insert(0 if first else 1, repeated)
    assert verdict(truth.facts) == {}

    truth.commands.remove(done)

    assert "content_mismatches" in verdict(truth.facts)


def test_an_act_under_the_id_of_the_create_is_no_other_content_of_it():
    truth = sold()
    truth.command(RefundPayment, amount_minor=1)
    truth.commands[0] = truth.commands[0].model_copy(update={"command_id": truth.life.create_command_id})

    assert verdict(truth.facts) == {}
