"""Adyen's webhooks: the item that each has, and its signature. Source:
docs.adyen.com/development-resources/webhooks and
docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from gateways.simulator.adyen.currencies import CURRENCIES
from gateways.simulator.adyen.wire import GATEWAY
from gateways.simulator.core.accounts import Account, Accounts
from gateways.simulator.core.psp import JSON, Signed
from gateways.simulator.core.rows import Object, Webhook
from gateways.simulator.core.webhooks import Webhooks

_SIGNED: Final = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")


class Event(NamedTuple):
    """The content of a webhook. `psp_id`: of its object; `reference`: None: the payment's. `failure`: why it
    was not done; None: success."""

    event: str
    psp_id: str
    reference: str | None
    mills: int
    failure: str | None = None
    more: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Events:
    """Stores webhooks, inside the transaction of the change that they report."""

    webhooks: Webhooks
    accounts: Accounts

    def store(self, payment: Object, event: Event, now: float) -> None:
        """Stores the webhook of one event; nothing where the account has no address for webhooks."""
        account = self.accounts.named(GATEWAY, payment.account)
        if account is None or account.webhook_url is None:
            return
        reference = event.reference or payment.reference or ""
        success = "true" if event.failure is None else "false"
        value = CURRENCIES.integer(event.mills, payment.currency)
        item: dict[str, Any] = {
            "additionalData": dict(event.more),
            "amount": {"currency": payment.currency, "value": value},
            "eventCode": event.event,
            "eventDate": datetime.fromtimestamp(int(now), UTC).isoformat(),
            "merchantAccountCode": account.options.get("merchant_account", account.name),
            "merchantReference": reference,
            "paymentMethod": "visa",
            "pspReference": event.psp_id,
            "reason": event.failure or "",
            "success": success,
        }
        if payment.id not in {"", event.psp_id}:
            item["originalReference"] = payment.id
        webhook_id = f"{event.psp_id}:{event.event}:{success}"
        self.webhooks.store(account, webhook_id, event.event, reference or payment.id, orjson.dumps(item))

    def not_there(self, account: Account, psp_id: str, reference: str, now: float) -> None:
        """Stores the failure of a cancel by a reference that no payment has."""
        nobody = Object(GATEWAY, "", account.name, "payment", "", 0, "EUR", now)
        failure = "Original transaction not found"
        self.store(nobody, Event("TECHNICAL_CANCEL", psp_id, reference, 0, failure), now)


def sign(webhook: Webhook, account: Account, *, forged: bool) -> Signed:
    """The item as it is posted: signed, and wrapped. Stored is the item alone."""
    item = orjson.loads(webhook.body)
    key = _key(account.webhook_secret)
    item["additionalData"]["hmacSignature"] = _signature(item, key[::-1] + b"forged" if forged else key)
    body = {"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}
    return Signed(orjson.dumps(body), {"Content-Type": JSON, "User-Agent": "Adyen HttpClient 1.0"})


def _signature(item: Mapping[str, Any], key: bytes) -> str:
    amount = item["amount"]
    fields = [item.get(name, "") for name in _SIGNED]
    fields += [str(amount["value"]), amount["currency"], item["eventCode"], item["success"]]
    return base64.b64encode(hmac.digest(key, ":".join(fields).encode(), hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    """An account without a key that is one signs what nobody can verify."""
    try:
        return bytes.fromhex(secret)
    except ValueError:
        return secret.encode()
