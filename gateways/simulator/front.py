"""The front of a PSP: who may ask, what a repeated key gets, what goes wrong, how late the answer comes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiohttp import web

from gateways.simulator import metrics, mishaps
from gateways.simulator.accounts import Account, Accounts
from gateways.simulator.faults import KEY_LOST, Mishap, On, Spent
from gateways.simulator.hooks import Hooks
from gateways.simulator.ledger import Ledger
from gateways.simulator.mishaps import response
from gateways.simulator.psp import Answer, Decide, Dialect, Keyed, Plan, Refusal, Trouble, Turn
from gateways.simulator.rows import StoredAnswer
from gateways.simulator.sender import Sender
from gateways.simulator.weather import Weather

ACCOUNT: Final = web.RequestKey("account", Account)
_ANSWER_AT: Final = web.RequestKey("answer_at", float)
_REPLAYED: Final = web.RequestKey("replayed", bool)

_log: Any = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Front:
    """`vanish` stops listening for so many seconds; it, the dialect and the sender are known once all are made."""

    gateway: str
    ledger: Ledger
    accounts: Accounts = field(repr=False)
    weather: Weather
    spent: Spent
    hooks: Hooks
    _dialect: Dialect | None = None
    _sender: Sender | None = None
    _vanish: Callable[[float], Awaitable[None]] | None = None
    _public: frozenset[object] = frozenset()
    _running: set[tuple[str, str]] = field(default_factory=set)

    @property
    def dialect(self) -> Dialect:
        assert self._dialect is not None
        return self._dialect

    def speak(self, dialect: Dialect) -> web.Application:
        self._dialect = dialect
        app, pages = web.Application(middlewares=[self._guard]), dialect.pages()
        app.router.add_routes(dialect.routes())
        self._public = frozenset(route.handler for route in app.router.add_routes(pages))
        return app

    def attach(self, sender: Sender, vanish: Callable[[float], Awaitable[None]]) -> None:
        self._sender, self._vanish = sender, vanish

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.handler in self._public:
            return await handler(request)
        arrived = time.monotonic()
        request[_ANSWER_AT] = arrived + self.weather.latency.draw_s()
        if arrived < self.weather.cutting_until:
            return mishaps.cut(request, reset=False)
        operation = getattr(handler, "__name__", "unknown")
        try:
            self._admit(request, arrived)
            answer = await handler(request)
        except Refusal as refusal:
            answer = response(refusal.answer)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            operation, answer = "unknown", response(self.dialect.trouble("not_found", request))
        except web.HTTPRequestEntityTooLarge:
            answer = response(self.dialect.trouble("too_large", request))
        self.dialect.finish(request, answer, replayed=_REPLAYED in request)
        await self._until(request[_ANSWER_AT])
        took_s = time.monotonic() - arrived
        metrics.CALLS.labels(self.gateway, operation, answer.status).inc()
        metrics.CALL_S.labels(self.gateway, operation).observe(took_s)
        _log.debug(
            "answered",
            simulator=self.gateway,
            operation=operation,
            status=answer.status,
            ms=round(took_s * 1000, 1),
        )
        return answer

    def _admit(self, request: web.Request, now: float) -> None:
        account = self.dialect.admit(request)
        if account is None:
            raise self._refusal("unauthorized", request)
        request[ACCOUNT] = account
        if now < self.weather.failing_until:
            raise self._refusal("unavailable", request)
        if now < self.weather.bursts.get(account.name, 0.0):
            raise self._refusal("rate_limited", request)

    def _refusal(self, what: Trouble, request: web.Request) -> Refusal:
        return Refusal(self.dialect.trouble(what, request))

    @staticmethod
    async def _until(moment: float) -> None:
        if (left_s := moment - time.monotonic()) > 0:
            await asyncio.sleep(left_s)

    async def read(
        self, request: web.Request, on: On, decide: Decide, *, call: str = ""
    ) -> web.StreamResponse:
        """A call that changes nothing. `call`: what tells it from others, where its path and query do not."""
        mishap = self._switched_on(on, request, call or request.path_qs)
        if mishap is not None and mishap.do == "hang":
            return await self._hang(request, mishap)
        return await self._play(request, on, mishap, decide, None)

    async def once(
        self,
        request: web.Request,
        on: On,
        plan: Callable[[], Plan],
        keyed: Keyed | None = None,
        *,
        call: str = "",
    ) -> web.StreamResponse:
        """A call that changes something. The same key again gets the stored answer, something else under it an error.
        What `plan` or `decide` refuse is not stored. `call`: as in `read`, of a call without a key."""
        if keyed is None:
            done = await self._first_time(request, on, plan, None, call or request.path_qs)
            return await self._hang(request, done) if isinstance(done, Mishap) else done
        mark = (request[ACCOUNT].name, keyed.name)
        if mark in self._running:
            raise self._refusal("key_in_use", request)
        stored = self.ledger.answer(self.gateway, *mark, time.time())
        mishap = None
        if stored is not None:
            mishap = self._switched_on(on, request, keyed.name, repeat=True)
            if mishap is None or mishap.do not in KEY_LOST:
                return await self._replay(request, on, keyed, stored, mishap)
        self._running.add(mark)
        try:
            done = await self._first_time(request, on, plan, keyed, keyed.name, mishap=mishap)
        finally:
            self._running.discard(mark)
        # Of what hangs nothing was done and the key is free: a repeat of it gets through.
        return await self._hang(request, done) if isinstance(done, Mishap) else done

    async def _first_time(
        self,
        request: web.Request,
        on: On,
        plan: Callable[[], Plan],
        keyed: Keyed | None,
        call: str,
        *,
        mishap: Mishap | None = None,
    ) -> web.StreamResponse | Mishap:
        """`mishap`: what has already hit it. Gives back the one that lets it hang."""
        planned = plan()
        mishap = mishap or self._switched_on(on, request, call)
        token = planned.mishap
        if (
            mishap is None
            and token is not None
            and self.spent.again(token, keyed.name if keyed else None, planned.payment)
        ):
            mishap = token
        if mishap is not None and mishap.do == "hang":
            return mishap
        answer = await self._play(request, on, mishap, planned.decide, keyed)
        # In use until it is answered, so the latency belongs inside.
        await self._until(request[_ANSWER_AT])
        return answer

    async def _replay(
        self, request: web.Request, on: On, keyed: Keyed, stored: StoredAnswer, mishap: Mishap | None
    ) -> web.StreamResponse:
        if stored.fingerprint != keyed.fingerprint:
            raise self._refusal("key_conflict", request)
        request[_REPLAYED] = True
        if mishap is not None and mishap.do == "hang":
            return await self._hang(request, mishap)
        return await self._play(
            request, on, mishap, lambda turn: self.dialect.replay(keyed, stored, turn), None
        )

    def _switched_on(self, on: On, request: web.Request, call: str, *, repeat: bool = False) -> Mishap | None:
        faults, account = self.weather.faults, request[ACCOUNT].name
        if not faults.switched_on:
            return None
        mishap = faults.chosen(on, f"{account}/{call}", repeat=repeat)
        if mishap is not None and mishap.do == "burst_429":
            self.weather.bursts[account] = time.monotonic() + mishap.after_s
        return mishap

    async def _play(
        self, request: web.Request, on: On, mishap: Mishap | None, decide: Decide, keyed: Keyed | None
    ) -> web.StreamResponse:
        """`keyed`: under what the answer is kept."""
        if mishap is None:
            return response(await self._done(request, decide, keyed, None))
        metrics.FAULTS.labels(self.gateway, on, mishap.do).inc()
        if mishap.do == "500" and keyed is not None:
            self._keep(request, keyed, self.dialect.trouble("broken", request))
        instead = await mishaps.before(request, mishap, self.dialect)
        if instead is not None:
            return instead
        answer = await self._done(request, decide, keyed, mishap)
        if mishap.do == "vanish" and self._vanish is not None:
            await self._vanish(mishap.after_s)
        return await mishaps.after(request, mishap, answer)

    async def _done(
        self, request: web.Request, decide: Decide, keyed: Keyed | None, mishap: Mishap | None
    ) -> Answer:
        """Everything about it in one transaction."""
        do = mishap.do if mishap is not None else None
        origin = f"{request.url.origin()}/{self.gateway}"
        with self.ledger.writing() as stored:
            answer = decide(Turn(request[ACCOUNT], keyed, time.time(), origin, do))
            if keyed is not None and do != "key_ignored":
                self._keep(request, keyed, answer)
        if self._sender is not None:
            await self._sender.first(stored)
        return answer

    def _keep(self, request: web.Request, keyed: Keyed, answer: Answer) -> None:
        its_key = (self.gateway, request[ACCOUNT].name, keyed.name)
        self.ledger.forget_answer(*its_key)
        stored = StoredAnswer(keyed.fingerprint, answer.status, answer.body, answer.about)
        self.ledger.keep_answer(*its_key, stored, time.time() + keyed.life_s)

    @staticmethod
    async def _hang(request: web.Request, mishap: Mishap) -> web.StreamResponse:
        await asyncio.sleep(mishap.after_s)
        return mishaps.cut(request, reset=False)
