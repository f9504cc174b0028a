"""Braintree's webhooks: a form of a signature and a payload, which is base64 of XML.

Invariant: nothing is read from a payload whose signature is not right, and no document type or entity is
ever expanded. Ids in the XML are of the older interface, so that a payment is found by its order id only.
A query of the newer one (`idFromLegacyId`) exchanges them; how its ids are made is not documented.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, ParseError

import defusedxml
from defusedxml import ElementTree

from aggregates.operation import kind_of
from commands.balances import Balances
from commands.messages import DisputeState, Outcome
from commands.notices import Notice
from gateways.braintree import amounts, responses
from gateways.contract import Webhook, WebhookKeys, WebhookRefused
from gateways.wire import redaction
from gateways.wire.disputes import Read, dispute
from gateways.wire.json import moment
from gateways.wire.outcomes import balances as of_money
from gateways.wire.signatures import hmac_hex, is_any

_PAYLOAD: Final = re.compile(r"[A-Za-z0-9+/=\n]+")
# U+D800 to U+DFFF, as a character's number.
_HALF: Final = re.compile(
    rb"&#(?:[xX]0*[dD][89a-fA-F][0-9a-fA-F]{2}|0*(?:5529[6-9]|55[3-9]\d\d|56\d{3}|57[0-2]\d\d|573[0-3]\d|5734[0-3]));"
)
_HALF_BYTES: Final = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")  # which is no UTF-8
_CHALLENGE: Final = re.compile(r"[0-9a-f]{20,32}")
# Not `redaction.identifier`: our own ids are hexadecimal, in which a run of digits may look like a card
# number.
_ORDER_ID: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]{1,64}")
_DISPUTED: Final = "subject/dispute/transaction/order-id"
_TRANSACTION: Final = "subject/transaction/order-id"
_DISPUTES: Final[Mapping[str, DisputeState]] = {
    "dispute_opened": "opened",
    "dispute_under_review": "opened",
    "dispute_disputed": "opened",
    "dispute_won": "won",
    "dispute_lost": "lost",
    "dispute_accepted": "lost",
    "dispute_auto_accepted": "lost",
    "dispute_expired": "lost",
}
# A retrieval is an inquiry: the bank wants the papers and takes nothing.
_OF_RETRIEVAL: Final[Mapping[DisputeState, DisputeState]] = {
    "opened": "inquiry",
    "won": "closed",
    "lost": "closed",
}
_UPDATES: Final = frozenset({"transaction_settled", "transaction_settlement_declined", "refund_failed"})


def read(webhook: Webhook, keys: WebhookKeys) -> tuple[Notice, ...] | WebhookRefused:
    """Verifies a notification and reads it. Source:
    developer.paypal.com/braintree/docs/guides/webhooks/parse, and Braintree's Python library."""
    form = _form(webhook.body)
    signature, payload = form.get("bt_signature"), form.get("bt_payload")
    if not signature:
        return WebhookRefused("unsigned")
    if payload is None or not _PAYLOAD.fullmatch(payload):
        return WebhookRefused("malformed")
    if not _signed(signature, payload, keys):
        return WebhookRefused("forged")
    document = _document(payload)
    notification = None if document is None else _xml(document)
    if document is None or notification is None or notification.tag != "notification":
        return WebhookRefused("malformed")
    event_id = hashlib.sha256(document).hexdigest()
    notice = _notice(notification, event_id)
    return WebhookRefused("malformed") if notice is None else (notice,)


def challenge(query: Mapping[str, str], keys: WebhookKeys) -> str | None:
    """The response to a check of the address: our public key and the signed challenge. None: it is no
    check."""
    challenge_text, public_key = query.get("bt_challenge", ""), keys.options.get("public_key")
    if not _CHALLENGE.fullmatch(challenge_text) or not public_key or not keys.secrets:
        return None
    return f"{public_key}|{_signature(challenge_text, keys.secrets[0])}"


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form. Empty: one stands twice."""
    try:
        pairs = parse_qsl(body.decode("ascii"), strict_parsing=True, max_num_fields=10)
    except ValueError:
        return {}
    return dict(pairs) if len(dict(pairs)) == len(pairs) else {}


def _signed(signature: str, payload: str, keys: WebhookKeys) -> bool:
    pairs = (pair.partition("|") for pair in signature.split("&"))
    given = [
        claim for public_key, _, claim in pairs if public_key and public_key == keys.options.get("public_key")
    ]
    right = [_signature(text, secret) for secret in keys.secrets for text in (payload, f"{payload}\n")]
    return is_any(right, given[:10])


def _signature(text: str, secret: str) -> str:
    """A signature as Braintree makes it: the key is the SHA-1 of the private key."""
    key = hashlib.sha1(secret.encode()).digest()  # noqa: S324 - as Braintree signs
    return hmac_hex(key, text.encode(), "sha1")


def _document(payload: str) -> bytes | None:
    try:
        return base64.b64decode(payload.replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        return None


def _xml(document: bytes) -> Element | None:
    """Parses a document. A text may be cut within a character; the half that is left is replaced by
    U+FFFD."""
    parsed = _parsed(document)
    return _parsed(_repaired(document)) if parsed is None else parsed


def _parsed(document: bytes) -> Element | None:
    try:
        parsed: Element = ElementTree.fromstring(document, forbid_dtd=True)
    except (ParseError, defusedxml.DefusedXmlException, ValueError, LookupError):
        return None
    return parsed


def _repaired(document: bytes) -> bytes:
    return _HALF_BYTES.sub(b"\xef\xbf\xbd", _HALF.sub(b"&#xFFFD;", document))


def _notice(notification: Element, event_id: str) -> Notice | None:
    kind = redaction.code(_text(notification, "kind"))
    if kind is None:
        return None
    at = moment(_text(notification, "timestamp"))
    disputes = kind.startswith("dispute_")
    about = _text(notification, _DISPUTED if disputes else _TRANSACTION)
    if about is not None and kind_of(about) is None:
        # Another system on the same account made it: each of ours has its order id.
        return Notice(event_id, kind, at=at)
    if disputes:
        state = _DISPUTES.get(kind)
        read = _dispute(notification, state)
        reference, new = _order_id(notification, _DISPUTED), kind if state is None else None
        way = _legacy(notification, "subject/dispute/transaction/id") if reference is None else None
        return Notice(event_id, kind, reference=reference, psp_id=way, unlisted=new, at=at, **read)
    way = _legacy(notification, "subject/transaction/id") if about is None else None
    if kind not in _UPDATES or (about is None and way is None):
        return Notice(event_id, kind, at=at)
    order_id = _order_id(notification, _TRANSACTION)
    legacy_id = redaction.identifier(_text(notification, "subject/transaction/id"))
    about = f"transaction {legacy_id} of order {order_id}"
    if kind == "transaction_settled":
        # Leads to a query where another transaction is known than this one.
        settled = Outcome(
            kind="UNKNOWN",
            code=kind,
            detail=about,
            psp_id=_graph_id(legacy_id),
            balances=_settled(notification),
        )
        return Notice(event_id, kind, reference=order_id, psp_id=way, outcome=settled, at=at)
    # Under the order id of what it was done to: a capture's under its authorization's, a failed reversal's
    # under its payment's. Whatever a lookup then shows, money that was counted on has not moved.
    failed = Outcome(kind="DECLINED_HARD", code=kind, detail=about)
    return Notice(event_id, kind, reference=order_id, psp_id=way, outcome=failed, at=at)


def _graph_id(legacy_id: str | None) -> str | None:
    """The id in the newer interface, as it is made by all that is known: where that is wrong, one query too
    many is sent."""
    if legacy_id is None:
        return None
    return base64.urlsafe_b64encode(f"transaction_{legacy_id}".encode()).decode().rstrip("=")


def _settled(notification: Element) -> Balances | None:
    currency = _text(notification, "subject/transaction/currency-iso-code") or ""
    minor = amounts.from_wire(_text(notification, "subject/transaction/amount"), currency)
    if minor is None or _text(notification, "subject/transaction/type") != "sale":
        return None
    return of_money(minor, None, 0)


def _dispute(notification: Element, state: DisputeState | None) -> Read:
    found = notification.find("subject/dispute")
    element = Element("dispute") if found is None else found
    currency = _text(element, "currency-iso-code")
    amount = amounts.from_wire(_text(element, "amount-disputed") or _text(element, "amount"), currency or "")
    return dispute(
        redaction.identifier(_text(element, "id")),
        _OF_RETRIEVAL[state] if state and _text(element, "kind") == "retrieval" else state,
        {"amount_minor": amount, "currency": currency},
        redaction.code(_text(element, "reason")),
        moment(
            _text(element, "reply-by-date")
        ),  # the beginning of its day in UTC: rather too early than too late
    )


def _legacy(element: Element, path: str) -> str | None:
    """The payment's id in the older interface, which its lookup gives as well."""
    return next(iter(responses.legacy(_text(element, path))), None)


def _order_id(element: Element, path: str) -> str | None:
    text = _text(element, path) or ""
    return text if _ORDER_ID.fullmatch(text) else None


def _text(element: Element, path: str) -> str | None:
    text = element.findtext(path)
    return text.strip() or None if text else None
