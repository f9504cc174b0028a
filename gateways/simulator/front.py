"""The front of the simulator: who may ask, what a repeated key gets, what goes wrong, how late the answer comes."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import structlog
from aiohttp import web
from prometheus_client import Counter, Histogram

from gateways.simulator import mishaps
from gateways.simulator.accounts import Account, Accounts
from gateways.simulator.faults import Faults, Mishap, On, Spent
from gateways.simulator.ledger import Ledger, StoredAnswer
from gateways.simulator.mishaps import Decide, json_answer
from gateways.simulator.stripe import forms
from gateways.simulator.stripe.dialect import StripeError, invalid, new_id
from gateways.simulator.stripe.rules import Keyed

VERSION: Final = "2026-08-26.dahlia"
ARRIVED: Final = web.RequestKey("arrived", float)
ACCOUNT: Final = web.RequestKey("account", Account)
_KEY_MAX: Final = 255

CALLS: Final = Counter("aegispay_simulator_calls_total", "Answered calls", ["operation", "status"])
FAULTS: Final = Counter("aegispay_simulator_faults_total", "Calls that went wrong on purpose", ["on", "do"])
CALL_S: Final = Histogram(
    "aegispay_simulator_call_seconds",
    "From a call's arrival to its answer, the latency that was asked for included",
    ["operation"],
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5, 20),
)

_log: Any = structlog.get_logger(simulator="stripe")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Plan(NamedTuple):
    """What a call asks for, checked and not yet done. `mishap`: what its token makes go wrong with it."""

    decide: Decide
    mishap: Mishap | None
    payment: str | None


Planner = Callable[[forms.Pairs, Keyed | None], Plan]


@dataclass(slots=True)
class Weather:
    """How well the PSP is today."""

    latency_s: float
    search_lag_s: float = 0.0
    failing_until: float = 0.0  # monotonic
    faults: Faults = field(default_factory=Faults)


@dataclass(slots=True)
class Front:
    """`vanish` stops listening for so many seconds; it is known when there is a port to listen on."""

    ledger: Ledger
    accounts: Accounts = field(repr=False)
    weather: Weather
    spent: Spent
    vanish: Callable[[float], Awaitable[None]] | None = None
    running: set[tuple[str, str]] = field(default_factory=set)

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        arrived = request[ARRIVED] = time.monotonic()
        operation = getattr(handler, "__name__", "unknown")
        if request.path.startswith("/3d-secure/"):
            return await handler(request)
        try:
            self._admit(request, arrived)
            answer = await handler(request)
        except StripeError as error:
            answer = json_answer(error.status, error.body)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            text = f"Unrecognized request URL ({request.method}: {request.path})."
            answer = json_answer(404, invalid(text, status=404).body)
        except web.HTTPRequestEntityTooLarge:
            answer = json_answer(413, invalid("Request body too large.", status=413).body)
        version = request.headers.get("Stripe-Version", VERSION)
        answer.headers["Stripe-Version"] = version if re.fullmatch(r"[\w.-]{1,40}", version) else VERSION
        answer.headers["Request-Id"] = new_id("req", time.time())
        await self._until(arrived + self.weather.latency_s)
        took_s = time.monotonic() - arrived
        CALLS.labels(operation, answer.status).inc()
        CALL_S.labels(operation).observe(took_s)
        _log.debug("answered", operation=operation, status=answer.status, ms=round(took_s * 1000, 1))
        return answer

    def _admit(self, request: web.Request, now: float) -> None:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        account = self.accounts.of_key(secret.encode("utf-8", errors="surrogateescape"))
        if scheme.lower() != "bearer" or account is None:
            raise invalid("Invalid API Key provided.", status=401)
        request[ACCOUNT] = account
        if now < self.weather.failing_until and not request.path.startswith("/_simulator"):
            raise StripeError(503, {"type": "api_error", "message": "Stripe is temporarily unavailable."})

    @staticmethod
    async def _until(moment: float) -> None:
        if (left_s := moment - time.monotonic()) > 0:
            await asyncio.sleep(left_s)

    async def read(self, request: web.Request, on: On, decide: Decide) -> web.StreamResponse:
        """A call that changes nothing."""
        mishap = self._switched_on(on, request[ACCOUNT], request.path_qs)
        if mishap is not None and mishap.do == "hang":
            return await self._hang(request, mishap)
        return await self._play(request, on, mishap, decide)

    async def once(self, request: web.Request, on: On, plan: Planner) -> web.StreamResponse:
        """The same key again gets the stored answer, another body under it an error. Refusals are not stored."""
        account = request[ACCOUNT]
        sent = forms.pairs(await request.read())
        key = request.headers.get("Idempotency-Key")
        if key is not None and not (0 < len(key) <= _KEY_MAX and key.isascii()):
            raise invalid("Idempotency keys can have up to 255 characters, in ASCII.")
        keyed, mark = None, (account.name, key or "")
        if key is not None:
            if mark in self.running:
                text = "There is currently another in-progress request using this Idempotent Key."
                raise invalid(text, code="idempotency_key_in_use", status=409)
            keyed = Keyed(account.name, key, forms.fingerprint(request.method, request.path, sent))
            stored = self.ledger.answer(account.name, key, time.time())
            if stored is not None:
                return await self._replay(request, on, keyed, stored)
            self.running.add(mark)
        try:
            planned = plan(sent, keyed)
            mishap = self._switched_on(on, account, key or request.path_qs)
            token = planned.mishap
            if mishap is None and token is not None and self.spent.again(token, key, planned.payment):
                mishap = token
            if mishap is None or mishap.do != "hang":
                answer = await self._play(request, on, mishap, planned.decide, keyed)
                # In use until it is answered, so the latency belongs inside.
                await self._until(request[ARRIVED] + self.weather.latency_s)
                return answer
        finally:
            if key is not None:
                self.running.discard(mark)
        # Nothing was done and the key is free: a repeat of what hangs gets through.
        return await self._hang(request, mishap)

    async def _replay(
        self, request: web.Request, on: On, keyed: Keyed, stored: StoredAnswer
    ) -> web.StreamResponse:
        if stored.fingerprint != keyed.fingerprint:
            text = "Keys for idempotent requests can only be used with the same parameters they were first used with."
            raise StripeError(400, {"type": "idempotency_error", "message": text})
        mishap = self._switched_on(on, request[ACCOUNT], keyed.key)
        if mishap is not None and mishap.do == "hang":
            return await self._hang(request, mishap)
        replayed = await self._play(request, on, mishap, lambda _: (stored.status, stored.body))
        if not replayed.prepared:
            replayed.headers["Idempotent-Replayed"] = "true"
        return replayed

    def _switched_on(self, on: On, account: Account, call: str) -> Mishap | None:
        faults = self.weather.faults
        return faults.chosen(on, f"{account.name}/{call}") if faults.switched_on else None

    async def _play(
        self, request: web.Request, on: On, mishap: Mishap | None, decide: Decide, keyed: Keyed | None = None
    ) -> web.StreamResponse:
        if mishap is None:
            return json_answer(*decide(None))
        FAULTS.labels(on, mishap.do).inc()
        if mishap.do == "500" and keyed is not None:
            stored = StoredAnswer(keyed.fingerprint, mishaps.BROKEN.status, mishaps.BROKEN.body)
            self.ledger.keep_answer(keyed.account, keyed.key, stored, time.time())
        instead = await mishaps.before(request, mishap)
        if instead is not None:
            return instead
        status, body = decide(mishap.do)
        if mishap.do == "vanish" and self.vanish is not None:
            await self.vanish(mishap.after_s)
        return await mishaps.after(request, mishap, status, body)

    @staticmethod
    async def _hang(request: web.Request, mishap: Mishap) -> web.StreamResponse:
        await asyncio.sleep(mishap.after_s)
        return mishaps.cut(request, reset=False)
