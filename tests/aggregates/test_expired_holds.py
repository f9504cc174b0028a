"""Holds whose time is over, and sales that end only once the PSP has released their hold."""

from dataclasses import replace
from datetime import timedelta

import pytest

from aggregates import merchant_commands, outcomes, timers
from aggregates.decision import Refused
from aggregates.operation import Balances, OperationState
from aggregates.payment import Payment
from aggregates.routing.route import Route
from aggregates.status import Status
from tests.aggregates.external_moves import LATER, command, questions, resolve, say, shows
from tests.support.builders import (
    NOW,
    ROUTE,
    WEBHOOK_ONLY,
    WHOLE,
    authorized,
    cause,
    operation_of,
    payment,
    report,
)

S = OperationState
# An authorization whose time is over by our clock

OVER = NOW + timedelta(days=7, seconds=1)


HELD = Balances(0, 0, 1099)
VOIDED = OVER + timedelta(minutes=1)


def over(route=ROUTE, shown: Balances | None = HELD) -> Payment:
    """An authorization whose time is over; the PSP was queried, where it can be."""
    made = authorized(route)
    for at in (OVER - timedelta(hours=12), OVER):
        timers.wake(made, route, cause(at))
    if made.approved_attempt.psp.looks_up:
        assert [o.kind for o in made.operations.values()] == ["authorize"]
        shows(made, shown, OVER + timedelta(seconds=1))
    return made


@pytest.mark.parametrize("shown", [HELD, None])
def test_nothing_is_called_released_before_the_psp_has_let_it_go(shown):
    made = over(shown=shown)

    void = made.operations[operation_of(made)]
    assert (void.kind, void.amount.minor, made.status, made.totals.released) == (
        "void",
        1099,
        Status.AUTHORIZED,
        0,
    )
    say(made, S.APPROVED, VOIDED, operation=void.id)

    assert (made.status, made.totals.released) == (Status.EXPIRED, 1099)
    assert made.pending_events[-1].released_minor == 1099
    assert made.next_wake_at(OVER) is None


@pytest.mark.parametrize(("minor", "status"), [(1099, Status.CAPTURED), (900, Status.PARTIALLY_CAPTURED)])
def test_what_was_captured_externally_in_time_is_never_voided_after_it(minor, status):
    made = over(shown=Balances(minor, 0, 0))

    assert [o.kind for o in made.operations.values()] == ["authorize", "capture"]
    assert (made.status, made.totals.captured, made.frozen) == (status, minor, False)
    assert made.next_wake_at(OVER) is None


def test_a_hold_that_the_psp_has_released_by_itself_is_not_voided():
    made = over(shown=Balances(0, 0, 0))

    assert (made.status, made.totals.released, len(made.operations)) == (Status.EXPIRED, 1099, 1)


def test_a_hold_that_our_void_could_not_end_freezes_the_payment():
    made = over()
    say(made, S.DECLINED_HARD, VOIDED, operation=operation_of(made), source="call")
    assert questions(made) == ["confirm", "confirm"]

    shows(made, HELD, VOIDED + timedelta(seconds=1))

    assert (made.status, made.totals.released, made.frozen) == (Status.AUTHORIZED, 0, True)


def test_a_hold_that_the_psp_had_released_before_our_void_is_expired():
    made = over()
    say(made, S.DECLINED_HARD, VOIDED, operation=operation_of(made), source="call")
    say(made, S.EXPIRED, VOIDED + timedelta(seconds=1), source="query", code="canceled")

    assert (made.status, made.totals.released, made.frozen) == (Status.EXPIRED, 1099, False)


@pytest.mark.parametrize("frozen_at", [OVER - timedelta(minutes=1), OVER])
def test_a_timed_void_that_a_freeze_held_back_starts_once_the_freeze_is_over(frozen_at):
    made = authorized()
    timers.wake(made, ROUTE, cause(OVER - timedelta(hours=12)))
    if frozen_at == OVER:
        timers.wake(made, ROUTE, cause(OVER))
    outcomes.take(made, report("nothing-s9", observed_at=frozen_at), ROUTE, cause(frozen_at))
    timers.wake(made, ROUTE, cause(OVER))
    if made.approved_attempt.confirming:
        shows(made, HELD, OVER + timedelta(seconds=1))
    assert (len(made.operations), made.next_wake_at(OVER)) == (1, None)

    resolve(made, "nothing-s9", "not_charged", now=VOIDED)
    again = made.next_wake_at(VOIDED)
    timers.wake(made, ROUTE, cause(again))
    shows(made, HELD, again + timedelta(seconds=1))

    assert [o.kind for o in made.operations.values()] == ["authorize", "void"]
    assert made.operations[operation_of(made)].timed


def test_where_there_is_no_void_the_psp_is_queried_until_it_has_released_it():
    made = over(WHOLE)
    assert (made.status, made.frozen, made.approved_attempt.confirming) == (Status.AUTHORIZED, False, True)

    say(made, S.EXPIRED, OVER + timedelta(minutes=5), source="query", code="refunded_uncaptured")
    assert (made.status, made.totals.released) == (Status.EXPIRED, 1099)


def test_where_the_psp_cannot_be_queried_a_hold_that_stands_freezes_the_payment():
    made = over(WEBHOOK_ONLY)
    say(made, S.DECLINED_HARD, OVER + timedelta(seconds=1), operation=operation_of(made), source="webhook")

    assert (made.status, made.frozen) == (Status.AUTHORIZED, True)


def test_after_its_time_it_is_not_captured_and_may_be_voided_until_we_do_it():
    made = authorized()

    with pytest.raises(Refused, match="authorization_expired"):
        merchant_commands.capture(made, None, command(OVER), final=False)
    merchant_commands.void(made, command(OVER))

    assert made.operations[operation_of(made)].kind == "void"
    timers.wake(made, ROUTE, cause(OVER))
    assert len(made.operations) == 2  # what is being voided is not voided again


# A sale that is an authorization and our capture, at a PSP that tells by webhook how the capture ended

SALE_IN_STEPS = Route((replace(WEBHOOK_ONLY.accounts[0], final_call_by="us"),))


def capture_refused() -> Payment:
    made = payment(SALE_IN_STEPS)
    name = operation_of(made)
    psp = {"psp_id": "adyen_p"}
    say(made, S.PENDING, NOW + timedelta(seconds=1), name, code="authorised", next_step="3", **psp)
    say(made, S.PENDING, NOW + timedelta(seconds=2), name, step="3", code="received", **psp)
    refused = {"source": "webhook", "code": "capture_failed"}
    say(made, S.DECLINED_HARD, NOW + timedelta(seconds=3), name, **refused, **psp)
    return made


def test_a_sale_whose_capture_is_refused_lets_go_of_its_hold_before_it_has_failed():
    made = capture_refused()
    name = operation_of(made)
    assert (made.status, questions(made)[-1]) == (Status.IN_DOUBT, "release")

    ended = {"source": "webhook", "code": "technical_cancel", "psp_id": "adyen_p"}
    say(made, S.EXPIRED, NOW + timedelta(seconds=9), name, **ended)

    assert (made.status, made.operations[name].state) == (Status.FAILED, S.DECLINED_HARD)
    assert made.reason == "capture_failed"


def authorized_sale() -> Payment:
    made = payment(SALE_IN_STEPS)
    authorised = {"code": "authorised", "next_step": "3", "psp_id": "adyen_p"}
    say(made, S.PENDING, NOW + timedelta(seconds=1), operation_of(made), **authorised)
    return made


REFUSED_IN_THE_CALL = {"source": "call", "step": "3", "code": "invalid_request", "repeat_is_useless": True}
NOT_CONFIGURED = {"source": "none", "step": "3", "code": "account_not_configured", "hint": "CONFIG"}
EXPIRED_IN_THE_QUEUE = {"source": "none", "step": "3", "code": "expired"}


@pytest.mark.parametrize(
    ("ended", "state", "status"),
    [
        ({"state": S.NOT_SENT, **REFUSED_IN_THE_CALL}, S.NOT_SENT, Status.FAILED),
        ({"state": S.NOT_SENT, **REFUSED_IN_THE_CALL, "code": "010"}, S.NOT_SENT, Status.PROCESSING),
        ({"state": S.NOT_SENT, **NOT_CONFIGURED}, S.NOT_SENT, Status.FAILED),
        ({"state": S.NOT_SENT, **EXPIRED_IN_THE_QUEUE}, S.NOT_SENT, Status.EXPIRED),
        ({"state": S.PROVEN_ABSENT, "source": "query", "step": "3"}, S.PROVEN_ABSENT, Status.PROCESSING),
        ({"state": S.EXPIRED, "source": "none", "step": "x"}, S.EXPIRED, Status.EXPIRED),
    ],
    ids=[
        "refused in the call",
        "may be tried again",
        "not configured",
        "expired in the queue",
        "never sent",
        "ended by our worker",
    ],
)
def test_a_sale_whose_capture_is_not_executed_ends_once_the_psp_has_released_its_hold(ended, state, status):
    made = authorized_sale()
    name = operation_of(made)
    say(made, at=NOW + timedelta(seconds=2), operation=name, psp_id=None, **ended)
    say(made, at=NOW + timedelta(seconds=3), operation=name, psp_id=None, **ended)
    assert (made.status, questions(made)[1:]) == (Status.IN_DOUBT, ["release"])

    gone = {"source": "webhook", "code": "technical_cancel", "psp_id": "adyen_p"}
    say(made, S.EXPIRED, NOW + timedelta(seconds=9), name, SALE_IN_STEPS, **gone)

    assert (made.operations[name].state, made.status) == (state, status)


def test_a_sale_of_an_order_that_holds_nothing_ends_at_once():
    orders = Route((replace(ROUTE.accounts[0], final_call_by="us"),))
    made = payment(orders)
    name = operation_of(made)
    say(made, S.PENDING, NOW + timedelta(seconds=1), name, next_step="2", psp_id="order_1")

    expired = {"source": "none", "step": "2", "code": "expired", "psp_id": None}
    say(made, S.NOT_SENT, NOW + timedelta(seconds=2), name, **expired)

    assert made.status is Status.EXPIRED


def test_a_failure_that_is_reported_again_does_not_end_a_sale_that_still_holds():
    made = capture_refused()
    again = {"source": "webhook", "code": "capture_failed", "psp_id": "adyen_p"}

    say(made, S.DECLINED_HARD, NOW + timedelta(seconds=4), operation_of(made), **again)

    assert made.status is Status.IN_DOUBT


def test_a_sale_that_is_declined_after_a_challenge_holds_nothing_and_has_failed():
    made = payment(SALE_IN_STEPS)
    name = operation_of(made)
    say(made, S.ACTION_REQUIRED, NOW + timedelta(seconds=1), name, next_step="2", psp_id="adyen_p")
    merchant_commands.customer_returned(made, None, command(NOW + timedelta(seconds=2)), returned={"r": "1"})

    declined = {"source": "webhook", "code": "refused", "psp_id": "adyen_p"}
    say(made, S.DECLINED_HARD, NOW + timedelta(seconds=3), name, **declined)

    assert made.status is Status.FAILED


def test_a_hold_whose_cancel_has_no_response_stays_in_doubt_until_an_operator_is_called():
    made = capture_refused()
    now = LATER
    while now < NOW + timedelta(days=2):
        now = made.next_wake_at(now)
        timers.wake(made, SALE_IN_STEPS, cause(now))

    assert made.status is Status.IN_DOUBT
    assert set(questions(made)[1:]) == {"release"}
    assert "payment.escalated.v1" in [type(event).TOPIC for event in made.pending_events]


def capture_doubted(how: str) -> Payment:
    """A sale in steps that an operator has to look at: what our capture did is not known, or was reported
    twice."""
    made = authorized_sale()
    name = operation_of(made)
    if how == "without a response":
        say(made, S.UNKNOWN, NOW + timedelta(seconds=2), name, source="query", step="3", psp_id=None)
        return made
    fields = {"source": "webhook", "psp_id": "adyen_p"}
    say(made, S.APPROVED, NOW + timedelta(seconds=2), name, **fields)
    say(made, S.DECLINED_HARD, NOW + timedelta(seconds=3), name, code="capture_failed", **fields)
    assert made.frozen
    return made


@pytest.mark.parametrize("how", ["without a response", "failed after it was reported"])
@pytest.mark.parametrize(
    "later", [timedelta(hours=1), timedelta(days=2)], ids=["soon", "once it has expired"]
)
def test_where_an_operator_says_not_charged_of_a_sale_its_hold_is_released_before_it_has_failed(how, later):
    made = capture_doubted(how)
    name = operation_of(made)

    resolve(made, name, "not_charged", now=NOW + later)

    assert (made.status, made.frozen, questions(made)[-1]) == (Status.IN_DOUBT, False, "release")
    gone = {"source": "webhook", "code": "technical_cancel", "psp_id": "adyen_p"}
    say(made, S.EXPIRED, NOW + later + timedelta(seconds=9), name, **gone)
    assert (made.operations[name].state, made.status) == (S.PROVEN_ABSENT, Status.FAILED)


def test_a_hold_that_the_psp_does_not_say_it_released_is_an_operators_to_end():
    made = capture_doubted("failed after it was reported")
    resolve(made, operation_of(made), "not_charged")

    timers.wake(made, SALE_IN_STEPS, cause(made.next_wake_at(LATER)))
    assert (made.status, questions(made)[-2:]) == (Status.IN_DOUBT, ["release"] * 2)
    say(made, S.UNKNOWN, LATER + timedelta(minutes=1), operation_of(made), source="call", step="x")
    resolve(made, operation_of(made), "not_charged", now=LATER + timedelta(days=1))

    assert (made.status, made.operations[operation_of(made)].state) == (Status.FAILED, S.PROVEN_ABSENT)


def voided_beside_a_capture() -> Payment:
    """Our void is under way, and somebody captures externally; the PSP makes a refund of the void."""
    made = authorized()
    merchant_commands.void(made, command())
    return made


def test_a_void_that_the_psp_turned_into_a_refund_is_recorded_as_taken_and_given_back():
    made = voided_beside_a_capture()
    say(made, S.DECLINED_HARD, operation=operation_of(made), psp_id=None, code="refunded_instead")
    assert questions(made) == ["confirm"]

    shows(made, Balances(1099, 1099, 0), LATER + timedelta(minutes=1))

    assert (made.status, made.totals.refunded, made.totals.refundable) == (Status.REFUNDED, 1099, 0)
    assert not made.frozen


@pytest.mark.parametrize(("decision", "frozen"), [("charged", True), ("not_charged", False)])
def test_after_an_operators_decision_on_a_void_the_psp_is_queried_how_the_payment_stands(decision, frozen):
    made = voided_beside_a_capture()
    say(made, S.UNKNOWN, operation=operation_of(made), source="query", psp_id=None, code="captured")

    resolve(made, operation_of(made), decision)

    assert questions(made)[-1] == "confirm"
    shows(made, Balances(1099, 1099, 0), LATER + timedelta(minutes=1))
    assert (made.totals.captured, made.totals.refunded, made.totals.refundable) == (1099, 1099, 0)
    assert made.frozen is frozen
