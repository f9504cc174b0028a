from dataclasses import fields
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates import attempts, disputes, merchant_commands, outcomes, resolution, timers
from aggregates.fees import FeeBook, FeeRule, FeeSchedule, Price
from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.routing.route import Route
from aggregates.status import Status
from projections import bodies, fold
from projections.events import Event
from projections.rows import PaymentRow, settle
from tests.support import builders
from tests.support.event_stories import captured, event_of, in_doubt, requested, stored
from tests.support.payment_stories import STORIES, act

LATER = builders.NOW + timedelta(minutes=1)
_ROUTES = st.sampled_from([builders.ROUTE, builders.TWO_ACCOUNTS, builders.MULTICAPTURE])
_CAPTURES = st.sampled_from(["automatic", "manual"])


def take_in(row: PaymentRow, payment: Payment) -> PaymentRow:
    """What has been recorded since the last time."""
    for one in stored(payment):
        fold.apply(row, event_of(one))
    settle(row)
    return row


def folded(payment: Payment) -> PaymentRow:
    return take_in(PaymentRow(str(payment.id)), payment)


def of_operations(row: PaymentRow) -> dict[str, Any]:
    return {
        o.operation_id: {
            "kind": o.kind,
            "state": o.state,
            "psp_id": o.psp_id,
            "amount_minor": o.amount_minor,
            "approved_minor": o.approved_minor,
            "approved_at": o.approved_at,
            "final": o.final,
            "duplicate_charge": o.duplicate_charge,
            "queries": o.queries,
            "in_doubt_since": o.in_doubt_since,
            "escalated": o.escalated,
            "waits_for_retry_until": o.retry_at,
        }
        for o in row.operations.values()
    }


def of_aggregate(payment: Payment) -> dict[str, Any]:
    return {
        o.id: {
            "kind": o.kind,
            "state": o.state,
            "psp_id": o.psp_id,
            "amount_minor": o.amount.minor,
            "approved_minor": o.approved_minor,
            "approved_at": o.approved_at,
            "final": o.final,
            "duplicate_charge": o.duplicate_charge,
            "queries": o.queries,
            "in_doubt_since": o.unknown_since,
            "escalated": o.escalated,
            "waits_for_retry_until": payment.retries[o.id].at if o.id in payment.retries else None,
        }
        for o in payment.operations.values()
    }


def assert_equal(row: PaymentRow, payment: Payment) -> None:
    total = payment.totals
    assert row.status == payment.status
    assert row.version == payment.version
    assert (row.authorized_minor, row.captured_minor) == (total.authorized, total.captured)
    assert (row.released_minor, row.refunded_minor) == (total.released, total.refunded)
    assert row.disputed_minor == total.disputed
    assert (row.capturable_minor, row.refundable_minor) == (total.capturable, total.refundable)
    assert row.frozen == payment.frozen
    by_operations = [one for one in row.contradictions if one["dispute_id"] is None]
    assert {one["operation_id"] for one in by_operations} == payment.frozen_by
    by_disputes = [one["reason"] for one in row.contradictions if one["dispute_id"] is not None]
    assert by_disputes == ([] if payment.dispute_contradicts is None else [payment.dispute_contradicts])
    assert row.reason == payment.reason
    assert row.ended == payment.ended
    assert row.cancel_requested == payment.cancel_requested
    assert row.authorization_expired == payment.authorization_expired
    assert row.authorization_expires_at == payment.authorization_until
    shown = [
        (one["dispute_id"], one["state"], one["amount_minor"], one["reported_at"]) for one in row.disputes
    ]
    assert shown == [
        (name, one.state, one.amount_minor, one.at.isoformat()) for name, one in payment.disputes.items()
    ]
    assert of_operations(row) == of_aggregate(payment)


@settings(max_examples=300)
@given(STORIES, _ROUTES, _CAPTURES)
def test_after_every_event_of_any_story_the_row_stands_as_the_aggregate_does(story, route: Route, capture):
    payment = builders.payment(route, capture=capture)
    row = folded(payment)
    assert_equal(row, payment)
    now = builders.NOW

    for number, step in enumerate(story):
        now += timedelta(seconds=step.seconds)
        act(payment, step, number, now, route)
        take_in(row, payment)
        assert_equal(row, payment)


@given(STORIES)
def test_settled_once_or_after_every_event_a_row_is_the_same(story):
    payment = builders.payment(builders.TWO_ACCOUNTS)
    now = builders.NOW
    for number, step in enumerate(story):
        now += timedelta(seconds=step.seconds)
        act(payment, step, number, now, builders.TWO_ACCOUNTS)
    every, once = PaymentRow(str(payment.id)), PaymentRow(str(payment.id))

    for event in map(event_of, stored(payment)):
        fold.apply(every, event)
        settle(every)
        fold.apply(once, event)
    settle(once)

    assert every == once


def test_a_payment_that_was_never_started_is_rejected():
    cause = builders.cause(builders.NOW + timedelta(days=1), fingerprint="f" * 64)
    payment = attempts.request(
        builders.create_payment().payment_id, builders.payment_request(), builders.ROUTE, cause
    )

    row = folded(payment)

    assert row.status == Status.REJECTED == payment.status
    assert row.reason == "expired"


def report_on(payment: Payment, state: OperationState, **other: Any) -> None:
    report = builders.report(builders.operation_of(payment), state, **other)
    outcomes.take(payment, report, builders.ROUTE, builders.cause(LATER, uuid4()))


def test_the_address_for_the_payer_is_there_only_while_it_is_needed():
    payment = requested()
    report_on(payment, OperationState.ACTION_REQUIRED, action_url="https://psp/3ds")
    row = folded(payment)
    until = row.action_until
    assert (row.action_url, until) == ("https://psp/3ds", payment.attempts[0].action_until)

    report_on(payment, OperationState.APPROVED)
    take_in(row, payment)

    assert (row.action_url, row.action_until) == (None, None)


def test_the_last_decision_explains_why_no_attempt_follows():
    payment = requested()
    report_on(payment, OperationState.DECLINED_HARD, code="stolen_card")

    assert "no further attempt because" in folded(payment).decision


def test_a_contradiction_has_its_reason_and_the_reported_amount():
    payment = builders.captured()
    report_on(payment, OperationState.APPROVED, psp_id="pi_2", amount_minor=700)

    (contradiction,) = folded(payment).contradictions

    assert contradiction["operation_id"] == builders.operation_of(payment)
    assert contradiction["since"] == LATER.isoformat()
    assert (contradiction["amount_minor"], contradiction["currency"], contradiction["reported"]) == (
        700,
        "EUR",
        "APPROVED",
    )
    assert contradiction["reason"].startswith("executed twice")


def test_a_word_on_one_id_of_what_was_executed_twice_leaves_the_payment_frozen_by_the_other():
    payment = builders.captured()
    name = builders.operation_of(payment)
    report_on(payment, OperationState.APPROVED, psp_id="pi_2")
    decision = {"evidence": "page", "who": "ada", "cause": builders.cause(LATER, uuid4(), fingerprint="f")}

    resolution.resolve(payment, name, "charged", None, psp_id="pi_1", **decision)
    row = folded(payment)
    assert (row.frozen, [one["operation_id"] for one in row.contradictions]) == (True, [name])

    resolution.resolve(payment, name, "not_charged", None, psp_id="pi_2", **decision)
    take_in(row, payment)
    assert (row.frozen, row.contradictions, row.captured_minor) == (False, [], 1099)


def test_a_contradiction_names_each_second_id_until_an_operator_has_decided_about_it():
    payment = builders.captured()
    for psp_id in ("pi_2", "pi_3"):
        report_on(payment, OperationState.APPROVED, psp_id=psp_id)
    decision = {"evidence": "page", "who": "ada", "cause": builders.cause(LATER, uuid4(), fingerprint="f")}
    row = folded(payment)
    assert [one["second_psp_ids"] for one in row.contradictions] == [["pi_2", "pi_3"]]

    resolution.resolve(
        payment, builders.operation_of(payment), "not_charged", None, psp_id="pi_2", **decision
    )
    take_in(row, payment)

    assert [(one["second_psp_ids"], one["late_psp_id"]) for one in row.contradictions] == [(["pi_3"], None)]


def test_a_report_on_an_operation_that_the_payment_lacks_freezes_it_with_the_reported_money():
    payment = builders.captured()
    report = builders.report(f"{payment.id.hex}-s9", amount_minor=5)
    outcomes.take(payment, report, builders.ROUTE, builders.cause(LATER, uuid4()))

    row = folded(payment)

    assert (row.frozen, row.captured_minor) == (True, 1099)
    assert [(c["operation_id"], c["amount_minor"]) for c in row.contradictions] == [(report.operation_id, 5)]


def test_a_dispute_in_another_currency_enters_no_sum():
    payment = builders.captured()
    word = builders.word(payment, currency="USD", respond_by=LATER.isoformat(), observed_at=LATER)
    disputes.take(payment, word, builders.cause(LATER, uuid4()))

    row = folded(payment)

    assert (row.disputed_minor, row.frozen) == (0, True)
    assert row.disputes[0]["respond_by"] == LATER.isoformat()


def test_an_operations_row_keeps_what_it_is_expected_to_cost():
    price = FeeRule("processing", frozenset({"sale"}), (Price(0, {"USD": 13_000_000}),))
    row = folded(builders.payment(fees=FeeBook({"sim-eu": FeeSchedule((price,))})))

    (new,) = [operation.new for operation in row.operations.values()]
    assert new is not None
    assert (new.expected_fee_minor, new.expected_fee_currency) == (13, "USD")
    (unknown,) = [operation.new for operation in folded(builders.payment()).operations.values()]
    assert unknown is not None
    assert (unknown.expected_fee_minor, unknown.expected_fee_currency) == (None, None)


def test_what_a_dispute_takes_of_a_duplicate_charge_is_in_no_sum_either():
    payment = builders.payment(builders.TWO_ACCOUNTS)
    first = builders.operation_of(payment)
    for state, source in (("PROVEN_ABSENT", "query"), ("APPROVED", "call"), ("APPROVED", "webhook")):
        name = first if source != "call" else builders.operation_of(payment)
        report = builders.report(
            name, OperationState(state), psp_id=f"pi_{name[-2:]}", source=source, observed_at=LATER
        )
        outcomes.take(payment, report, builders.TWO_ACCOUNTS, builders.cause(LATER, uuid4()))
    disputes.take(payment, builders.word(payment, observed_at=LATER), builders.cause(LATER, uuid4()))
    resolved = builders.cause(LATER, uuid4(), fingerprint="r")
    resolution.resolve(payment, first, "charged", None, evidence="-", who="ada", cause=resolved)

    row = folded(payment)

    assert (row.status, row.captured_minor, row.disputed_minor) == (Status.CAPTURED, 1099, 0)
    assert_equal(row, payment)


def test_a_capture_under_way_is_no_longer_there_to_be_captured():
    payment = builders.authorized(builders.MULTICAPTURE)
    merchant_commands.capture(payment, 500, builders.cause(LATER, uuid4(), fingerprint="c"), final=False)

    row = folded(payment)

    assert (row.status, row.authorized_minor, row.capturable_minor) == (Status.AUTHORIZED, 1099, 599)


def test_a_resolved_doubt_is_over():
    payment = in_doubt()
    timers.wake(payment, builders.ROUTE, builders.cause(builders.NOW + timedelta(days=2), uuid4()))
    report_on(payment, OperationState.UNKNOWN, source="query", amount_minor=None, currency=None)
    (operation,) = payment.operations
    resolution.resolve(
        payment,
        operation,
        "charged",
        None,
        evidence="the bank's statement",
        who="ada",
        cause=builders.cause(builders.NOW + timedelta(days=3), uuid4(), fingerprint="r"),
    )

    row = folded(payment)

    assert (row.status, row.captured_minor) == (Status.CAPTURED, 1099)
    assert row.operations[operation].in_doubt_since is None
    assert row.operations[operation].escalated


@pytest.mark.parametrize("named_by", ["the operator", "the PSP"])
def test_the_id_of_what_an_operator_resolved_without_one_is_shown_once_it_is_named(named_by: str):
    payment = requested()
    report_on(payment, OperationState.UNKNOWN, psp_id=None, amount_minor=None, currency=None)
    (operation,) = payment.operations
    resolved = builders.cause(LATER, uuid4(), fingerprint="r")
    by_operator = "pi_1" if named_by == "the operator" else None
    resolution.resolve(
        payment, operation, "charged", None, evidence="-", who="ada", cause=resolved, psp_id=by_operator
    )
    if by_operator is None:
        report_on(payment, OperationState.APPROVED, source="webhook", observed_at=LATER)

    row = folded(payment)

    assert row.operations[operation].psp_id == "pi_1"
    assert_equal(row, payment)


def test_an_operation_without_a_response_for_a_day_is_in_doubt_until_one_comes():
    payment = requested()
    (operation,) = payment.operations
    timers.wake(payment, builders.ROUTE, builders.cause(builders.NOW + timedelta(days=1), uuid4()))
    row = folded(payment)
    assert row.operations[operation].in_doubt_since == builders.NOW
    assert row.operations[operation].escalated

    report_on(payment, OperationState.APPROVED)

    assert_equal(take_in(row, payment), payment)
    assert row.operations[operation].in_doubt_since is None


def test_an_unknown_type_of_event_moves_the_version_and_nothing_else():
    row = PaymentRow("p")
    first, second, third = map(event_of, captured())
    fold.apply(row, first)
    before = {column.name: getattr(row, column.name) for column in fields(row)}
    blessed = Event(second.payment_id, 2, "payment.blessed.v1", bodies.Other(third.body.timestamp))

    fold.apply(row, blessed)

    after = {column.name: getattr(row, column.name) for column in fields(row)}
    assert {name for name in after if after[name] != before[name]} == {"version", "updated_at"}


def test_an_event_on_an_operation_that_is_unknown_here_moves_no_money():
    row = PaymentRow("p")
    fold.apply(row, event_of(captured()[0]))

    fold.apply(row, event_of(captured()[2]))
    settle(row)

    assert (row.status, row.captured_minor) == (Status.REQUESTED, 0)
