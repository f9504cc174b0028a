from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from aggregates import disputes, merchant_commands, outcomes, timers
from aggregates.decision import Refused
from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.routing.route import Route
from aggregates.status import Status
from tests.support.builders import (
    MULTICAPTURE,
    NOW,
    PSP,
    ROUTE,
    authorized,
    captured,
    cause,
    operation_of,
    payment,
    report,
    word,
)

S = OperationState
LATER = NOW + timedelta(minutes=1)


def command(now=LATER):
    return cause(now, uuid4(), fingerprint="content")


def say(made: Payment, state: OperationState = S.APPROVED, operation: str | None = None, **other) -> None:
    """Of the newest operation, or of a named one: about all that was requested."""
    name = operation or operation_of(made)
    fields = {"amount_minor": made.operations[name].amount.minor, "psp_id": f"psp_{name}"} | other
    outcomes.take(made, report(name, state, **fields), ROUTE, cause(LATER))


def refusal(call, *arguments, **options) -> Refused:
    with pytest.raises(Refused) as refused:
        call(*arguments, **options)
    return refused.value


# Capture


@pytest.mark.parametrize("amount", [None, 1099])
def test_all_that_was_authorized_can_be_captured(amount):
    made = authorized()
    merchant_commands.capture(made, amount, command(), final=False)

    assert made.operations[operation_of(made)].amount.minor == 1099
    assert made.totals.capturable == 0

    say(made)
    assert (made.status, made.totals.captured) == (Status.CAPTURED, 1099)


def test_where_the_account_captures_once_a_part_releases_the_rest():
    made = authorized()
    merchant_commands.capture(made, 500, command(), final=False)
    say(made)

    assert made.operations[operation_of(made)].final
    assert (made.status, made.totals.released) == (Status.PARTIALLY_CAPTURED, 599)
    assert refusal(merchant_commands.capture, made, None, command(), final=False).code == "nothing_to_capture"


def test_where_the_account_captures_often_parts_add_up():
    made = authorized(MULTICAPTURE)
    for amount in (500, 500):
        merchant_commands.capture(made, amount, command(), final=False)
        say(made)
    assert (made.status, made.totals.capturable) == (Status.PARTIALLY_CAPTURED, 99)

    merchant_commands.capture(made, None, command(), final=False)
    say(made)
    assert (made.status, made.totals.captured) == (Status.CAPTURED, 1099)


def test_captures_under_way_reserve_their_amounts():
    made = authorized(MULTICAPTURE)
    merchant_commands.capture(made, 700, command(), final=False)
    no = refusal(merchant_commands.capture, made, 400, command(), final=False)

    assert no.code == "capture_exceeds_authorization"
    assert no.amounts == {
        "requested_minor": 400,
        "authorized_minor": 1099,
        "captured_minor": 0,
        "refunded_minor": 0,
        "disputed_minor": 0,
        "reserved_minor": 700,
        "capturable_minor": 399,
        "refundable_minor": 0,
    }
    assert "at most 399" in no.detail

    say(made, S.DECLINED_HARD, code="refused")
    merchant_commands.capture(made, 1099, command(), final=False)


def test_a_final_capture_waits_for_none_under_way():
    made = authorized(MULTICAPTURE)
    merchant_commands.capture(made, 100, command(), final=False)

    assert refusal(merchant_commands.capture, made, 100, command(), final=True).code == "capture_in_flight"


def test_over_capture_goes_as_far_as_the_account_declares():
    made = authorized(Route((replace(PSP, overcapture_percent=15),)))
    assert (
        refusal(merchant_commands.capture, made, 1264, command(), final=False).code
        == "capture_exceeds_authorization"
    )

    merchant_commands.capture(made, 1263, command(), final=False)
    say(made)
    assert (made.status, made.totals.captured, made.frozen) == (Status.CAPTURED, 1263, False)


@pytest.mark.parametrize("make", [payment, captured])
def test_what_is_not_authorized_cannot_be_captured_and_the_refusal_says_how_it_stands(make):
    made = make()
    before = made.version

    no = refusal(merchant_commands.capture, made, None, command(), final=False)
    assert no.code in {"not_authorized", "nothing_to_capture"}
    assert made.version == before


def test_nothing_is_captured_after_the_authorization_ended():
    made = authorized()
    too_late = command(NOW + timedelta(days=7, seconds=2))

    assert (
        refusal(merchant_commands.capture, made, None, too_late, final=False).code == "authorization_expired"
    )


def test_a_capture_may_not_be_sent_after_the_authorization_has_ended():
    made = authorized()
    merchant_commands.capture(made, None, command(), final=False)

    assert made.operations[operation_of(made)].expires_at == NOW + timedelta(days=7, seconds=1)


# Void


def test_a_void_reserves_and_releases_all_that_is_left():
    made = authorized()
    merchant_commands.void(made, command())
    assert made.totals.capturable == 0
    no = refusal(merchant_commands.capture, made, 1, command(), final=False)
    assert (no.code, no.amounts["reserved_minor"]) == ("void_in_flight", 1099)

    say(made)
    assert (made.status, made.totals.released) == (Status.VOIDED, 1099)


def test_what_is_left_after_a_partial_capture_can_be_voided():
    made = authorized(MULTICAPTURE)
    merchant_commands.capture(made, 400, command(), final=False)
    no = refusal(merchant_commands.void, made, command())
    assert (no.code, no.amounts["reserved_minor"]) == ("capture_in_flight", 400)
    say(made)

    merchant_commands.void(made, command())
    say(made)
    assert (made.status, made.totals.captured, made.totals.released) == (Status.PARTIALLY_CAPTURED, 400, 699)


def test_a_failed_void_gives_the_authorization_back():
    made = authorized()
    merchant_commands.void(made, command())
    say(made, S.DECLINED_HARD, code="refused")

    assert (made.status, made.totals.capturable) == (Status.AUTHORIZED, 1099)


def test_a_sale_cannot_be_voided():
    no = refusal(merchant_commands.void, captured(), command())

    assert no.code == "nothing_to_void"
    assert "refund" in no.detail


# Refund


def test_refunds_add_up_to_what_was_captured_and_no_further():
    made = captured()
    merchant_commands.refund(made, 600, command(), reason="returned")
    say(made)
    assert made.status is Status.PARTIALLY_REFUNDED

    no = refusal(merchant_commands.refund, made, 500, command(), reason=None)
    assert (no.code, no.amounts["refundable_minor"]) == ("refund_exceeds_captured", 499)

    merchant_commands.refund(made, None, command(), reason=None)
    say(made)
    assert (made.status, made.totals.refunded) == (Status.REFUNDED, 1099)
    assert (
        refusal(merchant_commands.refund, made, None, command(), reason=None).code
        == "refund_exceeds_captured"
    )


def test_concurrent_refunds_reserve():
    made = captured()
    merchant_commands.refund(made, 600, command(), reason=None)
    merchant_commands.refund(made, 400, command(), reason=None)

    assert made.totals.refundable == 99
    assert (
        refusal(merchant_commands.refund, made, 100, command(), reason=None).code == "refund_exceeds_captured"
    )


def test_what_was_not_captured_cannot_be_refunded():
    assert (
        refusal(merchant_commands.refund, authorized(), None, command(), reason=None).code
        == "nothing_captured"
    )


@pytest.mark.parametrize("state", ["opened", "lost"])
def test_a_disputed_amount_cannot_be_refunded(state):
    made = captured()
    disputes.take(made, word(made, state, 1000, observed_at=LATER), cause(LATER, uuid4()))

    assert made.status is Status.DISPUTED
    assert (
        refusal(merchant_commands.refund, made, 100, command(), reason=None).amounts["refundable_minor"] == 99
    )


# Cancel


def test_a_payment_that_waits_for_its_next_attempt_ends_when_it_is_cancelled():
    made = payment()
    say(made, S.NOT_SENT, code="connection_refused")
    merchant_commands.cancel(made, command())

    assert (made.status, made.next_wake_at(LATER)) == (Status.VOIDED, None)


@pytest.mark.parametrize(("capture", "letter"), [("manual", "v"), ("automatic", "r")])
def test_a_call_under_way_is_given_back_when_it_succeeds_after_the_cancel(capture, letter):
    made = payment(capture=capture)
    merchant_commands.cancel(made, command())
    assert made.status is Status.PROCESSING

    say(made)
    assert operation_of(made).endswith(f"-{letter}2")
    say(made)
    assert made.status in {Status.VOIDED, Status.REFUNDED}


def test_a_call_that_did_not_charge_is_not_followed_by_another_after_a_cancel():
    made = payment()
    merchant_commands.cancel(made, command())
    say(made, S.NOT_SENT, code="connection_refused")

    assert made.status is Status.VOIDED


def test_an_open_challenge_is_ended_at_the_psp_when_the_payment_is_cancelled():
    made = payment()
    say(made, S.ACTION_REQUIRED)
    merchant_commands.cancel(made, command())
    assert made.pending_events[-1].how == "cancel"

    say(made, S.EXPIRED, code="canceled", step="x")
    assert made.status is Status.VOIDED


def test_a_cancel_of_an_authorization_voids_it():
    made = authorized()
    merchant_commands.cancel(made, command())
    say(made)

    assert made.status is Status.VOIDED


def test_a_capture_under_way_cannot_be_cancelled_since_a_void_would_run_beside_it():
    made = authorized(MULTICAPTURE)
    merchant_commands.capture(made, 500, command(), final=False)
    before = made.version

    no = refusal(merchant_commands.cancel, made, command())
    assert (no.code, no.amounts["reserved_minor"]) == ("already_captured", 500)
    assert made.version == before


def test_a_capture_that_waits_for_its_next_try_cannot_be_cancelled_either():
    made = authorized()
    merchant_commands.capture(made, 500, command(), final=False)
    say(made, S.NOT_SENT, code="connection_refused")

    assert refusal(merchant_commands.cancel, made, command()).code == "already_captured"


def test_what_was_captured_cannot_be_cancelled():
    no = refusal(merchant_commands.cancel, captured(), command())

    assert no.code == "already_captured"
    assert "refund" in no.detail


# The customer's return


def test_the_customers_return_queries_the_psp_at_once():
    made = payment()
    say(made, S.ACTION_REQUIRED)
    merchant_commands.customer_returned(made, None, command())

    assert made.pending_events[-1].how == "query"
    say(made, S.APPROVED, source="query")
    assert made.status is Status.CAPTURED


def test_a_return_after_the_psp_has_reported_queries_nothing():
    made = payment()
    say(made, S.ACTION_REQUIRED)
    say(made, S.APPROVED, source="webhook")
    merchant_commands.customer_returned(made, None, command())

    assert type(made.pending_events[-1]).TOPIC == "payment.customer_returned.v1"


def test_a_return_from_nowhere_is_refused():
    no = refusal(merchant_commands.customer_returned, payment(), "s9", command())
    assert no.detail == "s9 has not sent the customer anywhere; operations that have: none"
    assert (no.code, no.amounts["authorized_minor"]) == ("no_action_required", 0)


def test_a_link_that_is_loaded_again_and_again_asks_the_psp_a_bounded_number_of_times():
    made = payment()
    say(made, S.ACTION_REQUIRED)
    for _ in range(merchant_commands.RETURNS_MAX):
        merchant_commands.customer_returned(made, None, command())

    assert refusal(merchant_commands.customer_returned, made, None, command()).code == "returned_too_often"


def test_a_challenge_that_ran_out_is_ended_at_the_psp_and_expires_only_when_that_confirms():
    made = payment()
    say(made, S.ACTION_REQUIRED, observed_at=NOW)
    now = NOW
    while now < NOW + timedelta(hours=1):
        now = made.next_wake_at(now)
        timers.wake(made, ROUTE, cause(now))
    assert now == NOW + timedelta(hours=1)
    assert made.pending_events[-1].how == "query", "it may have been passed in time"

    still_open = report(operation_of(made), S.ACTION_REQUIRED, source="query", observed_at=now)
    outcomes.take(made, still_open, ROUTE, cause(now))
    assert made.pending_events[-1].how == "cancel"
    assert made.status is Status.REQUIRES_ACTION

    outcomes.take(made, report(operation_of(made), S.UNKNOWN, step="x", observed_at=now), ROUTE, cause(now))
    assert made.status is Status.IN_DOUBT

    outcomes.take(
        made, report(operation_of(made), S.EXPIRED, source="query", observed_at=now), ROUTE, cause(now)
    )
    assert made.status is Status.EXPIRED


def test_a_frozen_payment_takes_no_merchants_command():
    made = captured()
    outcomes.take(made, report("nothing-s9"), ROUTE, cause(LATER))

    for call in (
        lambda: merchant_commands.refund(made, None, command(), reason=None),
        lambda: merchant_commands.void(made, command()),
        lambda: merchant_commands.cancel(made, command()),
        lambda: merchant_commands.capture(made, None, command(), final=False),
    ):
        no = refusal(call)
        assert (no.code, no.amounts["captured_minor"]) == ("payment_frozen", 1099)


def test_what_is_over_cannot_be_cancelled_and_the_refusal_says_how_it_stands():
    canceled, failed = payment(), payment()
    merchant_commands.cancel(canceled, command())
    say(failed, S.DECLINED_HARD, code="lost_card")

    for made, code in ((canceled, "already_canceled"), (failed, "nothing_to_cancel")):
        no = refusal(merchant_commands.cancel, made, command())
        assert (no.code, no.amounts) == (code, merchant_commands.amounts(made))
        assert str(made.status) in no.detail
