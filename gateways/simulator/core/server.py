"""All PSPs on one port, each under its name, and each at the root of a port of its own; their pages of
documentation; and, on loopback only, the control.
"""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import structlog
from aiohttp import web

from gateways.simulator.core.accounts import Accounts
from gateways.simulator.core.conditions import Conditions, Latency
from gateways.simulator.core.control import Control
from gateways.simulator.core.faults import HitCounts
from gateways.simulator.core.fees import Fees
from gateways.simulator.core.front import Front
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.page import page
from gateways.simulator.core.psp import SETTLES_AFTER_S, Dialect, Psp
from gateways.simulator.core.sender import Sender
from gateways.simulator.core.webhooks import Webhooks

BODY_BYTES_MAX: Final = 256 * 1024
_FINISH_WITHIN_S: Final = 5.0
_SETTLE_EVERY_S: Final = 0.1

_log: Any = structlog.get_logger(simulator="server")


class Addresses(NamedTuple):
    """`url`: of the port of all; each PSP's is that with its name. `own`: by PSP, of the port that is its
    own."""

    url: str
    own: Mapping[str, str]


@dataclass
class _Port:
    runner: web.AppRunner
    host: str
    port: int
    tls: ssl.SSLContext | None = None
    site: web.TCPSite | None = None

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://{self.host}:{self.port}"

    async def listen(self) -> None:
        site = web.TCPSite(self.runner, self.host, self.port, backlog=1024, ssl_context=self.tls)
        await site.start()
        self.site, self.port = site, site.port

    async def cut(self) -> None:
        assert self.site is not None
        assert self.runner.server is not None
        await self.site.stop()
        for connection in self.runner.server.connections:
            if connection.transport is not None:
                connection.transport.close()


@dataclass
class _Server:
    ports: Sequence[_Port]
    away: bool = False
    returning: set[asyncio.Task[None]] = field(default_factory=set)

    async def listen(self) -> None:
        for port in self.ports:
            await port.listen()

    async def refuse(self, seconds: float) -> None:
        """Closes every port for so many seconds; does nothing while they are closed."""
        if self.away:
            return
        self.away = True
        for port in self.ports:
            await port.cut()

        async def come_back() -> None:
            await asyncio.sleep(seconds)
            self.away = False
            await self.listen()

        task = asyncio.create_task(come_back())
        self.returning.add(task)
        task.add_done_callback(self.returning.discard)


@asynccontextmanager
async def serving(
    ledger: Ledger,
    *,
    accounts: Accounts,
    latency_ms: float,
    host: str,
    port: int,
    psps: Sequence[Psp],
    webhook_pace: float = 1.0,
    settles_after_s: float = SETTLES_AFTER_S,
    own_ports: Sequence[int] = (),
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Addresses]:
    """Yields where the PSPs are. `settles_after_s`: what does not end at once ends that much later.
    `own_ports`: one of each PSP, or none; these speak TLS where `tls` is given. At the end calls in flight
    get 5 s. Raises OSError when a port is taken."""
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    own_urls: dict[str, str] = {}
    app.router.add_get("/", page(psps, accounts, own_urls))
    ledger.fees = _fees(psps, accounts)
    fronts = {psp.name: _front(psp, ledger, accounts, latency_ms, settles_after_s) for psp in psps}
    dialects = {psp.name: psp.open(fronts[psp.name]) for psp in psps}
    for name, front in fronts.items():
        front.speak(dialects[name])
        app.add_subapp(f"/{name}", front.application(f"/{name}", BODY_BYTES_MAX))
    shared = _Port(_runner(app), host, port)
    own = {
        name: _Port(_runner(front.application("", BODY_BYTES_MAX)), host, its_port, tls)
        for (name, front), its_port in zip(fronts.items(), own_ports, strict=bool(own_ports))
    }
    server = _Server([shared, *own.values()])
    if _is_loopback(host):
        conditions_of = {name: front.conditions for name, front in fronts.items()}
        control = Control(ledger, accounts, dialects, conditions_of, server.refuse)
        app.router.add_post("/_simulator", control.change)
        app.router.add_post("/_simulator/dashboard", control.act)
    _settle(dialects.values())
    async with Sender(ledger, accounts, dialects, webhook_pace) as sender:
        for front in fronts.values():
            front.attach(sender, server.refuse)
        settling = asyncio.create_task(_settle_on(dialects.values()))
        settling.add_done_callback(_tell_why)
        try:
            for each in server.ports:
                await each.runner.setup()
            await server.listen()
            own_urls |= {name: one.url for name, one in own.items()}
            yield Addresses(shared.url, own_urls)
        finally:
            settling.cancel()
            for task in server.returning:
                task.cancel()
            await asyncio.gather(*(one.runner.cleanup() for one in server.ports))


def _runner(app: web.Application) -> web.AppRunner:
    # No access log: it costs as much as the payment.
    return web.AppRunner(app, access_log=None, shutdown_timeout=_FINISH_WITHIN_S, keepalive_timeout=75)


def _front(psp: Psp, ledger: Ledger, accounts: Accounts, latency_ms: float, settles_after_s: float) -> Front:
    conditions = Conditions(Latency(latency_ms))
    webhooks = Webhooks(psp.name, ledger, conditions)
    return Front(psp.name, ledger, accounts, conditions, HitCounts(), webhooks, settles_after_s, psp.hosts)


def _fees(psps: Sequence[Psp], accounts: Accounts) -> Fees:
    lists = {psp.name: psp.fees for psp in psps if psp.fees is not None}
    own = {(one.gateway, one.name): one.fees for one in accounts.all if one.fees is not None}
    return Fees(lists, own)


async def _settle_on(dialects: Iterable[Dialect]) -> None:
    while True:
        await asyncio.sleep(_SETTLE_EVERY_S)
        _settle(dialects)


def _settle(dialects: Iterable[Dialect]) -> None:
    for dialect in dialects:
        dialect.settle(time.time())


def _tell_why(settling: "asyncio.Task[None]") -> None:
    if not settling.cancelled() and (error := settling.exception()) is not None:
        _log.error("nothing goes on by itself any more", exc_info=error)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
