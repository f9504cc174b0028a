"""Razorpay's events: what is told of its own accord, and how it is signed. Source: its pages on webhooks."""

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Any

import orjson

from gateways.simulator import ids
from gateways.simulator.accounts import Account, Accounts
from gateways.simulator.hooks import Hooks
from gateways.simulator.psp import JSON, Signed
from gateways.simulator.razorpay import entities
from gateways.simulator.razorpay.entities import GATEWAY
from gateways.simulator.rows import Hook, Object


@dataclass(frozen=True, slots=True)
class Events:
    """Inside the transaction of what they tell."""

    hooks: Hooks
    accounts: Accounts

    def payment(self, kind: str, one: Object) -> None:
        """`kind`: authorized, captured, failed."""
        self._tell(f"payment.{kind}", one, payment=entities.payment(one))

    def paid(self, order: Object, payment: Object) -> None:
        shown = {"order": entities.order(order), "payment": entities.payment(payment)}
        self._tell("order.paid", payment, **shown)

    def refund(self, kind: str, one: Object, payment: Object) -> None:
        """`kind`: created, processed, failed."""
        shown = {"refund": entities.refund(one), "payment": entities.payment(payment)}
        self._tell(f"refund.{kind}", one, **shown)

    def dispute(self, kind: str, shown: dict[str, Any], payment: Object) -> None:
        """`kind`: created, won, lost."""
        self._tell(f"payment.dispute.{kind}", payment, dispute=shown, payment=entities.payment(payment))

    def _tell(self, kind: str, about: Object, **shown: dict[str, Any]) -> None:
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
        self.hooks.tell(account, event_id, kind, about.reference or about.id, orjson.dumps(event))


def sign(hook: Hook, account: Account, *, forged: bool) -> Signed:
    """The HMAC of the body with the webhook's secret."""
    secret = account.webhook_secret[::-1] if forged else account.webhook_secret
    headers = {
        "Content-Type": JSON,
        "X-Razorpay-Signature": _mac(secret, hook.body),
        "x-razorpay-event-id": hook.id,
        "User-Agent": "Razorpay-Webhook/v1",
    }
    return Signed(hook.body, headers)


def signed_return(order_id: str, payment_id: str, account: Account) -> dict[str, str]:
    """What the customer's browser brings back, signed with the API key's secret."""
    signature = _mac(account.secret, f"{order_id}|{payment_id}".encode())
    return {
        "razorpay_payment_id": payment_id,
        "razorpay_order_id": order_id,
        "razorpay_signature": signature,
    }


def _mac(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
