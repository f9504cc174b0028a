"""Gives every request a correlation id, metrics, a log line and the headers that browsers need."""

import re
import time
from contextvars import ContextVar
from typing import Any, Final
from uuid import uuid4

import structlog
from prometheus_client import Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from commands.card_data import holds_card_data

REQUESTS = Counter("aegispay_api_requests", "HTTP requests with a response", ["method", "route", "status"])
SECONDS = Histogram(
    "aegispay_api_request_seconds",
    "From the end of a request's head to the end of its response",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
IN_FLIGHT = Gauge("aegispay_api_requests_in_flight", "HTTP requests without a response yet")

CORRELATION_ID: Final[ContextVar[str]] = ContextVar("correlation_id")

_ID: Final = re.compile(r"[\x21-\x7e]{1,200}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def _correlation_id(given: str | None) -> str:
    """Returns the caller's correlation id if it is short, printable and no card number; else a new one."""
    if given and _ID.fullmatch(given) and not holds_card_data(given):
        return given
    return str(uuid4())


class Envelope:
    """The outermost ASGI middleware: it also sees requests without a route, and unexpected errors."""

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

        async def send_response(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Correlation-Id"] = correlation_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        IN_FLIGHT.inc()
        try:
            await self._app(scope, receive, send_response)
        finally:
            IN_FLIGHT.dec()
            self._account(scope, status, time.perf_counter() - began, correlation_id)

    def _account(self, scope: Scope, status: int, seconds: float, correlation_id: str) -> None:
        # The route's template instead of the path: few labels, and no caller's text in metrics and log.
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
