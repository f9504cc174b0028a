"""The front of a PSP: admits calls, gives a repeated key its stored response, applies faults, and adds the
latency.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiohttp import web

from gateways.simulator.core import faults, metrics
from gateways.simulator.core.accounts import Account, Accounts
from gateways.simulator.core.conditions import Conditions
from gateways.simulator.core.faults import KEY_LOST, Declines, Fault, HitCounts, On
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.psp import (
    PREFIX,
    Decide,
    Dialect,
    ErrorKind,
    Keyed,
    Plan,
    Refusal,
    Response,
    Turn,
)
from gateways.simulator.core.rows import StoredResult
from gateways.simulator.core.sender import Sender
from gateways.simulator.core.webhooks import Webhooks

ACCOUNT: Final = web.RequestKey("account", Account)
_RESPOND_AT: Final = web.RequestKey("respond_at", float)
_REPLAYED: Final = web.RequestKey("replayed", bool)

_log: Any = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Front:
    """Does for one PSP what is the same for all. `settles_after_s`: what does not end at once ends that much
    later, and so does each stage of a dispute. `stop_listening` closes every port for so many seconds; it,
    the dialect and the sender are known once all are made."""

    gateway: str
    ledger: Ledger
    accounts: Accounts = field(repr=False)
    conditions: Conditions
    hit_counts: HitCounts
    webhooks: Webhooks
    settles_after_s: float
    hosts: Sequence[str] = ()
    _dialect: Dialect | None = None
    _sender: Sender | None = None
    _stop_listening: Callable[[float], Awaitable[None]] | None = None
    _public: frozenset[object] = frozenset()
    _running: set[tuple[str, str]] = field(default_factory=set)

    @property
    def dialect(self) -> Dialect:
        """The PSP's dialect, known once `speak` was called."""
        assert self._dialect is not None
        return self._dialect

    def speak(self, dialect: Dialect) -> None:
        """Makes this dialect the front's."""
        self._dialect = dialect

    def application(self, prefix: str, body_bytes_max: int) -> web.Application:
        """The PSP's interface for one port; its routes are the same at each. `body_bytes_max`: above it a
        request is `too_large`."""
        app = web.Application(middlewares=[self._guard], client_max_size=body_bytes_max)
        app[PREFIX] = prefix
        app.router.add_routes(self.dialect.routes())
        pages = app.router.add_routes(self.dialect.pages())
        self._public |= {route.handler for route in pages}
        return app

    def attach(self, sender: Sender, stop_listening: Callable[[float], Awaitable[None]]) -> None:
        """Connects the sender of webhooks, and the function that closes every port for so many seconds."""
        self._sender, self._stop_listening = sender, stop_listening

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.handler in self._public:
            return await handler(request)
        arrived = time.monotonic()
        request[_RESPOND_AT] = arrived + self.conditions.latency.draw_s()
        if arrived < self.conditions.cutting_until:
            return faults.cut(request, reset=False)
        operation = getattr(handler, "__name__", "unknown")
        try:
            self._admit(request, arrived)
            response = await handler(request)
        except Refusal as refusal:
            response = refusal.response.to_aiohttp()
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            operation, response = "unknown", self.dialect.error_response("not_found", request).to_aiohttp()
        except web.HTTPRequestEntityTooLarge:
            response = self.dialect.error_response("too_large", request).to_aiohttp()
        self.dialect.finish(request, response, replayed=_REPLAYED in request)
        await self._until(request[_RESPOND_AT])
        took_s = time.monotonic() - arrived
        metrics.CALLS.labels(self.gateway, operation, response.status).inc()
        metrics.CALL_S.labels(self.gateway, operation).observe(took_s)
        _log.debug(
            "responded",
            simulator=self.gateway,
            operation=operation,
            status=response.status,
            ms=round(took_s * 1000, 1),
        )
        return response

    def _admit(self, request: web.Request, now: float) -> None:
        account = self.dialect.admit(request)
        if account is None:
            raise self._refusal("unauthorized", request)
        request[ACCOUNT] = account
        if now < self.conditions.failing_until:
            raise self._refusal("unavailable", request)
        if now < self.conditions.bursts.get(account.name, 0.0):
            raise self._refusal("rate_limited", request)

    def declines(self, declines: Declines, payment: str | None, account: Account) -> bool:
        """Counts one attempt at the payment, and returns whether its token declines it at this account."""
        at_first_account = self.accounts.is_first(account)
        return self.hit_counts.declines(declines, payment, at_first_account=at_first_account)

    def _refusal(self, kind: ErrorKind, request: web.Request) -> Refusal:
        return Refusal(self.dialect.error_response(kind, request))

    @staticmethod
    async def _until(moment: float) -> None:
        if (left_s := moment - time.monotonic()) > 0:
            await asyncio.sleep(left_s)

    async def read(
        self, request: web.Request, on: On, decide: Decide, *, call: str = ""
    ) -> web.StreamResponse:
        """Handles a call that changes nothing. `call`: its identity among others, where its path and query do
        not give it."""
        fault = self._fault_of_rules(on, request, call or self._call(request))
        if fault is not None and fault.do == "hang":
            return await self._hang(request, fault)
        return await self._play(request, on, fault, decide, None)

    async def once(
        self,
        request: web.Request,
        on: On,
        plan: Callable[[], Plan],
        keyed: Keyed | None = None,
        *,
        call: str = "",
    ) -> web.StreamResponse:
        """Handles a call that changes something. The same key again gets the stored response, and another
        request under it an error. What `plan` or `decide` refuses is not stored. `call`: as in `read`, of a
        call without a key."""
        if keyed is None:
            done = await self._first_time(request, on, plan, None, call or self._call(request))
            return await self._hang(request, done) if isinstance(done, Fault) else done
        mark = (request[ACCOUNT].name, keyed.name)
        if mark in self._running:
            raise self._refusal("key_in_use", request)
        stored = self.ledger.stored_result(self.gateway, *mark, time.time())
        fault = None
        if stored is not None:
            fault = self._fault_of_rules(on, request, keyed.name, repeat=True)
            if fault is None or fault.do not in KEY_LOST:
                return await self._replay(request, on, keyed, stored, fault)
        self._running.add(mark)
        try:
            done = await self._first_time(request, on, plan, keyed, keyed.name, fault=fault)
        finally:
            self._running.discard(mark)
        # A call that hangs did nothing and leaves the key free: a repeat of it gets through.
        return await self._hang(request, done) if isinstance(done, Fault) else done

    async def _first_time(
        self,
        request: web.Request,
        on: On,
        plan: Callable[[], Plan],
        keyed: Keyed | None,
        call: str,
        *,
        fault: Fault | None = None,
    ) -> web.StreamResponse | Fault:
        """Does a call whose key has no response. `fault`: the one that has already hit it. Returns the fault,
        instead of a response, that lets the call hang."""
        planned = plan()
        fault = fault or self._fault_of_rules(on, request, call)
        token = planned.fault
        if (
            fault is None
            and token is not None
            and self.hit_counts.hits(token, keyed.name if keyed else None, planned.payment)
        ):
            fault = token
        if fault is not None and fault.do == "hang":
            return fault
        response = await self._play(request, on, fault, planned.decide, keyed)
        # The key is in use until the response is sent, so the latency belongs inside.
        await self._until(request[_RESPOND_AT])
        return response

    async def _replay(
        self, request: web.Request, on: On, keyed: Keyed, stored: StoredResult, fault: Fault | None
    ) -> web.StreamResponse:
        if stored.fingerprint != keyed.fingerprint:
            raise self._refusal("key_conflict", request)
        request[_REPLAYED] = True
        if fault is not None and fault.do == "hang":
            return await self._hang(request, fault)
        return await self._play(
            request, on, fault, lambda turn: self.dialect.replay(keyed, stored, turn), None
        )

    def _fault_of_rules(
        self, on: On, request: web.Request, call: str, *, repeat: bool = False
    ) -> Fault | None:
        rules, account = self.conditions.faults, request[ACCOUNT].name
        if not rules.rules:
            return None
        fault = rules.choose(on, f"{account}/{call}", repeat=repeat)
        if fault is not None and fault.do == "burst_429":
            self.conditions.bursts[account] = time.monotonic() + fault.after_s
        return fault

    async def _play(
        self, request: web.Request, on: On, fault: Fault | None, decide: Decide, keyed: Keyed | None
    ) -> web.StreamResponse:
        """Does the call with its fault. `keyed`: the key that its response is stored under."""
        if fault is None:
            return (await self._done(request, decide, keyed, None)).to_aiohttp()
        metrics.FAULTS.labels(self.gateway, on, fault.do).inc()
        if fault.do == "500" and keyed is not None:
            self._keep(request, keyed, self.dialect.error_response("broken", request))
        instead = await faults.before_call(request, fault, lambda kind: self._refusal(kind, request))
        if instead is not None:
            return instead
        response = await self._done(request, decide, keyed, fault)
        if fault.do == "outage" and self._stop_listening is not None:
            await self._stop_listening(fault.after_s)
        return await faults.after_call(request, fault, response.to_aiohttp())

    async def _done(
        self, request: web.Request, decide: Decide, keyed: Keyed | None, fault: Fault | None
    ) -> Response:
        """Does the call and stores its response and webhooks in one transaction."""
        do = fault.do if fault is not None else None
        origin = self._origin(request)
        with self.ledger.writing() as stored:
            response = decide(Turn(request[ACCOUNT], keyed, time.time(), origin, do))
            if keyed is not None and do != "key_ignored":
                self._keep(request, keyed, response)
        if self._sender is not None:
            await self._sender.first(stored)
        return response

    def _keep(self, request: web.Request, keyed: Keyed, response: Response) -> None:
        its_key = (self.gateway, request[ACCOUNT].name, keyed.name)
        self.ledger.forget_result(*its_key)
        stored = StoredResult(keyed.fingerprint, response.status, response.body, response.about)
        self.ledger.store_result(*its_key, stored, time.time() + keyed.life_s)

    def _call(self, request: web.Request) -> str:
        """The call's path and query without the prefix, so the same at every port."""
        return f"/{self.gateway}{request.path_qs.removeprefix(request.app[PREFIX])}"

    def _origin(self, request: web.Request) -> str:
        """Returns the origin of the simulator's pages for this client. Never the PSP's own host, which has no
        page of the simulator."""
        origin = request.url.origin()
        if origin.host in self.hosts and request.transport is not None:
            host, port = request.transport.get_extra_info("sockname")[:2]
            origin = origin.with_host(host).with_port(port)
        return f"{origin}{request.app[PREFIX]}"

    @staticmethod
    async def _hang(request: web.Request, fault: Fault) -> web.StreamResponse:
        await asyncio.sleep(fault.after_s)
        return faults.cut(request, reset=False)
