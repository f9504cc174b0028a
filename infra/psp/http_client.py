"""The HTTP client for every PSP. It knows for sure whether a byte of a request was written.

The proof is a flag that is set right before the first byte: an exception's class proves nothing, since the
same one is raised before and after it.
"""

import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, Self

import aiohttp

from gateways.agent.ports import NotWritten, Responded, ResponseLost
from gateways.contract import DEADLINE_S, RESPONSE_BYTES_MAX, HttpRequest, HttpResponse

_USER_AGENT: Final = "aegispay"


class _TooLate(Exception):
    """The time for the first byte is over."""


class _TooLarge(Exception):
    """The response is larger than `RESPONSE_BYTES_MAX`."""


@dataclass(slots=True)
class _Fence:
    first_byte_before: float | None
    written_at: float | None = None

    def pass_through(self) -> None:
        now = time.monotonic()
        if self.first_byte_before is not None and now > self.first_byte_before:
            # Raised in aiohttp's trace: it writes nothing of the request, and its pool stays sound.
            raise _TooLate
        # Set before the byte, not after it: what fails in between counts as written, and never the reverse.
        self.written_at = now


class HttpClient:
    """One session for all calls of a process: no redirects, no cookies, no repeats."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def open(cls, connections_max: int, deadline_s: float = DEADLINE_S) -> AsyncIterator[Self]:
        """`connections_max`: to one host. `deadline_s`: of a call, from its start to the last byte of its
        response."""
        trace = aiohttp.TraceConfig()
        # One of these two runs right before the first byte, and is awaited.
        trace.on_connection_create_end.append(_before_first_byte)
        trace.on_connection_reuseconn.append(_before_first_byte)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, limit_per_host=connections_max, socket_factory=_socket(deadline_s), ttl_dns_cache=30
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=deadline_s),
            trace_configs=[trace],
            headers={"User-Agent": _USER_AGENT},
        ) as session:
            # A POST is never repeated by aiohttp; with this neither is anything else.
            session._retry_connection = False
            yield cls(session)

    async def send(
        self, base_url: str, request: HttpRequest, first_byte_before: float | None
    ) -> Responded | NotWritten | ResponseLost:
        """Sends one request and returns what is known of it: the response, that nothing was written, or
        that the response was lost.

        `base_url` without a slash at its end. `first_byte_before`, of `time.monotonic`: later than that
        nothing is written any more; None: no such limit.
        """
        fence = _Fence(first_byte_before)
        try:
            received = await self._call(base_url, request, fence)
        # No CancelledError: a call that is cancelled has no result, its claim stays open, and the request is
        # read again.
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, _TooLate, _TooLarge) as error:
            code = _code(error)
            if fence.written_at is None:
                return NotWritten(code, unreached=code not in _ALWAYS)
            return ResponseLost(code, _ms_since(fence.written_at))
        assert fence.written_at is not None, "a response to a request that was not written"
        return Responded(received, _ms_since(fence.written_at))

    async def _call(self, base_url: str, request: HttpRequest, fence: _Fence) -> HttpResponse:
        async with self._session.request(
            request.method,
            base_url + request.path,
            data=request.body,
            headers=request.headers,
            allow_redirects=False,
            trace_request_ctx=fence,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > RESPONSE_BYTES_MAX:
                    raise _TooLarge
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpResponse(response.status, headers, bytes(body))


async def _before_first_byte(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
    context.trace_request_ctx.pass_through()


def _socket(deadline_s: float) -> Any:
    def make(address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: unacknowledged bytes end the connection
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(deadline_s * 1000))
        return made

    return make


_CODES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (_TooLate, "too_late_to_send"),
    (_TooLarge, "response_too_large"),
    (aiohttp.ClientSSLError, "tls_failed"),
    (aiohttp.ClientConnectorDNSError, "dns_failed"),
    (aiohttp.ClientConnectorError, "connect_failed"),
    (TimeoutError, "timeout"),
    (aiohttp.ServerDisconnectedError, "disconnected"),
    (aiohttp.ClientPayloadError, "response_truncated"),
    (aiohttp.ClientResponseError, "response_not_http"),
    (aiohttp.InvalidURL, "url_invalid"),
    (OSError, "connection_lost"),
)

_OTHER: Final = "http_failed"
_ALWAYS: Final = frozenset({"url_invalid", _OTHER})
"""Codes of what is wrong with the request itself, and not with the way to the PSP."""


def _code(error: BaseException) -> str:
    """A name of ours: an error's own text may quote what was sent."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), _OTHER)


def _ms_since(moment: float) -> float:
    return round((time.monotonic() - moment) * 1000, 3)
