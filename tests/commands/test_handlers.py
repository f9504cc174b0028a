"""Each command of a merchant: accepted, refused, repeated, and the same id with other content."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from aggregates.status import Status
from commands.messages import (
    CancelPayment,
    CapturePayment,
    CompleteAction,
    Dispute,
    MerchantCommand,
    RecordDispute,
    RefundPayment,
    ResolvePayment,
    RetryStatusQuery,
    ReviewPayment,
    VoidPayment,
)
from tests.support.builders import NOW, create_payment
from tests.support.decider_harness import OUTCOMES, DeciderHarness, authorized, captured, held, say

pytestmark = pytest.mark.stack


def challenged(harness: DeciderHarness, key: str = "order-1") -> UUID:
    command = create_payment(idempotency_key=key)
    harness.run(harness.record(command))
    say(harness, command.payment_id, kind="ACTION_REQUIRED", action_url="https://bank.example/challenge")
    return command.payment_id


def in_doubt(harness: DeciderHarness, key: str = "order-1") -> UUID:
    command = create_payment(idempotency_key=key)
    harness.run(harness.record(command))
    say(harness, command.payment_id, kind="UNKNOWN", code="timeout")
    harness.now = NOW + timedelta(seconds=10)
    return command.payment_id


def of(kind: type, payment: UUID, **fields) -> MerchantCommand:
    return kind(command_id=uuid4(), payment_id=payment, merchant_id="demo", **fields)


def resolve(payment: UUID, **fields) -> ResolvePayment:
    about = {
        "operation_id": f"{payment.hex}-s1",
        "decision": "charged",
        "evidence": "seen on the PSP's page",
        "who": "ada",
    }
    return of(ResolvePayment, payment, **about | fields)


# What is accepted, of a payment that stands so; one that is refused there, and by which rule; and the same
# with other content.
CASES = [
    pytest.param(
        authorized,
        lambda p: of(CapturePayment, p, amount_minor=500),
        (lambda p: of(CapturePayment, p, amount_minor=5000), "capture_exceeds_authorization"),
        {"amount_minor": 501},
        id="capture",
    ),
    pytest.param(
        authorized,
        lambda p: of(VoidPayment, p),
        (lambda p: of(RefundPayment, p), "nothing_captured"),
        None,
        id="void",
    ),
    pytest.param(
        captured,
        lambda p: of(RefundPayment, p, amount_minor=500),
        (lambda p: of(RefundPayment, p, amount_minor=5000), "refund_exceeds_captured"),
        {"amount_minor": 501},
        id="refund",
    ),
    pytest.param(
        challenged,
        lambda p: of(CompleteAction, p),
        (lambda p: of(CompleteAction, p, operation_id="another-s9"), "no_action_required"),
        {"operation_id": "another-s9"},
        id="complete_action",
    ),
    pytest.param(
        authorized,
        lambda p: of(CancelPayment, p),
        (lambda p: of(RefundPayment, p), "nothing_captured"),
        None,
        id="cancel",
    ),
    pytest.param(
        in_doubt,
        resolve,
        (lambda p: resolve(p, operation_id="another-s9"), "not_in_doubt"),
        {"evidence": "heard of it"},
        id="resolve",
    ),
    pytest.param(
        held,
        lambda p: of(ReviewPayment, p, decision="allow", evidence="a call", who="ada"),
        (lambda p: of(RefundPayment, p), "nothing_captured"),
        {"decision": "deny"},
        id="review",
    ),
    pytest.param(
        in_doubt,
        lambda p: of(RetryStatusQuery, p),
        (lambda p: of(RetryStatusQuery, p, operation_id="another-s9"), "nothing_in_doubt"),
        {"operation_id": "another-s9"},
        id="retry_status_query",
    ),
]
Make = Callable[[UUID], MerchantCommand]


def rows(harness: DeciderHarness) -> int:
    return harness.connection.execute("SELECT count(*) FROM command_refusals").fetchone()[0]


@pytest.mark.parametrize(("stands", "accepted", "refused", "other"), CASES)
def test_a_command_is_accepted_and_its_events_carry_its_id(harness, stands, accepted: Make, refused, other):
    payment = stands(harness)
    command = accepted(payment)
    before = harness.payment(payment).version

    reply = harness.run(harness.record(command)).replies[0]

    assert (reply.kind, reply.result, reply.command_id) == ("decision", "accepted", command.command_id)
    assert reply.version == harness.payment(payment).version > before
    assert str(command.command_id) in harness.payment(payment).commands


@pytest.mark.parametrize(("stands", "accepted", "refused", "other"), CASES)
def test_a_command_against_the_rules_is_refused_says_why_and_records_no_event(
    harness, stands, accepted, refused, other
):
    payment = stands(harness)
    before = harness.payment(payment).version
    make, rule = refused
    command = make(payment)

    replies = [harness.run(harness.record(command)).replies[0] for _ in range(2)]

    assert replies[0] == replies[1], "a repeat gets the same reply"
    assert (replies[0].result, replies[0].code, bool(replies[0].detail)) == ("refused", rule, True)
    assert harness.payment(payment).version == before
    assert rows(harness) == 1


@pytest.mark.parametrize(("stands", "accepted", "refused", "other"), CASES)
def test_a_repeated_command_gets_the_same_reply_and_writes_nothing(
    harness, stands, accepted: Make, refused, other
):
    payment = stands(harness)
    command = accepted(payment)
    first = harness.run(harness.record(command)).replies[0]
    before = harness.versions()

    again = harness.run(harness.record(command), harness.record(command)).replies

    assert harness.versions() == before
    assert again == [first, first]


@pytest.mark.parametrize(("stands", "accepted", "refused", "other"), CASES)
def test_the_same_command_id_with_other_content_is_refused_and_the_first_stands(
    harness, stands, accepted: Make, refused, other
):
    payment = stands(harness)
    command = accepted(payment)
    harness.run(harness.record(command))
    before = harness.versions()
    conflicting = (
        command.model_copy(update=other)
        if other
        else RefundPayment(command_id=command.command_id, payment_id=payment, merchant_id="demo")
    )

    reply = harness.run(harness.record(conflicting)).replies[0]
    assert (reply.result, reply.code, reply.path) == ("refused", "idempotency_mismatch", "command_id")
    assert reply.detail.startswith("this command_id was used before")
    assert harness.versions() == before

    assert harness.run(harness.record(command)).replies[0].result == "accepted"


@pytest.mark.parametrize(("stands", "accepted", "refused", "other"), CASES)
def test_another_merchants_payment_is_one_that_does_not_exist(
    harness, stands, accepted: Make, refused, other
):
    payment = stands(harness)
    before = harness.versions()
    stranger = accepted(payment).model_copy(update={"merchant_id": "other"})

    result = harness.run(harness.record(stranger))

    assert (result.replies[0].code, result.letters[0].code) == ("payment_not_found", "payment_not_found")
    assert (result.replies[0].status, result.replies[0].version) == (None, None)
    assert (harness.versions(), rows(harness)) == (before, 0)


def test_a_command_that_was_refused_is_not_accepted_when_it_comes_again_later(harness):
    payment = authorized(harness)
    early = of(RefundPayment, payment, amount_minor=100)
    assert harness.run(harness.record(early)).replies[0].code == "nothing_captured"
    harness.run(harness.record(of(CapturePayment, payment)))
    say(harness, payment)

    reply = harness.run(harness.record(early)).replies[0]

    assert (reply.result, reply.code) == ("refused", "nothing_captured")
    assert reply.status == "CAPTURED", "the present state stands beside the decision"


def test_a_refusal_and_its_repeat_in_one_batch_get_one_reply(harness):
    payment = authorized(harness)
    refund = of(RefundPayment, payment)
    capture = of(CapturePayment, payment)

    replies = harness.run(harness.record(refund), harness.record(capture), harness.record(refund)).replies

    assert [reply.code for reply in replies] == ["nothing_captured", None, "nothing_captured"]
    assert rows(harness) == 1


def test_refunds_of_one_batch_reserve_against_one_another(harness):
    payment = captured(harness)
    refunds = [of(RefundPayment, payment, amount_minor=600) for _ in range(5)]

    replies = harness.run(*[harness.record(refund) for refund in refunds]).replies

    assert [reply.result for reply in replies] == ["accepted", *["refused"] * 4]
    assert replies[1].amounts["refundable_minor"] == 499


@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_that_is_not_positive_is_refused_at_its_field(harness, amount):
    payment = captured(harness)

    reply = harness.run(harness.record(of(RefundPayment, payment, amount_minor=amount))).replies[0]

    assert (reply.code, reply.path) == ("amount_not_positive", "amount_minor")


def test_whoever_requested_an_operation_gets_an_update_on_its_end(harness):
    payment = captured(harness)
    refund = of(RefundPayment, payment)
    started = harness.run(harness.record(refund)).replies[0]

    replies = say(harness, payment)

    assert started.operation_id == f"{payment.hex}-r2"
    ended = [reply for reply in replies if reply.command_id == refund.command_id]
    assert [(reply.kind, reply.operation_id, reply.operation_state) for reply in ended] == [
        ("update", started.operation_id, "APPROVED")
    ]
    assert "REFUNDED" in {reply.status for reply in replies}


def test_an_operation_that_is_tried_again_sends_its_end_to_whoever_requested_it(harness):
    payment = captured(harness)
    refund = of(RefundPayment, payment)
    harness.run(harness.record(refund))
    first = say(harness, payment, kind="NOT_SENT", code="connection_refused", amount_minor=None)
    assert [reply for reply in first if reply.command_id == refund.command_id] == []

    harness.now = NOW + timedelta(seconds=3)
    harness.wake(payment)
    replies = say(harness, payment)

    assert [reply.operation_id for reply in replies if reply.command_id == refund.command_id] == [
        f"{payment.hex}-r3"
    ]


def test_a_dispute_is_recorded_once_and_shows(harness):
    payment = captured(harness)
    dispute = RecordDispute(
        command_id=uuid4(),
        payment_id=payment,
        operation_id=f"{payment.hex}-s1",
        dispute=Dispute(dispute_id="dp_1", state="opened", amount_minor=1099, currency="EUR"),
        observed_at=NOW,
    )
    for _ in range(2):
        harness.run(harness.record(dispute, topic=OUTCOMES))

    assert harness.payment(payment).status is Status.DISPUTED
    assert harness.payment(payment).version == 4
