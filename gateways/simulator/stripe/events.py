"""Stripe's events: what is told of its own accord, and how it is signed. Source: docs.stripe.com/webhooks."""

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateways.simulator.accounts import Account, Accounts
from gateways.simulator.hooks import Hooks
from gateways.simulator.psp import Keyed, Signed
from gateways.simulator.rows import Hook
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
    """Inside the transaction of what they tell."""

    hooks: Hooks
    accounts: Accounts

    def intent(self, intent: Intent, keyed: Keyed | None = None) -> None:
        """That it has got the status that it has."""
        if self._heard(intent.account):
            self.tell(
                _OF_STATUS[intent.status], intent.account, intent.reference, intent_object(intent), keyed
            )

    def charge(self, kind: str, intent: Intent, keyed: Keyed | None = None) -> None:
        """`kind`: succeeded, captured, refunded, expired."""
        if self._heard(intent.account):
            self.tell(f"charge.{kind}", intent.account, intent.reference, charge_object(intent), keyed)

    def refund(self, kind: str, refund: Refund, keyed: Keyed | None = None) -> None:
        """`kind`: created, updated, failed."""
        if self._heard(refund.account):
            self.tell(f"refund.{kind}", refund.account, refund.reference, refund_object(refund), keyed)

    def tell(
        self,
        kind: str,
        account: str,
        reference: str | None,
        shown: dict[str, Any],
        keyed: Keyed | None = None,
    ) -> None:
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
        self.hooks.tell(
            self.accounts.named("stripe", account),
            str(event["id"]),
            kind,
            reference or shown["id"],
            orjson.dumps(event),
        )

    def _heard(self, account: str) -> bool:
        known = self.accounts.named("stripe", account)
        return known is not None and known.webhook_url is not None


def sign(hook: Hook, account: Account, now: float, *, forged: bool) -> Signed:
    """`Stripe-Signature`: the moment, and the HMAC of the moment, a point and the body, with the whole secret."""
    secret = account.webhook_secret[::-1] if forged else account.webhook_secret
    moment = str(int(now))
    mac = hmac.new(secret.encode(), moment.encode() + b"." + hook.body, hashlib.sha256)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": f"t={moment},v1={mac.hexdigest()}",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }
    return Signed(hook.body, headers)
