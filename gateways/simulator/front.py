"""The front of the simulator: who may ask, what a repeated key gets, and how late the answer comes."""

import asyncio
import hmac
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiohttp import web
from prometheus_client import Counter, Histogram

from gateways.simulator import forms
from gateways.simulator.dialect import StripeError, invalid, new_id
from gateways.simulator.ledger import Ledger
from gateways.simulator.payments import Keyed

VERSION: Final = "2026-08-26.dahlia"
ARRIVED: Final = web.RequestKey("arrived", float)
_KEY_MAX: Final = 255

CALLS: Final = Counter("aegispay_simulator_calls_total", "Answered calls", ["operation", "status"])
CALL_S: Final = Histogram(
    "aegispay_simulator_call_seconds",
    "From a call's arrival to its answer, the latency that was asked for included",
    ["operation"],
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5, 20),
)

_log: Any = structlog.get_logger(simulator="stripe")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Work = Callable[[forms.Pairs, Keyed | None], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Weather:
    """How well the PSP is today."""

    latency_s: float
    search_lag_s: float = 0.0
    failing_until: float = 0.0  # monotonic


@dataclass(slots=True)
class Front:
    ledger: Ledger
    secret: str = field(repr=False)
    weather: Weather
    running: set[str] = field(default_factory=set)

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
        if scheme.lower() != "bearer" or not hmac.compare_digest(_bytes(secret), _bytes(self.secret)):
            raise invalid("Invalid API Key provided.", status=401)
        if now < self.weather.failing_until and not request.path.startswith("/_simulator"):
            raise StripeError(503, {"type": "api_error", "message": "Stripe is temporarily unavailable."})

    @staticmethod
    async def _until(moment: float) -> None:
        if (left_s := moment - time.monotonic()) > 0:
            await asyncio.sleep(left_s)

    async def once(
        self,
        request: web.Request,
        work: Work,
    ) -> web.StreamResponse:
        """The same key again gets the stored answer, another body under it an error. Refusals are not stored."""
        sent = forms.pairs(await request.read())
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return await work(sent, None)
        if not 0 < len(key) <= _KEY_MAX or not key.isascii():
            raise invalid("Idempotency keys can have up to 255 characters, in ASCII.")
        if key in self.running:
            text = "There is currently another in-progress request using this Idempotent Key."
            raise invalid(text, code="idempotency_key_in_use", status=409)
        keyed = Keyed(key, forms.fingerprint(request.method, request.path, sent))
        stored = self.ledger.answer(key, time.time())
        if stored is not None:
            if stored.fingerprint != keyed.fingerprint:
                text = "Keys for idempotent requests can only be used with the same parameters they were first used with."
                raise StripeError(400, {"type": "idempotency_error", "message": text})
            replayed = json_answer(stored.status, stored.body)
            replayed.headers["Idempotent-Replayed"] = "true"
            return replayed
        self.running.add(key)
        try:
            answer = await work(sent, keyed)
            # In use until it is answered, so the latency belongs inside.
            await self._until(request[ARRIVED] + self.weather.latency_s)
        finally:
            self.running.discard(key)
        return answer


def json_answer(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")


def _bytes(header: str) -> bytes:
    return header.encode("utf-8", errors="surrogateescape")
