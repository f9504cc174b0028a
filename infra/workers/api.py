"""The API's process. It accepts connections once Kafka's replies are being read, and drains before it
ends."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import uvicorn
import uvloop
from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool

from commands.health_records import HealthRecord
from commands.sql import statements
from gateways.registry import ADAPTERS
from infra.api.app import build
from infra.api.auth import Keys
from infra.api.command_bus import CommandBus
from infra.api.deps import ApiContext, Pool
from infra.api.guard import Guard
from infra.api.middleware import Envelope
from infra.api.returns import Returns
from infra.api.webhooks import Webhooks
from infra.errors import Misconfigured
from infra.kafka import topics
from infra.kafka.compacted import CompactedTopic
from infra.postgres.connections import check, conninfo
from infra.process.reloading import Watched
from infra.process.runtime import Process, run
from infra.psp.accounts import routes, webhook_accounts
from infra.psp.certificates import Certificates
from infra.psp.return_token import ReturnPages
from infra.settings import ApiSettings
from infra.workers.startup import ready_to_start

_LOOK_EVERY_S: Final = 2.0
# Below the 15 s that compose.yaml gives a container.
_DRAINED_WITHIN_S: Final = 8
_CONNECTIONS_MAX: Final = 10
# A request waits so long for a connection of the pool. Then it fails, and the client may try again.
_CONNECTION_WITHIN_S: Final = 2.0
_PREPARE_SESSION: Final = statements(__file__)["prepare_session"]


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's."""
        yield


async def main(process: Process, settings: ApiSettings) -> None:
    """Serves the API until a stop signal comes, or Kafka's replies cannot be read. Raises
    `Misconfigured`."""
    if not await ready_to_start(process, settings):
        return
    file = settings.accounts_file
    accounts = None if file is None else Watched("accounts", file, routes)
    webhook_keys = None if file is None else Watched("webhook keys", file, webhook_accounts)
    # The port is bound before Kafka is read, so that one that is taken ends the start at once. Connections
    # wait in its backlog until `_serve` accepts them: by then the replies are being read.
    listening = _listen(settings)
    bus = CommandBus(settings, process.name)
    await bus.start()
    try:
        async with (
            _pool(settings, process) as pool,
            Certificates.open() as certificates,
            CompactedTopic(
                settings, topics.HEALTH, HealthRecord.read, key_of=lambda one: one.account
            ) as health,
        ):
            app = build()
            app.state.context = ApiContext(process, pool, Keys(pool), bus, accounts, health.now)
            app.state.returns = Returns(ReturnPages.of(settings))
            app.state.webhooks = Webhooks(ADAPTERS, webhook_keys, certificates)
            await _serve(process, app, listening)
    finally:
        await bus.stop()


async def _serve(process: Process, app: FastAPI, listening: socket.socket) -> None:
    context: ApiContext = app.state.context
    server = _Server(
        uvicorn.Config(
            Envelope(app),  # around the handler of faults too
            http=Guard,
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
        listening_to_replies = tasks.create_task(context.bus.replies.receive())
        watching = tasks.create_task(_look(process, context))
        host, port = listening.getsockname()[:2]
        process.log.info("listening", url=f"http://{host}:{port}")
        stop_requested = asyncio.create_task(process.stop.wait())
        ends: set[asyncio.Future[Any]] = {stop_requested, context.bus.broken, serving, listening_to_replies}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stop_requested.cancel()
        watching.cancel()
        process.not_ready("stopping")
        # Requests that wait for a reply get their response first, with what is known: the server need not
        # wait for them.
        context.bus.replies.stop_waiting()
        server.should_exit = True
        await serving
        listening_to_replies.cancel()
    if context.bus.broken.done():
        context.bus.broken.result()


async def _look(process: Process, context: ApiContext) -> None:
    """Ready while both PostgreSQL and Kafka respond."""
    while True:
        if not await context.bus.look():
            process.not_ready("waiting for Kafka")
        elif not await _database_responds(context.pool):
            process.not_ready("waiting for PostgreSQL")
        else:
            process.ready()
        await asyncio.sleep(_LOOK_EVERY_S)


async def _database_responds(pool: Pool) -> bool:
    try:
        await check(pool)
        async with pool.connection() as conn:
            await conn.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _pool(settings: ApiSettings, process: Process) -> Pool:
    async def configure(conn: psycopg.AsyncConnection[Any]) -> None:
        await conn.execute(_PREPARE_SESSION)

    return AsyncConnectionPool(
        conninfo(settings, process.name),
        kwargs={"autocommit": True},
        min_size=2,
        max_size=_CONNECTIONS_MAX,
        timeout=_CONNECTION_WITHIN_S,
        # psycopg_pool 3.3 gives a lost connection up after 5 minutes by default, and the pool shrinks.
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


if __name__ == "__main__":
    # It writes a response's head and body in one system call: a third less time for a small response.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    run("api", ApiSettings, main)
