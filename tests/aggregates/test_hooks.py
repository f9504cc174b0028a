"""Verdicts of hooks on a new payment: recorded in any case, and what follows from them."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from aggregates import attempts, events, merchant_commands, timers
from aggregates.give_back import give_back
from aggregates.hooks import DENIED, DENIED_BEFORE_SENT, FAILED, Verdict
from aggregates.operation import OperationState
from aggregates.outcomes import take
from aggregates.routing.facts import Hints
from aggregates.routing.route import Route
from aggregates.status import Status
from tests.support.builders import (
    NOW,
    REVIEW,
    ROUTE,
    TWO_ACCOUNTS,
    WEBHOOK_ONLY,
    authorized,
    captured,
    cause,
    held,
    operation_of,
    payment,
    payment_request,
    report,
)
from tests.support.payment_stories import replayed

ALLOW = Verdict("velocity", "fraud", "allow", 2.0, score=0.1)
DENY = Verdict("velocity", "fraud", "deny", 2.0, score=0.97, reason="a stolen card")
REFUSE = Verdict("shop-open", "pre_validation", "deny", 0.1, code="shop_closed", reason="the shop is closed")
FAILED_CLOSED = Verdict(
    "velocity", "fraud", "deny", 200.0, failed="timed out after 200 ms", failure_mode="closed"
)


def requested(*verdicts: Verdict, route: Route = ROUTE, now=NOW):
    return attempts.request(uuid4(), payment_request(), route, cause(now, fingerprint="f"), verdicts)


def kinds(made) -> list[str]:
    return [event.TOPIC for event in made.pending_events]


def test_a_payment_that_every_hook_allows_starts_and_its_stream_has_each_verdict_with_its_score():
    made = requested(replace(ALLOW, hook="first"), ALLOW)

    assert made.status is Status.PROCESSING
    assert kinds(made)[1:3] == ["hook.decided.v1"] * 2
    second = made.pending_events[2]
    assert (second.hook, second.kind, second.decision, second.score) == ("velocity", "fraud", "allow", 0.1)
    assert second.took_ms == 2.0


@pytest.mark.parametrize(
    ("verdict", "code", "detail"),
    [
        (DENY, DENIED, "a stolen card"),
        (REFUSE, "shop_closed", "the shop is closed"),
        (FAILED_CLOSED, FAILED, "timed out after 200 ms"),
        (replace(DENY, reason=None), DENIED, "velocity"),
    ],
)
def test_a_denial_rejects_the_payment_with_the_hooks_words_and_starts_nothing(verdict, code, detail):
    made = requested(ALLOW, verdict)

    assert (made.status, made.rejected) == (Status.REJECTED, code)
    assert detail in made.detail
    assert not made.operations
    assert kinds(made) == [events.Requested.TOPIC, *["hook.decided.v1"] * 2, events.Rejected.TOPIC]


def test_a_hook_that_failed_and_is_open_lets_the_payment_through_and_its_event_says_so():
    made = requested(replace(FAILED_CLOSED, decision="allow", failure_mode="open"))

    assert made.status is Status.PROCESSING
    decided = made.pending_events[1]
    assert (decided.failed, decided.failure_mode) == ("timed out after 200 ms", "open")


def test_a_denial_wins_over_a_review():
    assert requested(REVIEW, DENY).rejected == DENIED


def test_a_review_holds_the_payment_with_the_hooks_score_and_words_and_starts_nothing():
    made = held()

    assert made.status is Status.IN_REVIEW
    assert not made.operations
    assert made.reason == "held_for_review"
    assert made.detail == "velocity (score 0.82): 9 payments within an hour"
    assert made.next_wake_at(NOW) == made.expires_at


def test_what_no_account_takes_or_came_too_late_is_rejected_and_not_held():
    assert requested(REVIEW, route=Route(())).rejected == "no_psp_account"
    assert requested(REVIEW, now=NOW + timedelta(days=1)).rejected == "expired"


def test_a_held_payment_that_nobody_reviews_expires_by_itself_and_starts_nothing():
    made = held()
    timers.wake(made, ROUTE, cause(made.expires_at - timedelta(seconds=1), uuid4()))
    assert made.status is Status.IN_REVIEW

    timers.wake(made, ROUTE, cause(made.expires_at, uuid4()))

    assert (made.status, made.held, made.operations) == (Status.EXPIRED, False, {})
    assert made.due() == []


def test_a_held_payment_can_be_cancelled():
    made = held()

    merchant_commands.cancel(made, cause(NOW, uuid4(), fingerprint="c"))

    assert (made.status, made.held, made.operations) == (Status.VOIDED, False, {})


def test_what_routing_hooks_want_is_kept_for_later_attempts_through_a_replay():
    only = Verdict("residency", "routing", "allow", 0.2, hints=Hints(("sim-us", "sim-eu")))
    never = Verdict("cheap", "routing", "allow", 0.2, hints=Hints((), ("x",), ("sim-us",)))

    made = requested(only, never, route=TWO_ACCOUNTS)

    wanted = Hints(("sim-us", "sim-eu"), ("x",), ("sim-us",))
    assert made.routing_hints == replayed(made).routing_hints == wanted
    assert made.operations[operation_of(made)].psp.account == "sim-us"


def test_an_attempt_that_a_lifecycle_hook_denied_is_not_made_elsewhere():
    made = payment(TWO_ACCOUNTS)
    denied = report(
        operation_of(made),
        OperationState.NOT_SENT,
        code=DENIED_BEFORE_SENT,
        detail="limits: over",
        source="none",
    )

    take(made, denied, TWO_ACCOUNTS, cause(NOW, uuid4()))

    assert (made.status, len(made.operations), made.retries) == (Status.FAILED, 1, {})


def test_a_capture_that_a_lifecycle_hook_denied_is_not_repeated_and_frees_its_amount():
    made = authorized()
    merchant_commands.capture(made, 500, cause(NOW, uuid4(), fingerprint="c"), final=False)
    denied = report(operation_of(made), OperationState.NOT_SENT, code=DENIED_BEFORE_SENT, source="none")

    take(made, denied, ROUTE, cause(NOW, uuid4()))

    assert (made.retries, made.totals.capturable) == ({}, 1099)


NO_VERDICT = {
    "code": FAILED,
    "source": "none",
    "unreached": True,
    "psp_id": None,
    "amount_minor": None,
    "currency": None,
    "tries": 0,
    "first_try_at": None,
}


@pytest.mark.parametrize("route", [ROUTE, TWO_ACCOUNTS])
def test_an_attempt_without_a_verdict_is_tried_again_with_growing_pauses_until_the_payments_time_is_over(
    route,
):
    made, now, pauses_s = payment(route), NOW, []
    while made.status is Status.PROCESSING:
        if made.retries:
            (planned,) = made.retries.values()
            pauses_s.append((planned.at - now).total_seconds())
            now = planned.at
            timers.wake(made, route, cause(now, uuid4()))
        else:
            gone = report(operation_of(made), OperationState.NOT_SENT, observed_at=now, **NO_VERDICT)
            take(made, gone, route, cause(now, uuid4()))

    assert made.status is Status.EXPIRED
    assert len(pauses_s) > 50
    assert (min(pauses_s) >= 0.5, max(pauses_s) > 10) == (True, True)


def test_a_duplicate_charge_is_given_back_whatever_hooks_fail_meanwhile():
    made = captured()
    give_back(
        made,
        made.approved_attempt,
        1099,
        cause(NOW, uuid4()),
        reason="charged twice",
        duplicate_charge=True,
    )
    now = NOW
    for _ in range(10):
        take(
            made,
            report(operation_of(made), OperationState.NOT_SENT, observed_at=now, **NO_VERDICT),
            ROUTE,
            cause(now, uuid4()),
        )
        (planned,) = made.retries.values()
        now = planned.at
        timers.wake(made, ROUTE, cause(now, uuid4()))

    assert not made.frozen
    refund = made.operations[operation_of(made)]
    assert (refund.kind, refund.state, refund.duplicate_charge) == ("refund", OperationState.STARTED, True)
    assert refund.attempt == 1


def test_a_capture_without_a_verdict_keeps_its_amount_and_is_tried_until_its_time_is_over():
    made = authorized()
    merchant_commands.capture(made, 500, cause(NOW, uuid4(), fingerprint="c"), final=False)
    capture = operation_of(made)
    gone = report(capture, OperationState.NOT_SENT, **NO_VERDICT)

    take(made, gone, ROUTE, cause(NOW, uuid4()))

    assert (list(made.retries), made.totals.capturable) == ([capture], 599)
    (planned,) = made.retries.values()
    timers.wake(made, ROUTE, cause(planned.at, uuid4()))
    again = made.operations[operation_of(made)]
    over = again.expires_at
    take(
        made,
        report(again.id, OperationState.NOT_SENT, observed_at=over, **NO_VERDICT),
        ROUTE,
        cause(over, uuid4()),
    )
    assert (made.retries, made.totals.capturable) == ({}, 1099)


def test_a_routing_hook_that_leaves_no_account_rejects_the_payment_with_the_reason_for_each():
    nowhere = Verdict("residency", "routing", "allow", 0.2, hints=Hints(only=("acct-in",)))

    made = requested(nowhere, route=TWO_ACCOUNTS)

    assert (made.status, made.rejected, made.operations) == (Status.REJECTED, "no_psp_account", {})
    assert "sim-eu" in made.detail
    assert "sim-us" in made.detail


def test_what_is_taken_after_a_cancel_is_given_back_without_a_hook_and_so_is_its_next_attempt():
    made = payment(capture="manual")
    merchant_commands.cancel(made, cause(NOW, uuid4(), fingerprint="c"))
    take(made, report(operation_of(made)), ROUTE, cause(NOW, uuid4()))
    void = made.pending_events[-1]
    assert (void.kind, void.owed) == ("void", True)

    take(made, report(void.operation_id, OperationState.NOT_SENT, code="rate_limited"), ROUTE, cause())
    timers.wake(made, ROUTE, cause(NOW + timedelta(minutes=1)))

    again = made.pending_events[-1]
    assert (again.kind, again.retry_of, again.owed) == ("void", void.operation_id, True)
    assert replayed(made).operations[again.operation_id].owed


@pytest.mark.parametrize("ask", ["void", "cancel"])
def test_a_void_that_the_merchant_requests_is_asked_of_the_hooks(ask):
    made = authorized()
    getattr(merchant_commands, ask)(made, cause(NOW, uuid4(), fingerprint="v"))

    assert (made.pending_events[-1].kind, made.pending_events[-1].owed) == ("void", False)


def test_the_void_by_our_clock_is_asked_of_no_hook():
    made = authorized(WEBHOOK_ONLY)
    for at in (NOW + timedelta(days=6, hours=12), NOW + timedelta(days=7, seconds=2)):
        timers.wake(made, WEBHOOK_ONLY, cause(at, uuid4()))

    void = made.pending_events[-1]
    assert (void.kind, void.timed, void.owed) == ("void", True, True)
