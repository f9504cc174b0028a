"""An HTTP proxy that takes clients, which know a PSP by its host name alone, to the simulated PSP's own port.
It leads nowhere else.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

CONNECTIONS_MAX: Final = 500
_HEAD_WITHIN_S: Final = 10.0
_HEAD_MAX: Final = 16 * 1024
_CHUNK: Final = 64 * 1024
_CONNECT: Final = re.compile(rb"CONNECT ([A-Za-z0-9.-]{1,253}):443 HTTP/1\.[01]\r\n")


@asynccontextmanager
async def proxying(hosts: Mapping[str, int], host: str, port: int) -> AsyncIterator[str]:
    """Yields the proxy's URL. `hosts`: the port on `host` that each host name leads to. Raises OSError when
    the port is taken."""
    proxy = _Proxy(hosts, host)
    server = await asyncio.start_server(proxy.serve, host, port, limit=_HEAD_MAX)
    try:
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in proxy.open:
            task.cancel()
        await asyncio.gather(*proxy.open, return_exceptions=True)


class _Proxy:
    def __init__(self, hosts: Mapping[str, int], host: str) -> None:
        self._hosts = hosts
        self._host = host
        self.open: set[asyncio.Task[None]] = set()

    def serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        if len(self.open) >= CONNECTIONS_MAX:
            back.close()
            return
        task = asyncio.create_task(self._serve(client, back))
        self.open.add(task)
        task.add_done_callback(self.open.discard)

    async def _serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_WITHIN_S):
                head = await client.readuntil(b"\r\n\r\n")
            await self._tunnel(head, client, back)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # one side went away: the other one sees that it is closed
        finally:
            back.close()

    async def _tunnel(self, head: bytes, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        params = _CONNECT.match(head)
        port = self._hosts.get(params[1].decode().lower()) if params is not None else None
        if port is None:
            names = ", ".join(f"{name}:443" for name in self._hosts)
            back.write(_refusal("403 Forbidden", f"This proxy takes CONNECT to {names} alone.\n"))
            await back.drain()
            return
        try:
            there, forth = await asyncio.open_connection(self._host, port)
        except OSError:
            back.write(_refusal("502 Bad Gateway", "The simulated PSP refuses connections.\n"))
            await back.drain()
            return
        back.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pass_on(client, forth))
                both.create_task(_pass_on(there, back))
        except* OSError:
            pass
        finally:
            forth.close()


def _refusal(status: str, text: str) -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
        f"Connection: close\r\n\r\n{text}"
    ).encode()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Passes bytes on until the source ends, then ends the target too."""
    try:
        while chunk := await source.read(_CHUNK):
            target.write(chunk)
            await target.drain()
    finally:
        with suppress(OSError):
            target.close()
