"""API keys as PostgreSQL holds them: `ak_<id>_<secret>`, of which only the secret's SHA-256 is stored.

A key is bound to a merchant and to scopes.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import psycopg

from commands.sql import statements

Scope = Literal[
    "payments:read",
    "payments:write",
    "refunds:write",
    "routing:read",
    "routing:write",
    "doubt:resolve",
    "payments:review",
]
"""The rights of a key: read; take payments, capture, void, cancel, complete and query the PSP again; give
money back; read and change the routing policy; decide for an operator what became of an operation in doubt;
allow or deny what a fraud hook holds."""
OF_OPERATORS: Final[frozenset[Scope]] = frozenset({"routing:write", "doubt:resolve", "payments:review"})
"""The rights that a key has only where they are named."""
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

_KEY: Final = re.compile(r"ak_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_SECRET_BYTES: Final = 32
_SQL: Final = statements(__file__)
_INSERT: Final = _SQL["insert"]
_SELECT: Final = _SQL["select"]


@dataclass(frozen=True, slots=True)
class Presented:
    """A well-formed key that a caller sent: its id, and the SHA-256 of its secret."""

    key_id: str
    digest: bytes = field(repr=False)


def create(conn: psycopg.Connection, merchant_id: str, scopes: Collection[Scope]) -> str:
    """Stores a new key and returns its text, which is shown this once."""
    key_id, secret = secrets.token_hex(8), secrets.token_bytes(_SECRET_BYTES)
    conn.execute(
        _INSERT,
        (hashlib.sha256(secret).digest(), key_id, merchant_id, sorted(scopes)),
    )
    return f"ak_{key_id}_{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"


def parse(text: str) -> Presented | None:
    """Reads a key from its text. None: the text has not the form of a key."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    key_id, secret = match.groups()
    try:
        return Presented(key_id, hashlib.sha256(base64.urlsafe_b64decode(secret + "=")).digest())
    except binascii.Error:
        return None


async def granted(conn: psycopg.AsyncConnection, key: Presented) -> tuple[str, frozenset[str]] | None:
    """Returns the merchant and the scopes of a key. None: it is unknown, revoked, or has another secret."""
    found = await conn.execute(
        _SELECT,
        (key.key_id,),
    )
    row = await found.fetchone()
    if row is None or not hmac.compare_digest(row[0], key.digest):
        return None
    return row[1], frozenset(row[2])
