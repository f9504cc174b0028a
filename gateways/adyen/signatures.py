"""The signature of one item of a webhook, and the login of its sender.

Invariant: the signature vouches for eight fields only; a login vouches for the whole body.

Source: docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures. Nothing is
escaped, so that an item is read only where no signed field can hold another one's text.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateways.wire.json import object_of, text
from gateways.wire.signatures import is_any

_KEY_BYTES_MIN: Final = 16  # an empty key would verify what anybody signs


def signature(item: Mapping[str, Any], key: bytes) -> str:
    """The signature that a key of Adyen's gives an item, in base64."""
    content = _signed_text(item).encode(errors="replace")
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def is_signed(item: Mapping[str, Any], claimed: str, secrets: Iterable[str]) -> bool:
    """True if any of the keys made the signature."""
    return is_any([signature(item, key) for key in map(_key, secrets) if key is not None], [claimed])


def claimed(item: Mapping[str, Any]) -> str | None:
    """The signature that an item carries. None: it carries none."""
    return text(object_of(item.get("additionalData")).get("hmacSignature")) or None


def digest(item: Mapping[str, Any]) -> str:
    """A digest of what is signed, the same whichever key signs it: hex SHA-256."""
    return hashlib.sha256(_signed_text(item).encode(errors="replace")).hexdigest()


def is_logged_in(authorization: str, logins: Iterable[str]) -> bool:
    """True if the sender has one of the logins (HTTP basic authentication). Source:
    docs.adyen.com/development-resources/webhooks/secure-webhooks."""
    scheme, _, credentials = authorization.partition(" ")
    expected = [base64.b64encode(login.encode()).decode() for login in logins]
    return scheme.lower() == "basic" and is_any(expected, [credentials.strip()])


def _key(secret: str) -> bytes | None:
    try:
        key = bytes.fromhex(secret)
    except ValueError:
        return None
    return key if len(key) >= _KEY_BYTES_MIN else None


def _signed_text(item: Mapping[str, Any]) -> str:
    money = object_of(item.get("amount"))
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
    return ":".join(str(value) if isinstance(value, str | int) else "" for value in fields)
