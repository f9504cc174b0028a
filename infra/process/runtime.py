"""A long-running process: logs, metrics, readiness, signals, and the outermost loop.

An unexpected error ends the process with its own exit code; the supervisor starts it again, and a start waits
with back-off for what is away. Nothing is acknowledged on the way out that was not done.
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

import prometheus_client
import structlog
import uvloop
from prometheus_client import Gauge, make_wsgi_app

from commands import failpoints
from infra.errors import EXIT_CRASHED, EXIT_MISCONFIGURED, Misconfigured, reason
from infra.process import clock
from infra.settings import ProcessSettings, read

_BACK_OFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

READY = Gauge("aegispay_ready", "1 while the process takes work")

T = TypeVar("T")


class Process:
    """The running process, as its main function sees it: its log, its readiness, and whether it should stop.

    `stop` is set by SIGTERM and SIGINT.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.stop = asyncio.Event()
        self.log: Any = structlog.get_logger(process=name)
        self.state = "starting"

    def ready(self) -> None:
        """Makes /ready respond with 200: the process takes work."""
        self._turn("ready")

    def not_ready(self, reason: str) -> None:
        """Makes /ready respond with 503 and `reason`."""
        self._turn(reason)

    def _turn(self, state: str) -> None:
        if state != self.state:
            self.log.info("ready" if state == "ready" else "not ready", reason=state)
        self.state = state
        READY.set(state == "ready")

    async def insist(
        self, what: str, attempt: Callable[[], Awaitable[T]], errors: tuple[type[Exception], ...]
    ) -> T | None:
        """Calls `attempt` until it raises none of `errors`, with back-off, and returns its result.

        None: a stop signal came first. Meanwhile /ready shows that it waits for `what`.
        """
        for tries in range(sys.maxsize):
            try:
                return await attempt()
            except errors as error:
                self.not_ready(f"waiting for {what}: {reason(error)}")
                delay_s = _BACK_OFF_S[min(tries, len(_BACK_OFF_S) - 1)]
                if await self.stopped_within(delay_s):
                    return None
        raise AssertionError

    async def stopped_within(self, seconds: float) -> bool:
        """Waits so many seconds at most. True: a stop signal came meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            return False
        return True


def run(
    name: str, settings: Callable[[], ProcessSettings], main: Callable[[Process, Any], Awaitable[None]]
) -> None:
    """Runs a process from its settings to its exit code, and does not return."""
    # The text format has no use for when a counter began: half the lines of /metrics would be that.
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    try:
        chosen = read(settings)
    except Misconfigured as error:
        sys.stderr.writelines(f"aegispay {name}: {line}\n" for line in str(error).splitlines())
        sys.exit(EXIT_MISCONFIGURED)
    try:
        failpoints.arm(chosen.failpoints, chosen.failpoint_marks)
        clock.set_offset(chosen.clock_offset_s)
    except ValueError as bad:
        sys.stderr.write(f"aegispay {name}: AEGISPAY_FAILPOINTS or AEGISPAY_CLOCK_OFFSET_S: {bad}\n")
        sys.exit(EXIT_MISCONFIGURED)
    configure_logs(chosen.log_format, chosen.log_level)
    # The objects of the start live as long as the process: the collector need not look at them again and
    # again.
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
    """Sends structlog to standard output, and the libraries' own logs through it, from warnings on."""
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
        """Logs nothing: a scrape of /metrics is no event."""


def _serve_health(process: Process, settings: ProcessSettings) -> WSGIServer:
    """Serves /metrics, /live and /ready on a thread of their own, so that they respond when the loop is
    stuck."""
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
