"""Authenticates callers: looks up an API key's merchant and scopes, and caches them for 5 s."""

import time
from dataclasses import dataclass
from typing import Final

from psycopg_pool import AsyncConnectionPool

from infra.api.problems import Problem
from infra.postgres import api_keys
from infra.postgres.api_keys import Presented, Scope

_REMEMBERED_S: Final = 5.0
"""Seconds for which a key is cached: a revoked one works no longer than this."""
_REMEMBERED_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of a request: the owner of an API key, and what the key allows."""

    key_id: str
    merchant_id: str
    scopes: frozenset[str]

    def signed(self, who: str) -> str:
        """Returns the operator's name, which the caller states, with the id of the key, which is proven."""
        return f"{who} (API key {self.key_id})"


WHO_MAX: Final = 255 - len(Principal("0" * 16, "", frozenset()).signed(""))
"""Characters that a caller's `who` may have, so that it still fits the command once the key's id is added."""


class Keys:
    """The API keys that this process has seen, over the table that holds all of them."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        # Keyed by the secret's hash: the time of a lookup reveals nothing about the secret.
        self._remembered: dict[Presented, tuple[Principal, float]] = {}

    async def authenticate(self, key: str | None, scope: Scope) -> Principal:
        """Returns the key's owner. Raises one `Problem` for a malformed, unknown, wrong or revoked key."""
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

    async def _principal(self, text: str) -> Principal | None:
        key = api_keys.parse(text)
        if key is None:
            return None
        now = time.monotonic()
        principal, until = self._remembered.get(key, (None, 0.0))
        if principal is None or until < now:
            async with self._pool.connection() as conn:
                granted = await api_keys.granted(conn, key)
            if granted is None:
                return None
            principal = Principal(key.key_id, *granted)
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[key] = principal, now + _REMEMBERED_S
        return principal
