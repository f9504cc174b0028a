"""Around every request: its correlation id, its metrics, its line in the log, and headers for browsers."""

import re
import time
from contextvars import ContextVar
from typing import Any, Final
from uuid import uuid4

import structlog
from prometheus_client import Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from commands.sensitive import sensitive_path

REQUESTS = Counter("aegispay_api_requests", "Answered", ["method", "route", "status"])
SECONDS = Histogram(
    "aegispay_api_request_seconds",
    "From the request's head to the answer's end",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
IN_FLIGHT = Gauge("aegispay_api_requests_in_flight", "Not answered yet")

CORRELATION_ID: Final[ContextVar[str]] = ContextVar("correlation_id")

_ID: Final = re.compile(r"[\x21-\x7e]{1,100}")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def _correlation_id(given: str | None) -> str:
    """The caller's, where it can be passed on: short, printable, and no card number."""
    if given and _ID.fullmatch(given) and (_UUID.fullmatch(given) or not sensitive_path({"id": given})):
        return given
    return str(uuid4())


class Envelope:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log: Any = structlog.get_logger(process="api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        correlation_id = _correlation_id(Headers(scope=scope).get("x-correlation-id"))
        CORRELATION_ID.set(correlation_id)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Correlation-Id"] = correlation_id
                headers.update(_HEADERS)
            await send(message)

        IN_FLIGHT.inc()
        try:
            await self._app(scope, receive, answer)
        finally:
            IN_FLIGHT.dec()
            self._account(scope, status, time.perf_counter() - began, correlation_id)

    def _account(self, scope: Scope, status: int, seconds: float, correlation_id: str) -> None:
        # The template, not the path: few labels, and nothing of a caller's in the metrics or the log.
        route = getattr(scope.get("route"), "path_format", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        REQUESTS.labels(method, route, status).inc()
        SECONDS.labels(method, route).observe(seconds)
        level = self._log.debug if status < 400 else self._log.info if status < 500 else self._log.warning
        level(
            "request",
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            correlation_id=correlation_id,
        )
