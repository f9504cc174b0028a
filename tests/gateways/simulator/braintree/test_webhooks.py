"""What the simulator tells of its own accord, as our adapter and the official library read it."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from commands.notices import Notice
from gateways.contract import Webhook, WebhookKeys, WebhookRefused
from tests.gateways.braintree import official
from tests.gateways.simulator.braintree.merchant import (
    BRAINTREE,
    PRIVATE_KEY,
    PUBLIC_KEY,
    Merchant,
    begin,
    later,
)
from tests.gateways.simulator.taken import taken
from tests.support.until import until

KEYS = WebhookKeys((PRIVATE_KEY,), {"public_key": PUBLIC_KEY})


def read(webhook: Webhook) -> Notice:
    notices = BRAINTREE.read_webhook(webhook, KEYS, datetime.now(UTC))
    assert not isinstance(notices, WebhookRefused), notices
    return notices[0]


def parsed(webhook: Webhook) -> Any:
    form = parse_qs(webhook.body.decode())
    return official.gateway(public_key=PUBLIC_KEY, private_key=PRIVATE_KEY).webhook_notification.parse(
        form["bt_signature"][0], form["bt_payload"][0]
    )


async def webhook_of(merchant: Merchant, kind: str) -> Webhook:
    def is_it() -> list[Webhook]:
        return [webhook for webhook in merchant.webhooks if read(webhook).event_type == kind]

    await until(lambda: bool(is_it()), kind, 15)
    return is_it()[0]


async def test_a_settlement_is_reported(merchant: Merchant):
    sold = await merchant.sent(begin())

    webhook = await webhook_of(merchant, "transaction_settled")

    assert read(webhook).reference == sold.reference
    parsed_webhook = parsed(webhook)
    assert (
        parsed_webhook.kind,
        parsed_webhook.transaction.order_id,
        str(parsed_webhook.transaction.amount),
    ) == (
        "transaction_settled",
        sold.reference,
        "10.99",
    )
    assert (parsed_webhook.transaction.status, parsed_webhook.transaction.currency_iso_code) == (
        "settled",
        "USD",
    )


async def test_a_settlement_that_is_declined_is_reported_and_ends_the_sale(merchant: Merchant):
    sold = await merchant.sent(begin(nonce="fake-sim-settlement-declined-nonce"))

    webhook = await webhook_of(merchant, "transaction_settlement_declined")

    assert read(webhook).reference == sold.reference
    assert parsed(webhook).transaction.status == "settlement_declined"
    found = await merchant.find(sold)
    assert found is not None
    assert (found.kind, found.code) == ("DECLINED_HARD", "settlement_declined")


async def test_a_refund_that_fails_is_reported_under_its_own_reference(merchant: Merchant):
    sold = await merchant.sent(begin(nonce="fake-sim-refund-fails-nonce"))
    await merchant.settled(sold)
    back = await merchant.sent(later("refund", sold, 400))

    webhook = await webhook_of(merchant, "refund_failed")

    assert read(webhook).reference == back.reference
    assert parsed(webhook).transaction.status == "processor_declined"
    found = await merchant.find(back)
    assert found is not None
    assert found.kind == "DECLINED_HARD"


@pytest.mark.parametrize(
    ("nonce", "kinds"),
    [
        ("fake-sim-dispute-nonce", ["dispute_opened"]),
        ("fake-sim-dispute-won-nonce", ["dispute_opened", "dispute_won"]),
        ("fake-sim-dispute-lost-nonce", ["dispute_opened", "dispute_lost"]),
        ("fake-sim-dispute-retrieval-nonce", ["dispute_opened"]),
    ],
)
async def test_a_dispute_is_reported_with_its_amount_and_its_date(
    merchant: Merchant, ledger_file: Path, nonce: str, kinds: list[str]
):
    sold = await merchant.sent(begin(nonce=nonce))

    for kind in kinds:
        webhook = await webhook_of(merchant, kind)
        notice, parsed_webhook = read(webhook), parsed(webhook)
        assert notice.reference == sold.reference
        assert notice.dispute is not None
        assert (notice.dispute.amount_minor, notice.dispute.currency) == (1099, "USD")
        assert notice.dispute.respond_by is not None
        assert (notice.dispute.state == "inquiry") == ("retrieval" in nonce)
        assert (
            parsed_webhook.kind,
            parsed_webhook.dispute.id,
            str(parsed_webhook.dispute.amount_disputed),
        ) == (
            kind,
            notice.dispute.dispute_id,
            "10.99",
        )
        nothing = notice.dispute.state in {"inquiry", "won"}
        if kind == kinds[-1]:
            kept = Decimal() if nothing else Decimal("10.99")
            assert taken(ledger_file) == {notice.dispute.dispute_id: kept}


async def test_a_forged_webhook_goes_before_the_right_one_and_a_repeat_has_its_id(merchant: Merchant):
    await merchant.change(webhooks={"forged": 1.0, "repeat": 1.0})
    await merchant.sent(begin())
    await until(lambda: len(merchant.webhooks) >= 3, "three webhooks", 15)

    forged, *rest = [
        BRAINTREE.read_webhook(webhook, KEYS, datetime.now(UTC)) for webhook in merchant.webhooks
    ]

    assert forged == WebhookRefused("forged")
    assert [one[0].event_id for one in rest if isinstance(one, tuple)] == [
        read(merchant.webhooks[1]).event_id
    ] * 2


def test_kinds_are_those_of_the_official_library():
    sent = {"transaction_settled", "transaction_settlement_declined", "refund_failed"}
    disputes = {"dispute_opened", "dispute_won", "dispute_lost"}

    assert sent | disputes <= set(official.KINDS)
