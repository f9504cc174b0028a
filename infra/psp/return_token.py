"""The page to which a customer comes back from a PSP, and the token that names whose challenge it was.

Invariant: a token is read only as it was made with our key, until its challenge is over; for one operation
and end it is always the same, since a repeat of a call has the same bytes. That it works once is for the
command that it gives.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, Self

from aggregates.operation import OPERATION_ID
from infra.errors import Misconfigured
from infra.settings import ReturnSettings

# Another use of the same key must not make the same signatures.
_PURPOSE: Final = b"aegispay return v1\n"
_KEY_BYTES_MIN: Final = 32
_TOKEN: Final = re.compile(rf"({OPERATION_ID})\.([0-9]{{1,11}})\.([A-Za-z0-9_-]{{43}})")


class TokenRefused(Exception):
    """The token was not made with our key, or its challenge is over. The text holds no part of the token."""

    def __init__(self, reason: Literal["forged", "expired"]) -> None:
        super().__init__(f"the return token is {reason}")
        self.reason = reason


def make(key: bytes, operation_id: str, until: datetime) -> str:
    """Returns a token of letters, digits, `.`, `-` and `_`, about 95 characters. It works until `until`,
    in whole seconds."""
    signed = f"{operation_id}.{int(until.timestamp())}"
    return f"{signed}.{_signature(key, signed)}"


def read(key: bytes, token: str, now: datetime) -> str:
    """Returns the id of the operation that the token was made for. Raises `TokenRefused`."""
    matched = _TOKEN.fullmatch(token)
    if matched is None:
        raise TokenRefused("forged")
    operation_id, until, signature = matched.groups()
    if not hmac.compare_digest(_signature(key, f"{operation_id}.{until}"), signature):
        raise TokenRefused("forged")
    if now >= datetime.fromtimestamp(int(until), UTC):
        raise TokenRefused("expired")
    return operation_id


def _signature(key: bytes, signed: str) -> str:
    digest = hmac.digest(key, _PURPOSE + signed.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def read_key(path: Path, setting: str = "AEGISPAY_RETURN_KEY_FILE") -> bytes:
    """Reads a key from its file. `setting`: the one that names the file. Raises `Misconfigured`, which quotes
    nothing of the file."""
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        text = f"{setting}: {path} cannot be read: {error.strerror}"
        raise Misconfigured(text) from None
    if len(key) < _KEY_BYTES_MIN:
        text = f"{setting}: {path} has less than {_KEY_BYTES_MIN} bytes; `openssl rand -hex 32` makes a key"
        raise Misconfigured(text)
    return key


@dataclass(frozen=True, slots=True)
class ReturnPages:
    """Makes the addresses to which customers come back; `public_url` without a slash at its end."""

    public_url: str
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, settings: ReturnSettings) -> Self | None:
        """Returns None where no address is set under which customers reach the API. Raises
        `Misconfigured`."""
        if settings.public_url is None or settings.return_key_file is None:
            return None
        return cls(str(settings.public_url).rstrip("/"), read_key(settings.return_key_file))

    def url(self, operation_id: str, action_until: datetime) -> str:
        """Returns the address for the challenge of one operation, which works until `action_until`."""
        return f"{self.public_url}/return/{make(self.key, operation_id, action_until)}"
