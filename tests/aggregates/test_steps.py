"""Operations that take several calls, and PSPs that can do less than others."""

from dataclasses import replace
from datetime import timedelta

import pytest

from aggregates import merchant_commands, outcomes, status_queries, timers
from aggregates.decision import Refused
from aggregates.operation import ESCALATE_AFTER, OperationState
from aggregates.payment import Payment
from aggregates.payment_state import ACTION_LIFE
from aggregates.routing.route import Route
from aggregates.status import Status
from tests.aggregates.reports import LATER, newest, say
from tests.support.builders import (
    NOW,
    ORDERS,
    WEBHOOK_ONLY,
    authorized,
    captured,
    cause,
    payment,
    report,
)

S = OperationState


def prepared(route: Route = ORDERS, **fields) -> Payment:
    """Its first call is done, and the one that takes money was requested."""
    made = payment(route, **fields)
    say(made, S.PENDING, route, next_step="2", psp_id="orders/1")
    return made


def waiting(route: Route = ORDERS) -> Payment:
    """For its customer; the next call is ours."""
    made = payment(route)
    say(made, S.ACTION_REQUIRED, route, next_step="2", psp_id="orders/1", action_url="https://psp/approve")
    return made


def test_the_step_that_takes_money_is_requested_as_soon_as_the_one_before_it_is_done():
    made = prepared()

    request = made.pending_events[-1]
    assert (request.how, request.step, request.psp_id) == ("continue", "2", "orders/1")
    assert (newest(made).state, newest(made).step, made.status) == (S.STARTED, "2", Status.PROCESSING)


def test_a_step_without_a_response_is_repeated_as_itself():
    made = prepared()

    timers.wake(made, ORDERS, cause(NOW + timedelta(seconds=31)))

    assert (made.pending_events[-1].how, made.pending_events[-1].step) == ("repeat", "2")


def test_the_end_of_the_last_step_is_the_end_of_the_operation():
    made = prepared()
    say(made, S.APPROVED, step="2", psp_id="orders/1/captures/2")

    assert (made.status, made.totals.captured) == (Status.CAPTURED, 1099)
    assert newest(made).psp_id == "orders/1/captures/2"


@pytest.mark.parametrize("state", [S.UNKNOWN, S.PROVEN_ABSENT, S.NOT_SENT, S.DECLINED_SOFT, S.PENDING])
def test_what_comes_late_of_an_earlier_step_changes_nothing(state: OperationState):
    made = prepared()
    before = made.version

    say(made, state, step="1", now=LATER, observed_at=LATER, source="query")

    assert made.version == before


def test_a_step_that_was_requested_is_not_requested_again_by_a_repeated_report():
    made = prepared()
    before = made.version

    say(made, S.PENDING, next_step="2", psp_id="orders/1", source="webhook")

    assert made.version == before


def test_a_customer_who_comes_back_lets_the_next_step_be_sent_with_what_the_browser_brought():
    made = waiting()

    merchant_commands.customer_returned(made, None, cause(), returned={"redirectResult": "eyJ"})

    request = made.pending_events[-1]
    assert (request.how, request.step, request.returned) == ("continue", "2", {"redirectResult": "eyJ"})
    assert made.status is Status.PROCESSING


def test_a_customer_who_comes_back_twice_lets_it_be_sent_once():
    made = waiting(WEBHOOK_ONLY)
    back = {"redirectResult": "eyJ"}
    merchant_commands.customer_returned(made, None, cause(), returned=back)

    merchant_commands.customer_returned(made, None, cause(), returned=back)

    assert [event.how for event in made.pending_events if hasattr(event, "how")] == ["continue"]


def test_a_customer_who_does_not_come_back_lets_it_be_closed():
    made = waiting(WEBHOOK_ONLY)
    assert made.next_wake_at(NOW) == NOW + ACTION_LIFE

    timers.wake(made, WEBHOOK_ONLY, cause(NOW + ACTION_LIFE))

    assert made.pending_events[-1].how == "cancel"
    assert made.next_wake_at(NOW + ACTION_LIFE) == NOW + ACTION_LIFE + timedelta(seconds=30)


def test_a_customer_who_comes_back_with_nothing_lets_nothing_be_sent():
    made = waiting(WEBHOOK_ONLY)

    merchant_commands.customer_returned(made, None, cause(), returned=None)

    assert [event.how for event in made.pending_events if hasattr(event, "how")] == []
    assert made.status is Status.REQUIRES_ACTION


@pytest.mark.parametrize("state", [S.PENDING, S.ACTION_REQUIRED])
def test_what_only_a_webhook_or_the_customer_can_end_is_not_queried_by_hand(state: OperationState):
    made = payment(WEBHOOK_ONLY)
    say(made, state, WEBHOOK_ONLY)

    with pytest.raises(Refused, match="webhook_only"):
        status_queries.query_now(made, None, cause(LATER))


def test_a_second_authorization_at_a_psp_that_cannot_be_queried_freezes():
    made = payment(WEBHOOK_ONLY)
    say(made, S.PENDING, WEBHOOK_ONLY, next_step="3", psp_id="psp_1")
    say(made, S.APPROVED, WEBHOOK_ONLY, step="3", psp_id="psp_1")

    say(made, S.PENDING, WEBHOOK_ONLY, next_step="3", psp_id="psp_2", source="webhook")

    assert made.frozen


def test_an_authorization_that_comes_after_its_decline_freezes():
    made = payment(WEBHOOK_ONLY)
    say(made, S.DECLINED_HARD, WEBHOOK_ONLY, psp_id=None)

    say(made, S.PENDING, WEBHOOK_ONLY, next_step="3", source="webhook", observed_at=LATER, now=LATER)

    assert made.frozen


@pytest.mark.parametrize("other", [{"amount_minor": 500}, {"currency": "USD"}])
def test_what_was_authorized_for_another_sum_is_not_gone_on_with(other):
    made = payment(WEBHOOK_ONLY)

    say(made, S.PENDING, WEBHOOK_ONLY, next_step="3", source="webhook", **other)

    assert made.frozen
    assert not any(getattr(event, "how", None) == "continue" for event in made.pending_events)


def test_an_approval_by_webhook_of_an_order_that_is_not_ours_is_queried_first():
    ours = Route((replace(ORDERS.accounts[0], final_call_by="us"),))
    made = prepared(ours)

    say(made, S.APPROVED, ours, source="webhook", psp_id="orders/another/captures/1")

    assert (made.status, made.pending_events[-1].how) == (Status.PROCESSING, "query")


def test_a_retry_that_waits_reserves_its_capture():
    made = authorized(ORDERS)
    for amount in (600, 499):
        merchant_commands.capture(made, amount, cause(), final=False)
        say(made, S.APPROVED, psp_id=f"captures/{amount}", amount_minor=amount)
    merchant_commands.refund(made, 600, cause(), reason=None)
    say(made, S.NOT_SENT, psp_id=None, code="connect_failed")

    merchant_commands.refund(made, 499, cause(), reason=None)

    assert newest(made).target == list(made.operations)[2]


def test_a_cancel_between_two_steps_ends_it_before_the_one_that_takes_money():
    made = payment(ORDERS)
    merchant_commands.cancel(made, cause())

    say(made, S.PENDING, next_step="2", psp_id="orders/1")

    assert made.pending_events[-1].how == "cancel"
    say(made, S.EXPIRED, step="x", code="ended_before_its_last_step")
    assert made.status is Status.VOIDED


def test_an_operation_whose_cancel_was_sent_does_not_go_on():
    made = waiting()
    timers.wake(made, ORDERS, cause(NOW + ACTION_LIFE))
    say(made, S.ACTION_REQUIRED, now=NOW + ACTION_LIFE, observed_at=NOW + ACTION_LIFE, next_step="2")
    assert made.pending_events[-1].how == "cancel"

    say(made, S.PENDING, now=NOW + ACTION_LIFE, source="query", next_step="2")

    assert made.pending_events[-1].how == "cancel"


def test_a_frozen_payment_does_not_go_on_to_the_step_that_takes_money():
    made = payment(ORDERS)
    outcomes.take(made, report(f"{made.id.hex}-s9"), ORDERS, cause())

    say(made, S.PENDING, next_step="2", psp_id="orders/1")

    assert not any(getattr(event, "how", None) == "continue" for event in made.pending_events)


def test_what_cannot_be_requested_is_repeated_while_that_is_safe_and_then_cancelled_by_our_reference():
    made = payment(WEBHOOK_ONLY)
    say(made, S.UNKNOWN, WEBHOOK_ONLY, psp_id=None)

    timers.wake(made, WEBHOOK_ONLY, cause(NOW + timedelta(seconds=6)))
    assert made.pending_events[-1].how == "repeat"

    timers.wake(made, WEBHOOK_ONLY, cause(made.expires_at + timedelta(minutes=1)))
    assert made.pending_events[-1].how == "cancel"


def test_what_only_a_webhook_can_end_is_not_queried_and_calls_an_operator_after_a_day():
    made = captured(WEBHOOK_ONLY)
    merchant_commands.refund(made, None, cause(), reason=None)
    say(made, S.PENDING, WEBHOOK_ONLY, psp_id="ref_1")

    assert made.next_wake_at(NOW) == NOW + ESCALATE_AFTER
    timers.wake(made, WEBHOOK_ONLY, cause(NOW + ESCALATE_AFTER))
    escalated = made.pending_events[-1]
    assert (type(escalated).TOPIC, escalated.since) == ("payment.escalated.v1", NOW.isoformat())


def test_the_webhook_of_a_psp_that_cannot_be_queried_is_the_end():
    made = payment(WEBHOOK_ONLY)
    say(made, S.UNKNOWN, WEBHOOK_ONLY, psp_id=None)

    say(made, S.DECLINED_HARD, WEBHOOK_ONLY, source="webhook", code="refused")

    assert made.status is Status.FAILED


def test_the_webhook_of_any_other_is_a_hint():
    made = payment(ORDERS)
    say(made, S.DECLINED_HARD, source="webhook", code="denied")

    assert (made.status, made.pending_events[-1].how) == (Status.PROCESSING, "query")


@pytest.mark.parametrize(("route", "how"), [(WEBHOOK_ONLY, None), (ORDERS, "confirm")])
def test_a_refund_that_failed_after_its_approval_is_confirmed_or_freezes(route: Route, how: str | None):
    made = captured(route)
    merchant_commands.refund(made, None, cause(), reason=None)
    say(made, S.APPROVED, route, psp_id="ref_1")
    assert made.status is Status.REFUNDED

    say(made, S.DECLINED_HARD, route, source="webhook", psp_id="ref_1", observed_at=LATER, now=LATER)

    assert made.frozen is (how is None)
    assert getattr(made.pending_events[-1], "how", None) == how


def test_a_response_to_the_confirmation_freezes_what_the_psp_has_undone():
    made = captured(ORDERS)
    merchant_commands.refund(made, None, cause(), reason=None)
    say(made, S.APPROVED, psp_id="ref_1")
    say(made, S.DECLINED_HARD, source="webhook", psp_id="ref_1", observed_at=LATER, now=LATER)

    after = LATER + timedelta(seconds=1)
    say(made, S.DECLINED_HARD, source="query", psp_id="ref_1", observed_at=after, now=after)

    assert made.frozen
