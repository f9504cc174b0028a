"""A server that behaves as badly as a PSP may: it takes a call in, or does not, and responds as the test
sets, or does not.

It signs in whoever asks, so that only the call itself goes wrong.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from commands.messages import Outcome
from gateways.agent.ports import NotWritten, Responded, ResponseLost
from gateways.agent.session import Calls
from gateways.contract import RESPONSE_BYTES_MAX, Call, HttpResponse, SignsIn
from gateways.wire.redaction import without_tokens
from infra.psp.http_client import HttpClient
from tests.gateways.conformance.book import CaseBook

Behaviour = Callable[["Connection", HttpResponse], Awaitable[None]]
CERTIFICATE: Final = Path(__file__).parents[2] / "support" / "self_signed.pem"
_NO_LINGER: Final = b"\1\0\0\0\0\0\0\0"


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return head + await self.reader.readexactly(int(line.split(b":")[1]))
        return head

    async def write(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def silence(self) -> None:
        """Until the other side has had enough."""
        await self.reader.read()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.writer.transport.abort()


def in_bytes(response: HttpResponse, length: int | None = None) -> bytes:
    size = len(response.body) if length is None else length
    lines = [
        f"HTTP/1.1 {response.status} Said",
        *(f"{name}: {value}" for name, value in response.headers.items()),
    ]
    return "\r\n".join([*lines, f"content-length: {size}", "", ""]).encode() + response.body


async def responds(connection: Connection, response: HttpResponse) -> None:
    await connection.write(in_bytes(response))


async def responds_in_pieces(connection: Connection, response: HttpResponse) -> None:
    """Slow, and in time."""
    raw = in_bytes(response)
    for place in range(0, len(raw), max(len(raw) // 5, 1)):
        await connection.write(raw[place : place + max(len(raw) // 5, 1)])
        await asyncio.sleep(0.01)


async def resets(connection: Connection, _: HttpResponse) -> None:
    connection.reset()


async def closes(connection: Connection, _: HttpResponse) -> None:
    """By its end the connection closes."""


async def is_silent(connection: Connection, _: HttpResponse) -> None:
    await connection.silence()


async def drips(connection: Connection, response: HttpResponse) -> None:
    """Each byte is in time, all of them are not."""
    raw = in_bytes(response, length=100_000)
    await connection.write(raw[:-1])
    while not connection.writer.is_closing():
        await connection.write(b" ")
        await asyncio.sleep(0.02)


async def truncates(connection: Connection, response: HttpResponse) -> None:
    await connection.write(in_bytes(replace(response, body=response.body[:-7]), length=len(response.body)))


async def sends_half_and_resets(connection: Connection, response: HttpResponse) -> None:
    raw = in_bytes(response)
    await connection.write(raw[: len(raw) - len(response.body) // 2])
    connection.reset()


async def floods(connection: Connection, response: HttpResponse) -> None:
    await connection.write(in_bytes(replace(response, body=response.body + b" " * RESPONSE_BYTES_MAX)))


async def speaks_no_http(connection: Connection, _: HttpResponse) -> None:
    await connection.write(b"\x16\x03\x01 garbage\r\n\r\n")


@dataclass
class FaultyServer:
    """`received`: the calls, without those that sign in."""

    book: CaseBook
    behaviour: Behaviour
    respond: Callable[[bytes], HttpResponse]
    reads: bool = True
    received: list[bytes] = field(default_factory=list)
    url: str = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        try:
            if not self.reads and not isinstance(self.book.gateway, SignsIn):
                await self.behaviour(connection, self.respond(b""))
                return
            while True:
                raw = await connection.request()
                if self._signs_in(raw):
                    assert self.book.sign_in_response is not None
                    await connection.write(in_bytes(self.book.sign_in_response))
                    continue
                self.received.append(raw)
                await self.behaviour(connection, self.respond(raw))
                if self.behaviour not in {responds, responds_in_pieces}:
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _signs_in(self, raw: bytes) -> bool:
        gateway = self.book.gateway
        if not isinstance(gateway, SignsIn):
            return False
        path = urlsplit(self.book.credentials.base_url).path + gateway.sign_in(self.book.credentials).path
        return raw.split(b" ", 2)[1] == path.encode()

    @asynccontextmanager
    async def serving(self, *, tls: bool = False) -> AsyncIterator["FaultyServer"]:
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
        async with await asyncio.start_server(self.handle, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            self.url = (
                f"http{'s' if tls else ''}://127.0.0.1:{port}{urlsplit(self.book.credentials.base_url).path}"
            )
            yield self


async def send(book: CaseBook, call: Call, url: str, http: HttpClient) -> Outcome:
    """As the agent does it."""
    calls = Calls(book.gateway, http, lambda _: replace(book.credentials, base_url=url))
    result = await calls.call("send", "account", lambda known: book.gateway.request(call, known), None)
    match result:
        case Outcome():
            return result
        case Responded():
            return without_tokens(book.gateway.outcome(call, result.response), call)
        case NotWritten():
            return Outcome(kind="NOT_SENT", code=result.code)
        case ResponseLost():
            return Outcome(kind="UNKNOWN", code=result.code)
