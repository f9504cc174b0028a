from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from aggregates import attempts, merchant_commands, outcomes, timers
from aggregates.money import Money
from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.routing.retries import RetryPolicy
from aggregates.routing.route import Route
from aggregates.status import Status
from tests.support.builders import (
    NOW,
    PSP,
    ROUTE,
    TWO_ACCOUNTS,
    authorized,
    captured,
    cause,
    operation_of,
    payment,
    payment_request,
    report,
)

S = OperationState


def topics(made: Payment) -> list[str]:
    return [type(event).TOPIC for event in made.pending_events]


def accounts(made: Payment) -> list[str]:
    return [operation.psp.account for operation in made.attempts]


def say(made: Payment, state: OperationState, route: Route = ROUTE, **other) -> None:
    """Of the newest operation."""
    outcomes.take(made, report(operation_of(made), state, **other), route, cause())


def test_a_payment_starts_one_sale_for_the_whole_amount():
    made = payment()

    assert topics(made) == ["payment.requested.v1", "operation.started.v1"]
    assert made.status is Status.PROCESSING
    assert made.operations[operation_of(made)].amount == Money(1099, "EUR")
    assert operation_of(made).endswith("-s1")


def test_a_payment_for_manual_capture_is_authorized_only():
    made = payment(capture="manual")

    assert operation_of(made).endswith("-a1")


def test_a_create_past_its_expiry_is_recorded_and_rejected_and_starts_nothing():
    made = attempts.request(uuid4(), payment_request(expires_at=NOW), ROUTE, cause(fingerprint="f"))

    assert topics(made) == ["payment.requested.v1", "payment.rejected.v1"]
    assert (made.status, made.rejected) == (Status.REJECTED, "expired")
    assert made.next_wake_at(NOW) is None


def test_a_merchant_without_an_account_is_rejected():
    nowhere = Route((), none_because="sim-eu does not take KWD")
    made = attempts.request(uuid4(), payment_request(), nowhere, cause(fingerprint="f"))

    assert (made.status, made.rejected) == (Status.REJECTED, "no_psp_account")
    assert made.detail == "sim-eu does not take KWD"


LEV = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("currency", "at", "rejected"),
    [
        ("BGN", LEV - timedelta(seconds=1), None),
        ("BGN", LEV, "currency_withdrawn"),
        ("HRK", LEV, "currency_withdrawn"),
        ("EUR", LEV, None),
    ],
)
def test_a_currency_that_was_withdrawn_is_not_newly_charged(currency, at, rejected):
    wanted = payment_request(amount=Money(1099, currency), expires_at=at + timedelta(hours=1))
    made = attempts.request(uuid4(), wanted, ROUTE, cause(at, fingerprint="f"))

    assert made.rejected == rejected
    if rejected:
        end = made.pending_events[-1]
        assert end.detail.endswith("pay in EUR")


def test_what_was_taken_in_a_currency_before_its_withdrawal_is_captured_and_given_back_after_it():
    wanted = payment_request(amount=Money(1099, "BGN"), capture="manual", expires_at=LEV)
    begin = LEV - timedelta(hours=2)
    made = attempts.request(uuid4(), wanted, ROUTE, cause(begin, fingerprint="f"))
    say(made, S.APPROVED, currency="BGN", observed_at=begin + timedelta(seconds=1))

    merchant_commands.capture(made, 1099, cause(LEV, uuid4(), fingerprint="f"), final=False)
    say(made, S.APPROVED, currency="BGN", observed_at=LEV + timedelta(seconds=1))
    merchant_commands.refund(
        made, 500, cause(LEV + timedelta(days=30), uuid4(), fingerprint="f"), reason=None
    )
    say(made, S.APPROVED, currency="BGN", amount_minor=500, observed_at=LEV + timedelta(days=31))

    assert made.status is Status.PARTIALLY_REFUNDED


def test_what_was_proven_not_sent_is_tried_again_after_a_back_off():
    made = payment()
    outcomes.take(
        made,
        report(operation_of(made), S.NOT_SENT, code="connection_refused"),
        ROUTE,
        cause(jitter=0.0),
    )

    assert made.status is Status.PROCESSING
    assert made.next_wake_at(NOW) == NOW + timedelta(seconds=0.5)

    timers.wake(made, ROUTE, cause(NOW + timedelta(seconds=1)))
    assert [operation.state for operation in made.attempts] == [S.NOT_SENT, S.STARTED]


@pytest.mark.parametrize("state", [S.NOT_SENT, S.DECLINED_SOFT, S.PROVEN_ABSENT])
def test_what_did_not_charge_goes_to_the_next_account_at_once(state):
    made = payment(TWO_ACCOUNTS)
    say(made, state, TWO_ACCOUNTS, code="insufficient_funds")

    assert accounts(made) == ["sim-eu", "sim-us"]
    assert made.status is Status.PROCESSING
    assert "the next of the merchant's PSP accounts" in made.pending_events[-1].reason


def test_when_every_account_was_tried_the_next_attempt_waits():
    made = payment(TWO_ACCOUNTS)
    say(made, S.DECLINED_SOFT, TWO_ACCOUNTS)
    say(made, S.DECLINED_SOFT, TWO_ACCOUNTS)

    assert topics(made)[-1] == "payment.retry_scheduled.v1"
    assert made.next_wake_at(NOW) == NOW + timedelta(seconds=1.5)

    timers.wake(made, TWO_ACCOUNTS, cause(NOW + timedelta(seconds=2)))
    assert accounts(made) == ["sim-eu", "sim-us", "sim-eu"]


@pytest.mark.parametrize("attempts_max", [1, 3, 5])
def test_the_attempts_end_at_the_merchants_limit(attempts_max):
    route = Route((PSP,), RetryPolicy(attempts_max=attempts_max))
    made = payment(route)
    now = NOW
    for _ in range(attempts_max):
        outcomes.take(
            made, report(operation_of(made), S.NOT_SENT, code="connection_refused"), route, cause(now)
        )
        now = made.next_wake_at(now) or now
        timers.wake(made, route, cause(now))

    assert made.status is Status.FAILED
    assert len(made.attempts) == attempts_max
    attempts_made = "1 was made" if attempts_max == 1 else f"{attempts_max} were made"
    assert made.pending_events[-1].reason == f"no further attempt because {attempts_made}"


@pytest.mark.parametrize(
    ("policy", "attempts_made", "delay_s"),
    [
        (RetryPolicy(), 1, 1.0),
        (RetryPolicy(), 2, 2.0),
        (RetryPolicy(), 9, 30.0),
        (RetryPolicy(first_s=0.1, factor=3, max_s=5), 3, 0.9),
    ],
)
def test_the_back_off_grows_by_its_factor_up_to_its_bound_and_jitter_takes_off_half_at_most(
    policy, attempts_made, delay_s
):
    assert policy.delay_s(attempts_made, 1.0) == pytest.approx(delay_s)
    assert policy.delay_s(attempts_made, 0.0) == pytest.approx(delay_s / 2)


def test_a_hard_decline_ends_the_payment_and_says_why():
    made = payment(TWO_ACCOUNTS)
    say(made, S.DECLINED_HARD, TWO_ACCOUNTS, code="lost_card")

    assert made.status is Status.FAILED
    assert made.reason == "lost_card"
    assert made.pending_events[-1].reason.endswith("declined it for good: lost_card")


@pytest.mark.parametrize("hint", ["FIX_INPUT", "REFRESH_TOKEN"])
def test_what_the_customer_has_to_correct_is_not_tried_elsewhere(hint):
    made = payment(TWO_ACCOUNTS)
    say(made, S.DECLINED_SOFT, TWO_ACCOUNTS, hint=hint, code="incorrect_cvc")

    assert made.status is Status.FAILED
    assert len(made.attempts) == 1


def test_an_issuer_that_asks_for_authentication_gets_it_once_at_the_same_account():
    made = payment(TWO_ACCOUNTS)
    say(made, S.DECLINED_SOFT, TWO_ACCOUNTS, hint="RETRY_WITH_3DS", code="authentication_required")

    assert accounts(made) == ["sim-eu", "sim-eu"]
    assert made.attempts[-1].three_ds

    say(made, S.DECLINED_SOFT, TWO_ACCOUNTS, hint="RETRY_WITH_3DS", code="authentication_required")
    assert made.status is Status.FAILED


def test_a_decline_after_a_challenge_is_not_followed_by_another_challenge():
    made = payment(TWO_ACCOUNTS)
    say(made, S.ACTION_REQUIRED, TWO_ACCOUNTS)
    say(made, S.DECLINED_SOFT, TWO_ACCOUNTS, source="query", code="authentication_failed")

    assert made.status is Status.FAILED
    assert len(made.attempts) == 1


@pytest.mark.parametrize("other", [{"hint": "CONFIG"}, {"code": "currency_not_supported"}])
def test_what_one_account_cannot_do_goes_to_another_and_ends_where_there_is_none(other):
    made = payment(TWO_ACCOUNTS)
    say(made, S.NOT_SENT, TWO_ACCOUNTS, **other)
    assert accounts(made) == ["sim-eu", "sim-us"]

    say(made, S.NOT_SENT, TWO_ACCOUNTS, **other)
    assert made.status is Status.FAILED


def test_an_unknown_outcome_never_goes_on_and_never_fails_for_lack_of_patience():
    made = payment(TWO_ACCOUNTS)
    say(made, S.UNKNOWN, TWO_ACCOUNTS)
    now = NOW
    for _ in range(60):
        now = made.next_wake_at(now)
        timers.wake(made, TWO_ACCOUNTS, cause(now))

    assert made.status is Status.IN_DOUBT
    assert len(made.attempts) == 1
    assert now > NOW + timedelta(days=20)


def test_no_attempt_starts_after_the_expiry():
    made = payment()
    say(made, S.NOT_SENT, code="connection_refused")
    timers.wake(made, ROUTE, cause(NOW + timedelta(hours=2)))

    assert made.status is Status.EXPIRED
    assert len(made.attempts) == 1


def test_a_frozen_payment_starts_no_attempt_until_an_operator_has_decided():
    made = payment(TWO_ACCOUNTS)
    outcomes.take(made, report("nothing-s9"), TWO_ACCOUNTS, cause())
    say(made, S.NOT_SENT, TWO_ACCOUNTS, code="connection_refused")
    timers.wake(made, TWO_ACCOUNTS, cause(NOW + timedelta(minutes=1)))

    assert len(made.attempts) == 1
    assert made.next_wake_at(NOW) is None


# Captures, voids and refunds


def test_a_refund_that_was_not_sent_is_tried_again_and_keeps_its_amount_reserved():
    made = captured()
    merchant_commands.refund(made, 600, cause(NOW, uuid4(), fingerprint="f"), reason=None)
    say(made, S.NOT_SENT, code="connection_refused")
    assert made.totals.refundable == 499

    timers.wake(made, ROUTE, cause(NOW + timedelta(seconds=2)))
    assert operation_of(made).endswith("-r3")
    assert made.totals.refundable == 499

    say(made, S.APPROVED, amount_minor=600)
    assert made.status is Status.PARTIALLY_REFUNDED


def test_a_capture_that_was_declined_releases_its_amount():
    made = authorized()
    merchant_commands.capture(made, 500, cause(NOW, uuid4(), fingerprint="f"), final=False)
    assert made.totals.capturable == 599

    say(made, S.DECLINED_HARD, code="refused")
    assert made.totals.capturable == 1099
    assert made.status is Status.AUTHORIZED


@pytest.mark.parametrize(
    ("state", "attempts_max", "why"),
    [
        (S.NOT_SENT, 1, "1 was made, and it ended as NOT_SENT (refused)"),
        (S.DECLINED_HARD, 3, "it ended as DECLINED_HARD (refused)"),
    ],
)
def test_a_refund_that_is_not_tried_again_says_why(state, attempts_max, why):
    route = Route((PSP,), RetryPolicy(attempts_max=attempts_max))
    made = captured(route)
    merchant_commands.refund(made, 600, cause(NOW, uuid4(), fingerprint="f"), reason=None)
    refund = operation_of(made)
    outcomes.take(made, report(refund, state, code="refused"), route, cause())

    ended, looked = made.pending_events[-2:]
    assert (ended.operation_id, ended.reason) == (refund, f"no further attempt because {why}")
    assert (looked.how, looked.operation_id) == (
        "confirm",
        made.approved_attempt.id,
    )  # perhaps somebody else did it
    assert (made.status, made.totals.refundable) == (Status.CAPTURED, 1099)


def test_each_attempt_and_what_follows_it_carries_its_own_psps_token():
    route = Route((PSP, replace(PSP, gateway="adyen", account="ady")))
    made = payment(route, payment_method=None, payment_methods={"stripe": "pm_1", "adyen": "8416"})
    say(made, S.DECLINED_SOFT, route, code="processing_error")
    say(made, S.APPROVED, route)
    merchant_commands.refund(made, 100, cause(), reason=None)

    started = [event for event in made.pending_events if hasattr(event, "payment_method")]
    assert [(e.TOPIC, getattr(e, "gateway", None), e.payment_method) for e in started] == [
        ("payment.requested.v1", None, None),
        ("operation.started.v1", "stripe", "pm_1"),
        ("operation.started.v1", "adyen", "8416"),
        ("operation.started.v1", "adyen", "8416"),
    ]
