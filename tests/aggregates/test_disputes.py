from datetime import timedelta
from itertools import permutations
from uuid import uuid4

import pytest

from aggregates import disputes, merchant_commands, outcomes, timers
from aggregates.decision import Refused
from aggregates.operation import OperationState
from aggregates.status import Status
from tests.support.builders import (
    NOW,
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


def say(made, state="opened", amount_minor=1099, after_s=0, **other):
    """By the PSP's clock so many seconds after the first word; received_at a day later."""
    at = NOW + timedelta(seconds=after_s)
    received_at = NOW + timedelta(days=1)
    dispute = word(made, state, amount_minor, reported_at=at, observed_at=received_at, **other)
    disputes.take(made, dispute, cause(received_at, uuid4()))


def decide(made, decision, amount_minor=None, *, now=LATER + timedelta(days=2), dispute_id="dp_1"):
    disputes.resolve(
        made,
        dispute_id,
        decision,
        amount_minor,
        evidence="case 7 in the PSP's dashboard",
        who="ada",
        cause=cause(now, uuid4(), fingerprint="content"),
    )


def refund(made, amount_minor=None):
    merchant_commands.refund(made, amount_minor, cause(LATER, uuid4(), fingerprint="content"), reason=None)


def refused(act, *args, **named):
    with pytest.raises(Refused) as no:
        act(*args, **named)
    return no.value


def test_an_inquiry_takes_nothing_and_a_refund_is_its_cure():
    made = captured()
    say(made, "inquiry")
    assert (made.status, made.totals.disputed, made.frozen) == (Status.CAPTURED, 0, False)

    refund(made)
    outcomes.take(made, report(operation_of(made), S.APPROVED, amount_minor=1099), ROUTE, cause(LATER))
    say(made, "closed", after_s=60)

    assert (made.status, made.frozen) == (Status.REFUNDED, False)
    assert made.disputes["dp_1"].state == "closed"


def test_an_inquiry_that_turns_into_a_chargeback_takes_the_chargebacks_amount():
    made = captured()
    say(made, "inquiry", 400)
    say(made, "opened", 1099, after_s=60)

    assert (made.status, made.totals.disputed, made.totals.refundable) == (Status.DISPUTED, 1099, 0)


def test_a_later_word_changes_the_amount_and_no_refund_of_the_difference_goes_out():
    made = captured()
    say(made, "opened", 400)
    say(made, "opened", 1099, after_s=60)

    assert made.totals.refundable == 0
    assert refused(refund, made, 699).code == "refund_exceeds_captured"


@pytest.mark.parametrize(
    ("words", "refundable"),
    [
        (("opened", "lost", "won"), 1099),
        (("opened", "won", "lost"), 0),
        (("opened", "won", "opened"), 0),
        (("opened", "lost", "won", "lost", "won"), 1099),
        (("inquiry", "closed", "opened"), 0),
    ],
)
def test_the_last_report_stands_whatever_came_before(words, refundable):
    made = captured()
    for number, state in enumerate(words):
        say(made, state, after_s=number)

    assert made.totals.refundable == refundable


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_in_whatever_order_the_webhooks_come_the_psps_clock_decides(order):
    sequence = [("opened", 400), ("opened", 1099), ("lost", 1099), ("won", 1099)]
    made = captured()
    for number in order:
        say(made, *sequence[number], after_s=number)

    assert (made.disputes["dp_1"].state, made.totals.refundable) == ("won", 1099)


def test_a_report_of_nothing_new_still_outlives_an_older_one():
    made = captured()
    say(made, "won", after_s=5)
    say(made, "won", after_s=9)
    say(made, "lost", after_s=7)

    assert made.disputes["dp_1"].state == "won"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_words_of_one_second_the_one_further_on_stands(order):
    made = captured()
    for number in order:
        say(made, ("opened", "lost")[number])

    assert made.disputes["dp_1"].state == "lost"


def test_a_clock_that_is_ahead_of_ours_keeps_no_later_word_out():
    made = captured()
    ahead = word(made, "lost", reported_at=NOW + timedelta(days=900), observed_at=NOW)
    disputes.take(made, ahead, cause(NOW, uuid4()))
    disputes.take(made, word(made, "won", observed_at=LATER), cause(LATER, uuid4()))

    assert made.disputes["dp_1"].state == "won"


def test_the_same_messages_again_in_their_order_add_nothing():
    made = captured()
    reports = [word(made, "opened", amount, observed_at=NOW) for amount in (400, 1099)]
    causes = [cause(NOW, uuid4()) for _ in reports]
    for _ in range(2):
        for one, of in zip(reports, causes, strict=True):
            disputes.take(made, one, of)

    assert len([event for event in made.pending_events if event.TOPIC == "payment.dispute_changed.v1"]) == 2
    assert made.totals.disputed == 1099


@pytest.mark.parametrize("end", ["won", "closed"])
@pytest.mark.parametrize("more", [{"amount_minor": 2000}, {"currency": "USD"}])
def test_a_dispute_of_more_than_was_captured_freezes_until_it_takes_nothing(more, end):
    made = captured()
    say(made, **more)
    assert made.frozen
    assert refused(refund, made).code == "payment_frozen"

    say(made, end, after_s=60, **more)

    assert (made.frozen, made.status, made.totals.refundable) == (False, Status.CAPTURED, 1099)


def test_a_dispute_after_a_part_was_refunded_freezes_no_longer_than_it_lasts():
    made = captured()
    refund(made, 400)
    outcomes.take(made, report(operation_of(made), S.APPROVED, amount_minor=400), ROUTE, cause(LATER))
    say(made)
    assert made.frozen

    say(made, "won", after_s=60)

    assert (made.frozen, made.status) == (False, Status.PARTIALLY_REFUNDED)
    refund(made, 699)


def test_a_refund_that_was_under_way_when_the_dispute_came_freezes_no_longer_than_both_stand():
    made = captured()
    refund(made, 400)
    say(made)
    outcomes.take(made, report(operation_of(made), S.APPROVED, amount_minor=400), ROUTE, cause(LATER))
    assert made.frozen

    say(made, "won", after_s=60)

    assert (made.frozen, made.totals.refundable) == (False, 699)


def test_what_else_contradicts_the_record_outlives_a_dispute_that_was_won():
    made = captured()
    sale = operation_of(made)
    other = report(sale, S.APPROVED, psp_id="pi_2", observed_at=LATER)
    outcomes.take(made, other, ROUTE, cause(LATER))
    say(made, amount_minor=2000)
    say(made, "won", 2000, after_s=60)

    assert made.frozen_by == {sale}
    assert made.frozen


def test_a_dispute_that_outruns_our_own_response_freezes_only_until_that_comes():
    made = payment()
    say(made)
    assert made.frozen

    outcomes.take(made, report(operation_of(made), S.APPROVED), ROUTE, cause(LATER))

    assert (made.frozen, made.status) == (False, Status.DISPUTED)


def test_a_refund_that_waits_for_its_next_attempt_is_not_tried_again_when_the_bank_has_taken_the_money():
    made = captured()
    refund(made)
    waiting = operation_of(made)
    outcomes.take(made, report(waiting, S.NOT_SENT, code="connect_failed"), ROUTE, cause(LATER))
    say(made)
    assert waiting in made.retries
    due = made.retries[waiting].at
    timers.wake(made, ROUTE, cause(due + timedelta(hours=1), uuid4()))
    assert list(made.operations)[-1] == waiting

    say(made, "lost", after_s=60)

    assert (waiting in made.retries, made.frozen) == (False, False)
    assert made.pending_events[-1].TOPIC == "operation.retries_ended.v1"


# An operator's word


@pytest.mark.parametrize(
    ("decision", "refundable"), [("opened", 0), ("lost", 0), ("won", 1099), ("closed", 1099)]
)
def test_an_operator_says_how_a_dispute_ended_that_the_psp_leaves_unclear(decision, refundable):
    made = captured()
    say(made, "unclear")
    assert made.totals.refundable == 0

    decide(made, decision)

    assert made.totals.refundable == refundable
    assert (made.pending_events[-1].who, made.pending_events[-1].evidence) == (
        "ada",
        "case 7 in the PSP's dashboard",
    )


def test_what_the_psp_says_after_an_operator_stands_and_what_it_said_before_does_not():
    made = captured()
    say(made, "unclear")
    decide(made, "won", now=NOW + timedelta(hours=1))
    say(made, "lost", after_s=1800)
    assert made.disputes["dp_1"].state == "won"

    say(made, "lost", after_s=7200)
    assert made.disputes["dp_1"].state == "lost"


def test_an_operator_ends_the_freeze_with_what_the_bank_took_of_this_payment():
    made = captured()
    say(made, amount_minor=2000)
    decide(made, "lost")

    assert (made.frozen, made.totals.disputed, made.status) == (False, 1099, Status.DISPUTED)


def test_a_dispute_in_another_currency_needs_the_operators_amount():
    made = captured()
    say(made, currency="USD")
    assert refused(decide, made, "lost").code == "amount_missing"

    decide(made, "lost", 900)

    assert (made.frozen, made.totals.disputed, made.totals.refundable) == (False, 900, 199)


@pytest.mark.parametrize(("decision", "amount"), [("lost", 1100), ("won", 5)])
def test_an_amount_that_cannot_be_is_refused(decision, amount):
    made = captured()
    say(made)

    no = refused(decide, made, decision, amount)

    assert (no.code, no.amounts["disputed_minor"]) == ("amount_not_possible", 1099)


def test_of_a_dispute_that_is_not_known_nothing_is_decided():
    made = captured()
    say(made)
    version = made.version

    assert refused(decide, made, "won", dispute_id="dp_9").code == "dispute_unknown"
    assert made.version == version


def test_a_dispute_of_what_is_only_authorized_is_recorded_and_freezes_the_capture():
    made = authorized()
    say(made)

    no = refused(merchant_commands.capture, made, None, cause(LATER, fingerprint="f"), final=False)
    assert (made.status, no.code) == (Status.AUTHORIZED, "payment_frozen")


# A payment that was cancelled before it was known to be taken


def taken_after_cancel(state: str, amount_minor: int):
    made = payment()
    sale = operation_of(made)
    outcomes.take(made, report(sale, S.UNKNOWN, psp_id=None), ROUTE, cause(LATER))
    merchant_commands.cancel(made, cause(LATER, uuid4(), fingerprint="content"))
    say(made, state, amount_minor)
    reported = report(sale, S.APPROVED, source="query", observed_at=NOW + timedelta(days=2))
    outcomes.take(made, reported, ROUTE, cause(NOW + timedelta(days=2)))
    return made


@pytest.mark.parametrize(
    ("state", "disputed", "given_back"),
    [
        ("opened", 1099, 0),
        ("lost", 1099, 0),
        ("opened", 500, 599),
        ("won", 1099, 1099),
        ("inquiry", 1099, 1099),
    ],
)
def test_a_cancelled_payment_gives_back_what_no_dispute_has_taken(state, disputed, given_back):
    made = taken_after_cancel(state, disputed)

    assert (made.totals.refunding, made.frozen) == (given_back, False)


@pytest.mark.parametrize("disputed", [1099, 500])
def test_what_a_dispute_held_of_a_cancelled_payment_is_given_back_once_it_is_won(disputed):
    made = taken_after_cancel("opened", disputed)
    for after_s in (60, 120):
        say(made, "won", disputed, after_s=after_s)

    assert (made.totals.refunding, made.frozen) == (1099, False)


def lost_again():
    """Won, and then lost for good."""
    made = captured()
    for after_s, state in enumerate(("opened", "won", "lost")):
        say(made, state, after_s=after_s)
    return made


def test_an_old_word_that_is_sent_again_with_a_later_date_gives_nothing_back_and_calls_an_operator():
    made = lost_again()

    say(made, "won", after_s=9, signed_before=True)

    assert (made.disputes["dp_1"].state, made.totals.disputed, made.frozen) == ("lost", 1099, True)
    assert refused(refund, made, 1).code == "payment_frozen"
    (freeze,) = made.contradictions.values()
    assert "dispute dp_1 is won" in freeze.reason
    assert "nobody vouches for its date" in freeze.reason


@pytest.mark.parametrize(
    ("state", "amount", "after_s"), [("lost", 1099, 9), ("won", 1099, 1), ("opened", 1099, 0)]
)
def test_an_old_report_that_repeats_what_stands_or_has_its_own_date_changes_nothing(state, amount, after_s):
    made = lost_again()
    events = len(made.pending_events)

    say(made, state, amount, after_s=after_s, signed_before=True)

    assert (len(made.pending_events), made.frozen) == (events, False)


def test_an_old_word_with_a_later_date_keeps_no_true_one_out():
    made = captured()
    say(made, "opened")
    say(made, "won", after_s=1)
    say(made, "won", after_s=99, signed_before=True)

    say(made, "lost", after_s=50)

    assert (made.disputes["dp_1"].state, made.totals.disputed) == ("lost", 1099)


@pytest.mark.parametrize("by", ["an operator", "the PSP"])
def test_a_later_word_that_somebody_vouches_for_ends_the_freeze_of_an_old_one(by):
    made = lost_again()
    say(made, "won", after_s=9, signed_before=True)

    if by == "an operator":
        decide(made, "won")
    else:
        say(made, "won", after_s=10)

    assert (made.disputes["dp_1"].state, made.frozen) == ("won", False)
    refund(made)
