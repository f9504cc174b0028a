"""Adyen's webhooks at the simulator: what an item says, and how it is signed."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from gateways.adyen import amounts
from gateways.simulator.accounts import Account, Accounts
from gateways.simulator.adyen.wire import GATEWAY
from gateways.simulator.hooks import Hooks
from gateways.simulator.psp import JSON, Signed
from gateways.simulator.rows import Hook, Object

_SIGNED: Final = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")


class Told(NamedTuple):
    """`psp_id`: of what it tells of; `reference`: the payment's where None. `failure`: why it was not done."""

    event: str
    psp_id: str
    reference: str | None
    minor: int
    failure: str | None = None
    more: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Events:
    """Inside the transaction of what they tell."""

    hooks: Hooks
    accounts: Accounts

    def tell(self, payment: Object, told: Told, now: float) -> None:
        account = self.accounts.named(GATEWAY, payment.account)
        if account is None or account.webhook_url is None:
            return
        reference = told.reference or payment.reference or ""
        success = "true" if told.failure is None else "false"
        item: dict[str, Any] = {
            "additionalData": dict(told.more),
            "amount": {"currency": payment.currency, "value": _wire(told.minor, payment.currency)},
            "eventCode": told.event,
            "eventDate": datetime.fromtimestamp(int(now), UTC).isoformat(),
            "merchantAccountCode": account.options.get("merchant_account", account.name),
            "merchantReference": reference,
            "paymentMethod": "visa",
            "pspReference": told.psp_id,
            "reason": told.failure or "",
            "success": success,
        }
        if payment.id not in {"", told.psp_id}:
            item["originalReference"] = payment.id
        hook_id = f"{told.psp_id}:{told.event}:{success}"
        self.hooks.tell(account, hook_id, told.event, reference or payment.id, orjson.dumps(item))

    def not_there(self, account: Account, psp_id: str, reference: str, now: float) -> None:
        """Of a cancel by a reference that no payment has."""
        nobody = Object(GATEWAY, "", account.name, "payment", "", 0, "EUR", now)
        failure = "Original transaction not found"
        self.tell(nobody, Told("TECHNICAL_CANCEL", psp_id, reference, 0, failure), now)


def _wire(minor: int, currency: str) -> int:
    return amounts.to_wire(minor, currency) if minor else 0


def sign(hook: Hook, account: Account, *, forged: bool) -> Signed:
    """Stored is the item; it is sent signed and wrapped."""
    item = orjson.loads(hook.body)
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
