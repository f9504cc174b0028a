"""What the simulator tells of its own accord, as our adapter reads it."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from commands.notices import Notice
from gateways.contract import Webhook, WebhookKeys, WebhookRefused
from tests.gateways.simulator.razorpay.merchant import (
    RAZORPAY,
    WEBHOOK_SECRET,
    Merchant,
    Received,
    begin,
    later,
)
from tests.gateways.simulator.taken import taken
from tests.support.until import until

KEYS = WebhookKeys((WEBHOOK_SECRET,), {})


def read(webhook: Webhook) -> Notice:
    notices = RAZORPAY.read_webhook(webhook, KEYS, datetime.now(UTC))
    assert not isinstance(notices, WebhookRefused)
    return notices[0]


async def notices_of(received: Received, count: int) -> list[Notice]:
    await until(lambda: len(received.webhooks) >= count, f"{count} webhooks", 10)
    return [read(webhook) for webhook in received.webhooks]


def short(notices: list[Notice]) -> dict[str, Any]:
    return {one.event_type: one.outcome.kind if one.outcome else None for one in notices}


async def test_a_sale_is_reported_step_by_step(merchant: Merchant, received: Received):
    sold = await merchant.sold()

    notices = await notices_of(received, 3)

    assert short(notices) == {
        "payment.authorized": "UNKNOWN",
        "payment.captured": "APPROVED",
        "order.paid": "APPROVED",
    }
    assert {(one.reference, one.psp_id) for one in notices} == {(sold.reference, sold.psp_id)}
    assert len({one.event_id for one in notices}) == 3


async def test_an_authorization_is_reported_and_its_capture_is_an_update(
    merchant: Merchant, received: Received
):
    held = await merchant.authorized("authorize")
    await merchant.send(later("capture", held))

    notices = await notices_of(received, 3)

    assert short(notices)["payment.authorized"] == "APPROVED"
    assert short(notices)["payment.captured"] == "UNKNOWN"
    assert {one.reference for one in notices} == {held.reference}


async def test_a_failed_payment_is_reported(merchant: Merchant, received: Received):
    await merchant.send(await merchant.ordered(begin("sale", "token_card_declined")))

    assert short(await notices_of(received, 1)) == {"payment.failed": "UNKNOWN"}


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("token_frictionless", {"refund.created": "APPROVED", "refund.processed": "APPROVED"}),
        ("token_refund_pending", {"refund.created": "PENDING", "refund.processed": "APPROVED"}),
        ("token_refund_pending_fails", {"refund.created": "PENDING", "refund.failed": "DECLINED_HARD"}),
    ],
)
async def test_a_refund_is_reported_under_its_own_reference(
    merchant: Merchant, received: Received, token: str, expected: dict[str, str]
):
    sold = await merchant.sold(token)
    await notices_of(received, 3)
    received.webhooks.clear()
    refund = later("refund", sold, 400)
    outcome = await merchant.send(refund)

    notices = await notices_of(received, 2)

    assert short(notices) == expected
    assert {(one.reference, one.psp_id) for one in notices} == {(refund.reference, outcome.psp_id)}


@pytest.mark.parametrize("options", [{"uncaptured_life_s": "1"}])
async def test_what_was_not_captured_in_its_time_is_reported_as_expired(
    merchant: Merchant, received: Received
):
    held = await merchant.authorized("authorize")

    notices = await notices_of(received, 2)

    assert short(notices)["refund.processed"] == "EXPIRED"
    assert {(one.reference, one.psp_id) for one in notices} == {(held.reference, held.psp_id)}


@pytest.mark.parametrize(
    ("token", "states"),
    [("won", {"opened", "won"}), ("lost", {"opened", "lost"}), ("retrieval", {"inquiry", "closed"})],
)
async def test_a_dispute_is_reported_when_it_is_opened_and_when_it_is_decided(
    merchant: Merchant, received: Received, ledger_file: Path, token: str, states: set[str]
):
    sold = await merchant.sold(f"token_dispute_{token}")

    notices = [one for one in await notices_of(received, 5) if one.dispute is not None]

    assert {one.dispute.state for one in notices if one.dispute} == states
    assert {(one.reference, one.psp_id) for one in notices} == {(sold.reference, sold.psp_id)}
    for notice in notices:
        assert notice.dispute is not None
        assert (notice.dispute.amount_minor, notice.dispute.currency) == (1099, "INR")
        assert notice.dispute.respond_by is not None
    assert len({one.dispute.dispute_id for one in notices if one.dispute}) == 1
    assert set(taken(ledger_file).values()) == {Decimal("10.99") if "lost" in states else Decimal()}


async def test_a_forged_webhook_is_refused_and_the_true_one_follows(merchant: Merchant, received: Received):
    await merchant.control(webhooks={"forged": 1.0})
    await merchant.authorized("authorize")
    await until(lambda: len(received.webhooks) >= 2, "the forged one and the true one", 10)

    read_ones = [RAZORPAY.read_webhook(webhook, KEYS, datetime.now(UTC)) for webhook in received.webhooks]

    assert [one.reason for one in read_ones if isinstance(one, WebhookRefused)] == ["forged"]
    assert any(not isinstance(one, WebhookRefused) for one in read_ones)


async def test_a_webhook_that_comes_twice_has_one_id(merchant: Merchant, received: Received):
    await merchant.control(webhooks={"repeat": 1.0})
    await merchant.authorized("authorize")

    notices = await notices_of(received, 2)

    assert len({one.event_id for one in notices}) == 1
