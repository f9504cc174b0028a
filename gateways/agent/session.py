"""Calls to one PSP with an account's credentials, signed in where the PSP wants it, and bounded in number.

Invariant: a call is sent once; a second time only where the first was refused with 401, which executes
nothing.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

from commands.messages import Outcome
from gateways.agent import metrics
from gateways.agent.ports import CredentialsOf, Http, NotWritten, Responded, ResponseLost
from gateways.contract import (
    CALLS_MAX,
    Access,
    Call,
    Credentials,
    Gateway,
    HttpRequest,
    HttpResponse,
    SignsIn,
)
from gateways.wire.outcomes import UNAVAILABLE
from gateways.wire.redaction import without_secrets, without_tokens

_RENEWED_BEFORE_S: Final = 60.0  # before an access token ends

Build = Callable[[Credentials], HttpRequest | Outcome]
What = Literal["send", "query", "cancel"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """The result of one call.

    `outcome` None: a lookup found nothing. `call_ms` None: nothing was written. `unavailable`: the PSP
    responded that it is not available as a whole. `away`: so it did, or it did not respond, or could not be
    reached.
    """

    outcome: Outcome | None
    call_ms: float | None
    unavailable: bool
    away: bool


@dataclass(frozen=True, slots=True)
class _Kept:
    access: Access
    of: Credentials  # an account whose credentials have changed signs in again
    until: float  # monotonic


class _Slots:
    """Bounds the calls under way. It reads `most` when a call begins or ends, so a new limit needs no
    restart."""

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        # Calls get slots in the order in which they came, whether a slot is free or not.
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(given)
        self._hand_out()
        try:
            await given
        except asyncio.CancelledError:
            # A slot may have been granted just before the cancellation.
            if given.done() and not given.cancelled():
                self._give_back()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._give_back()

    def _give_back(self) -> None:
        self._taken -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._taken < self._most():
            given = self._waiting.popleft()
            if not given.done():  # cancelled
                # The slot counts from here, and not from when its task goes on: another call could take it in
                # between.
                self._taken += 1
                given.set_result(None)


class Calls:
    """The calls of one process to one PSP: it signs in, sends, and interprets the responses."""

    def __init__(self, gateway: Gateway, http: Http, credentials_of: CredentialsOf) -> None:
        self._gateway = gateway
        self._signs_in = gateway if isinstance(gateway, SignsIn) else None
        self._http = http
        self._credentials_of = credentials_of
        self._kept: dict[str, _Kept] = {}
        self._signing_in: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._slots: dict[str, _Slots] = {}

    @asynccontextmanager
    async def slot(self, account: str) -> AsyncIterator[None]:
        """Holds one of the account's `calls_max` calls. It is awaited before the claim, after which the time
        to the first byte is short."""
        if account not in self._slots:
            self._slots[account] = _Slots(partial(self._most, account))
        async with self._slots[account]:
            yield

    def _most(self, account: str) -> int:
        known = self._credentials_of(account)
        return CALLS_MAX if known is None else known.calls_max

    async def exchange(
        self,
        what: What,
        account: str,
        call: Call,
        *,
        build: Callable[[Call, Credentials], HttpRequest | Outcome],
        interpret: Callable[[Call, HttpResponse], Outcome | None],
        first_byte_before: float | None,
    ) -> Exchange:
        """Sends a call and interprets its response. `first_byte_before`: by `time.monotonic`; None: at any
        time."""
        result = await self.call(what, account, lambda known: build(call, known), first_byte_before)
        match result:
            case Outcome():
                return Exchange(result, None, unavailable=False, away=result.unreached)
            case Responded():
                outcome, unavailable = interpret(call, result.response), result.response.status in UNAVAILABLE
                if outcome is not None:
                    outcome = without_tokens(outcome, call)
                    metrics.read(self._gateway.facts.name, outcome)
                return Exchange(outcome, result.call_ms, unavailable, away=unavailable)
            case NotWritten():
                not_sent = Outcome(kind="NOT_SENT", code=result.code, unreached=result.unreached)
                return Exchange(not_sent, None, unavailable=False, away=result.unreached)
            case ResponseLost():
                lost = Outcome(kind="UNKNOWN", code=result.code)
                return Exchange(lost, result.call_ms, unavailable=False, away=True)

    async def call(
        self, what: What, account: str, build: Build, first_byte_before: float | None
    ) -> Outcome | Responded | NotWritten | ResponseLost:
        """Sends a call. Returns an outcome where nothing was sent: the account is not configured, it cannot
        sign in, or `build` knows that the PSP's interface cannot express the call."""
        result = await self._once(what, account, build, first_byte_before)
        if self._signs_in is not None and isinstance(result, Responded) and result.response.status == 401:
            # The PSP has ended the token before its time. One more sign-in, and the second 401 is the
            # response.
            self._kept.pop(account, None)
            return await self._once(what, account, build, first_byte_before)
        return result

    async def _once(
        self, what: What, account: str, build: Build, first_byte_before: float | None
    ) -> Outcome | Responded | NotWritten | ResponseLost:
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
        if isinstance(result, Responded):
            return replace(result, response=without_secrets(result.response, credentials))
        return result

    async def _access(
        self, gateway: SignsIn, account: str, credentials: Credentials
    ) -> Access | Outcome | NotWritten:
        # All that need a token wait here for one sign-in. The wait counts against their 5 s: `send` writes
        # nothing of a request that is too late by then.
        async with self._signing_in[account]:
            kept = self._kept.get(account)
            # The monotonic clock counts the token's life: an operator may set the wall clock meanwhile.
            if kept is not None and kept.of == credentials and time.monotonic() < kept.until:
                return kept.access
            # It moves no money, so it may be sent at any time.
            result = await self._http.send(credentials.base_url, gateway.sign_in(credentials), None)
            metrics.called(self._gateway.facts.name, "sign_in", result)
            if not isinstance(result, Responded):
                # A sign-in without a response proves nothing about the call: that was not written, and may be
                # tried again.
                unreached = result.unreached if isinstance(result, NotWritten) else True
                return NotWritten(f"sign_in_{result.code}", unreached)
            access = gateway.signed_in(result.response)
            if access is None:
                refused = result.response.status in {400, 401, 403}
                code = "sign_in_refused" if refused else f"sign_in_http_{result.response.status}"
                hint: Literal["CONFIG"] | None = "CONFIG" if refused else None
                return Outcome(kind="NOT_SENT", code=code, hint=hint, unreached=not refused)
            until = time.monotonic() + access.life_s - _RENEWED_BEFORE_S
            self._kept[account] = _Kept(access, credentials, until)
            return access
