"""Stripe's events and their signature. Source: docs.stripe.com/webhooks."""

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateways.simulator.core.accounts import Account, Accounts
from gateways.simulator.core.psp import Keyed, Signed
from gateways.simulator.core.rows import Webhook
from gateways.simulator.core.webhooks import Webhooks
from gateways.simulator.stripe.dialect import charge_object, intent_object, new_id, refund_object
from gateways.simulator.stripe.tables import Intent, Refund

VERSION: Final = "2026-08-26.dahlia"
_OF_STATUS: Final = {
    "processing": "payment_intent.processing",
    "requires_action": "payment_intent.requires_action",
    "requires_capture": "payment_intent.amount_capturable_updated",
    "requires_payment_method": "payment_intent.payment_failed",
    "succeeded": "payment_intent.succeeded",
    "canceled": "payment_intent.canceled",
}


@dataclass(frozen=True, slots=True)
class Events:
    """Stores events, inside the transaction of the change that they report."""

    webhooks: Webhooks
    accounts: Accounts

    def intent(self, intent: Intent, keyed: Keyed | None = None) -> None:
        """Reports the intent's present status."""
        if self._heard(intent.account):
            self.store(
                _OF_STATUS[intent.status], intent.account, intent.reference, intent_object(intent), keyed
            )

    def charge(self, kind: str, intent: Intent, keyed: Keyed | None = None) -> None:
        """Reports its charge. `kind`: succeeded, captured, refunded, expired."""
        if self._heard(intent.account):
            self.store(f"charge.{kind}", intent.account, intent.reference, charge_object(intent), keyed)

    def refund(self, kind: str, refund: Refund, keyed: Keyed | None = None) -> None:
        """Reports a refund. `kind`: created, updated, failed."""
        if self._heard(refund.account):
            self.store(f"refund.{kind}", refund.account, refund.reference, refund_object(refund), keyed)

    def store(
        self,
        kind: str,
        account: str,
        reference: str | None,
        shown: dict[str, Any],
        keyed: Keyed | None = None,
    ) -> None:
        """Stores one event. `kind`: its type; `shown`: the object in it; `keyed`: the key of the call that
        caused it."""
        now = time.time()
        event = {
            "id": new_id("evt", now),
            "object": "event",
            "api_version": VERSION,
            "created": int(now),
            "data": {"object": shown},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": keyed.key if keyed else None},
            "type": kind,
        }
        self.webhooks.store(
            self.accounts.named("stripe", account),
            str(event["id"]),
            kind,
            reference or shown["id"],
            orjson.dumps(event),
        )

    def _heard(self, account: str) -> bool:
        known = self.accounts.named("stripe", account)
        return known is not None and known.webhook_url is not None


def sign(webhook: Webhook, account: Account, now: float, *, forged: bool) -> Signed:
    """The event with `Stripe-Signature`: the moment, and the HMAC-SHA256 of the moment, a point and the body
    under the whole secret."""
    secret = account.webhook_secret[::-1] if forged else account.webhook_secret
    moment = str(int(now))
    mac = hmac.new(secret.encode(), moment.encode() + b"." + webhook.body, hashlib.sha256)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": f"t={moment},v1={mac.hexdigest()}",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }
    return Signed(webhook.body, headers)
