"""Adyen's events about disputes."""

from datetime import datetime
from typing import Any

import pytest

from commands.messages import Dispute
from gateways.adyen import disputes
from tests.gateways.adyen.payloads import (
    MODIFICATION,
    PSP_ID,
)
from tests.gateways.adyen.reading import SALE, notice_of

DISPUTES = {
    "REQUEST_FOR_INFORMATION": "inquiry",
    "NOTIFICATION_OF_CHARGEBACK": "inquiry",
    "CHARGEBACK": "opened",
    "CHARGEBACK_REVERSED": "opened",
    "PREARBITRATION_OPEN": "opened",
    "PREARBITRATION_DECLINED": "opened",
    "PREARBITRATION_ACCEPTED": "unclear",
    "SCHEME_ARBITRATION": "opened",
    "SECOND_CHARGEBACK": "lost",
    "PREARBITRATION_LOST": "lost",
    "SCHEME_ARBITRATION_LOST": "lost",
    "PREARBITRATION_WON": "won",
    "PREARBITRATION_ISSUER_WITHDRAWN": "won",
    "SCHEME_ARBITRATION_WON": "won",
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": "won",
}


@pytest.mark.parametrize(("event", "state"), DISPUTES.items())
def test_a_dispute_is_reported_with_its_amount_reason_and_deadline(event: str, state: Any):
    more = {"chargebackReasonCode": " 4853", "defensePeriodEndsAt": "2027-01-01T03:03:07+02:00"}
    notice = notice_of(event, SALE, reason="Goods not received", additionalData=more)

    assert (notice.reference, notice.psp_id, notice.outcome) == (SALE, PSP_ID, None)
    assert notice.dispute == Dispute(
        dispute_id=MODIFICATION,
        state=state,
        amount_minor=1099,
        currency="USD",
        reason="4853, Goods not received",
        respond_by=datetime.fromisoformat("2027-01-01T03:03:07+02:00"),
    )
    assert set(disputes.STATES) == set(DISPUTES)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"additionalData": {"defensePeriodEndsAt": None}},
        {"additionalData": {"defensePeriodEndsAt": ""}},
        {"additionalData": {"defensePeriodEndsAt": "0001-01-01T00:00:00+14:00"}},
        {"reason": None},
        {"reason": "the goods were never delivered to the address that the shopper gave; " * 9},
    ],
)
def test_what_is_only_for_reading_never_costs_the_dispute(more: dict[str, Any]):
    notice = notice_of("CHARGEBACK", SALE, **more)

    assert notice.dispute is not None
    assert (notice.dispute.state, notice.dispute.amount_minor) == ("opened", 1099)
    assert notice.dispute.respond_by is None


def test_a_dispute_that_cannot_be_read_is_an_alarm_beside_its_payment():
    notice = notice_of("CHARGEBACK", SALE, amount={"currency": "XXX", "value": 1})

    assert (notice.reference, notice.psp_id) == (SALE, PSP_ID)
    assert (notice.alarm, notice.dispute, notice.outcome) == ("dispute_unreadable", None, None)


def test_a_dispute_without_our_reference_or_its_payments_id_has_no_way():
    notice = notice_of("SECOND_CHARGEBACK", "Order 7", originalReference=...)

    assert (notice.reference, notice.psp_id) == (None, None)
    assert notice.dispute is not None
    assert (notice.dispute.reason, notice.dispute.respond_by) == (None, None)
