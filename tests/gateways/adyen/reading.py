"""What the adapter reads of events of Adyen's that are rightly signed."""

from datetime import UTC, datetime
from typing import Any

from commands.notices import Notice
from gateways.adyen.adapter import Adyen
from gateways.contract import Gateway, Webhook, WebhookKeys, WebhookRefused
from tests.gateways.adyen.payloads import (
    HMAC_KEY,
    MERCHANT,
    PAYMENT,
    item,
    webhook,
)

ADYEN: Gateway = Adyen()
KEYS = WebhookKeys((HMAC_KEY,), {"merchant_account": MERCHANT})
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SALE, HELD, CAPTURE, VOID, REFUND = (f"{PAYMENT}-{letter}" for letter in ("s1", "a1", "c2", "v2", "r2"))


def read(webhook: Webhook, keys: WebhookKeys = KEYS) -> tuple[Notice, ...] | WebhookRefused:
    return ADYEN.read_webhook(webhook, keys, NOW)


def notice_of(event: str, reference: str, *, success: bool = True, **more: Any) -> Notice:
    notices = read(webhook(item(event, reference, success=success, **more)))
    assert not isinstance(notices, WebhookRefused), notices
    (notice,) = notices
    return notice
