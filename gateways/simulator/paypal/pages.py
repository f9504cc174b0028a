"""The pages that anybody may call: where a payer agrees or passes 3-D Secure, and the certificates of
webhooks.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

import orjson
from aiohttp import web

from gateways.simulator.core import customer_page
from gateways.simulator.core.rows import Object
from gateways.simulator.paypal import webhooks
from gateways.simulator.paypal.certificates import Signer
from gateways.simulator.paypal.currencies import CURRENCIES
from gateways.simulator.paypal.orders import Orders
from gateways.simulator.paypal.store import GATEWAY, Store

_WAITING = frozenset({"CREATED", "PAYER_ACTION_REQUIRED"})
_PEM = "application/x-pem-file"


@dataclass(frozen=True, slots=True)
class Pages:
    """The handlers of these pages."""

    store: Store
    orders: Orders
    signer: Signer

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """Returns the routes of the pages."""
        return (
            web.get("/checkoutnow", self.show),
            web.post("/checkoutnow", self.decide),
            web.get(f"{webhooks.CERTIFICATES}/{{name}}", self.certificate),
            web.get("/authority.pem", self.authority),
        )

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The page on which the payer agrees to an order. 404: no such order."""
        order = self._order(request)
        amount = CURRENCIES.shown(order.mills, order.currency)
        buttons = (("approve", "Agree and pay"), ("cancel", "Cancel"))
        return customer_page.confirmation_page("PayPal", amount, order.status, buttons)

    async def decide(self, request: web.Request) -> web.StreamResponse:
        """Takes the payer's choice, and sends the browser back to the merchant, if the order has an
        address."""
        form, order = await request.post(), self._order(request)
        agrees, now = form.get("result") in {"approve", "pass"}, time.time()
        if agrees and order.status in _WAITING:
            with self.store.front.ledger.writing():
                order = self.orders.agree(order, now)
        pages = orjson.loads(order.data)["pages"]
        back = pages.get("return" if agrees else "cancel")
        if back is None:
            return customer_page.page("PayPal", f"<p class=status>Status: {escape(order.status)}")
        query = {"token": order.id} | ({"PayerID": "SIMULATEDPAYER"} if agrees else {})
        raise web.HTTPSeeOther(f"{back}{'&' if '?' in back else '?'}{urlencode(query)}")

    async def certificate(self, request: web.Request) -> web.StreamResponse:
        """The certificate that signs webhooks, as PEM. 404: another name."""
        if request.match_info["name"] != self.signer.name:
            raise web.HTTPNotFound
        return web.Response(body=self.signer.pem(), content_type=_PEM)

    async def authority(self, request: web.Request) -> web.StreamResponse:
        """The certificate of the authority behind it, as PEM: a receiver has to trust it."""
        return web.Response(text=self.signer.authority_pem(), content_type=_PEM)

    def _order(self, request: web.Request) -> Object:
        order = self.store.front.ledger.one(GATEWAY, request.query.get("token", ""))
        if order is None or order.kind != "order":
            raise web.HTTPNotFound
        return order
