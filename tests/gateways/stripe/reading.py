"""What the adapter reads of an event of Stripe's that is rightly signed."""

from typing import Any

from commands.notices import Notice
from gateways.contract import Webhook, WebhookKeys
from gateways.stripe.adapter import Stripe
from tests.gateways.stripe.webhooks import NOW, SECRET, event, headers

KEYS = WebhookKeys((SECRET,), {})


def read(body: bytes, header: dict[str, str] | None = None, keys: WebhookKeys = KEYS) -> Any:
    return Stripe().read_webhook(Webhook(headers(body) if header is None else header, body), keys, NOW)


def notice(kind: str, payload: Any) -> Notice:
    (found,) = read(event(kind, payload))
    assert isinstance(found, Notice)
    return found
