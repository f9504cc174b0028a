"""A caller nobody knows yet: the head of its request is bounded in bytes, in headers and in time. Over raw
sockets."""

import asyncio

import pytest

from infra.api import guard
from tests.support.api import Api

pytestmark = pytest.mark.stack

LIVE = b"GET /live HTTP/1.1\r\nHost: pay.example\r\n"


async def received(api: Api, *parts: bytes) -> bytes:
    """Everything that the server sends until it closes the connection."""
    url = api.http._base_url
    assert url is not None
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        for part in parts:
            writer.write(part)
            try:
                await writer.drain()
            except ConnectionError:
                break
        try:
            return await asyncio.wait_for(reader.read(), 20)
        except ConnectionError:
            return b""
    finally:
        writer.close()


CLOSE = b"Connection: close\r\n\r\n"


@pytest.mark.parametrize(
    "more",
    [
        b"",
        b"Cookie: " + b"a" * 16_000 + b"\r\n",
        b"".join(b"X-Trace-%d: %d\r\n" % (n, n) for n in range(60)),
    ],
)
async def test_an_ordinary_large_head_gets_a_response(api, more):
    assert (await received(api, LIVE + more + CLOSE)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "parts",
    [
        [LIVE + b"Cookie: " + b"a" * 40_000 + b"\r\n" + CLOSE],
        [LIVE, b"Cookie: ", *[b"a" * 8_000] * 2_000],
        [b"GET /" + b"a" * 8_000, *[b"a" * 8_000] * 2_000],
        [LIVE + b"".join(b"X-%d: 1\r\n" % n for n in range(150)) + CLOSE],
        [LIVE, *[b"X: 1\r\n" * 1_000] * 2_000],
    ],
)
async def test_a_head_without_bounds_is_refused_whoever_sends_it(api, parts):
    response = await received(api, *parts)

    assert response == b"" or (
        response.startswith(b"HTTP/1.1 431 ") and b'"code":"head_too_large"' in response
    )


async def test_a_head_that_does_not_end_is_closed_when_its_time_is_over(api, monkeypatch):
    monkeypatch.setattr(guard, "HEAD_WITHIN_S", 0.3)

    assert (await received(api, b"")).startswith(b"HTTP/1.1 408 ")
    assert b'"code":"head_too_slow"' in await received(api, LIVE)
    # A second request on the same connection has the same time.
    both = await received(api, LIVE + b"\r\n", LIVE)
    assert both.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in both


async def test_a_connection_too_many_is_refused_and_the_others_go_on(api, monkeypatch):
    monkeypatch.setattr(guard, "CONNECTIONS_MAX", 0)
    assert b'"code":"connections_exhausted"' in await received(api, LIVE + CLOSE)

    monkeypatch.setattr(guard, "CONNECTIONS_MAX", 2000)
    assert (await received(api, LIVE + CLOSE)).startswith(b"HTTP/1.1 200 ")


async def test_two_idempotency_keys_are_refused_with_the_reason(api):
    body = b'{"amount_minor":1}'
    head = (
        b"POST /v1/payments HTTP/1.1\r\nHost: pay.example\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
        b"Idempotency-Key: order-1\r\nIdempotency-Key: order-%d\r\nContent-Length: %d\r\n"
    )

    for second in (1, 2):
        response = await received(api, head % (api.key.encode(), second, len(body)) + CLOSE + body)
        assert response.startswith(b"HTTP/1.1 400 ")
        assert b'"code":"idempotency_key_repeated"' in response
