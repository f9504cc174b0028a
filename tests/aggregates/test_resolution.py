from datetime import timedelta

import pytest

from aggregates import merchant_commands, status_queries, timers
from aggregates.operation import ESCALATE_AFTER, OperationState
from aggregates.payment import Payment
from aggregates.status import Status
from tests.aggregates.charges import LATER, command, refusal, resolve, say, twice_charged
from tests.support.builders import (
    MULTICAPTURE,
    NOW,
    ROUTE,
    TWO_ACCOUNTS,
    authorized,
    captured,
    cause,
    operation_of,
    payment,
)

S = OperationState


# An operator


def test_an_operator_may_say_that_an_operation_in_doubt_was_charged():
    made = payment()
    name = operation_of(made)
    say(made, name, S.UNKNOWN)
    resolve(made, name, "charged")

    assert (made.status, made.totals.captured) == (Status.CAPTURED, 1099)
    last = [event for event in made.pending_events if type(event).TOPIC == "payment.resolved.v1"][-1]
    assert (last.who, last.evidence) == ("ada", "statement of 22 Nov")


@pytest.mark.parametrize("state", [S.DECLINED_HARD, S.UNKNOWN])
def test_a_duplicate_charge_is_not_forgotten_because_its_refund_has_failed(state):
    made, first, second = twice_charged()
    say(made, first, source="query")
    say(made, second, source="query")
    refund = operation_of(made)
    say(made, refund, state, source="query", code="refused")

    assert refusal(made, refund, "not_charged").code == "still_to_be_given_back"
    resolve(made, refund, "charged")

    assert (made.status, made.frozen, made.totals.captured) == (Status.CAPTURED, False, 1099)


@pytest.mark.parametrize(
    ("how", "ends"), [("sale", Status.REFUNDED), ("late", Status.VOIDED), ("authorized", Status.VOIDED)]
)
def test_what_was_taken_of_a_cancelled_payment_and_cannot_be_given_back_is_an_operators_to_settle(how, ends):
    made = (
        authorized() if how == "authorized" else payment(capture="manual" if how == "late" else "automatic")
    )
    merchant_commands.cancel(made, command())
    if how != "authorized":
        say(made, operation_of(made))
    given_back = operation_of(made)
    say(made, given_back, S.DECLINED_HARD, code="refused")
    assert made.frozen

    assert refusal(made, given_back, "not_charged").code == "still_to_be_given_back"
    resolve(made, given_back, "charged")

    assert (made.status, made.frozen) == (ends, False)


def test_two_charges_are_looked_up_again_soon_however_often_they_were_queried_before():
    made = payment(TWO_ACCOUNTS)
    first = operation_of(made)
    made.operations[first].queries = 6
    say(made, first, S.PROVEN_ABSENT, source="query")
    say(made, operation_of(made))
    say(made, first, source="webhook")
    operation = made.operations[first]

    assert operation.confirming
    assert operation.next_follow_up_at() == LATER + timedelta(seconds=30)


@pytest.mark.parametrize("what", ["capture", "refund"])
def test_what_an_operator_says_was_executed_is_not_tried_again(what):
    made = authorized() if what == "capture" else captured()
    if what == "capture":
        merchant_commands.capture(made, None, command(), final=False)
    else:
        merchant_commands.refund(made, 500, command(), reason=None)
    name = operation_of(made)
    say(made, name, S.NOT_SENT, code="connect_failed")
    say(made, name, source="webhook", amount_minor=made.operations[name].amount.minor)
    assert (made.frozen, list(made.retries)) == (True, [name])

    resolve(made, name, "charged")
    timers.wake(made, TWO_ACCOUNTS, cause(LATER + timedelta(hours=1)))

    assert operation_of(made) == name
    assert not made.frozen


def test_what_was_not_executed_has_no_amount():
    made = payment(TWO_ACCOUNTS)
    name = operation_of(made)
    say(made, name, S.UNKNOWN, source="query")

    assert refusal(made, name, "not_charged", 500).code == "amount_not_possible"
    resolve(made, name, "not_charged")
    assert made.operations[name].state is S.PROVEN_ABSENT


def test_an_operators_decision_prolongs_no_authorization():
    made = authorized()
    until, name = made.authorization_until, operation_of(made)
    say(made, name, S.PROVEN_ABSENT, source="query")
    assert made.frozen

    resolve(made, name, "charged")

    assert (made.status, made.authorization_until) == (Status.AUTHORIZED, until)


def test_an_operator_may_say_that_nothing_was_charged_once_the_psp_was_looked_up():
    made = payment(TWO_ACCOUNTS)
    name = operation_of(made)
    say(made, name, S.UNKNOWN)
    assert refusal(made, name, "not_charged").code == "not_queried_yet"

    say(made, name, S.UNKNOWN, source="query", observed_at=LATER)
    resolve(made, name, "not_charged")
    assert made.status is Status.FAILED
    assert len(made.attempts) == 1, "after an operator's word no attempt starts by itself"


@pytest.mark.parametrize("decision", ["charged", "not_charged"])
def test_an_operator_decides_about_an_operation_that_never_had_a_response_once_it_cannot_be_sent(decision):
    made = payment()
    (operation,) = made.attempts
    status_queries.query_now(made, None, cause(operation.expires_at))
    assert refusal(made, operation.id, "not_charged").code == "not_queried_yet", "not escalated"
    timers.wake(made, ROUTE, cause(NOW + ESCALATE_AFTER))

    resolve(made, operation.id, decision)

    assert made.status is (Status.CAPTURED if decision == "charged" else Status.FAILED)
    assert operation.unknown_since is None


def test_nobody_decides_that_nothing_was_charged_while_the_call_may_still_be_sent():
    made = payment(expires_at=NOW + timedelta(days=3))
    (operation,) = made.attempts
    timers.wake(made, ROUTE, cause(NOW + ESCALATE_AFTER))
    assert operation.escalated

    refused = refusal(made, operation.id, "not_charged")
    assert (refused.code, operation.expires_at.isoformat() in str(refused)) == ("not_queried_yet", True)

    status_queries.query_now(made, None, cause(operation.expires_at))
    resolve(made, operation.id, "not_charged")
    assert made.status is Status.FAILED


def test_what_is_not_in_doubt_is_not_an_operators_to_decide():
    made = payment()
    say(made, operation_of(made))

    assert refusal(made, operation_of(made), "not_charged").code == "not_in_doubt"


def test_an_operator_unfreezes_a_payment_by_deciding_about_what_contradicted():
    made = payment()
    name = operation_of(made)
    say(made, name, S.DECLINED_HARD, code="lost_card")
    say(made, name, source="webhook")
    assert (made.status, made.frozen) == (Status.FAILED, True)

    resolve(made, name, "charged")
    assert (made.status, made.frozen) == (Status.CAPTURED, False)


def test_a_charge_for_no_operation_of_ours_can_only_be_given_back_at_the_psp():
    made = payment()
    say(made, "nothing-s9")
    assert refusal(made, "nothing-s9", "charged").code == "operation_unknown"

    resolve(made, "nothing-s9", "not_charged")
    assert not made.frozen


def test_an_operators_second_charge_is_a_duplicate_and_is_given_back():
    made, first, _ = twice_charged()
    resolve(made, first, "charged")

    assert made.operations[first].duplicate_charge
    assert operation_of(made).endswith("-r3")
    assert not made.frozen


def test_what_was_taken_in_spite_of_a_cancel_is_given_back_when_the_operator_is_done():
    made = payment()
    name = operation_of(made)
    merchant_commands.cancel(made, command())
    say(made, "nothing-s9")
    say(made, name)
    assert len(made.operations) == 1, "a frozen payment starts nothing that moves money"

    resolve(made, "nothing-s9", "not_charged")
    assert operation_of(made).endswith("-r2")


# What an operator may say was executed


def doubtful(kind: str) -> Payment:
    """Its newest operation is in doubt: 1099 of a sale, 500 of what follows one."""
    made = {"sale": payment, "capture": authorized, "refund": captured}[kind]()
    if kind == "capture":
        merchant_commands.capture(made, 500, command(), final=False)
    if kind == "refund":
        merchant_commands.refund(made, 500, command(), reason=None)
    say(made, operation_of(made), S.UNKNOWN)
    return made


@pytest.mark.parametrize(
    ("kind", "amount", "allowed"),
    [
        ("sale", 109_900, "1 to 1099"),
        ("sale", 1100, "1 to 1099"),
        ("sale", 0, "1 to 1099"),
        ("capture", 501, "1 to 500"),
        ("refund", 501, "500 and nothing else"),
        ("refund", 499, "500 and nothing else"),
    ],
)
def test_an_operator_cannot_say_that_more_was_executed_than_was_requested(kind, amount, allowed):
    made = doubtful(kind)

    no = refusal(made, operation_of(made), "charged", amount)
    assert no.code == "amount_not_possible"
    assert f"allowed: {allowed};" in no.detail
    assert str(amount) in no.detail


@pytest.mark.parametrize(
    ("kind", "amount", "captured_minor", "refunded_minor"),
    [
        ("sale", 1099, 1099, 0),
        ("sale", 1, 1, 0),
        ("capture", 500, 500, 0),
        ("capture", 200, 200, 0),
        ("refund", 500, 1099, 500),
    ],
)
def test_what_an_operator_says_was_executed_enters_the_sums(kind, amount, captured_minor, refunded_minor):
    made = doubtful(kind)
    resolve(made, operation_of(made), "charged", amount)

    assert (made.totals.captured, made.totals.refunded) == (captured_minor, refunded_minor)


def test_an_operator_says_no_more_than_the_late_report_did():
    made = payment()
    name = operation_of(made)
    say(made, name, S.DECLINED_HARD, code="lost_card")
    say(made, name, source="webhook", amount_minor=700)

    assert refusal(made, name, "charged", 701).code == "amount_not_possible"
    resolve(made, name, "charged")
    assert made.totals.captured == 700


def test_an_operator_who_names_no_amount_leaves_a_partial_approval_as_it_was():
    made = payment()
    name = operation_of(made)
    say(made, name, amount_minor=700)
    say(made, name, amount_minor=600)

    resolve(made, name, "charged")
    assert (made.totals.captured, made.frozen) == (700, False)


@pytest.mark.parametrize("capture", ["automatic", "manual"])
def test_an_operator_says_no_less_than_what_was_taken_or_given_back_of_it(capture):
    made = payment(MULTICAPTURE, capture=capture)
    name = operation_of(made)
    say(made, name)
    if capture == "manual":
        merchant_commands.capture(made, 500, command(), final=False)
    else:
        merchant_commands.refund(made, 500, command(), reason=None)
    say(made, name, amount_minor=1000, psp_id=made.operations[name].psp_id)

    assert "allowed: 500 to 1099;" in refusal(made, name, "charged", 499).detail
    resolve(made, name, "charged", 500)
    assert made.totals.authorized == 500


# What an operator may not undo


@pytest.mark.parametrize("state", [S.STARTED, S.APPROVED, S.NOT_SENT])
@pytest.mark.parametrize("what", ["capture", "void", "refund"])
def test_what_another_operation_rests_on_was_not_not_charged(what, state):
    made = captured() if what == "refund" else authorized()
    name = operation_of(made)
    match what:
        case "capture":
            merchant_commands.capture(made, 500, command(), final=False)
        case "void":
            merchant_commands.void(made, command())
        case _:
            merchant_commands.refund(made, 500, command(), reason=None)
    resting = made.operations[operation_of(made)]
    if state is not S.STARTED:
        say(made, resting.id, state, amount_minor=resting.amount.minor)
    say(made, name, amount_minor=1000, psp_id=made.operations[name].psp_id)
    assert made.frozen

    no = refusal(made, name, "not_charged")
    assert no.code == "operation_in_use"
    assert f"{resting.id} of {resting.amount.minor}" in no.detail

    resolve(made, name, "charged")
    assert not made.frozen


def test_what_rested_on_it_and_was_not_executed_is_no_obstacle():
    made = authorized()
    name = operation_of(made)
    merchant_commands.capture(made, 500, command(), final=False)
    say(made, operation_of(made), S.DECLINED_HARD)
    say(made, name, amount_minor=1000, psp_id=made.operations[name].psp_id)

    resolve(made, name, "not_charged")
    assert (made.status, made.totals.authorized) == (Status.FAILED, 0)


def test_a_capture_that_was_given_back_was_not_not_charged():
    made = authorized()
    merchant_commands.capture(made, 500, command(), final=False)
    name = operation_of(made)
    say(made, name, amount_minor=500)
    merchant_commands.refund(made, 1, command(), reason=None)
    say(made, name, amount_minor=400)

    no = refusal(made, name, "not_charged")
    assert no.code == "operation_in_use"
    assert operation_of(made) in no.detail


@pytest.mark.parametrize(
    ("capture", "state", "status"),
    [("automatic", S.ACTION_REQUIRED, Status.CAPTURED), ("manual", S.STARTED, Status.EXPIRED)],
)
def test_a_charge_is_not_undone_while_another_attempt_may_still_charge(capture, state, status):
    """Else what was CAPTURED would require an action, and what had EXPIRED would be under way again."""
    made = payment(TWO_ACCOUNTS, capture=capture)
    first = operation_of(made)
    say(made, first, S.PROVEN_ABSENT, source="query")
    second = operation_of(made)
    if state is not S.STARTED:
        say(made, second, state)
    say(made, first, source="webhook")
    resolve(made, first, "charged")
    if status is Status.EXPIRED:
        say(made, first, S.EXPIRED, source="query")
    say(made, first, currency="USD", psp_id=None)
    assert (made.status, made.frozen) == (status, True)

    no = refusal(made, first, "not_charged")
    assert no.code == "attempt_in_flight"
    assert f"{second} of 1099 ({state})" in no.detail

    say(made, second, S.DECLINED_HARD)
    resolve(made, first, "not_charged")
    assert made.status is Status.FAILED
