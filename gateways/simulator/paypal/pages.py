"""What anybody may call: the page on which a payer agrees or passes 3-D Secure, and the certificates of webhooks."""

import html
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import orjson
from aiohttp import web

from gateways.simulator.paypal import hooks
from gateways.simulator.paypal.certificates import Signer
from gateways.simulator.paypal.orders import Orders
from gateways.simulator.paypal.store import GATEWAY, Store
from gateways.simulator.rows import Object

_WAITING = frozenset({"CREATED", "PAYER_ACTION_REQUIRED"})
_PEM = "application/x-pem-file"


@dataclass(frozen=True, slots=True)
class Pages:
    store: Store
    orders: Orders
    signer: Signer

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return (
            web.get("/checkoutnow", self.show),
            web.post("/checkoutnow", self.decide),
            web.get(f"{hooks.CERTIFICATES}/{{name}}", self.certificate),
            web.get("/authority.pem", self.authority),
        )

    async def show(self, request: web.Request) -> web.StreamResponse:
        order = self._order(request)
        money = f"{order.minor} {html.escape(order.currency)} (minor units), {html.escape(order.status)}"
        text = (
            f"<!doctype html><title>PayPal, simulated</title><h1>Simulated PayPal</h1><p>{money}</p>"
            "<form method=post><button name=result value=approve>Agree and pay</button> "
            "<button name=result value=cancel>Cancel</button></form>"
        )
        return web.Response(text=text, content_type="text/html")

    async def decide(self, request: web.Request) -> web.StreamResponse:
        form, order = await request.post(), self._order(request)
        agrees, now = form.get("result") in {"approve", "pass"}, time.time()
        if agrees and order.status in _WAITING:
            with self.store.front.ledger.writing():
                order = self.orders.agree(order, now)
        pages = orjson.loads(order.data)["pages"]
        back = pages.get("return" if agrees else "cancel")
        if back is None:
            return web.Response(text=f"status {order.status}")
        query = {"token": order.id} | ({"PayerID": "SIMULATEDPAYER"} if agrees else {})
        raise web.HTTPSeeOther(f"{back}{'&' if '?' in back else '?'}{urlencode(query)}")

    async def certificate(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["name"] != self.signer.name:
            raise web.HTTPNotFound
        return web.Response(body=self.signer.pem(), content_type=_PEM)

    async def authority(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=self.signer.authority_pem(), content_type=_PEM)

    def _order(self, request: web.Request) -> Object:
        order = self.store.front.ledger.one(GATEWAY, request.query.get("token", ""))
        if order is None or order.kind != "order":
            raise web.HTTPNotFound
        return order
