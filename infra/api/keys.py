"""API keys: `ak_<id>_<secret>`. Only the secret's hash is stored; a key is bound to a merchant and to scopes."""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal, get_args

import psycopg
from psycopg_pool import AsyncConnectionPool

from infra.api.problems import Problem

Scope = Literal["payments:read", "payments:write", "refunds:write", "doubt:resolve"]
"""What a key may do: read; take payments, capture, void, cancel, complete and ask the PSP again; give money back; decide
for a person what became of an operation in doubt."""
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

_KEY: Final = re.compile(r"ak_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_SECRET_BYTES: Final = 32
_REMEMBERED_S: Final = 5.0
"""A revoked key works no longer than this."""
_REMEMBERED_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    key_id: str
    merchant_id: str
    scopes: frozenset[str]


def create(conn: psycopg.Connection, merchant_id: str, scopes: Collection[Scope]) -> str:
    """A new key. It is shown this once."""
    key_id, secret = secrets.token_hex(8), secrets.token_bytes(_SECRET_BYTES)
    conn.execute(
        "INSERT INTO api_keys (key_hash, key_id, merchant_id, scopes) VALUES (%s, %s, %s, %s)",
        (hashlib.sha256(secret).digest(), key_id, merchant_id, sorted(scopes)),
    )
    return f"ak_{key_id}_{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"


class Keys:
    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._remembered: dict[tuple[str, bytes], tuple[Principal, float]] = {}

    async def authenticate(self, key: str | None, scope: Scope) -> Principal:
        """Raises `Problem`: the same one for a key that is malformed, unknown, wrong or revoked."""
        principal = await self._principal(key or "")
        if principal is None:
            raise Problem(
                "unauthorized",
                "send Authorization: Bearer with an API key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if scope not in principal.scopes:
            raise Problem("scope_missing", f"this needs the scope {scope}")
        return principal

    async def _principal(self, key: str) -> Principal | None:
        match = _KEY.fullmatch(key)
        if match is None:
            return None
        key_id, secret = match.groups()
        try:
            digest = hashlib.sha256(base64.urlsafe_b64decode(secret + "=")).digest()
        except binascii.Error:
            return None
        now = time.monotonic()
        # By the secret's hash: how long a look-up takes tells nothing of the secret.
        principal, until = self._remembered.get((key_id, digest), (None, 0.0))
        if principal is None or until < now:
            principal = await self._load(key_id, digest)
            if principal is not None:
                if len(self._remembered) >= _REMEMBERED_MAX:
                    self._remembered.clear()
                self._remembered[key_id, digest] = principal, now + _REMEMBERED_S
        return principal

    async def _load(self, key_id: str, digest: bytes) -> Principal | None:
        async with self._pool.connection() as conn:
            found = await conn.execute(
                "SELECT key_hash, merchant_id, scopes FROM api_keys WHERE key_id = %s AND revoked_at IS NULL",
                (key_id,),
            )
            row = await found.fetchone()
        if row is None or not hmac.compare_digest(row[0], digest):
            return None
        return Principal(key_id, row[1], frozenset(row[2]))
