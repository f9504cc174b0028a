"""Razorpay's webhooks and signatures. Source: its pages on webhooks."""

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Any

import orjson

from gateways.simulator.core import ids
from gateways.simulator.core.accounts import Account, Accounts
from gateways.simulator.core.psp import JSON, Signed
from gateways.simulator.core.rows import Object, Webhook
from gateways.simulator.core.webhooks import Webhooks
from gateways.simulator.razorpay import entities
from gateways.simulator.razorpay.entities import GATEWAY


@dataclass(frozen=True, slots=True)
class Events:
    """Stores webhooks, inside the transaction of the change that they report."""

    webhooks: Webhooks
    accounts: Accounts

    def payment(self, kind: str, one: Object) -> None:
        """Reports a payment. `kind`: authorized, captured, failed."""
        self._store(f"payment.{kind}", one, payment=entities.payment(one))

    def paid(self, order: Object, payment: Object) -> None:
        """Reports that an order is paid, with the payment."""
        shown = {"order": entities.order(order), "payment": entities.payment(payment)}
        self._store("order.paid", payment, **shown)

    def refund(self, kind: str, one: Object, payment: Object) -> None:
        """Reports a refund. `kind`: created, processed, failed."""
        shown = {"refund": entities.refund(one), "payment": entities.payment(payment)}
        self._store(f"refund.{kind}", one, **shown)

    def dispute(self, kind: str, shown: dict[str, Any], payment: Object) -> None:
        """Reports a dispute. `kind`: created, won, lost."""
        self._store(f"payment.dispute.{kind}", payment, dispute=shown, payment=entities.payment(payment))

    def _store(self, kind: str, about: Object, **shown: dict[str, Any]) -> None:
        account = self.accounts.named(GATEWAY, about.account)
        if account is None or account.webhook_url is None:
            return
        now = time.time()
        event = {
            "entity": "event",
            "account_id": f"acc_{account.name}",
            "event": kind,
            "contains": sorted(shown),
            "payload": {name: {"entity": entity} for name, entity in shown.items()},
            "created_at": int(now),
        }
        event_id = f"evt_{ids.letters(now)}"
        self.webhooks.store(account, event_id, kind, about.reference or about.id, orjson.dumps(event))


def sign(webhook: Webhook, account: Account, *, forged: bool) -> Signed:
    """The event, with the HMAC-SHA256 of its body under the webhook's secret."""
    secret = account.webhook_secret[::-1] if forged else account.webhook_secret
    headers = {
        "Content-Type": JSON,
        "X-Razorpay-Signature": _mac(secret, webhook.body),
        "x-razorpay-event-id": webhook.id,
        "User-Agent": "Razorpay-Webhook/v1",
    }
    return Signed(webhook.body, headers)


def signed_return(order_id: str, payment_id: str, account: Account) -> dict[str, str]:
    """The fields that the customer's browser brings back, signed with the API key's secret."""
    signature = _mac(account.secret, f"{order_id}|{payment_id}".encode())
    return {
        "razorpay_payment_id": payment_id,
        "razorpay_order_id": order_id,
        "razorpay_signature": signature,
    }


def _mac(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
