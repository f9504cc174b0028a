"""The signature of one item of a webhook. Invariant: only these eight fields are vouched for by it.

Source: docs.adyen.com/development-resources/webhooks/verify-hmac-signatures. Nothing is escaped, so that an item is
read only where no signed field can hold another one's text.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Final

_KEY_BYTES_MIN: Final = 16  # an empty key would verify what anybody signs


def signature(item: Mapping[str, Any], key: bytes) -> str:
    said = _signed_text(item).encode(errors="replace")
    return base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()


def is_signed(item: Mapping[str, Any], claimed: str, secrets: Iterable[str]) -> bool:
    """By any of the keys; each is compared."""
    right = [signature(item, key).encode() for key in map(_key, secrets) if key is not None]
    return any([hmac.compare_digest(one, claimed.encode(errors="replace")) for one in right])  # noqa: C419


def claimed(item: Mapping[str, Any]) -> str | None:
    more = item.get("additionalData")
    said = more.get("hmacSignature") if isinstance(more, dict) else None
    return said if isinstance(said, str) and said else None


def _key(secret: str) -> bytes | None:
    try:
        key = bytes.fromhex(secret)
    except ValueError:
        return None
    return key if len(key) >= _KEY_BYTES_MIN else None


def _signed_text(item: Mapping[str, Any]) -> str:
    amount = item.get("amount")
    money = amount if isinstance(amount, dict) else {}
    fields = (
        item.get("pspReference"),
        item.get("originalReference"),
        item.get("merchantAccountCode"),
        item.get("merchantReference"),
        money.get("value"),
        money.get("currency"),
        item.get("eventCode"),
        item.get("success"),
    )
    return ":".join(str(said) if isinstance(said, str | int) else "" for said in fields)
