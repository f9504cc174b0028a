"""Refunds of captures in parts: the capture that each names, the split, and the refund that waits."""

from datetime import datetime, timedelta

import pytest

from aggregates import merchant_commands, outcomes, status_queries, timers
from aggregates.decision import Refused
from aggregates.operation import ESCALATE_AFTER, OperationState
from aggregates.payment import Payment
from aggregates.routing.route import Route
from aggregates.status import Status
from tests.aggregates.reports import LATER, newest, say
from tests.support.builders import (
    NOW,
    ORDERS,
    ROUTE,
    WEBHOOK_ONLY,
    WHOLE,
    authorized,
    captured,
    cause,
    operation_of,
    payment,
    report,
)

S = OperationState


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
    ("requested", "parts"),
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
def test_a_refund_is_split_over_the_captures_that_it_needs(
    requested: int | None, parts: list[tuple[int, int]]
):
    made, captures = _captured_in_parts(400, 99, 300)
    before = len(made.operations)

    merchant_commands.refund(made, requested, cause(), reason="returned")

    started = list(made.operations.values())[before:]
    assert [(captures.index(one.target), one.amount.minor) for one in started] == parts
    assert made.totals.refundable == 799 - (requested or 799)


def test_of_a_split_refund_each_part_ends_by_itself_and_what_failed_is_refundable_again():
    made, captures = _captured_in_parts(400, 300)
    merchant_commands.refund(made, None, cause(), reason=None)
    first, second = list(made.operations)[-2:]

    for name, state, minor in ((first, S.APPROVED, 400), (second, S.DECLINED_HARD, 300)):
        reported = report(name, state, psp_id=f"refunds/{minor}", amount_minor=minor)
        outcomes.take(made, reported, ORDERS, cause())

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
    reported = report(
        operation_of(made),
        S.NOT_SENT,
        code="not_now",
        psp_id=None,
        amount_minor=None,
        currency=None,
        observed_at=at,
        again_after_s=again_after_s,
    )
    outcomes.take(made, reported, ROUTE, cause(at))


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


def test_a_psp_that_captures_all_or_nothing_gets_no_request_for_a_part():
    made = authorized(WHOLE)

    with pytest.raises(Refused, match="partial_capture_not_available"):
        merchant_commands.capture(made, 1098, cause(), final=True)
    merchant_commands.capture(made, 1099, cause(), final=True)
    assert newest(made).kind == "capture"


@pytest.mark.parametrize("ask", [merchant_commands.void, merchant_commands.cancel])
def test_a_psp_without_a_void_gets_no_request_for_one_and_the_refusal_says_when_it_ends(ask):
    made = authorized(WHOLE)
    before = made.version

    with pytest.raises(Refused, match="void_not_available") as refused:
        ask(made, cause())

    assert made.authorization_until.isoformat() in refused.value.detail
    assert made.version == before


def test_a_token_that_names_its_gateway_reaches_it_without_the_name():
    made = payment(WEBHOOK_ONLY, payment_method="adyen:8416")

    assert made.pending_events[-1].payment_method == "8416"


def test_what_cannot_be_queried_is_repeated_by_hand_and_closed_only_once_an_operator_was_called():
    made = captured(WEBHOOK_ONLY)
    merchant_commands.refund(made, None, cause(), reason=None)
    say(made, S.UNKNOWN, WEBHOOK_ONLY, psp_id=None)

    status_queries.query_now(made, None, cause(LATER))
    assert made.pending_events[-1].how == "repeat"

    timers.wake(made, WEBHOOK_ONLY, cause(NOW + ESCALATE_AFTER))
    status_queries.query_now(made, None, cause(NOW + ESCALATE_AFTER + timedelta(seconds=9)))
    assert made.pending_events[-1].how == "query"


@pytest.mark.parametrize(("route", "status"), [(WEBHOOK_ONLY, Status.EXPIRED), (ORDERS, Status.AUTHORIZED)])
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
