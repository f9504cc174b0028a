"""HMAC signatures of webhooks. Invariant: they are compared in constant time."""

import hmac
from collections.abc import Iterable


def hmac_hex(key: bytes, content: bytes, algorithm: str = "sha256") -> str:
    """The HMAC (RFC 2104) of the content, as lower-case hexadecimal."""
    return hmac.new(key, content, algorithm).hexdigest()


def is_any(expected: Iterable[str], claimed: Iterable[str]) -> bool:
    """True if one of the claimed signatures is one of the expected ones. Each is compared with each, so that
    the time reveals nothing about which was nearly right. A claimed one may be any text."""
    rights = [one.encode() for one in expected]
    equal = False
    for one in claimed:
        given = one.encode(errors="replace")
        for right in rights:
            equal |= hmac.compare_digest(right, given)
    return equal
