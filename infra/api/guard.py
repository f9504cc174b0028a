"""Bounds what an unknown caller may send: the size of a request's head, the time for it, the number of
connections.

uvicorn 0.54 bounds neither the head of a request nor the time to send it under httptools:
`h11_max_incomplete_event_size` is read by its other protocol only, and `timeout_keep_alive` starts after the
first response. Invariant: a connection without a whole head holds at most `HEAD_BYTES_MAX` bytes and one
read, and lives at most `HEAD_WITHIN_S` seconds.
"""

import asyncio
from typing import Any, Final

from prometheus_client import Counter
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from infra.api.problems import MEDIA_TYPE, Problem

HEAD_BYTES_MAX: Final = 32 * 1024
HEADERS_MAX: Final = 100
HEAD_WITHIN_S: Final = 10.0
CONNECTIONS_MAX: Final = 2000  # per process: each may hold a head and 64 KiB of a body

TURNED_AWAY: Final = Counter(
    "aegispay_api_turned_away", "Connections closed before a request was read, by problem code", ["code"]
)


class Guard(HttpToolsProtocol):
    """The HTTP protocol of uvicorn with these bounds. The body and the time for it are bounded in deps.py."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._head_bytes = 0
        self._in_head = True
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the time for the head, or refuses the connection when the process has too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            self._turn_away(
                "connections_exhausted",
                f"this process serves {CONNECTIONS_MAX} connections at once: try again",
            )
            return
        self._head_timer = self.loop.call_later(HEAD_WITHIN_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts the bytes of the head before the parser keeps them."""
        if self.transport.is_closing():
            return
        if self._in_head:
            # Only up to the end of the head: what the same read holds behind it belongs to the body.
            self._head_bytes += len(data) if b"\r\n\r\n" not in data else data.index(b"\r\n\r\n")
            if self._head_bytes > HEAD_BYTES_MAX:
                self._turn_away(
                    "head_too_large", f"the request's head may have at most {HEAD_BYTES_MAX} bytes"
                )
                return
        else:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._in_head and self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self._turn_away("head_too_large", f"trailers may have at most {HEAD_BYTES_MAX} bytes")

    def on_message_begin(self) -> None:
        """Starts the time for the head of a further request on the connection."""
        super().on_message_begin()
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_WITHIN_S, self._too_slow)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps a header, up to `HEADERS_MAX` of them."""
        if len(self.headers) < HEADERS_MAX:
            super().on_header(name, value)
        elif not self.transport.is_closing():
            self._turn_away("head_too_large", f"the request may have at most {HEADERS_MAX} headers")

    def on_headers_complete(self) -> None:
        """Ends the head: the application takes over."""
        self._in_head, self._head_bytes = False, 0
        self._stop_timer()
        if not self.transport.is_closing():
            super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Counts anew: after the last chunk come trailers, which the parser keeps like headers."""
        self._head_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Takes the body's bytes out of the count again."""
        self._head_bytes -= len(body)
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends the request: what follows is the next one's head."""
        self._in_head, self._head_bytes = True, 0
        self._stop_timer()
        if not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Bounds the time for the rest of a body that the route did not read."""
        super().on_response_complete()
        if not self._in_head and self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_WITHIN_S, self.transport.close)

    def _too_slow(self) -> None:
        # The response to an earlier request on this connection goes out first.
        if self.cycle is not None and not self.cycle.response_complete:
            self._head_timer = self.loop.call_later(HEAD_WITHIN_S, self._too_slow)
            return
        self._turn_away("head_too_slow", f"the request's head has to arrive within {HEAD_WITHIN_S:.0f} s")

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _turn_away(self, code: str, detail: str) -> None:
        self._stop_timer()
        TURNED_AWAY.labels(code).inc()
        if self.cycle is None or self.cycle.response_complete:
            response = Problem(code, detail).response()
            head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(response.body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[response.status_code] + head.encode() + bytes(response.body))
        self.transport.close()
