"""What an event says: of which operation, and what."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateways.contract import Notice
from gateways.paypal.adapter import PayPal
from tests.gateways.paypal.says import (
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
    order,
    refund,
    taken,
    usd,
)
from tests.gateways.paypal.signing import NOW, keys, signed

IDS = {"supplementary_data": {"related_ids": {"order_id": ORDER_ID}}}


def told(event_type: str, resource: Any) -> Notice:
    event = {
        "id": "WH-1",
        "event_type": event_type,
        "create_time": "2026-11-25T12:00:00Z",
        "resource": resource,
    }
    read = PayPal().read_hook(signed(event), keys(), NOW)
    assert isinstance(read, tuple)
    return read[0]


def test_a_payer_who_has_agreed_is_news_to_be_asked_for():
    for call in (SALE, AUTHORIZE):
        notice = told("CHECKOUT.ORDER.APPROVED", order("APPROVED", call))
        assert (notice.reference, notice.psp_id) == (call.reference, ORDER)
        assert notice.outcome is not None
        assert notice.outcome.kind == "UNKNOWN"


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
    notice = told(event_type, resource)

    assert (notice.reference, notice.psp_id) == (reference, psp_id)
    assert notice.outcome is not None
    assert notice.outcome.kind == kind
    if kind == "APPROVED":
        assert notice.outcome.psp_id == psp_id
        assert (notice.outcome.amount_minor, notice.outcome.currency) in {(1099, "USD"), (400, "USD")}


@pytest.mark.parametrize(
    ("event_type", "resource"),
    [
        # A refund, or a capture, that was done in PayPal's own pages has the id of the operation before it.
        ("PAYMENT.CAPTURE.REFUNDED", refund(custom_id=SALE.reference, invoice_id=SALE.reference)),
        ("PAYMENT.CAPTURE.COMPLETED", capture(invoice_id=AUTHORIZE.reference)),
        ("PAYMENT.CAPTURE.REVERSED", refund(custom_id=SALE.reference)),
        ("PAYMENT.AUTHORIZATION.CREATED", authorization(custom_id=SALE.reference, invoice_id=SALE.reference)),
    ],
)
def test_what_another_hand_did_to_a_payment_of_ours_is_an_alarm(event_type: str, resource: Any):
    notice = told(event_type, resource)

    assert notice.outcome is not None
    assert (notice.reference, notice.psp_id, notice.outcome.kind) == (None, None, "UNKNOWN")


@pytest.mark.parametrize(
    ("event_type", "resource"),
    [
        ("PAYMENT.CAPTURE.COMPLETED", taken(custom_id="T-900", invoice_id=None)),
        ("PAYMENT.CAPTURE.COMPLETED", taken(custom_id=None, invoice_id=None)),
        ("CHECKOUT.ORDER.APPROVED", {"id": ORDER_ID}),
        ("CHECKOUT.ORDER.COMPLETED", order("COMPLETED")),
        ("BILLING.SUBSCRIPTION.CREATED", {"id": "I-1"}),
    ],
)
def test_what_is_not_of_ours_says_nothing(event_type: str, resource: Any):
    notice = told(event_type, resource)

    assert (notice.outcome, notice.dispute, notice.event_type) == (None, None, event_type)


def dispute(**more: Any) -> dict[str, Any]:
    return {
        "dispute_id": "PP-000-042-663-135",
        "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        "status": "WAITING_FOR_SELLER_RESPONSE",
        "dispute_amount": usd("10.99"),
        "disputed_transactions": [{"seller_transaction_id": "2GG279541U471931P", "custom": SALE.reference}],
        "seller_response_due_date": "2026-12-05T12:00:00.000Z",
        **more,
    }


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
    ],
)
def test_every_event_of_a_dispute_has_its_row(event_type: str, more: dict[str, Any], state: str):
    notice = told(f"CUSTOMER.DISPUTE.{event_type}", dispute(**more))

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
        {"status": "RESOLVED"},
        {"status": "RESOLVED", "dispute_outcome": {"outcome_code": "SOMETHING_NEW"}},
    ],
)
def test_a_dispute_that_cannot_be_read_is_an_alarm(more: dict[str, Any]):
    notice = told("CUSTOMER.DISPUTE.UPDATED", dispute(**more))

    assert notice.outcome is not None
    assert (notice.reference, notice.dispute, notice.outcome.kind) == (None, None, "UNKNOWN")


def test_a_capture_that_was_disputed_is_found_by_its_own_reference():
    rows = [7, {"invoice_number": CAPTURE.reference, "custom": AUTHORIZE.reference}]

    assert (
        told("CUSTOMER.DISPUTE.CREATED", dispute(disputed_transactions=rows)).reference == CAPTURE.reference
    )
    assert told("CUSTOMER.DISPUTE.CREATED", dispute(disputed_transactions=None)).reference is None
