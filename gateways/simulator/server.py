"""The simulator on a port; and, on loopback only, the calls by which tests change its weather."""

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateways.simulator.accounts import Accounts
from gateways.simulator.faults import Fault
from gateways.simulator.front import Front, Weather
from gateways.simulator.ledger import Ledger
from gateways.simulator.stripe.app import Simulator
from gateways.simulator.stripe.dialect import invalid
from gateways.simulator.stripe.payments import Payments
from gateways.simulator.stripe.refunds import Refunds

_FINISH_WITHIN_S: Final = 5.0


class _Change(BaseModel):
    """`down_s`: for so long it is away, `refusing` connections or `failing` every call with 503. `faults`: instead of
    those that are switched on; none clears them."""

    model_config = ConfigDict(extra="forbid")
    latency_ms: Annotated[float, Field(ge=0, le=60_000)] | None = None
    search_lag_s: Annotated[float, Field(ge=0, le=86_400)] | None = None
    down_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    down: Literal["refusing", "failing"] = "refusing"
    faults: Annotated[list[Fault], Field(max_length=100)] | None = None


@dataclass
class _Server:
    runner: web.AppRunner
    host: str
    port: int
    weather: Weather
    site: web.TCPSite | None = None
    returning: set[asyncio.Task[None]] = field(default_factory=set)

    async def listen(self) -> None:
        site = web.TCPSite(self.runner, self.host, self.port, backlog=1024)
        await site.start()
        self.site, self.port = site, site.port

    async def change(self, request: web.Request) -> web.StreamResponse:
        try:
            change = _Change.model_validate_json(await request.read())
        except ValidationError as error:
            raise invalid(str(error)) from None
        if change.latency_ms is not None:
            self.weather.latency_s = change.latency_ms / 1000
        if change.search_lag_s is not None:
            self.weather.search_lag_s = change.search_lag_s
        hits = self.weather.faults.hits
        if change.faults is not None:
            self.weather.faults.switch(change.faults)
        answer = web.json_response(change.model_dump(exclude_none=True) | {"hits": hits})
        if change.down_s is not None and change.down == "failing":
            self.weather.failing_until = time.monotonic() + change.down_s
        elif change.down_s is not None:
            # Answered first: going away cuts this connection too.
            answer.force_close()
            await answer.prepare(request)
            await answer.write_eof()
            await self.refuse(change.down_s)
        return answer

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
    ledger: Ledger, *, accounts: Accounts, latency_ms: float, host: str, port: int
) -> AsyncIterator[str]:
    """Its base URL. At the end calls in flight get 5 s. Raises OSError when the port is taken."""
    weather = Weather(latency_s=latency_ms / 1000)
    payments = Payments(ledger, accounts)
    refunds = Refunds(payments)
    front = Front(ledger, accounts, weather, payments.spent)
    simulator = Simulator(payments, refunds, front)
    simulator.settle()
    app = simulator.application()
    # No access log: it costs as much as the payment.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_FINISH_WITHIN_S, keepalive_timeout=75)
    server = _Server(runner, host, port, weather)
    front.vanish = server.refuse
    if _is_loopback(host):
        app.router.add_post("/_simulator", server.change)
    try:
        await runner.setup()
        await server.listen()
        simulator.settle_later()
        yield f"http://{host}:{server.port}"
    finally:
        for task in server.returning:
            task.cancel()
        await runner.cleanup()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
