"""External moves that have failed since they were recorded."""

from datetime import timedelta

import pytest

from aggregates import merchant_commands, outcomes
from aggregates.decision import Refused
from aggregates.operation import Balances, Move, OperationState
from aggregates.payment import Payment
from aggregates.routing.route import Route
from aggregates.status import Status
from tests.aggregates.external_moves import (
    FAILED,
    LATER,
    canceled,
    command,
    hears,
    questions,
    refunded_externally,
    resolve,
    say,
    shows,
)
from tests.support.builders import (
    NOW,
    ORDERS,
    ROUTE,
    WEBHOOK_ONLY,
    authorized,
    captured,
    cause,
    operation_of,
    payment,
    report,
)

S = OperationState


def test_a_capture_made_externally_that_did_not_settle_is_taken_back_and_its_hold_is_gone():
    made = authorized()
    hears(made)
    shows(made, Balances(1099, 0, 0))
    say(made, S.DECLINED_HARD, FAILED, source="webhook", code="transaction_settlement_declined")

    declined = {"source": "query", "code": "settlement_declined", "balances": Balances(0, 0, 0)}
    say(made, S.EXPIRED, FAILED + timedelta(seconds=1), **declined)

    assert (made.status, made.totals.captured, made.frozen) == (Status.EXPIRED, 0, False)


def test_a_webhook_that_a_move_has_failed_freezes_the_payment_where_the_lookup_still_counts_it():
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


def test_where_the_psp_cannot_be_queried_the_webhook_takes_back_and_the_next_one_makes_it_again():
    made = captured(WEBHOOK_ONLY)
    refund = Balances(moves=(Move("refund", "adyen_r", 400),))
    hears(made, balances=refund)
    move = operation_of(made)

    for again in range(2):
        failed_at = FAILED + timedelta(days=again)
        say(made, S.DECLINED_HARD, failed_at, move, source="webhook", code="refund_failed", psp_id=None)
        assert (made.status, made.totals.refunded, made.frozen) == (Status.CAPTURED, 0, False)
        hears(made, LATER, balances=refund)
        assert made.totals.refunded == 0, "the first webhook, which comes again, reports nothing new"
        hears(made, failed_at + timedelta(hours=1), balances=refund)
        assert made.totals.refunded == 400


def test_a_refund_made_externally_that_failed_is_given_back_by_us_where_the_payment_was_cancelled():
    made = canceled()
    shown = Balances(1099, 1099, 0)
    say(made, S.APPROVED, LATER + timedelta(seconds=1), operation_of(made), source="query", balances=shown)
    hears(made, FAILED)
    shows(made, Balances(1099, 0, 0), FAILED + timedelta(seconds=1))

    assert (made.totals.refunded, made.totals.refunding, made.frozen) == (0, 1099, False)


def kept_of_a_canceled() -> Payment:
    """Ours was refused, and then it was given back externally."""
    made = canceled(WEBHOOK_ONLY)
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
    outcomes.take(made, report("nothing-s9", observed_at=FAILED), WEBHOOK_ONLY, cause(FAILED))

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
    made = given_back_of_a_canceled(WEBHOOK_ONLY)
    resolve(made, "nothing-s9", "not_charged")
    assert made.totals.refunding == 0

    say(made, S.DECLINED_HARD, FAILED, operation_of(made), source="webhook", psp_id=None)

    assert (made.totals.refunded, made.totals.refunding) == (0, 1099)


def test_an_operators_decision_that_a_refund_elsewhere_failed_lets_us_give_back_a_cancelled_payment():
    made = given_back_of_a_canceled(WEBHOOK_ONLY)
    resolve(made, operation_of(made), "not_charged")
    resolve(made, "nothing-s9", "not_charged")

    assert (made.totals.refunded, made.totals.refunding) == (0, 1099)


def test_what_was_done_externally_before_the_authorization_had_its_response_is_recorded_once_it_has():
    made = payment(WEBHOOK_ONLY, capture="manual")
    name = operation_of(made)
    moves = (Move("refund", "adyen_r", 400), Move("capture", "adyen_c", 900))
    for one in (*moves, *moves):
        hears_of_open(made, name, Balances(moves=(one,)))
    assert (made.totals.captured, made.frozen) == (0, False)

    say(made, S.APPROVED, LATER + timedelta(seconds=5), name, source="webhook", psp_id="adyen_p")

    assert (made.totals.captured, made.totals.refunded) == (900, 400)
    assert "payment.contradicted.v1" not in [type(event).TOPIC for event in made.pending_events]


def test_what_was_done_externally_to_what_is_then_declined_freezes_the_payment():
    made = payment(WEBHOOK_ONLY, capture="manual")
    name = operation_of(made)
    hears_of_open(made, name, Balances(moves=(Move("capture", "adyen_c", 900),)))
    say(made, S.DECLINED_HARD, LATER + timedelta(seconds=5), name, source="webhook", psp_id="adyen_p")
    assert made.frozen_by == {name}

    resolve(made, name, "charged", now=LATER + timedelta(hours=1))

    assert (made.totals.captured, made.frozen) == (900, False)


def test_what_was_done_externally_while_our_capture_is_under_way_is_weighed_when_that_has_its_response():
    made = authorized(WEBHOOK_ONLY)
    merchant_commands.capture(made, None, command(NOW), final=False)
    capture = operation_of(made)
    hears(made, balances=Balances(moves=(Move("capture", "adyen_c", 1099),)))
    assert (made.totals.captured, made.frozen) == (1099, False)

    say(made, S.APPROVED, LATER + timedelta(seconds=5), capture, source="webhook", psp_id="adyen_ours")

    assert (made.totals.captured, made.frozen_by) == (2198, {capture})


def hears_of_open(made: Payment, name: str, balances: Balances) -> None:
    say(made, S.UNKNOWN, operation=name, source="webhook", code="external", balances=balances)


@pytest.mark.parametrize(("back", "ours"), [(400, 699), (1099, 0)])
def test_what_was_given_back_externally_of_a_cancelled_payment_is_not_given_back_again(back, ours):
    made = payment()
    say(made, S.UNKNOWN, operation=operation_of(made), source="call", psp_id=None)
    merchant_commands.cancel(made, command())
    shown = Balances(1099, back, 0)
    say(made, S.APPROVED, LATER + timedelta(1), operation_of(made), source="query", balances=shown)

    assert (made.totals.refunded, made.totals.refunding, made.frozen) == (back, ours, False)
