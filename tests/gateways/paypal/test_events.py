"""The operation that an event is about, and the outcome that it reports."""

from datetime import UTC, datetime
from typing import Any

import pytest

from commands.notices import Notice
from gateways.contract import Call
from gateways.paypal.adapter import PayPal
from tests.gateways.paypal.payloads import (
    AUTHORIZE,
    AUTHORIZED,
    CAPTURE,
    CAPTURED,
    ORDER,
    ORDER_ID,
    REFUND,
    REFUNDED,
    SALE,
    authorization,
    capture,
    dispute,
    order,
    refund,
    taken,
    usd,
)
from tests.gateways.paypal.signing import NOW, keys, signed

IDS = {"supplementary_data": {"related_ids": {"order_id": ORDER_ID}}}


def notice_of(event_type: str, resource: Any) -> Notice:
    event = {
        "id": "WH-1",
        "event_type": event_type,
        "create_time": "2026-11-25T12:00:00Z",
        "resource": resource,
    }
    read = PayPal().read_webhook(signed(event), keys(), NOW)
    assert isinstance(read, tuple)
    return read[0]


def test_a_payer_who_has_agreed_leads_to_a_query():
    for call in (SALE, AUTHORIZE):
        notice = notice_of("CHECKOUT.ORDER.APPROVED", order("APPROVED", call))
        assert (notice.reference, notice.psp_id) == (call.reference, ORDER)
        assert notice.outcome is not None
        assert (notice.outcome.kind, notice.outcome.next_step) == ("UNKNOWN", "2")


@pytest.mark.parametrize(
    ("event_type", "resource", "reference", "psp_id", "kind"),
    [
        ("PAYMENT.AUTHORIZATION.CREATED", authorization(**IDS), AUTHORIZE.reference, AUTHORIZED, "APPROVED"),
        ("PAYMENT.AUTHORIZATION.CREATED", authorization("PENDING"), AUTHORIZE.reference, None, "PENDING"),
        (
            "PAYMENT.AUTHORIZATION.VOIDED",
            authorization("VOIDED", **IDS),
            AUTHORIZE.reference,
            AUTHORIZED,
            "EXPIRED",
        ),
        ("PAYMENT.CAPTURE.COMPLETED", taken(**IDS), SALE.reference, CAPTURED, "APPROVED"),
        ("PAYMENT.CAPTURE.COMPLETED", taken(), SALE.reference, None, "APPROVED"),
        ("PAYMENT.CAPTURE.COMPLETED", capture(), CAPTURE.reference, CAPTURED, "APPROVED"),
        ("PAYMENT.CAPTURE.PENDING", capture("PENDING"), CAPTURE.reference, CAPTURED, "PENDING"),
        ("PAYMENT.CAPTURE.DENIED", capture("DECLINED"), CAPTURE.reference, CAPTURED, "DECLINED_SOFT"),
        (
            "PAYMENT.CAPTURE.DECLINED",
            taken("DECLINED", processor="5400"),
            SALE.reference,
            None,
            "DECLINED_HARD",
        ),
        ("PAYMENT.CAPTURE.REFUNDED", refund(**IDS), REFUND.reference, REFUNDED, "APPROVED"),
        ("PAYMENT.CAPTURE.REFUNDED", refund("FAILED"), REFUND.reference, None, "DECLINED_HARD"),
        ("PAYMENT.CAPTURE.REFUNDED", refund("PENDING"), REFUND.reference, None, "PENDING"),
        ("PAYMENT.CAPTURE.COMPLETED", taken("EXPLODED"), SALE.reference, None, "UNKNOWN"),
        ("PAYMENT.CAPTURE.COMPLETED", taken(amount=None), SALE.reference, None, "UNKNOWN"),
    ],
)
def test_every_event_of_a_payment_has_its_row(
    event_type: str, resource: Any, reference: str, psp_id: str | None, kind: str
):
    notice = notice_of(event_type, resource)

    assert (notice.reference, notice.psp_id) == (reference, psp_id)
    assert notice.outcome is not None
    assert notice.outcome.kind == kind
    if kind == "APPROVED":
        assert notice.outcome.psp_id == psp_id
        assert (notice.outcome.amount_minor, notice.outcome.currency) in {(1099, "USD"), (400, "USD")}


@pytest.mark.parametrize(
    ("event_type", "resource", "of"),
    [
        # A refund, or a capture, that was done in PayPal's own pages has the id of the operation before it.
        ("PAYMENT.CAPTURE.REFUNDED", refund(custom_id=SALE.reference, invoice_id=SALE.reference), SALE),
        ("PAYMENT.CAPTURE.COMPLETED", capture(invoice_id=AUTHORIZE.reference), AUTHORIZE),
        ("PAYMENT.CAPTURE.REVERSED", capture(invoice_id=SALE.reference), SALE),
        (
            "PAYMENT.AUTHORIZATION.CREATED",
            authorization(custom_id=SALE.reference, invoice_id=SALE.reference),
            SALE,
        ),
    ],
)
def test_an_external_move_updates_what_it_was_made_to(event_type: str, resource: Any, of: Call):
    notice = notice_of(event_type, resource)

    assert notice.outcome is not None
    assert (notice.reference, notice.psp_id, notice.outcome.kind) == (of.reference, None, "UNKNOWN")


@pytest.mark.parametrize(
    ("event_type", "resource"),
    [
        ("PAYMENT.CAPTURE.COMPLETED", taken(custom_id="T-900", invoice_id=None)),
        ("CHECKOUT.ORDER.APPROVED", {"id": ORDER_ID}),
        ("CHECKOUT.ORDER.COMPLETED", order("COMPLETED")),
        ("BILLING.SUBSCRIPTION.CREATED", {"id": "I-1"}),
    ],
)
def test_what_is_not_of_ours_reports_nothing(event_type: str, resource: Any):
    notice = notice_of(event_type, resource)

    assert (notice.outcome, notice.dispute, notice.event_type) == (None, None, event_type)


INQUIRY = {"dispute_life_cycle_stage": "INQUIRY"}


@pytest.mark.parametrize(
    ("event_type", "more", "state"),
    [
        ("CREATED", {}, "opened"),
        ("UPDATED", {"status": "UNDER_REVIEW"}, "opened"),
        ("RESOLVED", {"dispute_outcome": {"outcome_code": "RESOLVED_SELLER_FAVOUR"}}, "won"),
        ("RESOLVED", {"dispute_outcome": {"outcome_code": "CANCELED_BY_BUYER"}}, "won"),
        ("RESOLVED", {"dispute_outcome": {"outcome_code": "RESOLVED_BUYER_FAVOUR"}}, "lost"),
        (
            "UPDATED",
            {"status": "RESOLVED", "dispute_outcome": {"outcome_code": "RESOLVED_BUYER_FAVOUR"}},
            "lost",
        ),
        ("CREATED", {"dispute_life_cycle_stage": "INQUIRY"}, "inquiry"),
        ("UPDATED", {"dispute_life_cycle_stage": "CHARGEBACK"}, "opened"),
        (
            "RESOLVED",
            INQUIRY | {"dispute_outcome": {"outcome_code": "RESOLVED_BUYER_FAVOUR"}},
            "closed",
        ),
        ("RESOLVED", INQUIRY | {"dispute_outcome": {"outcome_code": "CANCELED_BY_BUYER"}}, "closed"),
        *(
            ("RESOLVED", {"dispute_outcome": {"outcome_code": code}}, "unclear")
            for code in ("RESOLVED_WITH_PAYOUT", "ACCEPTED", "DENIED", "NONE", "SOMETHING_NEW", None)
        ),
        ("UPDATED", {"status": "RESOLVED"}, "unclear"),
        ("RESOLVED", INQUIRY | {"dispute_outcome": {"outcome_code": "ACCEPTED"}}, "unclear"),
    ],
)
def test_every_event_of_a_dispute_has_its_row(event_type: str, more: dict[str, Any], state: str):
    notice = notice_of(f"CUSTOMER.DISPUTE.{event_type}", dispute(**more))

    assert notice.dispute is not None
    assert (notice.reference, notice.outcome) == (SALE.reference, None)
    assert (notice.dispute.dispute_id, notice.dispute.state) == ("PP-000-042-663-135", state)
    assert (notice.dispute.amount_minor, notice.dispute.currency) == (1099, "USD")
    assert notice.dispute.respond_by == datetime(2026, 12, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "more",
    [
        {"dispute_amount": None},
        {"dispute_amount": usd("0.00")},
        {"dispute_id": None},
    ],
)
def test_a_dispute_that_cannot_be_read_is_an_alarm_beside_its_payment(more: dict[str, Any]):
    notice = notice_of("CUSTOMER.DISPUTE.UPDATED", dispute(**more))

    assert (notice.reference, notice.dispute, notice.outcome) == (SALE.reference, None, None)
    assert notice.alarm == "dispute_unreadable"


@pytest.mark.parametrize(
    "more",
    [
        {"seller_response_due_date": None},
        {"seller_response_due_date": ""},
        {"seller_response_due_date": "9999-12-31T23:59:59-12:00"},
        {"reason": None},
        {"reason": "OTHER " * 40},
    ],
)
def test_what_is_only_for_reading_never_costs_the_dispute(more: dict[str, Any]):
    notice = notice_of("CUSTOMER.DISPUTE.CREATED", dispute(**more))

    assert notice.dispute is not None
    assert (notice.dispute.state, notice.dispute.amount_minor) == ("opened", 1099)


def test_a_capture_that_was_disputed_is_found_by_its_own_reference():
    rows = [7, {"invoice_number": CAPTURE.reference, "custom": AUTHORIZE.reference}]

    assert (
        notice_of("CUSTOMER.DISPUTE.CREATED", dispute(disputed_transactions=rows)).reference
        == CAPTURE.reference
    )
    assert notice_of("CUSTOMER.DISPUTE.CREATED", dispute(disputed_transactions=None)).reference is None


@pytest.mark.parametrize("rows", [[{"custom": "Order 7"}], [{"invoice_number": "10042", "custom": ""}]])
def test_another_shops_dispute_on_the_account_reports_nothing(rows: Any):
    notice = notice_of("CUSTOMER.DISPUTE.CREATED", dispute(disputed_transactions=rows))

    assert (notice.reference, notice.psp_id, notice.outcome, notice.dispute) == (None, None, None, None)


def test_a_payment_of_another_shop_that_paypal_took_back_reports_nothing_and_one_of_ours_is_queried():
    another = notice_of(
        "PAYMENT.CAPTURE.REVERSED", taken("REFUNDED") | {"custom_id": "Order 7", "invoice_id": "7"}
    )
    ours = notice_of("PAYMENT.CAPTURE.REVERSED", taken("REFUNDED"))

    assert another.outcome is None
    assert ours.outcome is not None
    assert (ours.reference, ours.outcome.kind, ours.outcome.code) == (SALE.reference, "UNKNOWN", "reversed")


@pytest.mark.parametrize("resource", [None, [], "x"])
def test_an_event_that_is_none_of_ours_needs_no_resource(resource: Any):
    notice = notice_of("BILLING.PLAN.CREATED", resource)

    assert (notice.reference, notice.psp_id, notice.outcome, notice.dispute) == (None, None, None, None)
