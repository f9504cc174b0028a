"""The API's process: it listens once Kafka's replies are being read, and drains before it ends."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import uvicorn
from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool

from infra.accounts import webhook_accounts
from infra.adapters import ADAPTERS
from infra.api.app import build
from infra.api.bus import Bus
from infra.api.certificates import Certificates
from infra.api.door import Door, Pool
from infra.api.envelope import Envelope
from infra.api.keys import Keys
from infra.api.returns import Returns
from infra.api.webhooks import Webhooks
from infra.database import conninfo
from infra.misconfigured import Misconfigured
from infra.process import Process
from infra.return_token import ReturnPages
from infra.settings import ApiSettings
from infra.startup import ready_to_start
from infra.watched import Watched

_LOOK_EVERY_S: Final = 2.0
_DRAINED_WITHIN_S: Final = 8
_CONNECTIONS_MAX: Final = 10
_CONNECTION_WITHIN_S: Final = 2.0


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's."""
        yield


async def main(process: Process, settings: ApiSettings) -> None:
    if not await ready_to_start(process, settings):
        return
    file = settings.accounts_file
    accounts = None if file is None else Watched("webhook keys", file, webhook_accounts)
    listening = _listen(settings)
    bus = Bus(settings, process.name)
    await bus.start()
    try:
        async with _pool(settings, process) as pool, Certificates.open() as certificates:
            app = build()
            app.state.door = Door(process, pool, Keys(pool), bus)
            app.state.returns = Returns(ReturnPages.of(settings))
            app.state.webhooks = Webhooks(ADAPTERS, accounts, certificates)
            await _serve(process, app, listening)
    finally:
        await bus.stop()


async def _serve(process: Process, app: FastAPI, listening: socket.socket) -> None:
    door: Door = app.state.door
    server = _Server(
        uvicorn.Config(
            Envelope(app),  # around the handler of faults too
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_DRAINED_WITHIN_S,
        )
    )
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve(sockets=[listening]))
        listens = tasks.create_task(door.bus.listen())
        looks = tasks.create_task(_look(process, door))
        host, port = listening.getsockname()[:2]
        process.log.info("listening", url=f"http://{host}:{port}")
        asked = asyncio.create_task(process.stop.wait())
        ends: set[asyncio.Future[Any]] = {asked, door.bus.broken, serving, listens}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        looks.cancel()
        process.not_ready("stopping")
        door.bus.stop_waiting()
        server.should_exit = True
        await serving
        listens.cancel()
    if door.bus.broken.done():
        door.bus.broken.result()


async def _look(process: Process, door: Door) -> None:
    """Ready while both PostgreSQL and Kafka answer."""
    while True:
        if not await door.bus.look():
            process.not_ready("waiting for Kafka")
        elif not await _database_answers(door.pool):
            process.not_ready("waiting for PostgreSQL")
        else:
            process.ready()
        await asyncio.sleep(_LOOK_EVERY_S)


async def _database_answers(pool: Pool) -> bool:
    try:
        await pool.check()
        async with pool.connection() as conn:
            await conn.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _pool(settings: ApiSettings, process: Process) -> Pool:
    async def configure(conn: psycopg.AsyncConnection[Any]) -> None:
        # Times are shown in UTC, and a query that hangs ends.
        await conn.execute("SET TimeZone TO 'UTC'")
        await conn.execute("SET statement_timeout TO '5s'")

    return AsyncConnectionPool(
        conninfo(settings, process.name),
        kwargs={"autocommit": True},
        min_size=2,
        max_size=_CONNECTIONS_MAX,
        timeout=_CONNECTION_WITHIN_S,
        reconnect_timeout=float("inf"),
        configure=configure,
        open=False,
    )


def _listen(settings: ApiSettings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
        return socket.create_server((settings.api_host, settings.api_port), family=family, backlog=2048)
    except OSError as error:
        raise Misconfigured(
            f"port {settings.api_port} of {settings.api_host} cannot be used ({error.strerror}); "
            "choose another with AEGISPAY_API_PORT, or 0 for a free one"
        ) from error
