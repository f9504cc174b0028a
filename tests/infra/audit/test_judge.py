"""Each way in which two sources can disagree, planted in a payment of which all tell the same; and each state that is
no fault."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from aggregates import doubt, reports, wakes
from aggregates.operation import OperationState
from commands.messages import CapturePayment, RefundPayment, VoidPayment
from gateways.simulator.ledger import Open
from infra.audit.facts import Facts, Parked, Recorded
from tests.controls import NOW, ORDERS, TWO_ACCOUNTS, cause, payment, report
from tests.infra.audit.truth import Truth, doubts, held, lived, movement, name, sold, verdict

S = OperationState

# A payment, what is planted, and the kinds of finding that have to follow.
Plant = Callable[[Truth], Facts | None]
PLANTS: dict[str, tuple[Callable[[], Truth], Plant, set[str]]] = {}


def plant(story: Callable[[], Truth], *kinds: str) -> Callable[[Plant], Plant]:
    def add(act: Plant) -> Plant:
        PLANTS[act.__name__] = story, act, set(kinds)
        return act

    return add


def _without(truth: Truth, short: str) -> None:
    truth.movements = [one for one in truth.movements if one.reference != name(short)]


def _change(truth: Truth, short: str, **other: object) -> None:
    truth.movements = [
        replace(one, **other) if one.reference == name(short) else one for one in truth.movements
    ]


@plant(sold, "double_charges")
def a_second_charge_for_one_sale(truth):
    truth.move(name("s1"), intent_id="pi_again")


@plant(held, "double_charges")
def a_second_authorization_for_one_operation(truth):
    truth.move(name("a1"), intent_id="pi_again")


@plant(lived, "double_charges")
def a_capture_done_twice(truth):
    truth.move(name("c2"))


@plant(lived, "double_charges", "amount_mismatches")
def more_captured_than_was_authorized(truth):
    _change(truth, "a1", amount_minor=899)


@plant(lived, "double_charges", "amount_mismatches")
def more_refunded_than_was_captured(truth):
    _change(truth, "r5", amount_minor=901)


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
    _without(truth, "c3")


@plant(lived, "lost_payments")
def a_lost_void(truth):
    _without(truth, "v4")


@plant(lived, "lost_payments")
def a_lost_refund(truth):
    _without(truth, "r5")


@plant(sold, "amount_mismatches")
def a_charge_of_another_amount(truth):
    _change(truth, "s1", amount_minor=1100)


@plant(sold, "amount_mismatches")
def a_charge_in_another_currency(truth):
    _change(truth, "s1", currency="USD")


@plant(sold, "amount_mismatches")
def a_charge_that_is_no_whole_number_of_units(truth):
    _change(truth, "s1", amount_minor=None)


@plant(held, "amount_mismatches")
def an_authorization_of_another_amount(truth):
    _change(truth, "a1", amount_minor=1098)


@plant(lived, "amount_mismatches")
def a_capture_of_another_amount(truth):
    _change(truth, "c3", amount_minor=399)


@plant(lived, "amount_mismatches")
def a_void_of_another_amount(truth):
    _change(truth, "v4", amount_minor=198)


@plant(lived, "amount_mismatches")
def a_refund_of_another_amount(truth):
    _change(truth, "r5", amount_minor=299)


@plant(lived, "amount_mismatches")
def a_refund_done_twice(truth):
    truth.move(name("r5"))


@plant(lived, "amount_mismatches")
def a_release_beside_a_capture_that_no_sum_knows(truth):
    truth.move(name("c2"), 1, kind="released")


@plant(lived, "content_mismatches")
def a_refund_of_another_payment(truth):
    _change(truth, "r5", intent_reference=name("s1"))


@plant(sold, "content_mismatches")
def a_charge_under_another_id_than_is_recorded(truth):
    _change(truth, "s1", intent_id="pi_other")


@plant(lived, "content_mismatches")
def a_refund_under_another_id_than_is_recorded(truth):
    _change(truth, "r5", psp_id="re_other")


@plant(lived, "lost_payments")
def a_command_that_left_no_trace(truth):
    truth.command(RefundPayment, amount_minor=1)


@plant(lived, "lost_payments")
def a_refusal_that_is_gone(truth):
    truth.refused.clear()


@plant(lived, "unasked_payments")
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
    late = facts.asked.commands[truth.commands[-1].command_id]
    facts.asked.commands[late.command_id] = replace(late, read=False)
    return facts


@plant(sold, "unasked_payments")
def a_stream_that_nobody_asked_for(truth):
    facts = truth.facts
    facts.asked.create = None
    return facts


@plant(sold, "amount_mismatches")
def a_create_for_another_amount(truth):
    facts = truth.facts
    assert facts.asked.create is not None
    facts.asked.create = replace(facts.asked.create, amount_minor=1098)
    return facts


@plant(sold, "content_mismatches")
def a_create_of_other_content(truth):
    facts = truth.facts
    assert facts.asked.create is not None
    facts.asked.create = replace(facts.asked.create, fingerprint="0000")
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


def test_two_charges_without_any_stream_are_double():
    truth = sold()
    truth.move(name("s1"), intent_id="pi_again")
    facts = truth.facts
    facts.recorded = facts.shown = None

    assert "double_charges" in verdict(facts)


# What the read models show


@pytest.mark.parametrize("column", list(sold().facts.shown.columns))  # type: ignore[union-attr]
def test_every_column_of_a_payment_is_compared(column):
    facts = lived().facts
    assert facts.shown is not None
    facts.shown = replace(facts.shown, columns=dict(facts.shown.columns) | {column: "another"})

    assert set(verdict(facts)) == {"read_model_mismatches"}


@pytest.mark.parametrize("column", list(sold().facts.shown.operations[name("s1")]))  # type: ignore[union-attr]
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


# What is under way, and what is at rest


@pytest.mark.parametrize("state", [S.STARTED, S.PENDING])
def test_an_operation_under_way_is_unsettled_in_whatever_state_the_payment_rests(state):
    truth = sold()
    truth.ask(RefundPayment, amount_minor=1)
    if state is S.PENDING:
        truth.tell(name("r2"), state)

    assert verdict(truth.facts) == {"unsettled": [f"{name('r2')} is still {state}"]}


def test_a_planned_retry_is_unsettled():
    truth = held()
    truth.ask(CapturePayment)
    truth.tell(name("c2"), S.NOT_SENT, code="connect_refused")

    (why,) = verdict(truth.facts)["unsettled"]

    assert why.startswith(f"{name('c2')} is tried again at")


def test_money_that_moved_before_its_outcome_was_read_is_only_unsettled():
    truth = held()
    truth.ask(CapturePayment)
    truth.move(name("c2"))

    assert set(verdict(truth.facts)) == {"unsettled"}


@pytest.mark.parametrize(
    ("state", "source"),
    [(S.NOT_SENT, "call"), (S.DECLINED_HARD, "call"), (S.EXPIRED, "query"), (S.PROVEN_ABSENT, "query")],
)
def test_money_that_moved_for_what_is_recorded_as_not_executed_is_lost(state, source):
    truth = held()
    truth.ask(VoidPayment)
    truth.tell(name("v2"), state, source=source, hint="CONFIG")
    assert set(verdict(truth.facts)) == set()

    truth.move(name("v2"))

    assert set(verdict(truth.facts)) == {"lost_payments"}


def _seen_open_after_its_time(truth: Truth, challenged: str) -> None:
    over = NOW + timedelta(hours=2)
    wakes.wake(truth.life, truth.route, cause(over))
    truth.tell(challenged, S.ACTION_REQUIRED, source="query", observed_at=over)


def test_a_payment_that_waits_for_its_customer_is_at_rest_until_its_challenge_is_being_ended():
    truth = Truth()
    truth.tell(name("s1"), S.ACTION_REQUIRED)
    assert verdict(truth.facts) == {}

    _seen_open_after_its_time(truth, name("s1"))

    assert verdict(truth.facts) == {"unsettled": [f"the challenge of {name('s1')} is being ended at the PSP"]}


def test_what_a_cancelled_challenge_had_authorized_and_let_go_again_is_no_fault():
    truth = Truth(life=payment(capture="manual"))
    truth.tell(name("a1"), S.ACTION_REQUIRED)
    _seen_open_after_its_time(truth, name("a1"))
    truth.tell(name("a1"), S.EXPIRED, step="x", code="canceled")
    truth.move(name("a1"))
    assert set(verdict(truth.facts)) == {"lost_payments"}

    truth.move(name("a1"), kind="released")

    assert verdict(truth.facts) == {}


def test_an_authorization_that_expired_by_our_clock_need_not_be_released_at_the_psp_yet():
    truth = held()
    wakes.wake(truth.life, truth.route, cause(NOW + timedelta(days=6)))
    wakes.wake(truth.life, truth.route, cause(NOW + timedelta(days=8)))

    assert truth.life.status == "EXPIRED"
    assert verdict(truth.facts) == {}


def test_a_partial_approval_is_compared_with_what_was_approved():
    truth = Truth(life=payment(capture="manual"))
    truth.tell(name("a1"), amount_minor=600)
    truth.move(name("a1"), 600)

    assert verdict(truth.facts) == {}


def test_the_rest_that_a_last_capture_releases_is_in_the_sums():
    truth = held()
    truth.ask(CapturePayment, amount_minor=1000, final=True)
    truth.done()
    assert set(verdict(truth.facts)) == {"amount_mismatches"}

    truth.move(name("c2"), 99, kind="released")

    assert verdict(truth.facts) == {}


def test_a_command_is_accounted_for_by_its_dead_letter_or_its_place_behind_a_parked_stream():
    truth = sold()
    command = truth.command(RefundPayment, amount_minor=1)
    facts = truth.facts
    facts.asked.commands[command.command_id] = replace(
        facts.asked.commands[command.command_id], put_aside=True
    )
    assert verdict(facts) == {}

    facts = truth.facts
    facts.parked = Parked("KeyError at apply:1", frozenset({"payments.commands/0/1"}))
    assert set(verdict(facts)) == {"in_doubt"}


# In doubt


def test_an_unknown_outcome_is_in_doubt_with_its_code_whether_or_not_the_psp_did_it():
    truth = sold()
    truth.ask(RefundPayment)
    truth.tell(name("r2"), S.UNKNOWN, code="read_timeout")
    facts = truth.facts
    assert facts.recorded is not None
    facts.recorded = replace(facts.recorded, codes={name("r2"): "read_timeout"})

    (found,) = doubts(facts)
    assert found.why == f"the outcome of {name('r2')} is not known yet (read_timeout)"
    assert set(verdict(facts)) == {"in_doubt"}
    truth.move(name("r2"))
    assert set(verdict(truth.facts)) == {"in_doubt"}


def test_what_is_in_doubt_excuses_nothing_else():
    truth = lived()
    truth.ask(RefundPayment, amount_minor=1)
    truth.tell(list(truth.life.operations)[-1], S.UNKNOWN)
    _without(truth, "c2")

    assert set(verdict(truth.facts)) == {"in_doubt", "lost_payments"}


def test_more_than_was_asked_for_is_a_mismatch_whatever_the_outcome_will_be():
    truth = Truth()
    truth.tell(name("s1"), S.UNKNOWN)
    truth.move(name("s1"), 1100)

    assert set(verdict(truth.facts)) == {"in_doubt", "amount_mismatches"}


def test_after_a_day_a_payment_in_doubt_is_in_the_manual_queue():
    truth = Truth()
    truth.tell(name("s1"), S.UNKNOWN)
    wakes.wake(truth.life, truth.route, cause(NOW + timedelta(hours=25)))

    (found,) = doubts(truth.facts)

    assert found.doubt == "manual_queue"
    assert set(verdict(truth.facts)) == {"in_doubt"}


def test_a_contradiction_is_in_doubt_and_says_why():
    truth = sold()
    truth.tell(name("s1"), amount_minor=1200)
    facts = truth.facts
    assert facts.recorded is not None
    facts.recorded = replace(facts.recorded, contradictions={name("s1"): "approved for another amount"})
    _change(truth, "s1", amount_minor=1200)

    (found,) = doubts(facts)

    assert found.doubt == "frozen"
    assert "approved for another amount" in found.why
    assert set(verdict(truth.facts)) == {"in_doubt"}


def test_a_parked_payment_is_in_doubt_also_without_a_stream_that_can_be_replayed():
    facts = sold().facts
    facts.parked = Parked("KeyError at apply:1", frozenset())
    facts.recorded = Recorded(3, broken="KeyError at version 3")

    assert verdict(facts) == {"in_doubt": ["parked: KeyError at apply:1"]}


# An extra charge


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
        reports.take(truth.life, later, truth.route, cause(NOW + timedelta(minutes=2)))


def test_an_extra_charge_that_nobody_found_is_double():
    assert "double_charges" in verdict(_charged_twice().facts)


def test_an_extra_charge_is_in_doubt_until_it_is_given_back_and_counted_apart_then():
    truth = _charged_twice()
    _confirm(truth)
    assert set(verdict(truth.facts)) == {"in_doubt", "unsettled"}
    assert [one.doubt for one in doubts(truth.facts)] == ["extra_charge"]

    truth.done(name("r3"))

    assert truth.life.status == "CAPTURED"
    assert verdict(truth.facts) == {"extra_charges_returned": [f"pi_1 for {name('s1')} was given back"]}


def test_an_extra_charge_recorded_as_given_back_that_the_psp_still_has_is_double():
    truth = _charged_twice()
    _confirm(truth)
    truth.tell(name("r3"))

    assert set(verdict(truth.facts)) == {"double_charges", "lost_payments"}


def test_an_extra_charge_that_could_not_be_given_back_waits_for_a_person():
    truth = _charged_twice()
    _confirm(truth)
    truth.tell(name("r3"), S.DECLINED_HARD, code="refund_failed")

    assert set(verdict(truth.facts)) == {"in_doubt"}
    assert {one.doubt for one in doubts(truth.facts)} == {"frozen", "extra_charge"}


def test_a_charge_given_back_by_hand_and_resolved_by_a_person_is_no_fault():
    truth = _charged_twice()
    truth.tell(name("s1"))
    truth.move(name("s1"), kind="refunded", reference="")
    assert "double_charges" not in verdict(truth.facts)

    doubt.resolve(
        truth.life,
        name("s1"),
        "not_charged",
        None,
        evidence="refunded in the PSP's own console",
        who="ann",
        cause=cause(NOW + timedelta(minutes=3), uuid4()),
    )

    assert verdict(truth.facts) == {}


def test_what_one_payment_took_and_gave_back_may_be_as_much_as_two():
    truth = sold()
    truth.ask(RefundPayment)
    truth.done()

    assert truth.life.status == "REFUNDED"
    assert verdict(truth.facts) == {}


def test_a_movement_for_a_payment_that_was_rejected_is_lost():
    truth = Truth(life=payment(expires_at=NOW))
    sale = movement(sold().life.operations[name("s1")])
    assert truth.life.status == "REJECTED"

    truth.movements.append(sale)

    assert set(verdict(truth.facts)) == {"lost_payments"}


def _open(short: str, psp_id: str, **other: str) -> Open:
    fields = {
        "gateway": "stripe",
        "status": "requires_action",
        "account": "default",
        "intent_id": psp_id,
        "reference": name(short),
        "intent_reference": name(short),
    }
    return Open(psp_id=psp_id, **fields | other)


def test_an_intent_that_can_still_be_charged_after_its_operation_ended_is_a_fault():
    truth = Truth(TWO_ACCOUNTS, payment(TWO_ACCOUNTS))
    truth.tell(name("s1"), S.DECLINED_HARD, amount_minor=None)

    found = verdict(replace(truth.facts, still_open=[_open("s1", "pi_1")]))

    assert found == {
        "able_to_charge_later": [f"pi_1 is requires_action at the PSP, and {name('s1')} is DECLINED_HARD"]
    }


def test_an_intent_that_can_still_be_charged_beside_the_one_that_paid_is_a_fault():
    found = verdict(replace(sold().facts, still_open=[_open("s1", "pi_again", status="processing")]))

    assert set(found) == {"able_to_charge_later"}


def test_an_intent_that_no_event_records_and_that_can_be_charged_is_a_fault():
    assert set(verdict(replace(sold().facts, still_open=[_open("s9", "pi_9")]))) == {"able_to_charge_later"}
    assert "able_to_charge_later" in verdict(Facts(still_open=[_open("s1", "pi_1")]))


def test_a_pending_refund_whose_operation_failed_is_a_fault():
    truth = sold()
    truth.ask(RefundPayment, amount_minor=300)
    truth.tell(name("r2"), S.DECLINED_HARD, amount_minor=None)
    pending = _open("r2", "re_2", status="pending", intent_id="pi_1", intent_reference=name("s1"))

    assert set(verdict(replace(truth.facts, still_open=[pending]))) == {"able_to_charge_later"}


def test_an_intent_whose_operation_waits_for_it_is_no_fault():
    truth = Truth(life=payment())
    truth.tell(name("s1"), S.PENDING, amount_minor=None)

    assert "able_to_charge_later" not in verdict(replace(truth.facts, still_open=[_open("s1", "pi_1")]))


# PSPs that need several calls


def test_a_sale_that_holds_first_and_takes_then_is_no_fault():
    truth = sold()
    truth.movements.insert(0, replace(truth.movements[0], kind="authorized"))

    assert verdict(truth.facts) == {}


def test_an_authorization_that_holds_twice_is_one_too_many():
    truth = held()
    truth.movements.append(replace(truth.movements[0], kind="captured"))

    assert verdict(truth.facts)["lost_payments"]


def test_a_refund_of_one_of_several_captures_is_about_what_was_authorized():
    truth = Truth(ORDERS, payment(ORDERS, capture="manual"))
    truth.done(name("a1"))
    truth.ask(CapturePayment, amount_minor=500)
    truth.done()
    truth.ask(RefundPayment, amount_minor=500)
    assert list(truth.life.operations.values())[-1].target == name("c2")
    truth.tell(name("r3"))
    truth.move(name("r3"), intent_id="pi_1", intent_reference=name("a1"))

    assert verdict(truth.facts) == {}
    truth.movements[-1] = replace(truth.movements[-1], intent_reference=name("r3"))
    assert verdict(truth.facts)["content_mismatches"]
