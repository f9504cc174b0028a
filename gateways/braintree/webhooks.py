"""Braintree's webhooks: a form of a signature and a payload, which is base64 of XML.

Invariant: nothing is read of a payload whose signature is not right, and no document type or entity is ever expanded.
Ids in the XML are of the older interface, so that a payment is found by its order id only.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, ParseError

import defusedxml
from defusedxml import ElementTree

from commands.messages import Outcome
from gateways import scrubbed
from gateways.braintree import amounts
from gateways.contract import DisputeNotice, Hook, HookKeys, HookRefused, Notice

_PAYLOAD: Final = re.compile(r"[A-Za-z0-9+/=\n]+")
_CHALLENGE: Final = re.compile(r"[0-9a-f]{20,32}")
# Not `scrubbed.identifier`: our own ids are hexadecimal, in which a run of digits may look like a card number.
_ORDER_ID: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]{1,64}")
_REFUND: Final = re.compile(r"[A-Za-z0-9]+-r[0-9]+")
_DISPUTES: Final[Mapping[str, Literal["opened", "won", "lost"]]] = {
    "dispute_opened": "opened",
    "dispute_under_review": "opened",
    "dispute_disputed": "opened",
    "dispute_won": "won",
    "dispute_lost": "lost",
    "dispute_accepted": "lost",
    "dispute_auto_accepted": "lost",
    "dispute_expired": "lost",
}
_NEWS: Final = frozenset({"transaction_settled", "transaction_settlement_declined", "refund_failed"})


def read(hook: Hook, keys: HookKeys) -> tuple[Notice, ...] | HookRefused:
    form = _form(hook.body)
    signature, payload = form.get("bt_signature"), form.get("bt_payload")
    if not signature:
        return HookRefused("unsigned")
    if payload is None or not _PAYLOAD.fullmatch(payload):
        return HookRefused("malformed")
    if not _signed(signature, payload, keys):
        return HookRefused("forged")
    notification = _xml(payload)
    if notification is None or notification.tag != "notification":
        return HookRefused("malformed")
    event_id = hashlib.sha256(payload.encode()).hexdigest()
    notice = _notice(notification, event_id)
    return HookRefused("malformed") if notice is None else (notice,)


def challenge(query: Mapping[str, str], keys: HookKeys) -> str | None:
    said, public_key = query.get("bt_challenge", ""), keys.options.get("public_key")
    if not _CHALLENGE.fullmatch(said) or not public_key or not keys.secrets:
        return None
    return f"{public_key}|{_signature(said, keys.secrets[0])}"


def _form(body: bytes) -> dict[str, str]:
    """Empty where a field stands twice."""
    try:
        pairs = parse_qsl(body.decode("ascii"), strict_parsing=True, max_num_fields=10)
    except ValueError:
        return {}
    return dict(pairs) if len(dict(pairs)) == len(pairs) else {}


def _signed(signature: str, payload: str, keys: HookKeys) -> bool:
    pairs = (pair.partition("|") for pair in signature.split("&"))
    given = [
        said for public_key, _, said in pairs if public_key and public_key == keys.options.get("public_key")
    ]
    right = False
    for secret in keys.secrets:
        for text in (payload, f"{payload}\n"):
            expected = _signature(text, secret).encode()
            for said in given[:10]:
                right |= hmac.compare_digest(said.encode("utf-8", "replace"), expected)
    return right


def _signature(text: str, secret: str) -> str:
    """Braintree's own: the key is the SHA-1 of the private key."""
    key = hashlib.sha1(secret.encode()).digest()  # noqa: S324 - as Braintree signs
    return hmac.new(key, text.encode(), hashlib.sha1).hexdigest()


def _xml(payload: str) -> Element | None:
    try:
        document = base64.b64decode(payload.replace("\n", ""), validate=True)
        parsed: Element = ElementTree.fromstring(document, forbid_dtd=True)
    except (binascii.Error, ParseError, defusedxml.DefusedXmlException, ValueError, LookupError):
        return None
    return parsed


def _notice(notification: Element, event_id: str) -> Notice | None:
    """None: it is about a payment or a dispute, and does not say what has to be known of it."""
    kind = scrubbed.code(_text(notification, "kind"))
    if kind is None:
        return None
    at = _moment(_text(notification, "timestamp"))
    if kind in _DISPUTES:
        dispute = _dispute(notification, _DISPUTES[kind])
        if dispute is None:
            return None
        reference = _order_id(notification, "subject/dispute/transaction/order-id")
        return Notice(event_id, kind, reference=reference, dispute=dispute, at=at)
    if kind not in _NEWS:
        return Notice(event_id, kind, at=at)
    order_id = _order_id(notification, "subject/transaction/order-id")
    legacy_id = scrubbed.identifier(_text(notification, "subject/transaction/id"))
    news = Outcome(kind="UNKNOWN", code=kind, detail=f"transaction {legacy_id} of order {order_id}")
    # A failed reversal has the order id of its payment, which is not what failed: a person has to see it.
    ours = order_id if kind != "refund_failed" or (order_id and _REFUND.fullmatch(order_id)) else None
    return Notice(event_id, kind, reference=ours, outcome=news, at=at)


def _dispute(notification: Element, state: Literal["opened", "won", "lost"]) -> DisputeNotice | None:
    said = notification.find("subject/dispute")
    if said is None:
        return None
    dispute_id, currency = scrubbed.identifier(_text(said, "id")), _text(said, "currency-iso-code")
    amount = amounts.from_wire(_text(said, "amount-disputed") or _text(said, "amount"), currency or "")
    if dispute_id is None or currency is None or not amount:
        return None
    return DisputeNotice(
        dispute_id=dispute_id,
        state=state,
        amount_minor=amount,
        currency=currency,
        reason=scrubbed.code(_text(said, "reason")),
        respond_by=_moment(_text(said, "reply-by-date")),
    )


def _order_id(said: Element, path: str) -> str | None:
    text = _text(said, path) or ""
    return text if _ORDER_ID.fullmatch(text) else None


def _text(said: Element, path: str) -> str | None:
    text = said.findtext(path)
    return text.strip() or None if text else None


def _moment(text: str | None) -> datetime | None:
    """A date without a time is its beginning, in UTC: a deadline is rather shown too early than too late."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
