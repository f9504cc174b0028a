"""All PSPs on one port, each under its name; their pages of documentation; and, on loopback only, the control."""

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiohttp import web

from gateways.simulator.accounts import Accounts
from gateways.simulator.control import Control
from gateways.simulator.faults import Spent
from gateways.simulator.front import Front
from gateways.simulator.hooks import Hooks
from gateways.simulator.ledger import Ledger
from gateways.simulator.page import page
from gateways.simulator.psp import Dialect, Psp
from gateways.simulator.registry import PSPS
from gateways.simulator.sender import Sender
from gateways.simulator.weather import Latency, Weather

BODY_BYTES_MAX: Final = 256 * 1024
_FINISH_WITHIN_S: Final = 5.0
_SETTLE_EVERY_S: Final = 0.1

_log: Any = structlog.get_logger(simulator="server")


@dataclass
class _Server:
    runner: web.AppRunner
    host: str
    port: int
    site: web.TCPSite | None = None
    returning: set[asyncio.Task[None]] = field(default_factory=set)

    async def listen(self) -> None:
        site = web.TCPSite(self.runner, self.host, self.port, backlog=1024)
        await site.start()
        self.site, self.port = site, site.port

    async def refuse(self, seconds: float) -> None:
        """Nothing where it is away already."""
        if self.site is None:
            return
        site, self.site = self.site, None
        await site.stop()
        assert self.runner.server is not None
        for connection in self.runner.server.connections:
            if connection.transport is not None:
                connection.transport.close()

        async def come_back() -> None:
            await asyncio.sleep(seconds)
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
    psps: Sequence[Psp] = PSPS,
    webhook_pace: float = 1.0,
) -> AsyncIterator[str]:
    """Its URL; each PSP's is that with its name. At the end calls in flight get 5 s. Raises OSError when the port is
    taken."""
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.router.add_get("/", page(psps, accounts))
    fronts = {psp.name: _front(psp, ledger, accounts, latency_ms) for psp in psps}
    dialects = {psp.name: psp.open(fronts[psp.name]) for psp in psps}
    for name, front in fronts.items():
        app.add_subapp(f"/{name}", front.speak(dialects[name]))
    # No access log: it costs as much as the payment.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_FINISH_WITHIN_S, keepalive_timeout=75)
    server = _Server(runner, host, port)
    if _is_loopback(host):
        weathers = {name: front.weather for name, front in fronts.items()}
        app.router.add_post("/_simulator", Control(ledger, weathers, server.refuse).change)
    _settle(dialects.values())
    async with Sender(ledger, accounts, dialects, webhook_pace) as sender:
        for front in fronts.values():
            front.attach(sender, server.refuse)
        settling = asyncio.create_task(_settle_on(dialects.values()))
        settling.add_done_callback(_tell_why)
        try:
            await runner.setup()
            await server.listen()
            yield f"http://{host}:{server.port}"
        finally:
            settling.cancel()
            for task in server.returning:
                task.cancel()
            await runner.cleanup()


def _front(psp: Psp, ledger: Ledger, accounts: Accounts, latency_ms: float) -> Front:
    weather = Weather(Latency(latency_ms))
    return Front(psp.name, ledger, accounts, weather, Spent(), Hooks(psp.name, ledger, weather))


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
