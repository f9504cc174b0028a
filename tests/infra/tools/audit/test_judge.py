"""Each way in which two sources can disagree, planted in a payment of which all tell the same; and each
state that is no fault."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from aggregates.operation import OperationState
from commands.messages import RefundPayment
from infra.tools.audit.facts import Facts, Recorded
from tests.infra.tools.audit.truth import (
    Truth,
    change,
    change_commands,
    held,
    lived,
    name,
    sold,
    verdict,
    without,
)

S = OperationState

# A payment, what is planted, and the kinds of finding that have to follow.
Plant = Callable[[Truth], Facts | None]
PLANTS: dict[str, tuple[Callable[[], Truth], Plant, set[str]]] = {}


def plant(story: Callable[[], Truth], *kinds: str) -> Callable[[Plant], Plant]:
    def add(act: Plant) -> Plant:
        PLANTS[act.__name__] = story, act, set(kinds)
        return act

    return add


@plant(sold, "double_charges")
def a_second_charge_for_one_sale(truth):
    truth.move(name("s1"), intent_id="pi_again")


@plant(sold, "double_charges")
def a_second_charge_for_one_sale_under_the_same_id_at_the_psp(truth):
    truth.move(name("s1"))


@plant(held, "double_charges")
def a_second_authorization_for_one_operation_under_the_same_id_at_the_psp(truth):
    truth.move(name("a1"))


@plant(held, "double_charges")
def a_second_authorization_for_one_operation(truth):
    truth.move(name("a1"), intent_id="pi_again")


@plant(lived, "double_charges")
def a_capture_done_twice(truth):
    truth.move(name("c2"))


@plant(lived, "double_charges", "amount_mismatches")
def more_captured_than_was_authorized(truth):
    change(truth, "a1", amount=Decimal("8.99"))


@plant(lived, "double_charges", "amount_mismatches")
def more_refunded_than_was_captured(truth):
    change(truth, "r5", amount=Decimal("9.01"))


@plant(sold, "lost_payments", "double_charges")
def a_charge_for_an_operation_that_nobody_started(truth):
    truth.move(name("s1"), intent_reference=name("s2"), reference=name("s2"), intent_id="pi_2")


@plant(lived, "lost_payments")
def a_capture_that_no_event_records(truth):
    truth.move(name("c2"), 1, reference=name("c9"))


@plant(lived, "lost_payments")
def a_refund_that_no_event_records(truth):
    truth.move(name("r5"), 1, reference=name("r9"))


@plant(held, "lost_payments")
def a_release_that_no_event_records(truth):
    truth.move(name("a1"), kind="released", reference=name("v9"))


@plant(sold, "lost_payments")
def a_refund_by_hand_of_what_the_payment_is_recorded_to_keep(truth):
    truth.move(name("s1"), kind="refunded", reference="")


@plant(sold, "lost_payments")
def money_moved_the_other_way_under_the_name_of_a_sale(truth):
    truth.move(name("s1"), 1, kind="refunded")


@plant(sold, "lost_payments")
def a_sale_without_its_charge(truth):
    truth.movements.clear()


@plant(held, "lost_payments")
def an_authorization_that_the_psp_does_not_have(truth):
    truth.movements.clear()


@plant(lived, "lost_payments")
def a_lost_capture(truth):
    without(truth, "c3")


@plant(lived, "lost_payments")
def a_lost_void(truth):
    without(truth, "v4")


@plant(lived, "lost_payments")
def a_lost_refund(truth):
    without(truth, "r5")


@plant(sold, "amount_mismatches")
def a_charge_of_another_amount(truth):
    change(truth, "s1", amount=Decimal("11.00"))


@plant(sold, "amount_mismatches")
def a_charge_in_another_currency(truth):
    change(truth, "s1", currency="USD")


@plant(sold, "amount_mismatches")
def a_charge_that_is_no_whole_number_of_units(truth):
    change(truth, "s1", amount=Decimal("10.985"))


@plant(held, "amount_mismatches")
def an_authorization_of_another_amount(truth):
    change(truth, "a1", amount=Decimal("10.98"))


@plant(lived, "amount_mismatches")
def a_capture_of_another_amount(truth):
    change(truth, "c3", amount=Decimal("3.99"))


@plant(lived, "amount_mismatches")
def a_void_of_another_amount(truth):
    change(truth, "v4", amount=Decimal("1.98"))


@plant(lived, "amount_mismatches")
def a_refund_of_another_amount(truth):
    change(truth, "r5", amount=Decimal("2.99"))


@plant(lived, "amount_mismatches")
def a_refund_done_twice(truth):
    truth.move(name("r5"))


@plant(lived, "amount_mismatches")
def a_release_beside_a_capture_that_no_sum_knows(truth):
    truth.move(name("c2"), 1, kind="released")


@plant(lived, "content_mismatches")
def a_refund_of_another_payment(truth):
    change(truth, "r5", intent_reference=name("s1"))


@plant(sold, "content_mismatches")
def a_charge_under_another_id_than_is_recorded(truth):
    change(truth, "s1", intent_id="pi_other")


@plant(lived, "content_mismatches")
def a_refund_under_another_id_than_is_recorded(truth):
    change(truth, "r5", psp_id="re_other")


@plant(lived, "lost_payments")
def a_command_that_left_no_trace(truth):
    truth.command(RefundPayment, amount_minor=1)


@plant(lived, "lost_payments")
def a_refusal_that_is_gone(truth):
    truth.refused.clear()


@plant(lived, "unrequested_payments")
def an_operation_that_nobody_asked_for(truth):
    truth.commands.pop(0)


@plant(lived, "amount_mismatches")
def a_command_carried_out_for_another_amount(truth):
    truth.life.operations[name("r5")].command_id = str(truth.commands[0].command_id)


@plant(lived, "content_mismatches")
def a_command_recorded_with_other_content(truth):
    truth.life.commands[str(truth.commands[0].command_id)] = "0000"


@plant(lived, "unsettled")
def a_command_that_was_not_read_yet(truth):
    truth.command(RefundPayment, amount_minor=1)
    facts = truth.facts
    change_commands(facts.requested.commands, read=False)
    return facts


@plant(sold, "unrequested_payments")
def a_stream_that_nobody_asked_for(truth):
    facts = truth.facts
    facts.requested.creates.clear()
    return facts


@plant(sold, "amount_mismatches")
def a_create_for_another_amount(truth):
    facts = truth.facts
    change_commands(facts.requested.creates, amount_minor=1098)
    return facts


@plant(sold, "content_mismatches")
def a_create_of_other_content(truth):
    facts = truth.facts
    change_commands(facts.requested.creates, fingerprint="0000")
    return facts


@plant(sold, "lost_payments")
def a_stream_that_cannot_be_replayed(truth):
    facts = truth.facts
    facts.recorded = Recorded(3, broken="KeyError at version 3")
    return facts


@pytest.mark.parametrize("planted", PLANTS)
def test_what_is_wrong_is_named_by_its_kind_and_nothing_else_is(planted):
    story, act, kinds = PLANTS[planted]
    truth = story()
    assert verdict(truth.facts) == {}

    facts = act(truth) or truth.facts

    assert set(verdict(facts)) == kinds, verdict(facts)


def test_a_stream_that_is_gone_is_lost_moved_and_still_shown():
    facts = sold().facts
    facts.recorded = None

    found = verdict(facts)

    assert set(found) == {"lost_payments", "read_model_mismatches"}
    assert len(found["lost_payments"]) == 2


@pytest.mark.parametrize("intent", ["pi_1", "pi_again"])
def test_two_charges_without_any_stream_are_double(intent: str):
    truth = sold()
    truth.move(name("s1"), intent_id=intent)
    facts = truth.facts
    facts.recorded = facts.shown = None

    assert "double_charges" in verdict(facts)
