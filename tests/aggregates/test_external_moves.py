"""Moves that a colleague, or the PSP itself, made of a payment: queried once, recorded once, or frozen for an
operator."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates import merchant_commands, timers
from aggregates.decision import Refused
from aggregates.operation import Balances, Move, OperationState
from aggregates.status import Status
from tests.aggregates.external_moves import (
    FAILED,
    LATER,
    command,
    disputed,
    hears,
    questions,
    refunded_externally,
    say,
    shows,
    totals,
)
from tests.support.builders import (
    MULTICAPTURE,
    NOW,
    ORDERS,
    ROUTE,
    WEBHOOK_ONLY,
    authorized,
    captured,
    cause,
    operation_of,
)

S = OperationState


@pytest.mark.parametrize(("minor", "status"), [(1099, Status.CAPTURED), (900, Status.PARTIALLY_CAPTURED)])
def test_a_capture_made_externally_is_recorded_and_may_be_refunded(minor, status):
    made = authorized()
    hears(made)
    assert questions(made) == ["confirm"]

    shows(made, Balances(captured_minor=minor, refunded_minor=0, held_minor=0))

    assert (made.status, made.totals.captured, made.totals.released) == (status, minor, 1099 - minor)
    assert not made.frozen
    merchant_commands.refund(made, None, command(), reason=None)
    assert made.totals.refunding == minor


def test_the_same_webhook_again_adds_nothing_but_a_query():
    made = authorized()
    for hours in (1, 2, 3):
        hears(made, NOW + timedelta(hours=hours))
        shows(made, Balances(1099, 0, 0), NOW + timedelta(hours=hours, minutes=1))

    assert questions(made) == ["confirm"] * 3
    assert (made.totals.captured, len(made.operations)) == (1099, 2)


def test_a_webhook_that_shows_what_is_recorded_queries_nothing():
    made = captured()

    say(made, S.APPROVED, source="webhook", balances=Balances(1099, 0, 0))
    say(made, S.UNKNOWN, source="webhook", balances=Balances(1099, 0, 0))

    assert questions(made) == []


def test_a_webhook_that_the_psp_waits_for_our_next_call_is_no_news_of_what_has_ended():
    made = authorized()
    hears(made, next_step="2")

    assert questions(made) == []


def test_a_webhook_from_before_our_refund_queries_nothing():
    made = captured()
    merchant_commands.refund(made, 500, command(), reason=None)
    say(made, S.APPROVED, operation=operation_of(made))

    say(made, S.UNKNOWN, LATER + timedelta(hours=1), source="webhook", balances=Balances(1099, 0, 0))

    assert questions(made) == []


def test_what_is_released_externally_is_expired_and_released():
    made = authorized()
    hears(made)
    say(made, S.EXPIRED, LATER + timedelta(seconds=1), source="query", code="canceled")

    assert (made.status, made.totals.released) == (Status.EXPIRED, 1099)
    assert made.next_wake_at(LATER) is None


def test_a_refund_made_externally_is_recorded_and_not_offered_again():
    made = captured()
    hears(made)
    shows(made, Balances(1099, 400, 0))

    assert (made.status, made.totals.refundable) == (Status.PARTIALLY_REFUNDED, 699)
    with pytest.raises(Refused, match="refund_exceeds_captured"):
        merchant_commands.refund(made, 700, command(), reason=None)


def test_a_refund_of_ours_under_way_is_not_taken_for_an_external_one():
    made = captured()
    merchant_commands.refund(made, 400, command(NOW), reason=None)
    refund = operation_of(made)
    hears(made)

    shows(made, Balances(1099, 400, 0))
    assert (made.totals.refunded, made.totals.refunding, len(made.operations)) == (0, 400, 2)
    assert made.approved_attempt.confirming  # it is queried again until that is certain

    say(made, S.DECLINED_HARD, LATER + timedelta(seconds=2), operation=refund)
    shows(made, Balances(1099, 400, 0), LATER + timedelta(seconds=3))
    assert (made.status, made.totals.refunded) == (Status.PARTIALLY_REFUNDED, 400)


@pytest.mark.parametrize("state", ["opened", "unclear", "lost"])
@pytest.mark.parametrize("first", ["dispute", "reversal"])
def test_a_dispute_that_the_psp_shows_as_a_refund_of_all_counts_once_whichever_is_seen_first(state, first):
    made = captured(ORDERS)
    minute = timedelta(minutes=1)
    if first == "dispute":
        disputed(made, state, at=LATER - minute)
    hears(made)
    shows(made, Balances(1099, 1099, 0))
    if first == "reversal":
        disputed(made, state, at=LATER + minute)

    assert totals(made) == (1099, 0, 0, False)


@pytest.mark.parametrize("state", ["opened", "unclear", "lost"])
@pytest.mark.parametrize("first", ["dispute", "refund"])
@given(data=st.data())
def test_what_is_offered_for_a_refund_is_never_more_than_hands_and_disputes_left(state, first, data):
    """Whether what the PSP shows as given back is the dispute's, a colleague's refund during it, or both."""
    disputed_minor = data.draw(st.integers(1, 1099))
    by_hand = data.draw(st.integers(0, 1099 - disputed_minor))
    shown = by_hand + data.draw(st.sampled_from([0, disputed_minor]))
    ours = data.draw(st.integers(0, 1099 - disputed_minor - by_hand))
    made = captured(ORDERS)
    if ours:
        merchant_commands.refund(made, ours, command(NOW), reason=None)
        name = operation_of(made)
        say(made, S.APPROVED, LATER - timedelta(minutes=2), operation=name, source="call", psp_id="re_1")
    if first == "dispute":
        disputed(made, state, disputed_minor, at=LATER - timedelta(minutes=1))
    hears(made)
    shows(made, Balances(1099, shown + ours, 0))
    if first == "refund":
        disputed(made, state, disputed_minor, at=LATER + timedelta(minutes=1))

    refunded, disputed_now, refundable, frozen = totals(made)
    assert (refunded, frozen) == (shown + ours, False)
    assert refundable <= 1099 - ours - by_hand - disputed_minor
    assert refunded + disputed_now <= 1099

    disputed(made, "won", disputed_minor, at=LATER + timedelta(minutes=2))
    assert totals(made) == (refunded, 0, 1099 - refunded, False), "what was refunded meanwhile stays so"


def test_less_than_is_recorded_freezes_the_payment():
    made = captured()
    hears(made)
    shows(made, Balances(0, 0, 0))

    assert (made.status, made.frozen) == (Status.CAPTURED, True)


def test_a_response_from_before_our_own_capture_reports_nothing():
    made = authorized()
    hears(made, NOW + timedelta(minutes=1))
    merchant_commands.capture(made, None, command(NOW), final=False)
    say(made, S.APPROVED, LATER, operation=operation_of(made))

    shows(made, Balances(0, 0, 1099), LATER - timedelta(seconds=1))

    assert (made.status, made.frozen) == (Status.CAPTURED, False)


def test_each_move_that_has_an_id_is_recorded_under_it_and_a_refund_names_it():
    made = authorized(ORDERS)
    hears(made)
    moves = (Move("capture", "cap_1", 500), Move("capture", "cap_2", 300))
    shows(made, Balances(800, 0, 299, moves))

    assert [o.psp_id for o in made.operations.values() if o.external] == ["cap_1", "cap_2"]
    merchant_commands.refund(made, 300, command(), reason=None)
    # The one that has just so much left.
    target = made.operations[operation_of(made)].target
    assert target is not None
    assert made.operations[target].psp_id == "cap_2"


@pytest.mark.parametrize("kind", ["capture", "void"])
def test_a_command_that_the_psp_refuses_since_it_was_done_externally_first_is_looked_into(kind):
    made = authorized()
    if kind == "capture":
        merchant_commands.capture(made, None, command(), final=False)
    else:
        merchant_commands.void(made, command())
    say(made, S.NOT_SENT, operation=operation_of(made), source="call", code="unexpected_state")
    assert questions(made) == ["confirm"]

    shows(made, Balances(1099, 0, 0))
    assert (made.status, made.retries, made.frozen) == (Status.CAPTURED, {}, False)


def test_a_refund_for_which_too_little_is_left_is_not_repeated_and_what_is_missing_is_looked_into():
    made = captured()
    merchant_commands.refund(made, None, command(), reason=None)
    say(made, S.NOT_SENT, operation=operation_of(made), source="call", code="more_than_is_left")
    assert (questions(made), made.retries) == (["confirm"], {})

    shows(made, Balances(1099, 700, 0, (Move("refund", "re_by_hand", 700),)))

    assert (made.totals.refunded, made.totals.refundable, made.frozen) == (700, 399, False)
    assert made.operations[operation_of(made)].psp_id == "re_by_hand"


def test_a_refund_of_the_same_amount_made_externally_shows_in_the_response_to_ours():
    made = captured()
    merchant_commands.refund(made, 400, command(), reason=None)
    ours = operation_of(made)
    both = (Move("refund", "re_by_hand", 400), Move("refund", "re_ours", 400))
    say(made, S.APPROVED, operation=ours, psp_id="re_ours", balances=Balances(1099, 800, 0, both))
    assert questions(made) == ["confirm"]

    shows(made, Balances(1099, 800, 0, both))

    assert (made.totals.refunded, made.totals.refundable, made.frozen) == (800, 299, False)
    assert [o.psp_id for o in made.operations.values() if o.external] == ["re_by_hand"]


def test_an_external_refund_is_seen_though_the_psp_does_not_count_ours_yet():
    made = captured()
    merchant_commands.refund(made, 400, command(), reason=None)

    others = Balances(1099, 400, 0, (Move("refund", "re_by_hand", 400),))
    say(made, S.APPROVED, operation=operation_of(made), psp_id="re_ours", balances=others)

    assert questions(made) == ["confirm"]


def test_a_response_to_our_refund_that_shows_only_ours_or_is_a_stored_one_queries_nothing():
    made = captured()
    for minor, name in ((400, "re_1"), (300, "re_2")):
        merchant_commands.refund(made, minor, command(), reason=None)
        shown = Balances(1099, minor, 0, (Move("refund", name, minor),))
        say(made, S.APPROVED, operation=operation_of(made), psp_id=name, balances=shown)

    assert (questions(made), made.frozen) == ([], False)


def test_a_webhook_that_names_another_charge_of_the_same_amount_is_queried():
    made = captured()
    for psp_id in (made.approved_attempt.psp_id, None):
        say(made, S.UNKNOWN, source="webhook", psp_id=psp_id, balances=Balances(1099, None, 0))
    assert questions(made) == []

    say(made, S.UNKNOWN, source="webhook", psp_id="pi_second", balances=Balances(1099, None, 0))

    assert questions(made) == ["confirm"]
    query = made.pending_events[-1]
    assert query.reason == "a webhook names pi_second (no code), and pi_1 is on record"


@pytest.mark.parametrize("kind", ["sale", "refund"])
def test_what_a_lookup_finds_twice_was_executed_twice_and_freezes_the_payment(kind):
    made = captured()
    if kind == "refund":
        merchant_commands.refund(made, 400, command(), reason=None)
        say(made, operation=operation_of(made), state=S.APPROVED)
    name = operation_of(made)

    for minute in (1, 2):
        at = LATER + timedelta(minutes=minute)
        say(made, S.UNKNOWN, at, name, source="query", code="found_twice", psp_id=None, amount_minor=None)

    assert made.frozen_by == {name}
    assert [type(event).TOPIC for event in made.pending_events].count("payment.contradicted.v1") == 1
    with pytest.raises(Refused):
        merchant_commands.refund(made, 100, command(), reason=None)


def test_a_retry_of_ours_is_dropped_where_it_was_done_externally_meanwhile():
    made = captured()
    merchant_commands.refund(made, None, command(), reason=None)
    say(made, S.NOT_SENT, operation=operation_of(made), source="call", code="rate_limited")
    assert made.retries
    hears(made, LATER + timedelta(seconds=1))

    shows(made, Balances(1099, 1099, 0), LATER + timedelta(seconds=2))

    assert (made.status, made.retries, made.frozen) == (Status.REFUNDED, {}, False)


def test_a_capture_elsewhere_of_a_cancelled_payment_is_recorded_and_frozen():
    made = authorized()
    merchant_commands.cancel(made, command())
    say(made, S.DECLINED_HARD, operation=operation_of(made), source="call")
    shows(made, Balances(1099, 0, 0))

    assert (made.totals.captured, made.frozen) == (1099, True)


def test_a_psp_that_cannot_be_queried_is_believed_once():
    made = authorized(WEBHOOK_ONLY)
    capture = Balances(moves=(Move("capture", "adyen_c", 900),))
    refund = Balances(moves=(Move("refund", "adyen_r", 400),))

    for at in (LATER, LATER + timedelta(hours=1)):
        hears(made, at, balances=capture)
        hears(made, at, balances=refund)

    assert (made.status, made.totals.captured, made.totals.refunded) == (Status.PARTIALLY_REFUNDED, 900, 400)
    assert (questions(made), made.frozen) == ([], False)


def test_what_moved_before_the_payment_is_known_to_hold_anything_freezes_it():
    made = authorized(WEBHOOK_ONLY)
    merchant_commands.void(made, command(NOW))
    say(made, S.APPROVED, NOW + timedelta(minutes=1), operation=operation_of(made), source="webhook")

    hears(made, balances=Balances(moves=(Move("capture", "adyen_c", 1099),)))

    assert (made.totals.captured, made.frozen) == (1099, True)


def test_a_query_without_a_response_calls_an_operator():
    made = authorized()
    hears(made)
    now = LATER
    while now < LATER + timedelta(days=2):
        now = made.next_wake_at(now)
        timers.wake(made, ROUTE, cause(now))

    called = [e for e in made.pending_events if type(e).TOPIC == "payment.escalated.v1"]
    assert [(e.since, e.timestamp) for e in called] == [(LATER.isoformat(), LATER + timedelta(hours=24))]
    assert len(questions(made)) < 10


def test_a_part_that_was_captured_externally_leaves_the_rest_to_us():
    made = authorized(MULTICAPTURE)
    hears(made)
    shows(made, Balances(500, 0, 599))

    assert (made.status, made.totals.capturable) == (Status.PARTIALLY_CAPTURED, 599)


@pytest.mark.parametrize("state", [S.UNKNOWN, S.DECLINED_HARD])
@pytest.mark.parametrize(("left", "status"), [(0, Status.CAPTURED), (150, Status.PARTIALLY_REFUNDED)])
def test_a_refund_made_externally_that_the_psp_no_longer_counts_is_taken_back(left, status, state):
    made = refunded_externally()
    say(made, state, FAILED, source="webhook", code="refund_failed")
    shows(made, Balances(1099, left, 0), FAILED + timedelta(seconds=1))

    assert (made.status, made.totals.refunded, made.frozen) == (status, left, False)
    taken_back = made.pending_events[-2]
    assert (type(taken_back).TOPIC, taken_back.amount_minor) == (
        "payment.external_move_reversed.v1",
        400 - left,
    )
    merchant_commands.refund(made, None, command(FAILED), reason=None)
    assert made.totals.refunding == 1099 - left


def test_of_several_refunds_made_externally_the_one_that_the_psp_no_longer_names_is_taken_back():
    first, second = Move("refund", "re_1", 300), Move("refund", "re_2", 300)
    made = refunded_externally(600, ORDERS, (first, second))
    hears(made, FAILED)
    shows(made, Balances(1099, 300, 0, (second,)), FAILED + timedelta(seconds=1))

    balances = {o.psp_id: o.state for o in made.operations.values() if o.external}
    assert balances == {"re_1": S.DECLINED_HARD, "re_2": S.APPROVED}


def test_of_several_moves_without_an_id_the_one_of_the_lacking_amount_is_taken_back():
    made = refunded_externally(300)
    for hours, shown in ((2, 700), (3, 400)):
        at = LATER + timedelta(hours=hours)
        hears(made, at)
        shows(made, Balances(1099, shown, 0), at + timedelta(seconds=1))

    assert [o.approved_minor for o in made.operations.values() if o.external] == [0, 400]
