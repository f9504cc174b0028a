"""A freeze that ends by itself: the PSP's later word has settled what it was about."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregates import disputes, merchant_commands, outcomes, resolution, timers
from aggregates.operation import Balances, Move, OperationState
from aggregates.payment import Payment
from aggregates.status import Status
from tests.support.builders import (
    NOW,
    ROUTE,
    WEBHOOK_ONLY,
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


def say(made: Payment, state: OperationState, hours: float, operation: str | None = None, **other) -> None:
    name, at = operation or operation_of(made), NOW + timedelta(hours=hours)
    target = made.operations[name]
    fields = {"psp_id": target.psp_id, "amount_minor": target.amount.minor, "observed_at": at}
    outcomes.take(made, report(name, state, **fields | other), ROUTE, cause(at))


def webhook(made: Payment, state: OperationState, hours: float, **other) -> None:
    say(made, state, hours, source="webhook", **{"code": "code"} | other)


def ends(made: Payment) -> list[str]:
    return [e.reason for e in made.pending_events if type(e).TOPIC == "payment.contradiction_settled.v1"]


def refunded() -> Payment:
    made = captured(WEBHOOK_ONLY)
    merchant_commands.refund(made, 400, command(NOW), reason=None)
    say(made, S.APPROVED, 0.1, source="webhook", psp_id="adyen_r")
    return made


@pytest.mark.parametrize("make", [lambda: captured(WEBHOOK_ONLY), refunded], ids=["capture", "refund"])
def test_what_failed_and_was_made_again_ends_the_freeze_of_its_failure(make):
    made = make()
    status, name = made.status, operation_of(made)
    webhook(made, S.DECLINED_HARD, 1, code="capture_failed", psp_id=None)
    assert made.frozen

    webhook(made, S.APPROVED, 2)

    assert (made.status, made.frozen) == (status, False)
    assert ends(made) == [f"the PSP reports again that {name} was executed"]


@pytest.mark.parametrize("make", [lambda: captured(WEBHOOK_ONLY), refunded], ids=["capture", "refund"])
def test_a_first_success_that_anybody_may_have_sent_again_ends_no_freeze_and_says_so(make):
    made = make()
    name = operation_of(made)
    webhook(made, S.DECLINED_HARD, 1, code="capture_failed", psp_id=None)

    webhook(made, S.APPROVED, 2, signed_before=True)

    assert made.frozen
    assert ends(made) == []
    assert any("nobody vouches for its date" in one.reason for one in made.contradictions.values())
    resolution.resolve(
        made,
        name,
        "charged",
        None,
        evidence="seen at the PSP",
        who="ada",
        cause=command(NOW + timedelta(hours=3)),
    )
    assert not made.frozen
    webhook(made, S.APPROVED, 4, signed_before=True)
    assert not made.frozen


@pytest.mark.parametrize("state", [S.APPROVED, S.PENDING, S.UNKNOWN])
def test_what_comes_again_with_another_date_and_says_what_stands_changes_nothing(state):
    made = captured(WEBHOOK_ONLY)
    events = len(made.pending_events)

    webhook(made, state, 1, signed_before=True)

    assert (len(made.pending_events), made.frozen) == (events, False)


def test_a_failure_that_anybody_may_have_sent_again_after_the_second_success_fails_nothing_and_calls_an_operator():
    made = captured(WEBHOOK_ONLY)
    webhook(made, S.DECLINED_HARD, 1, psp_id=None)
    webhook(made, S.APPROVED, 2)

    webhook(made, S.DECLINED_HARD, 3, psp_id=None, signed_before=True)

    assert (made.totals.captured, made.frozen) == (1099, True)


def test_a_capture_made_externally_that_failed_is_not_made_again_by_its_first_webhook():
    made = authorized(WEBHOOK_ONLY)
    hand = Balances(moves=(Move("capture", "adyen_c", 1099),))
    webhook(made, S.UNKNOWN, 1, balances=hand)
    moved = operation_of(made)
    webhook(made, S.DECLINED_HARD, 2, operation=moved, psp_id="adyen_c")
    before = made.totals.captured

    webhook(made, S.UNKNOWN, 3, operation=next(iter(made.operations)), balances=hand, signed_before=True)

    assert (made.totals.captured, made.frozen) == (before, True)


def test_a_second_failure_after_that_is_a_freeze_of_its_own_and_the_first_that_comes_again_is_none():
    made = captured(WEBHOOK_ONLY)
    webhook(made, S.DECLINED_HARD, 1, psp_id=None)
    webhook(made, S.APPROVED, 2)

    webhook(made, S.DECLINED_HARD, 1, psp_id=None)
    assert not made.frozen
    webhook(made, S.DECLINED_HARD, 3, psp_id=None)
    assert made.frozen


@pytest.mark.parametrize("other", [{"amount_minor": 900}, {"psp_id": "another"}])
def test_what_is_made_again_otherwise_than_it_was_ends_no_freeze(other):
    made = captured(WEBHOOK_ONLY)
    webhook(made, S.DECLINED_HARD, 1, psp_id=None)

    webhook(made, S.APPROVED, 2, **other)

    assert (made.frozen, ends(made)) == (True, [])


def test_the_approval_of_before_the_failure_ends_no_freeze():
    made = captured(WEBHOOK_ONLY)
    webhook(made, S.DECLINED_HARD, 2, psp_id=None)

    webhook(made, S.APPROVED, 1)

    assert made.frozen


def test_a_payment_stays_frozen_by_what_else_contradicts_it():
    made = captured(WEBHOOK_ONLY)
    name = operation_of(made)
    webhook(made, S.DECLINED_HARD, 1, psp_id=None)
    webhook(made, S.APPROVED, 2, psp_id="another")

    webhook(made, S.APPROVED, 3)

    settled = made.pending_events[-1]
    assert (made.frozen_by, settled.frozen) == ({name}, True)
    assert settled.open_reason == "executed twice: another id at the PSP for one operation"


def test_a_lookup_that_finds_again_what_one_had_not_found_ends_the_freeze():
    made = captured()
    say(made, S.PROVEN_ABSENT, 1, source="query")
    assert made.frozen

    webhook(made, S.UNKNOWN, 2)
    say(made, S.APPROVED, 3, source="query")

    assert not made.frozen


def denied() -> Payment:
    made = captured()
    webhook(made, S.DECLINED_HARD, 1)
    say(made, S.APPROVED, 2, source="query", balances=Balances(1099, 0, 0))
    assert made.frozen
    return made


@pytest.mark.parametrize(
    ("state", "balances"), [(S.APPROVED, None), (S.UNKNOWN, Balances(1099, None, 0))], ids=["state", "totals"]
)
def test_a_webhook_that_says_what_the_lookup_says_ends_the_freeze_of_one_that_denied_it(state, balances):
    made = denied()

    webhook(made, state, 3, balances=balances)

    assert not made.frozen


def test_another_lookup_does_not_settle_a_webhook_that_denied_the_one_before():
    made = denied()
    webhook(made, S.UNKNOWN, 3)

    say(made, S.APPROVED, 4, source="query", balances=Balances(1099, 0, 0))

    assert made.frozen


def test_sums_that_the_psp_shows_right_again_end_the_freeze_of_less():
    made = captured()
    webhook(made, S.UNKNOWN, 1)
    say(made, S.APPROVED, 1.1, source="query", balances=Balances(0, 0, 0))
    assert made.frozen
    webhook(made, S.UNKNOWN, 2)

    say(made, S.APPROVED, 2.1, source="query", balances=Balances(1099, 0, 0))

    assert ends(made) == ["the PSP shows 1099 as captured in all, as it is recorded"]
    assert not made.frozen


def test_a_hold_that_our_void_could_not_end_and_the_psp_released_ends_the_freeze():
    made = authorized(WEBHOOK_ONLY)
    for hours in (6.5 * 24, 7.5 * 24):
        timers.wake(made, WEBHOOK_ONLY, cause(NOW + timedelta(hours=hours)))
    webhook(made, S.DECLINED_HARD, 200)
    assert made.frozen

    webhook(made, S.EXPIRED, 700, operation=made.approved_attempt.id)

    assert (made.status, made.frozen) == (Status.EXPIRED, False)


def test_a_refund_of_too_much_that_failed_ends_the_freeze_of_the_broken_sum():
    made = captured(WEBHOOK_ONLY)
    merchant_commands.refund(made, 1000, command(NOW), reason=None)
    say(made, S.APPROVED, 0.5, psp_id="adyen_ours", source="webhook")
    sale = made.approved_attempt.id
    webhook(made, S.UNKNOWN, 1, operation=sale, balances=Balances(moves=(Move("refund", "adyen_r", 400),)))
    assert (made.totals.refunded, made.frozen) == (1400, True)

    webhook(made, S.DECLINED_HARD, 2, psp_id=None)

    assert (made.totals.refunded, made.frozen) == (1000, False)


def test_an_operators_decision_on_what_failed_ends_the_freeze_of_the_broken_sum():
    made = captured(WEBHOOK_ONLY)
    sale = made.approved_attempt.id
    for hours, minor in ((1, 1000), (2, 400)):
        moved = Balances(moves=(Move("refund", f"adyen_{minor}", minor),))
        webhook(made, S.UNKNOWN, hours, operation=sale, balances=moved)
    assert made.frozen_by == {sale}

    resolution.resolve(
        made, operation_of(made), "not_charged", None, evidence="page", who="ada", cause=command()
    )

    assert (made.totals.refunded, made.frozen) == (1000, False)


def test_what_was_given_back_externally_of_a_cancelled_payment_ends_the_freeze_of_our_refusal():
    made = payment()
    merchant_commands.cancel(made, command(NOW))
    say(made, S.APPROVED, 0.1)
    say(made, S.DECLINED_HARD, 1, source="call", code="refused")
    assert made.frozen

    say(
        made,
        S.APPROVED,
        2,
        operation=made.approved_attempt.id,
        source="query",
        balances=Balances(1099, 1099, 0),
    )

    assert (made.status, made.frozen) == (Status.REFUNDED, False)


def test_a_freeze_that_ended_lets_a_cancelled_payment_be_given_back():
    made = payment(WEBHOOK_ONLY)
    merchant_commands.cancel(made, command(NOW))
    outcomes.take(made, report("nothing-s9"), ROUTE, cause(NOW))
    say(made, S.APPROVED, 0.1, source="webhook", psp_id="adyen_p")
    webhook(made, S.DECLINED_HARD, 1, psp_id=None)
    resolution.resolve(made, "nothing-s9", "not_charged", None, evidence="page", who="ada", cause=command())
    assert (made.frozen, made.totals.refunding) == (True, 0)

    webhook(made, S.APPROVED, 2)

    assert (made.frozen, made.totals.refunding) == (False, 1099)


def test_a_dispute_that_was_won_ends_the_freeze_of_a_refund_beside_it():
    made = captured(WEBHOOK_ONLY)
    sale = made.approved_attempt.id
    disputes.take(made, word(made, amount_minor=1099, observed_at=NOW), cause(NOW, uuid4()))
    webhook(made, S.UNKNOWN, 1, operation=sale, balances=Balances(moves=(Move("refund", "adyen_r", 400),)))
    assert (made.frozen, ends(made)) == (True, [])

    won = word(made, "won", amount_minor=1099, observed_at=NOW + timedelta(days=9))
    disputes.take(made, won, cause(LATER, uuid4()))

    assert (made.frozen, made.totals.refundable) == (False, 699)
