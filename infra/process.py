"""A long-running process: logs, metrics, readiness, signals, and the outermost loop.

An unexpected error ends the process with its own exit code; the supervisor starts it again, and a start waits with
back-off for what is away. Nothing is acknowledged on the way out that was not done.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import psycopg
import structlog
import uvloop
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from prometheus_client import Gauge, make_wsgi_app
from pydantic import ValidationError

from commands import crash_points
from infra import clock
from infra.misconfigured import EXIT_MISCONFIGURED, Misconfigured
from infra.settings import ProcessSettings

EXIT_CRASHED: Final = 70
_BACK_OFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

READY = Gauge("aegispay_ready", "1 while the process takes work")

T = TypeVar("T")


class Process:
    """What a process' main function is given."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stop = asyncio.Event()
        self.log: Any = structlog.get_logger(process=name)
        self.state = "starting"

    def ready(self) -> None:
        self._turn("ready")

    def not_ready(self, why: str) -> None:
        self._turn(why)

    def _turn(self, state: str) -> None:
        if state != self.state:
            self.log.info("ready" if state == "ready" else "not ready", why=state)
        self.state = state
        READY.set(state == "ready")

    async def insist(
        self, what: str, attempt: Callable[[], Awaitable[T]], errors: tuple[type[Exception], ...]
    ) -> T | None:
        """Until it works, with back-off, saying so; None when the process is asked to stop first."""
        for tries in range(sys.maxsize):
            try:
                return await attempt()
            except errors as error:
                self.not_ready(f"waiting for {what}: {type(error).__name__}")
                delay_s = _BACK_OFF_S[min(tries, len(_BACK_OFF_S) - 1)]
                if await self.stopped_within(delay_s):
                    return None
        raise AssertionError

    async def stopped_within(self, seconds: float) -> bool:
        """Whether the process was asked to stop before so many seconds had passed."""
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            return False
        return True

    async def kafka_answers(self, bootstrap: str) -> bool:
        """Waits for it. False: asked to stop first."""

        async def ask() -> bool:
            admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
            try:
                await admin.start()
            finally:
                await admin.close()
            return True

        return bool(await self.insist(f"Kafka at {bootstrap}", ask, (KafkaError, OSError)))

    async def postgres_answers(self, conninfo: str) -> bool:
        """Waits for it. False: asked to stop first. Raises `Misconfigured` where the log-in is refused."""

        async def ask() -> bool:
            try:
                async with await psycopg.AsyncConnection.connect(conninfo, connect_timeout=5):
                    return True
            except psycopg.OperationalError as error:
                if "authentication failed" in str(error) or "does not exist" in str(error):
                    text = f"PostgreSQL refuses {self.name}: check AEGISPAY_DATABASE_URL and run `aegispay migrate`"
                    raise Misconfigured(text) from error
                raise

        return bool(await self.insist("PostgreSQL", ask, (psycopg.OperationalError,)))


def run(
    name: str, settings: Callable[[], ProcessSettings], main: Callable[[Process, Any], Awaitable[None]]
) -> None:
    """The process, from its settings to its exit code. Does not return."""
    try:
        chosen = settings()
    except ValidationError as invalid:
        for problem in invalid.errors(include_url=False, include_input=False):
            field = "_".join(map(str, problem["loc"])).upper()
            sys.stderr.write(f"aegispay {name}: AEGISPAY_{field}: {problem['msg']}\n")
        sys.exit(EXIT_MISCONFIGURED)
    try:
        crash_points.arm(chosen.crash_points, chosen.crash_marks)
        clock.set_offset(chosen.clock_offset_s)
    except ValueError as bad:
        sys.stderr.write(f"aegispay {name}: AEGISPAY_CRASH_POINTS or AEGISPAY_CLOCK_OFFSET_S: {bad}\n")
        sys.exit(EXIT_MISCONFIGURED)
    configure_logs(chosen.log_format, chosen.log_level)
    # What a start has made lives as long as the process: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    sys.exit(uvloop.run(_supervised(name=name, settings=chosen, main=main)))


async def _supervised(
    *, name: str, settings: ProcessSettings, main: Callable[[Process, Any], Awaitable[None]]
) -> int:
    process = Process(name)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stop.set)
    server = _serve_health(process, settings)
    try:
        await main(process, settings)
    except Misconfigured as error:
        process.log.error("misconfigured", error=str(error))  # noqa: TRY400  # what to do, not where it was raised
        return EXIT_MISCONFIGURED
    except (Exception, asyncio.CancelledError):
        # Nobody cancels this: aiokafka's stop passes on that of a task of its own.
        process.log.exception("crashed")
        return EXIT_CRASHED
    finally:
        server.shutdown()
    process.log.info("stopped")
    return 0


def configure_logs(style: str, level: str) -> None:
    """structlog to standard output; the libraries' own logs through it, from warnings on."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if style == "pretty" else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """A scrape is no news."""


def _serve_health(process: Process, settings: ProcessSettings) -> WSGIServer:
    """/metrics, /live and /ready on a thread of their own: they answer when the loop is stuck, too."""
    metrics = make_wsgi_app()

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/live":
                status, text = "200 OK", "live"
            case "/ready":
                status = "200 OK" if process.state == "ready" else "503 Service Unavailable"
                text = process.state
            case _:
                return list(metrics(environ, start))
        start(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{process.name} {os.getpid()}: {text}\n".encode()]

    try:
        server = make_server(settings.metrics_host, settings.metrics_port, app, handler_class=_Quiet)
    except OSError as error:
        sys.stderr.write(
            f"aegispay {process.name}: port {settings.metrics_port} for metrics cannot be used ({error.strerror}); "
            "choose another with AEGISPAY_METRICS_PORT, or 0 for a free one\n"
        )
        sys.exit(EXIT_MISCONFIGURED)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
