"""Every way a call can go wrong, at real sockets, with what it proves about the first byte."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateways.agent.ports import NotWritten, Responded, ResponseLost
from gateways.contract import RESPONSE_BYTES_MAX, HttpRequest
from infra.psp.http_client import HttpClient

DEADLINE_S = 1.0
Serve = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Counts connections and keeps what was written to it; `serve` is one connection's life."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self.connections = 0
        self.received = b""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._serve(self, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def request(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.received += head
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                self.received += await reader.readexactly(int(line.split(b":")[1]))


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[tuple[Server, str]]:
    server = Server(serve)
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        yield server, f"http://127.0.0.1:{port}"
    finally:
        listener.close()


def answering(raw: bytes) -> Serve:
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await server.request(reader)
            writer.write(raw)
            await writer.drain()

    return serve


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient.open(10, deadline_s=DEADLINE_S) as opened:
        yield opened


POST = HttpRequest(
    "POST", "/v1/charges?x=1", {"Authorization": "Bearer secret", "Idempotency-Key": "k"}, b"amount=1"
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Id: 7\r\n\r\n{}"


async def test_a_response_comes_whole_with_its_headers_in_lower_case(client: HttpClient):
    async with listening(answering(OK)) as (server, url):
        result = await client.send(url, POST, None)

    assert isinstance(result, Responded)
    assert (result.response.status, result.response.body, result.response.headers["x-id"]) == (
        200,
        b"{}",
        "7",
    )
    assert 0 <= result.call_ms < DEADLINE_S * 1000
    assert server.received.startswith(b"POST /v1/charges?x=1 HTTP/1.1\r\n")
    assert server.received.endswith(b"amount=1")


async def test_a_refused_connection_proves_that_nothing_was_written(client: HttpClient):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        result = await client.send(f"http://127.0.0.1:{reserved.getsockname()[1]}", POST, None)

    assert result == NotWritten("connect_failed")


async def test_an_unknown_host_proves_that_nothing_was_written(client: HttpClient):
    assert await client.send("http://psp.invalid", POST, None) == NotWritten("dns_failed")


async def test_a_failed_tls_handshake_proves_that_nothing_was_written(client: HttpClient):
    async with listening(answering(OK)) as (_, url):
        result = await client.send(url.replace("http://", "https://"), POST, None)

    assert isinstance(result, NotWritten)


async def test_a_host_that_never_accepts_proves_that_nothing_was_written(client: HttpClient):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        result = await client.send(f"http://127.0.0.1:{full.getsockname()[1]}", POST, None)
        for one in waiting:
            one.close()

    assert result == NotWritten("timeout")


async def test_after_the_time_for_the_first_byte_nothing_is_written(client: HttpClient):
    async with listening(answering(OK)) as (server, url):
        late = await client.send(url, POST, time.monotonic() - 0.001)
        assert late == NotWritten("too_late_to_send")
        assert server.received == b""

        assert isinstance(await client.send(url, POST, time.monotonic() + 5), Responded)
        again = await client.send(url, POST, time.monotonic() - 0.001)
        assert again == NotWritten("too_late_to_send"), "on a connection that is reused, too"
        assert server.received.count(b"POST") == 1


async def test_a_connection_closed_before_a_response_is_lost(client: HttpClient):
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)

    async with listening(serve) as (server, url):
        result = await client.send(url, POST, None)

    assert isinstance(result, ResponseLost)
    assert server.connections == 1, "a POST is not sent again"


async def test_a_connection_reset_right_after_accept_is_lost(client: HttpClient):
    async def serve(_: Server, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async with listening(serve) as (_, url):
        result = await client.send(url, POST, None)

    assert isinstance(result, ResponseLost)


async def test_a_reused_connection_that_the_server_closed_is_lost_and_not_tried_again(client: HttpClient):
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(OK)
        await server.request(reader)

    get = HttpRequest("GET", "/v1/charges/1", {}, None)
    async with listening(serve) as (server, url):
        assert isinstance(await client.send(url, get, None), Responded)
        assert isinstance(await client.send(url, get, None), ResponseLost)
        assert server.received.count(b"GET") == 2


@pytest.mark.parametrize(
    "first", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"]
)
async def test_a_response_that_stops_is_lost_at_the_deadline(client: HttpClient, first: bytes):
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(first)
        await reader.read()

    async with listening(serve) as (_, url):
        started = time.monotonic()
        result = await client.send(url, POST, None)

    assert isinstance(result, ResponseLost)
    assert result.code == "timeout"
    assert time.monotonic() - started < DEADLINE_S * 2


async def test_a_response_in_drips_is_lost_at_the_deadline(client: HttpClient):
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(DEADLINE_S / 50)  # each drip is in time, all of them are not

    async with listening(serve) as (_, url):
        result = await client.send(url, POST, None)

    assert isinstance(result, ResponseLost)
    assert result.code == "timeout"


async def test_a_response_above_the_bound_is_lost_without_being_kept(client: HttpClient):
    size = RESPONSE_BYTES_MAX + 1
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (size, b"x" * size)
    async with listening(answering(raw)) as (_, url):
        result = await client.send(url, POST, None)

    assert isinstance(result, ResponseLost)
    assert result.code == "response_too_large"


async def test_a_truncated_response_is_lost(client: HttpClient):
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()

    async with listening(serve) as (_, url):
        result = await client.send(url, POST, None)

    assert isinstance(result, ResponseLost)
    assert result.code == "response_truncated"


async def test_what_is_no_http_is_lost_and_tells_nothing_of_the_request(client: HttpClient):
    async with listening(answering(b"\x16\x03\x01 garbage\r\n\r\n")) as (_, url):
        result = await client.send(url, POST, None)

    assert isinstance(result, ResponseLost)
    assert "secret" not in repr(result)


async def test_a_redirect_is_a_response_and_is_not_followed(client: HttpClient):
    async with listening(answering(OK)) as (other, elsewhere):
        raw = b"HTTP/1.1 307 Go\r\nLocation: %s/\r\nContent-Length: 0\r\n\r\n" % elsewhere.encode()
        async with listening(answering(raw)) as (_, url):
            result = await client.send(url, POST, None)

    assert isinstance(result, Responded)
    assert result.response.status == 307
    assert other.connections == 0


async def test_a_certificate_that_nobody_vouches_for_proves_that_nothing_was_written(client: HttpClient):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parents[2] / "support" / "self_signed.pem")
    server = Server(answering(OK))
    async with await asyncio.start_server(server.handle, "127.0.0.1", 0, ssl=context) as listener:
        result = await client.send(f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}", POST, None)

    assert result == NotWritten("tls_failed")
    assert server.received == b""
