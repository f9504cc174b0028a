"""A shop that waits and comes again, as any client should: the demo's, against an API that is away for
moments."""

from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from commands.client import Client
from infra.tools.traffic.checkout import Checkout, Late
from infra.tools.traffic.lifecycles import OrderLifecycle
from infra.tools.traffic.orders import orders

PAYMENT = "2c0a1d5e-8f3b-5a57-9f2e-6a1b7c3d4e5f"


class Api:
    """Its first response to each request is 503, its second none at all. What it received, by path and
    key."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str, str | None]] = Counter()

    async def respond(self, request: web.Request) -> web.Response:
        identity = (request.method, request.path, request.headers.get("Idempotency-Key"))
        self.seen[identity] += 1
        if self.seen[identity] == 1:
            return web.Response(status=503, headers={"Retry-After": "0"})
        if self.seen[identity] == 2:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if request.method == "POST":
            return web.json_response({"payment_id": PAYMENT}, status=202)
        return web.json_response({"payment_id": PAYMENT, "status": "CAPTURED"})


@pytest.fixture
async def api() -> Api:
    return Api()


@pytest.fixture
async def checkout(api: Api) -> AsyncIterator[Checkout]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.respond)
    async with TestServer(app) as server, aiohttp.ClientSession(base_url=server.make_url("/")) as http:
        yield Checkout(Client("127.0.0.1:1", merchant_id="demo"), http)


async def test_an_api_that_is_away_for_moments_gets_the_request_again_with_the_same_key(api, checkout):
    (order,) = orders(seed=1, count=1, rate=1, run="a")

    status = await checkout.serve(OrderLifecycle("sold", order, "automatic", (), "CAPTURED"), by_http=True)

    assert status == "CAPTURED"
    assert api.seen == {
        ("POST", "/v1/payments", order.idempotency_key): 3,
        ("GET", f"/v1/payments/{PAYMENT}", None): 3,
    }


async def test_an_order_that_has_not_ended_in_time_is_late_and_no_surprise(api, checkout, monkeypatch):
    monkeypatch.setattr("infra.tools.traffic.checkout.PATIENCE_S", -1.0)
    (order,) = orders(seed=1, count=1, rate=1, run="a")

    with pytest.raises(Late, match="HTTP 503"):
        await checkout.serve(OrderLifecycle("sold", order, "automatic", (), "CAPTURED"), by_http=True)
