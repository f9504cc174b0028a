"""What a colleague, or the PSP itself, did to a payment: asked about once, recorded once, or frozen for an
operator."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates import disputes, merchant_commands, outcomes, resolution, timers
from aggregates.decision import Refused
from aggregates.operation import Balances, Move, OperationState
from aggregates.payment import Payment
from aggregates.routing import Route
from aggregates.status import DisputeState, Status
from tests.support.controls import (
    MULTICAPTURE,
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
    word,
)

S = OperationState
LATER = NOW + timedelta(hours=1)


def command(now=LATER):
    return cause(now, uuid4(), fingerprint="content")


def questions(made: Payment) -> list[str]:
    return [
        event.how for event in made.pending_events if type(event).TOPIC == "operation.follow_up_requested.v1"
    ]


def say(
    made: Payment,
    state: OperationState,
    at=LATER,
    operation: str | None = None,
    route: Route = ROUTE,
    **other,
) -> None:
    taken = made.approved_attempt
    name = operation or taken.id
    fields = {"psp_id": made.operations[name].psp_id, "amount_minor": made.operations[name].amount.minor}
    outcomes.take(made, report(name, state, observed_at=at, **fields | other), route, cause(at))


def hears(made: Payment, at=LATER, **other) -> None:
    """A webhook with news of what took the payment."""
    say(made, S.UNKNOWN, at, source="webhook", code="news", **other)


def shows(made: Payment, balances: Balances, at=LATER + timedelta(seconds=1)) -> None:
    """The PSP's answer to the question."""
    say(made, S.APPROVED, at, source="query", balances=balances)


def resolve(made: Payment, operation: str, decision: str, amount_minor: int | None = None, now=LATER) -> None:
    resolution.resolve(
        made, operation, decision, amount_minor, evidence="the PSP's page", who="ada", cause=command(now)
    )


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


def test_the_same_news_again_adds_nothing_but_a_question():
    made = authorized()
    for hours in (1, 2, 3):
        hears(made, NOW + timedelta(hours=hours))
        shows(made, Balances(1099, 0, 0), NOW + timedelta(hours=hours, minutes=1))

    assert questions(made) == ["confirm"] * 3
    assert (made.totals.captured, len(made.operations)) == (1099, 2)


def test_a_webhook_that_shows_what_is_recorded_asks_nothing():
    made = captured()

    say(made, S.APPROVED, source="webhook", balances=Balances(1099, 0, 0))
    say(made, S.UNKNOWN, source="webhook", balances=Balances(1099, 0, 0))

    assert questions(made) == []


def test_a_webhook_from_before_our_refund_asks_nothing():
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
    assert made.approved_attempt.confirming  # it is asked again until that is certain

    say(made, S.DECLINED_HARD, LATER + timedelta(seconds=2), operation=refund)
    shows(made, Balances(1099, 400, 0), LATER + timedelta(seconds=3))
    assert (made.status, made.totals.refunded) == (Status.PARTIALLY_REFUNDED, 400)


def disputed(made: Payment, state: DisputeState, minor: int = 1099, at=LATER) -> None:
    disputes.take(made, word(made, state, minor, observed_at=at), cause(at, uuid4()))


def totals(made: Payment) -> tuple[int, int, int, bool]:
    return made.totals.refunded, made.totals.disputed, made.totals.refundable, made.frozen


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


def test_a_dispute_that_leaves_no_room_for_our_own_refund_freezes_the_payment():
    made = captured(ORDERS)
    merchant_commands.refund(made, 500, command(NOW), reason=None)
    say(made, S.APPROVED, LATER, operation=operation_of(made), source="call", psp_id="re_1")
    disputed(made, "lost", 1099, at=LATER + timedelta(minutes=1))

    assert totals(made) == (500, 1099, 0, True)


def test_what_a_dispute_took_of_a_duplicate_charge_is_no_refund_of_the_other():
    made = payment(ORDERS)
    first = operation_of(made)
    outcomes.take(made, report(first, S.PROVEN_ABSENT, source="query"), ORDERS, cause())
    timers.wake(made, ORDERS, cause(NOW + timedelta(minutes=1)))
    second = operation_of(made)
    for name, source in ((second, "call"), (first, "webhook")):
        at = NOW + timedelta(minutes=2)
        said = report(name, psp_id=f"pi_{name[-1]}", source=source, observed_at=at)
        outcomes.take(made, said, ORDERS, cause(at))
    resolution.resolve(made, first, "charged", None, evidence="-", who="ada", cause=command())
    say(made, S.APPROVED, operation=operation_of(made), at=LATER)
    hears(made, operation=second)
    shows(made, Balances(1099, 1099, 0))
    at = LATER + timedelta(minutes=1)
    disputes.take(made, word(made, "lost", operation_id=first, observed_at=at), cause(at, uuid4()))

    assert (made.totals.refunded, made.totals.disputed) == (1099, 1099)


def test_a_dispute_beside_an_earlier_refund_takes_the_rest():
    made = captured(ORDERS)
    hears(made)
    shows(made, Balances(1099, 500, 0))
    disputed(made, "opened", 599, at=LATER + timedelta(minutes=1))

    assert totals(made) == (500, 599, 0, False)


def test_where_the_psp_keeps_disputes_apart_what_it_shows_as_refunded_is_a_refund_beside_them():
    made = captured()
    disputed(made, "opened", 500)
    hears(made)
    shows(made, Balances(1099, 500, 0))

    assert totals(made) == (500, 500, 99, False)


def test_beside_a_refund_of_ours_what_passes_it_is_external():
    made = captured()
    merchant_commands.refund(made, 400, command(NOW), reason=None)
    hears(made)

    shows(made, Balances(1099, 700, 0))
    assert (made.totals.refunded, made.totals.refunding) == (300, 400)

    say(made, S.APPROVED, LATER + timedelta(seconds=2), operation=made.under_way("refund")[0].id)
    shows(made, Balances(1099, 700, 0), LATER + timedelta(seconds=3))
    assert made.totals.refunded == 700
    assert not made.frozen


def answers(made: Payment) -> list[tuple[str, int | None, int | None]]:
    told = [e for e in made.pending_events if type(e).TOPIC == "operation.status_reported.v1"]
    return [(event.reported_state, event.captured_minor, event.refunded_minor) for event in told]


@pytest.mark.parametrize("kind", ["capture", "refund"])
def test_each_answer_is_an_event_while_ours_is_under_way_and_the_other_hands_move_is_recorded_after_it(kind):
    made = authorized() if kind == "capture" else captured()
    if kind == "capture":
        merchant_commands.capture(made, None, command(), final=True)
    else:
        merchant_commands.refund(made, 1099, command(), reason=None)
    ours = operation_of(made)
    say(made, S.UNKNOWN, LATER, ours, source="call", psp_id=None)
    hears(made, LATER + timedelta(seconds=1))
    shown = Balances(1099, 1099 if kind == "refund" else 0, 0)

    say(made, S.UNKNOWN, LATER + timedelta(seconds=2), source="query", code="http_500")
    shows(made, shown, LATER + timedelta(seconds=9))
    assert answers(made) == [("UNKNOWN", None, None), ("APPROVED", 1099, shown.refunded_minor)]
    assert not any(operation.external for operation in made.operations.values())

    say(made, S.DECLINED_HARD, LATER + timedelta(seconds=20), ours, source="call", psp_id=None)
    shows(made, shown, LATER + timedelta(seconds=30))
    done = {"capture": made.totals.captured, "refund": made.totals.refunded}[kind]
    assert (done, made.frozen, [o.kind for o in made.operations.values() if o.external]) == (
        1099,
        False,
        [kind],
    )


def test_less_than_is_recorded_freezes_the_payment():
    made = captured()
    hears(made)
    shows(made, Balances(0, 0, 0))

    assert (made.status, made.frozen) == (Status.CAPTURED, True)


def test_an_answer_from_before_our_own_capture_says_nothing():
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


def test_a_refund_of_the_same_amount_made_externally_shows_in_the_answer_to_ours():
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


def test_an_answer_to_our_refund_that_shows_only_ours_or_is_a_stored_one_asks_nothing():
    made = captured()
    for minor, name in ((400, "re_1"), (300, "re_2")):
        merchant_commands.refund(made, minor, command(), reason=None)
        shown = Balances(1099, minor, 0, (Move("refund", name, minor),))
        say(made, S.APPROVED, operation=operation_of(made), psp_id=name, balances=shown)

    assert (questions(made), made.frozen) == ([], False)


def test_a_webhook_that_names_another_charge_of_the_same_amount_is_asked_about():
    made = captured()
    for psp_id in (made.approved_attempt.psp_id, None):
        say(made, S.UNKNOWN, source="webhook", psp_id=psp_id, balances=Balances(1099, None, 0))
    assert questions(made) == []

    say(made, S.UNKNOWN, source="webhook", psp_id="pi_second", balances=Balances(1099, None, 0))

    assert questions(made) == ["confirm"]


@pytest.mark.parametrize("kind", ["sale", "refund"])
def test_what_a_look_up_finds_twice_was_executed_twice_and_freezes_the_payment(kind):
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


def test_a_psp_that_cannot_be_asked_is_taken_at_its_word_once():
    made = authorized(TOLD)
    capture = Balances(moves=(Move("capture", "adyen_c", 900),))
    refund = Balances(moves=(Move("refund", "adyen_r", 400),))

    for at in (LATER, LATER + timedelta(hours=1)):
        hears(made, at, balances=capture)
        hears(made, at, balances=refund)

    assert (made.status, made.totals.captured, made.totals.refunded) == (Status.PARTIALLY_REFUNDED, 900, 400)
    assert (questions(made), made.frozen) == ([], False)


def test_what_moved_before_the_payment_is_known_to_hold_anything_freezes_it():
    made = authorized(TOLD)
    merchant_commands.void(made, command(NOW))
    say(made, S.APPROVED, NOW + timedelta(minutes=1), operation=operation_of(made), source="webhook")

    hears(made, balances=Balances(moves=(Move("capture", "adyen_c", 1099),)))

    assert (made.totals.captured, made.frozen) == (1099, True)


def test_a_question_that_is_never_answered_calls_an_operator():
    made = authorized()
    hears(made)
    now = LATER
    while now < LATER + timedelta(days=2):
        now = made.next_wake_at(now)
        timers.wake(made, ROUTE, cause(now))

    called = [e for e in made.pending_events if type(e).TOPIC == "payment.escalated.v1"]
    assert [e.timestamp for e in called] == [LATER + timedelta(hours=24)]
    assert len(questions(made)) < 10


def test_a_part_that_was_captured_externally_leaves_the_rest_to_us():
    made = authorized(MULTICAPTURE)
    hears(made)
    shows(made, Balances(500, 0, 599))

    assert (made.status, made.totals.capturable) == (Status.PARTIALLY_CAPTURED, 599)


# External moves that have failed since


def refunded_externally(minor: int = 400, route: Route = ROUTE, moves: tuple[Move, ...] = ()) -> Payment:
    made = captured(route)
    hears(made)
    shows(made, Balances(1099, minor, 0, moves))
    return made


FAILED = LATER + timedelta(days=2)


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


def test_a_capture_made_externally_that_did_not_settle_is_taken_back_and_its_hold_is_gone():
    made = authorized()
    hears(made)
    shows(made, Balances(1099, 0, 0))
    say(made, S.DECLINED_HARD, FAILED, source="webhook", code="transaction_settlement_declined")

    declined = {"source": "query", "code": "settlement_declined", "balances": Balances(0, 0, 0)}
    say(made, S.EXPIRED, FAILED + timedelta(seconds=1), **declined)

    assert (made.status, made.totals.captured, made.frozen) == (Status.EXPIRED, 0, False)


def test_a_webhook_that_a_move_has_failed_freezes_the_payment_where_the_look_up_still_counts_it():
    made = refunded_externally(400, ORDERS, (Move("refund", "re_1", 400),))
    move = operation_of(made)
    hears(made, FAILED)
    say(made, S.DECLINED_HARD, FAILED, move, source="webhook", code="refund_failed")
    assert questions(made)[-1] == "confirm"
    shows(made, Balances(1099, 400, 0, (Move("refund", "re_1", 400),)), FAILED + timedelta(seconds=1))
    assert made.frozen

    resolve(made, move, "not_charged", now=FAILED + timedelta(hours=1))
    assert (made.status, made.totals.refunded) == (Status.CAPTURED, 0)


def test_where_ours_may_be_the_one_that_failed_an_operator_names_the_one_that_did():
    made = captured()
    merchant_commands.refund(made, 400, command(NOW), reason=None)
    ours = operation_of(made)
    say(made, S.APPROVED, LATER - timedelta(minutes=1), ours, psp_id="re_ours")
    hears(made)
    shows(made, Balances(1099, 700, 0))
    theirs = operation_of(made)
    hears(made, FAILED)
    shows(made, Balances(1099, 400, 0), FAILED + timedelta(seconds=1))
    assert (made.frozen_by, made.totals.refunded) == ({theirs}, 700)

    resolve(made, theirs, "not_charged", now=FAILED + timedelta(hours=1))

    assert (made.totals.refunded, made.totals.refundable, made.frozen) == (400, 699, False)


def test_where_the_psp_names_its_refunds_the_one_by_hand_that_failed_beside_ours_needs_no_operator():
    made = captured()
    merchant_commands.refund(made, 400, command(NOW), reason=None)
    say(made, S.APPROVED, LATER - timedelta(minutes=1), operation_of(made), psp_id="re_ours")
    hears(made)
    shows(made, Balances(1099, 700, 0))
    hears(made, FAILED)

    shows(made, Balances(1099, 400, 0, (Move("refund", "re_ours", 400),)), FAILED + timedelta(seconds=1))

    assert (made.totals.refunded, made.totals.refundable, made.frozen) == (400, 699, False)


def test_an_operator_may_say_that_a_part_of_a_move_holds():
    made = refunded_externally(400)
    outcomes.take(made, report("nothing-s9", observed_at=FAILED), ROUTE, cause(FAILED))

    resolve(made, operation_of(made), "charged", 150, now=FAILED)

    assert made.totals.refunded == 150


def test_what_was_made_externally_of_a_payment_that_is_not_frozen_needs_no_operator():
    made = refunded_externally()

    with pytest.raises(Refused, match="not_in_doubt"):
        resolve(made, operation_of(made), "not_charged")


def test_a_refund_under_way_is_not_taken_for_one_that_failed():
    made = refunded_externally()
    merchant_commands.refund(made, 400, command(), reason=None)
    say(made, S.DECLINED_HARD, FAILED, source="webhook", code="refund_failed")

    shows(made, Balances(1099, 400, 0), FAILED + timedelta(seconds=1))
    assert (made.totals.refunded, made.approved_attempt.confirming) == (400, True)

    say(made, S.APPROVED, FAILED + timedelta(seconds=2), made.under_way("refund")[0].id, psp_id="re_ours")
    shows(made, Balances(1099, 400, 0), FAILED + timedelta(seconds=3))
    assert made.frozen, "either may be the one that failed"


def test_where_nobody_can_be_asked_the_webhook_takes_back_and_the_next_one_makes_it_again():
    made = captured(TOLD)
    refund = Balances(moves=(Move("refund", "adyen_r", 400),))
    hears(made, balances=refund)
    move = operation_of(made)

    for again in range(2):
        failed_at = FAILED + timedelta(days=again)
        say(made, S.DECLINED_HARD, failed_at, move, source="webhook", code="refund_failed", psp_id=None)
        assert (made.status, made.totals.refunded, made.frozen) == (Status.CAPTURED, 0, False)
        hears(made, LATER, balances=refund)
        assert made.totals.refunded == 0, "the first webhook, which comes again, says nothing new"
        hears(made, failed_at + timedelta(hours=1), balances=refund)
        assert made.totals.refunded == 400


def canceled(route: Route = ROUTE) -> Payment:
    made = payment(route)
    say(made, S.UNKNOWN, operation=operation_of(made), source="call", psp_id=None)
    merchant_commands.cancel(made, command())
    return made


def test_a_refund_made_externally_that_failed_is_given_back_by_us_where_the_payment_was_cancelled():
    made = canceled()
    shown = Balances(1099, 1099, 0)
    say(made, S.APPROVED, LATER + timedelta(seconds=1), operation_of(made), source="query", balances=shown)
    hears(made, FAILED)
    shows(made, Balances(1099, 0, 0), FAILED + timedelta(seconds=1))

    assert (made.totals.refunded, made.totals.refunding, made.frozen) == (0, 1099, False)


def kept_of_a_canceled() -> Payment:
    """Ours was refused, and then it was given back externally."""
    made = canceled(TOLD)
    say(
        made, S.APPROVED, LATER + timedelta(seconds=1), operation_of(made), source="webhook", psp_id="adyen_p"
    )
    say(made, S.DECLINED_HARD, LATER + timedelta(seconds=2), operation_of(made), source="webhook")
    back = Balances(moves=(Move("refund", "adyen_r", 1099),))
    hears(made, LATER + timedelta(seconds=3), balances=back)
    assert (made.status, made.frozen) == (Status.REFUNDED, False)
    return made


def test_where_ours_was_refused_too_what_failed_of_a_cancelled_payment_stands_before_an_operator():
    made = kept_of_a_canceled()

    say(made, S.DECLINED_HARD, FAILED, operation_of(made), source="webhook", psp_id=None)

    assert (made.totals.refunded, made.totals.refunding, made.frozen) == (0, 0, True)


def test_an_operator_cannot_say_that_what_is_kept_of_a_cancelled_payment_was_not_given_back_where_ours_was_refused():
    made = kept_of_a_canceled()
    outcomes.take(made, report("nothing-s9", observed_at=FAILED), TOLD, cause(FAILED))

    with pytest.raises(Refused, match="still_to_be_given_back"):
        resolve(made, operation_of(made), "not_charged", now=FAILED)


def given_back_of_a_canceled(route: Route) -> Payment:
    """Made externally, before our own refund was due."""
    made = canceled(route)
    outcomes.take(made, report("nothing-s9"), route, cause(LATER))
    say(made, S.APPROVED, LATER + timedelta(seconds=1), operation_of(made), source="webhook")
    hears(made, LATER + timedelta(seconds=3), balances=Balances(moves=(Move("refund", "adyen_r", 1099),)))
    return made


def test_what_a_webhook_says_has_failed_of_a_cancelled_payment_is_given_back_by_us():
    made = given_back_of_a_canceled(TOLD)
    resolve(made, "nothing-s9", "not_charged")
    assert made.totals.refunding == 0

    say(made, S.DECLINED_HARD, FAILED, operation_of(made), source="webhook", psp_id=None)

    assert (made.totals.refunded, made.totals.refunding) == (0, 1099)


def test_an_operators_word_that_a_refund_elsewhere_failed_lets_us_give_back_a_cancelled_payment():
    made = given_back_of_a_canceled(TOLD)
    resolve(made, operation_of(made), "not_charged")
    resolve(made, "nothing-s9", "not_charged")

    assert (made.totals.refunded, made.totals.refunding) == (0, 1099)


# What was told before our own operation had its answer


def test_what_was_done_externally_before_the_authorization_had_its_answer_is_recorded_once_it_has():
    made = payment(TOLD, capture="manual")
    name = operation_of(made)
    moves = (Move("refund", "adyen_r", 400), Move("capture", "adyen_c", 900))
    for one in (*moves, *moves):
        hears_of_open(made, name, Balances(moves=(one,)))
    assert (made.totals.captured, made.frozen) == (0, False)

    say(made, S.APPROVED, LATER + timedelta(seconds=5), name, source="webhook", psp_id="adyen_p")

    assert (made.totals.captured, made.totals.refunded) == (900, 400)
    assert "payment.contradicted.v1" not in [type(event).TOPIC for event in made.pending_events]


def test_what_was_done_externally_to_what_is_then_declined_freezes_the_payment():
    made = payment(TOLD, capture="manual")
    name = operation_of(made)
    hears_of_open(made, name, Balances(moves=(Move("capture", "adyen_c", 900),)))
    say(made, S.DECLINED_HARD, LATER + timedelta(seconds=5), name, source="webhook", psp_id="adyen_p")
    assert made.frozen_by == {name}

    resolve(made, name, "charged", now=LATER + timedelta(hours=1))

    assert (made.totals.captured, made.frozen) == (900, False)


def test_what_was_done_externally_while_our_capture_is_under_way_is_weighed_when_that_has_its_answer():
    made = authorized(TOLD)
    merchant_commands.capture(made, None, command(NOW), final=False)
    capture = operation_of(made)
    hears(made, balances=Balances(moves=(Move("capture", "adyen_c", 1099),)))
    assert (made.totals.captured, made.frozen) == (1099, False)

    say(made, S.APPROVED, LATER + timedelta(seconds=5), capture, source="webhook", psp_id="adyen_ours")

    assert (made.totals.captured, made.frozen_by) == (2198, {capture})


def hears_of_open(made: Payment, name: str, balances: Balances) -> None:
    say(made, S.UNKNOWN, operation=name, source="webhook", code="external", balances=balances)


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


def test_where_there_is_no_void_the_psp_is_asked_until_it_has_released_it():
    made = over(WHOLE)
    assert (made.status, made.frozen, made.approved_attempt.confirming) == (Status.AUTHORIZED, False, True)

    say(made, S.EXPIRED, OVER + timedelta(minutes=5), source="query", code="refunded_uncaptured")
    assert (made.status, made.totals.released) == (Status.EXPIRED, 1099)


def test_where_nobody_can_be_asked_a_hold_that_stands_freezes_the_payment():
    made = over(TOLD)
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

SALE_IN_STEPS = Route((replace(TOLD.accounts[0], final_call_by="us"),))


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


def test_a_failure_that_is_told_again_does_not_end_a_sale_that_still_holds():
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


def test_a_hold_whose_cancel_has_no_answer_stays_in_doubt_until_an_operator_is_called():
    made = capture_refused()
    now = LATER
    while now < NOW + timedelta(days=2):
        now = made.next_wake_at(now)
        timers.wake(made, SALE_IN_STEPS, cause(now))

    assert made.status is Status.IN_DOUBT
    assert set(questions(made)[1:]) == {"release"}
    assert "payment.escalated.v1" in [type(event).TOPIC for event in made.pending_events]


def capture_doubted(how: str) -> Payment:
    """A sale in steps that an operator has to look at: what our capture did is not known, or was told
    twice."""
    made = authorized_sale()
    name = operation_of(made)
    if how == "without an answer":
        say(made, S.UNKNOWN, NOW + timedelta(seconds=2), name, source="query", step="3", psp_id=None)
        return made
    told = {"source": "webhook", "psp_id": "adyen_p"}
    say(made, S.APPROVED, NOW + timedelta(seconds=2), name, **told)
    say(made, S.DECLINED_HARD, NOW + timedelta(seconds=3), name, code="capture_failed", **told)
    assert made.frozen
    return made


@pytest.mark.parametrize("how", ["without an answer", "failed after it was told"])
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
    made = capture_doubted("failed after it was told")
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
def test_after_an_operators_word_on_a_void_the_psp_is_asked_how_the_payment_stands(decision, frozen):
    made = voided_beside_a_capture()
    say(made, S.UNKNOWN, operation=operation_of(made), source="query", psp_id=None, code="captured")

    resolve(made, operation_of(made), decision)

    assert questions(made)[-1] == "confirm"
    shows(made, Balances(1099, 1099, 0), LATER + timedelta(minutes=1))
    assert (made.totals.captured, made.totals.refunded, made.totals.refundable) == (1099, 1099, 0)
    assert made.frozen is frozen


@pytest.mark.parametrize(("back", "ours"), [(400, 699), (1099, 0)])
def test_what_was_given_back_externally_of_a_cancelled_payment_is_not_given_back_again(back, ours):
    made = payment()
    say(made, S.UNKNOWN, operation=operation_of(made), source="call", psp_id=None)
    merchant_commands.cancel(made, command())
    shown = Balances(1099, back, 0)
    say(made, S.APPROVED, LATER + timedelta(1), operation_of(made), source="query", balances=shown)

    assert (made.totals.refunded, made.totals.refunding, made.frozen) == (back, ours, False)
