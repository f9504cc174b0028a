"""How a call goes wrong: before anything is done, or after it is done, in the answer about it."""

import asyncio
import socket
import struct
from typing import Final

from aiohttp import web

from gateways.simulator.faults import Mishap
from gateways.simulator.psp import Answer, Dialect, Refusal

_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER 1, 0 s: the close is a reset
_DRIPS: Final = 40
_GARBAGE: Final = b"<html>upstream prematurely cl"


async def before(request: web.Request, mishap: Mishap, dialect: Dialect) -> web.StreamResponse | None:
    """What happens instead of the call; None where the call is done, now. Raises `Refusal`."""
    match mishap.do:
        case "429" | "burst_429":
            raise Refusal(dialect.trouble("rate_limited", request))
        case "500" | "500_once":
            raise Refusal(dialect.trouble("broken", request))
        case "reset":
            return cut(request, reset=True)
        case "slow" | "late":
            await asyncio.sleep(mishap.after_s)
    return None


async def after(request: web.Request, mishap: Mishap, answer: Answer) -> web.StreamResponse:
    """What becomes of the answer about a call that was done."""
    match mishap.do:
        case "lost" | "late" | "vanish":
            return cut(request, reset=False)
        case "garbage":
            return web.Response(status=200, body=_GARBAGE, content_type="text/html")
        case "timeout":
            await asyncio.sleep(mishap.after_s)
        case "drip":
            return _Dripping(mishap.after_s, answer)
    return response(answer)


def response(answer: Answer) -> web.Response:
    return web.Response(
        status=answer.status, body=answer.body, headers=answer.headers, content_type=answer.content_type
    )


def cut(request: web.Request, *, reset: bool) -> web.StreamResponse:
    """No answer will reach the client, whatever is returned here."""
    if request.transport is not None:
        if reset:
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        request.transport.abort()
    return web.Response(status=500)


class _Dripping(web.Response):
    """The headers at once, the body over `seconds`."""

    def __init__(self, seconds: float, answer: Answer) -> None:
        super().__init__(
            status=answer.status, body=answer.body, headers=answer.headers, content_type=answer.content_type
        )
        self._seconds = seconds
        self._said = answer.body

    async def write_eof(self, data: bytes = b"") -> None:
        size = max(1, -(-len(self._said) // _DRIPS))
        for start in range(0, len(self._said), size):
            await asyncio.sleep(self._seconds / _DRIPS)
            await self.write(self._said[start : start + size])
        await web.StreamResponse.write_eof(self)
