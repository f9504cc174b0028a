"""Calls to one PSP with an account's credentials: signed in where the PSP wants it, so many at once and no more.

Invariant: a call is sent once; a second time only where the first was answered with 401, which executes nothing.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal

from commands.messages import Outcome
from gateways import agent_metrics as metrics
from gateways.contract import CALLS_MAX, Access, Credentials, Gateway, HttpRequest, SignsIn
from gateways.ports import Answered, CredentialsOf, Http, Lost, NotWritten
from gateways.quoted import without_secrets

_RENEWED_BEFORE_S: Final = 60.0

Build = Callable[[Credentials], HttpRequest | Outcome]
What = Literal["send", "query", "cancel"]


@dataclass(frozen=True, slots=True)
class _Kept:
    access: Access
    of: Credentials  # with other ones it is another's
    until: float  # monotonic


class Calls:
    def __init__(self, gateway: Gateway, http: Http, credentials_of: CredentialsOf) -> None:
        self._gateway = gateway
        self._signs_in = gateway if isinstance(gateway, SignsIn) else None
        self._http = http
        self._credentials_of = credentials_of
        self._kept: dict[str, _Kept] = {}
        self._signing_in: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._slots: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def slot(self, account: str) -> AsyncIterator[None]:
        """Waited for before the claim: the time for the first byte counts from there."""
        if account not in self._slots:
            known = self._credentials_of(account)
            self._slots[account] = asyncio.Semaphore(CALLS_MAX if known is None else known.calls_max)
        async with self._slots[account]:
            yield

    async def call(
        self, what: What, account: str, build: Build, first_byte_before: float | None
    ) -> Outcome | Answered | NotWritten | Lost:
        """An outcome where nothing was sent because of what we know, or do not know, ourselves."""
        result = await self._once(what, account, build, first_byte_before)
        if self._signs_in is not None and isinstance(result, Answered) and result.answer.status == 401:
            self._kept.pop(account, None)
            return await self._once(what, account, build, first_byte_before)
        return result

    async def _once(
        self, what: What, account: str, build: Build, first_byte_before: float | None
    ) -> Outcome | Answered | NotWritten | Lost:
        credentials = self._credentials_of(account)
        if credentials is None:
            return Outcome(kind="NOT_SENT", code="account_not_configured", hint="CONFIG")
        if self._signs_in is not None:
            access = await self._access(self._signs_in, account, credentials)
            if not isinstance(access, Access):
                return access
            credentials = replace(credentials, access_token=access.token)
        built = build(credentials)
        if isinstance(built, Outcome):
            return built
        result = await self._http.send(credentials.base_url, built, first_byte_before)
        metrics.called(self._gateway.facts.name, what, result)
        if isinstance(result, Answered):
            return replace(result, answer=without_secrets(result.answer, credentials))
        return result

    async def _access(
        self, gateway: SignsIn, account: str, credentials: Credentials
    ) -> Access | Outcome | NotWritten:
        async with self._signing_in[account]:
            kept = self._kept.get(account)
            if kept is not None and kept.of == credentials and time.monotonic() < kept.until:
                return kept.access
            result = await self._http.send(credentials.base_url, gateway.sign_in(credentials), None)
            metrics.called(self._gateway.facts.name, "sign_in", result)
            if not isinstance(result, Answered):
                return NotWritten(f"sign_in_{result.code}")
            access = gateway.signed_in(result.answer)
            if access is None:
                refused = result.answer.status in {400, 401, 403}
                code = "sign_in_refused" if refused else f"sign_in_http_{result.answer.status}"
                return Outcome(kind="NOT_SENT", code=code, hint="CONFIG" if refused else None)
            until = time.monotonic() + access.life_s - _RENEWED_BEFORE_S
            self._kept[account] = _Kept(access, credentials, until)
            return access
