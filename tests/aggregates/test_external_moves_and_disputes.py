"""External refunds of a payment from which disputes take money too."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregates import disputes, merchant_commands, outcomes, resolution, timers
from aggregates.operation import Balances, OperationState
from aggregates.payment import Payment
from tests.aggregates.external_moves import (
    LATER,
    command,
    disputed,
    hears,
    say,
    shows,
    totals,
)
from tests.support.builders import (
    NOW,
    ORDERS,
    authorized,
    captured,
    cause,
    operation_of,
    payment,
    report,
    word,
)

S = OperationState


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
        reported = report(name, psp_id=f"pi_{name[-1]}", source=source, observed_at=at)
        outcomes.take(made, reported, ORDERS, cause(at))
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


def statuses_reported(made: Payment) -> list[tuple[str, int | None, int | None]]:
    events = [e for e in made.pending_events if type(e).TOPIC == "operation.status_reported.v1"]
    return [(event.reported_state, event.captured_minor, event.refunded_minor) for event in events]


@pytest.mark.parametrize("kind", ["capture", "refund"])
def test_each_report_is_an_event_while_ours_is_under_way_and_the_external_move_is_recorded_after_it(kind):
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
    assert statuses_reported(made) == [("UNKNOWN", None, None), ("APPROVED", 1099, shown.refunded_minor)]
    assert not any(operation.external for operation in made.operations.values())

    say(made, S.DECLINED_HARD, LATER + timedelta(seconds=20), ours, source="call", psp_id=None)
    shows(made, shown, LATER + timedelta(seconds=30))
    done = {"capture": made.totals.captured, "refund": made.totals.refunded}[kind]
    assert (done, made.frozen, [o.kind for o in made.operations.values() if o.external]) == (
        1099,
        False,
        [kind],
    )
