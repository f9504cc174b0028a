"""What the PSP may still do is waited for, or it is a fault."""

from dataclasses import replace

from aggregates.operation import OperationState
from commands.messages import RefundPayment
from gateways.simulator.core.ledger import Open
from infra.tools.audit.facts import Facts
from tests.infra.tools.audit.truth import Truth, name, sold, verdict
from tests.support.builders import TWO_ACCOUNTS, payment

S = OperationState


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
