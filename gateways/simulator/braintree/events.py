"""Braintree's webhooks: XML in base64 in a form, signed by the pair of keys. Source: the official library's
samples.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import orjson

from gateways.simulator.braintree.currencies import CURRENCIES
from gateways.simulator.braintree.shown import GATEWAY, amount_of, kept
from gateways.simulator.core.accounts import Account, Accounts
from gateways.simulator.core.psp import Signed
from gateways.simulator.core.rows import Object, Webhook
from gateways.simulator.core.webhooks import Webhooks

_REPLY_WITHIN: Final = timedelta(days=10)


@dataclass(frozen=True, slots=True)
class Events:
    """Stores webhooks, inside the transaction of the change that they report."""

    webhooks: Webhooks
    accounts: Accounts

    def transaction(self, kind: str, one: Object, now: float) -> None:
        """Reports a transaction, or a refund, which the older interface shows as a transaction too."""
        self._store(kind, one, f"<transaction>{_transaction(one)}</transaction>", now)

    def dispute(self, kind: str, one: Object, of: Object, now: float) -> None:
        """Reports a dispute. `of`: the transaction that is disputed."""
        details = orjson.loads(one.data)
        opened = datetime.fromtimestamp(one.created, UTC).date()
        won = one.mills if one.status == "won" else 0
        phase = "retrieval" if details["ends_as"] == "retrieval" else "chargeback"
        fields = (
            f"<id>{details['legacy_id']}</id>{_amount('amount', one.mills, one.currency)}"
            f"{_amount('amount-disputed', one.mills, one.currency)}{_amount('amount-won', won, one.currency)}"
            f'<case-number>CASE</case-number><created-at type="datetime">{_moment(one.created)}</created-at>'
            f"<currency-iso-code>{one.currency}</currency-iso-code><kind>{phase}</kind>"
            f'<reason>fraud</reason><received-date type="date">{opened}</received-date>'
            f'<reply-by-date type="date">{opened + _REPLY_WITHIN}</reply-by-date><status>{one.status}</status>'
            f'<date-opened type="date">{opened}</date-opened><evidence type="array"/>'
            f"<transaction>{_transaction(of)}</transaction>"
        )
        self._store(kind, one, f"<dispute>{fields}</dispute>", now)

    def _store(self, kind: str, one: Object, subject: str, now: float) -> None:
        body = (
            f'<notification><timestamp type="datetime">{_moment(now)}</timestamp><kind>{kind}</kind>'
            f"<subject>{subject}</subject></notification>"
        )
        account = self.accounts.named(GATEWAY, one.account)
        self.webhooks.store(account, one.id, kind, one.reference or one.id, body.encode())


def sign(webhook: Webhook, account: Account, *, forged: bool) -> Signed:
    """The form that is posted. The HMAC's key is the SHA-1 of the private key, and it covers the payload as
    it is sent."""
    secret = account.secret[::-1] if forged else account.secret
    payload = base64.encodebytes(webhook.body)
    mac = hmac.new(hashlib.sha1(secret.encode()).digest(), payload, hashlib.sha1)  # noqa: S324 - as Braintree signs
    form = {"bt_signature": f"{account.login}|{mac.hexdigest()}", "bt_payload": payload.decode()}
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "User-Agent": "Braintree-Webhooks",
    }
    return Signed(urlencode(form).encode(), headers)


def _transaction(one: Object) -> str:
    of = kept(one)
    order_id = (
        '<order-id nil="true"/>' if one.reference is None else f"<order-id>{escape(one.reference)}</order-id>"
    )
    kind = "credit" if one.kind == "refund" else "sale"
    return (
        f"<id>{of.legacy_id}</id><status>{one.status.lower()}</status><type>{kind}</type>"
        f"<currency-iso-code>{one.currency}</currency-iso-code>{_amount('amount', amount_of(one), one.currency)}"
        f'<created-at type="datetime">{_moment(one.created)}</created-at>'
        f"<merchant-account-id>{escape(of.merchant_account)}</merchant-account-id>{order_id}"
    )


def _amount(name: str, mills: int, currency: str) -> str:
    return f"<{name}>{CURRENCIES.written(mills, currency)}</{name}>"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
