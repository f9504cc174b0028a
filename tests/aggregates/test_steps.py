"""Operations that take several calls, and PSPs that can do less than others."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from aggregates import merchant_commands, outcomes, resolution, timers
from aggregates.decision import Refused
from aggregates.operation import ESCALATE_AFTER, OperationState
from aggregates.payment import Payment
from aggregates.payment_state import ACTION_LIFE
from aggregates.routing import Route
from aggregates.status import Status
from tests.support.controls import (
    NOW,
    ORDERS,
    ROUTE,
    TOLD,
    WHOLE,
    authorized,
    captured,
    cause,
    operation_of,
    payment,
    report,
)

S = OperationState
LATER = NOW + timedelta(seconds=9)


def say(made: Payment, state: OperationState, route: Route = ORDERS, now=NOW, **other) -> None:
    outcomes.take(made, report(operation_of(made), state, **other), route, cause(now))


def prepared(route: Route = ORDERS, **asked) -> Payment:
    """Its first call is done, and the one that takes money was asked for."""
    made = payment(route, **asked)
    say(made, S.PENDING, route, next_step="2", psp_id="orders/1")
    return made


def waiting(route: Route = ORDERS) -> Payment:
    """For its customer; the next call is ours."""
    made = payment(route)
    say(made, S.ACTION_REQUIRED, route, next_step="2", psp_id="orders/1", action_url="https://psp/approve")
    return made


def newest(made: Payment):
    return made.operations[operation_of(made)]


def test_the_step_that_takes_money_is_asked_for_as_soon_as_the_one_before_it_is_done():
    made = prepared()

    asked = made.pending_events[-1]
    assert (asked.how, asked.step, asked.psp_id) == ("continue", "2", "orders/1")
    assert (newest(made).state, newest(made).step, made.status) == (S.STARTED, "2", Status.PROCESSING)


def test_a_step_without_an_answer_is_repeated_as_itself():
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


def test_a_step_that_was_asked_for_is_not_asked_for_again_by_a_repeated_report():
    made = prepared()
    before = made.version

    say(made, S.PENDING, next_step="2", psp_id="orders/1", source="webhook")

    assert made.version == before


def test_a_customer_who_comes_back_lets_the_next_step_be_sent_with_what_the_browser_brought():
    made = waiting()

    merchant_commands.customer_returned(made, None, cause(), returned={"redirectResult": "eyJ"})

    asked = made.pending_events[-1]
    assert (asked.how, asked.step, asked.returned) == ("continue", "2", {"redirectResult": "eyJ"})
    assert made.status is Status.PROCESSING


def test_a_customer_who_comes_back_twice_lets_it_be_sent_once():
    made = waiting(TOLD)
    back = {"redirectResult": "eyJ"}
    merchant_commands.customer_returned(made, None, cause(), returned=back)

    merchant_commands.customer_returned(made, None, cause(), returned=back)

    assert [event.how for event in made.pending_events if hasattr(event, "how")] == ["continue"]


def test_a_customer_who_does_not_come_back_lets_it_be_closed():
    made = waiting(TOLD)
    assert made.next_wake_at(NOW) == NOW + ACTION_LIFE

    timers.wake(made, TOLD, cause(NOW + ACTION_LIFE))

    assert made.pending_events[-1].how == "cancel"
    assert made.next_wake_at(NOW + ACTION_LIFE) == NOW + ACTION_LIFE + timedelta(seconds=30)


def test_a_customer_who_comes_back_with_nothing_lets_nothing_be_sent():
    made = waiting(TOLD)

    merchant_commands.customer_returned(made, None, cause(), returned=None)

    assert [event.how for event in made.pending_events if hasattr(event, "how")] == []
    assert made.status is Status.REQUIRES_ACTION


@pytest.mark.parametrize("state", [S.PENDING, S.ACTION_REQUIRED])
def test_what_only_a_webhook_or_the_customer_can_end_is_not_asked_about_by_hand(state: OperationState):
    made = payment(TOLD)
    say(made, state, TOLD)

    with pytest.raises(Refused, match="webhook_only"):
        resolution.query_now(made, None, cause(LATER))


def test_a_second_authorization_at_a_psp_that_cannot_be_asked_freezes():
    made = payment(TOLD)
    say(made, S.PENDING, TOLD, next_step="3", psp_id="psp_1")
    say(made, S.APPROVED, TOLD, step="3", psp_id="psp_1")

    say(made, S.PENDING, TOLD, next_step="3", psp_id="psp_2", source="webhook")

    assert made.frozen


def test_an_authorization_that_comes_after_its_decline_freezes():
    made = payment(TOLD)
    say(made, S.DECLINED_HARD, TOLD, psp_id=None)

    say(made, S.PENDING, TOLD, next_step="3", source="webhook", observed_at=LATER, now=LATER)

    assert made.frozen


@pytest.mark.parametrize("other", [{"amount_minor": 500}, {"currency": "USD"}])
def test_what_was_authorized_for_another_sum_is_not_gone_on_with(other):
    made = payment(TOLD)

    say(made, S.PENDING, TOLD, next_step="3", source="webhook", **other)

    assert made.frozen
    assert not any(getattr(event, "how", None) == "continue" for event in made.pending_events)


def test_an_approval_by_webhook_of_an_order_that_is_not_ours_is_asked_about_first():
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


def test_an_operation_that_was_told_to_end_does_not_go_on():
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


def test_what_cannot_be_asked_for_is_repeated_while_that_is_safe_and_then_cancelled_by_our_reference():
    made = payment(TOLD)
    say(made, S.UNKNOWN, TOLD, psp_id=None)

    timers.wake(made, TOLD, cause(NOW + timedelta(seconds=6)))
    assert made.pending_events[-1].how == "repeat"

    timers.wake(made, TOLD, cause(made.expires_at + timedelta(minutes=1)))
    assert made.pending_events[-1].how == "cancel"


def test_what_only_a_webhook_can_end_is_not_asked_for_and_calls_an_operator_after_a_day():
    made = captured(TOLD)
    merchant_commands.refund(made, None, cause(), reason=None)
    say(made, S.PENDING, TOLD, psp_id="ref_1")

    assert made.next_wake_at(NOW) == NOW + ESCALATE_AFTER
    timers.wake(made, TOLD, cause(NOW + ESCALATE_AFTER))
    assert type(made.pending_events[-1]).TOPIC == "payment.escalated.v1"


def test_the_webhook_of_a_psp_that_cannot_be_asked_is_the_end():
    made = payment(TOLD)
    say(made, S.UNKNOWN, TOLD, psp_id=None)

    say(made, S.DECLINED_HARD, TOLD, source="webhook", code="refused")

    assert made.status is Status.FAILED


def test_the_webhook_of_any_other_is_a_hint():
    made = payment(ORDERS)
    say(made, S.DECLINED_HARD, source="webhook", code="denied")

    assert (made.status, made.pending_events[-1].how) == (Status.PROCESSING, "query")


@pytest.mark.parametrize(("route", "how"), [(TOLD, None), (ORDERS, "confirm")])
def test_a_refund_that_failed_after_its_approval_is_confirmed_or_freezes(route: Route, how: str | None):
    made = captured(route)
    merchant_commands.refund(made, None, cause(), reason=None)
    say(made, S.APPROVED, route, psp_id="ref_1")
    assert made.status is Status.REFUNDED

    say(made, S.DECLINED_HARD, route, source="webhook", psp_id="ref_1", observed_at=LATER, now=LATER)

    assert made.frozen is (how is None)
    assert getattr(made.pending_events[-1], "how", None) == how


def test_an_answer_to_the_confirmation_freezes_what_the_psp_has_undone():
    made = captured(ORDERS)
    merchant_commands.refund(made, None, cause(), reason=None)
    say(made, S.APPROVED, psp_id="ref_1")
    say(made, S.DECLINED_HARD, source="webhook", psp_id="ref_1", observed_at=LATER, now=LATER)

    after = LATER + timedelta(seconds=1)
    say(made, S.DECLINED_HARD, source="query", psp_id="ref_1", observed_at=after, now=after)

    assert made.frozen


def test_a_refund_names_the_capture_that_has_enough_left():
    made = authorized(ORDERS)
    captures = []
    for amount in (300, 500):
        merchant_commands.capture(made, amount, cause(), final=False)
        captures.append(operation_of(made))
        say(made, S.APPROVED, psp_id=f"captures/{amount}", amount_minor=amount)

    merchant_commands.refund(made, 400, cause(), reason=None)
    assert (newest(made).target, made.pending_events[-1].target_minor) == (captures[1], 500)


def _captured_in_parts(*amounts: int) -> tuple[Payment, list[str]]:
    made, captures = authorized(ORDERS), []
    for amount in amounts:
        merchant_commands.capture(made, amount, cause(), final=False)
        captures.append(operation_of(made))
        say(made, S.APPROVED, psp_id=f"captures/{amount}", amount_minor=amount)
    return made, captures


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        # One that has just so much goes before the first that has enough.
        (300, [(2, 300)]),
        (200, [(0, 200)]),
        (350, [(0, 350)]),
        # As few as will do, the largest first.
        (500, [(0, 400), (2, 100)]),
        (750, [(0, 400), (2, 300), (1, 50)]),
        (None, [(0, 400), (2, 300), (1, 99)]),
    ],
)
def test_a_refund_is_split_over_the_captures_that_it_needs(asked: int | None, parts: list[tuple[int, int]]):
    made, captures = _captured_in_parts(400, 99, 300)
    before = len(made.operations)

    merchant_commands.refund(made, asked, cause(), reason="returned")

    started = list(made.operations.values())[before:]
    assert [(captures.index(one.target), one.amount.minor) for one in started] == parts
    assert made.totals.refundable == 799 - (asked or 799)


def test_of_a_split_refund_each_part_ends_by_itself_and_what_failed_is_refundable_again():
    made, captures = _captured_in_parts(400, 300)
    merchant_commands.refund(made, None, cause(), reason=None)
    first, second = list(made.operations)[-2:]

    for name, state, minor in ((first, S.APPROVED, 400), (second, S.DECLINED_HARD, 300)):
        told = report(name, state, psp_id=f"refunds/{minor}", amount_minor=minor)
        outcomes.take(made, told, ORDERS, cause())

    assert (made.status, made.totals.refunded, made.totals.refundable) == (
        Status.PARTIALLY_REFUNDED,
        400,
        300,
    )
    merchant_commands.refund(made, None, cause(), reason=None)
    assert (newest(made).target, newest(made).amount.minor) == (captures[1], 300)


def test_a_refund_of_an_authorization_says_how_much_of_it_was_captured():
    """By that a PSP's adapter tells a refund of all, which may be a reversal, from one of a part."""
    made = authorized(ROUTE)
    merchant_commands.capture(made, 600, cause(), final=True)
    say(made, S.APPROVED, psp_id="cap_1", amount_minor=600)

    merchant_commands.refund(made, None, cause(), reason=None)

    assert (newest(made).amount.minor, made.pending_events[-1].target_minor) == (600, 600)
    made.follow_up(newest(made), cause(), only_query=True)
    assert made.pending_events[-1].target_minor == 600


def _refuse_for_now(made: Payment, at: datetime, again_after_s: int) -> None:
    """The newest operation."""
    said = report(
        operation_of(made),
        S.NOT_SENT,
        code="not_now",
        psp_id=None,
        amount_minor=None,
        currency=None,
        observed_at=at,
        again_after_s=again_after_s,
    )
    outcomes.take(made, said, ROUTE, cause(at))


def _refused_for_now(made: Payment, at: datetime, again_after_s: int) -> datetime:
    """When it is tried again."""
    _refuse_for_now(made, at, again_after_s)
    again = made.next_wake_at(at)
    assert again is not None
    return again


def test_a_refund_that_is_refused_for_the_moment_is_kept_until_it_goes():
    made = captured(ROUTE)
    merchant_commands.refund(made, None, cause(), reason=None)
    at, tries = NOW, 0
    while at < NOW + timedelta(days=3):
        again = _refused_for_now(made, at, 600)
        assert timedelta(seconds=600) <= again - at <= timedelta(hours=5)
        assert (made.totals.refundable, made.status) == (0, Status.CAPTURED)
        timers.wake(made, ROUTE, cause(again))
        at, tries = again, tries + 1
    say(made, S.APPROVED, psp_id="ref_1", observed_at=at, now=at)

    assert made.status is Status.REFUNDED
    assert tries < 30


def test_a_refusal_for_some_seconds_is_tried_again_after_seconds():
    made = captured(ROUTE)
    merchant_commands.refund(made, None, cause(), reason=None)

    assert timedelta(seconds=5) <= _refused_for_now(made, NOW, 5) - NOW <= timedelta(seconds=7)


def test_what_is_refused_for_the_moment_ends_with_its_time():
    made = captured(ROUTE)
    merchant_commands.refund(made, None, cause(), reason=None)
    _refuse_for_now(made, NOW + timedelta(days=7), 600)

    assert made.retries == {}
    assert made.totals.refundable == 1099


def test_a_psp_that_captures_all_or_nothing_is_not_asked_for_a_part():
    made = authorized(WHOLE)

    with pytest.raises(Refused, match="partial_capture_not_available"):
        merchant_commands.capture(made, 1098, cause(), final=True)
    merchant_commands.capture(made, 1099, cause(), final=True)
    assert newest(made).kind == "capture"


@pytest.mark.parametrize("ask", [merchant_commands.void, merchant_commands.cancel])
def test_a_psp_without_a_void_is_not_asked_for_one_and_the_refusal_says_when_it_ends(ask):
    made = authorized(WHOLE)
    before = made.version

    with pytest.raises(Refused, match="void_not_available") as refused:
        ask(made, cause())

    assert made.authorization_until.isoformat() in refused.value.detail
    assert made.version == before


def test_a_token_that_names_its_gateway_reaches_it_without_the_name():
    made = payment(TOLD, payment_method="adyen:8416")

    assert made.pending_events[-1].payment_method == "8416"


def test_what_cannot_be_asked_is_repeated_by_hand_and_closed_only_once_an_operator_was_called():
    made = captured(TOLD)
    merchant_commands.refund(made, None, cause(), reason=None)
    say(made, S.UNKNOWN, TOLD, psp_id=None)

    resolution.query_now(made, None, cause(LATER))
    assert made.pending_events[-1].how == "repeat"

    timers.wake(made, TOLD, cause(NOW + ESCALATE_AFTER))
    resolution.query_now(made, None, cause(NOW + ESCALATE_AFTER + timedelta(seconds=9)))
    assert made.pending_events[-1].how == "query"


@pytest.mark.parametrize(("route", "status"), [(TOLD, Status.EXPIRED), (ORDERS, Status.AUTHORIZED)])
def test_an_authorization_that_a_webhook_says_is_gone_is_confirmed_where_it_can_be(
    route: Route, status: Status
):
    made = authorized(route)

    say(made, S.EXPIRED, route, source="webhook", psp_id="pi_1", observed_at=LATER, now=LATER)

    assert made.status is status
    assert (getattr(made.pending_events[-1], "how", None) == "confirm") is (route is ORDERS)


def test_the_confirmation_of_a_lapse_ends_the_authorization():
    made = authorized(ORDERS)
    say(made, S.EXPIRED, source="webhook", psp_id="pi_1", observed_at=LATER, now=LATER)

    after = LATER + timedelta(seconds=1)
    say(made, S.EXPIRED, source="query", psp_id="pi_1", observed_at=after, now=after)

    assert made.status is Status.EXPIRED


def test_a_webhook_about_what_we_are_voiding_ourselves_changes_nothing():
    made = authorized(ORDERS)
    authorization = operation_of(made)
    merchant_commands.void(made, cause())
    before = made.version

    outcomes.take(
        made,
        report(authorization, S.EXPIRED, source="webhook", psp_id="pi_1", observed_at=LATER),
        ORDERS,
        cause(LATER),
    )

    assert made.version == before
