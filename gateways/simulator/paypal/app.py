"""PayPal at the simulator: its calls for orders and payments, the page on which a payer agrees, and its
certificates.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web

from gateways.simulator.core import ids
from gateways.simulator.core.accounts import Account
from gateways.simulator.core.faults import On
from gateways.simulator.core.front import ACCOUNT, Front
from gateways.simulator.core.psp import (
    DashboardAction,
    ErrorKind,
    Keyed,
    Plan,
    Response,
    Signed,
    Turn,
    operation_named,
    path_of,
    payment_of,
)
from gateways.simulator.core.rows import Object, StoredResult, Webhook
from gateways.simulator.core.webhooks import named
from gateways.simulator.paypal import scenarios, tokens, webhooks, wire
from gateways.simulator.paypal.certificates import Signer
from gateways.simulator.paypal.errors import error_response, invalid, missing, unfit
from gateways.simulator.paypal.orders import Orders
from gateways.simulator.paypal.pages import Pages
from gateways.simulator.paypal.payments import Payments
from gateways.simulator.paypal.shown import MINIMAL, Renderer
from gateways.simulator.paypal.store import GATEWAY, Store

ORDERS: Final = "/v2/checkout/orders"
PAYMENTS: Final = "/v2/payments"
_TOKEN: Final = "/v1/oauth2/token"  # noqa: S105 - an address
_ORDER_KEY_S: Final = 6 * 3600
_PAYMENT_KEY_S: Final = 45 * 24 * 3600
_KEY_MAX: Final = 108
_MINIMAL: Final = "return=minimal"


@dataclass(slots=True)
class PayPal:
    """PayPal's dialect: Orders v2, Payments v2 and webhooks."""

    front: Front
    store: Store
    orders: Orders
    payments: Payments
    signer: Signer

    @classmethod
    def open(cls, front: Front) -> "PayPal":
        """Builds the dialect on the front's ledger; its signing keys lie beside the ledger's file."""
        store = Store(front)
        orders = Orders(store)
        (_, _, file), *_ = front.ledger.execute("PRAGMA database_list").fetchall()
        signer = Signer(Path(file))
        signer.authority()
        return cls(front, store, orders, Payments(store, orders), signer)

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """The calls of Orders v2, Payments v2, the access token, and the reading of webhooks."""
        return (
            web.post(_TOKEN, self.sign_in),
            web.post(ORDERS, self.create),
            web.get(f"{ORDERS}/{{id}}", self.get_order),
            web.post(f"{ORDERS}/{{id}}/authorize", self.authorize),
            web.post(f"{ORDERS}/{{id}}/capture", self.capture_order),
            web.get(f"{PAYMENTS}/{{part:authorizations|captures|refunds}}/{{id}}", self.get_payment),
            web.post(f"{PAYMENTS}/authorizations/{{id}}/capture", self.capture),
            web.post(f"{PAYMENTS}/authorizations/{{id}}/void", self.void),
            web.post(f"{PAYMENTS}/authorizations/{{id}}/reauthorize", self.reauthorize),
            web.post(f"{PAYMENTS}/captures/{{id}}/refund", self.refund),
            web.post("/v1/notifications/verify-webhook-signature", self.verify),
            web.get(f"{webhooks.EVENTS}{{id}}", self.get_event),
        )

    def pages(self) -> Sequence[web.AbstractRouteDef]:
        """The payer's page and the certificates."""
        return Pages(self.store, self.orders, self.signer).routes()

    def admit(self, request: web.Request) -> Account | None:
        """The account of the access token, or at `/v1/oauth2/token` of the client id and secret; else
        None."""
        header, accounts = request.headers.get("Authorization", ""), self.front.accounts
        if request.path.endswith(_TOKEN):
            return tokens.signed_in(header, accounts)
        scheme, _, token = header.partition(" ")
        return tokens.holder(token, accounts, time.time()) if scheme.lower() == "bearer" else None

    def error_response(self, kind: ErrorKind, request: web.Request) -> Response:
        """PayPal's error object; at the access token's address OAuth's own."""
        if kind == "unauthorized" and request.path.endswith(_TOKEN):
            body = {"error": "invalid_client", "error_description": "Client Authentication failed"}
            return Response.json(401, body)
        return error_response(kind)

    def finish(self, request: web.Request, response: web.StreamResponse, *, replayed: bool) -> None:
        """Adds a `Paypal-Debug-Id`."""
        response.headers["Paypal-Debug-Id"] = ids.letters(time.time(), 0).lower()

    def replay(self, keyed: Keyed, stored: StoredResult, turn: Turn) -> Response:
        """The latest state of what was done; a refusal that was stored stays one."""
        one = None if stored.about is None else self.front.ledger.one(GATEWAY, stored.about)
        if one is None or stored.status >= 400:
            return Response(stored.status, stored.body)
        minimal = orjson.loads(stored.body).keys() <= MINIMAL
        return self._show(200, one, turn, minimal=minimal)

    def sign(self, webhook: Webhook, account: Account, now: float, *, forged: bool) -> Signed:
        """The event, signed by the certificate that `PAYPAL-CERT-URL` names."""
        return webhooks.sign(webhook, account, now, self.signer, forged=forged)

    def dashboard(self, action: DashboardAction, turn: Turn) -> None:
        """Does what PayPal's own pages offer."""
        self.payments.dashboard(action, turn)

    def settle(self, now: float) -> None:
        """Does what is due by `now` (Unix seconds): what was pending, holds that expire, disputes."""
        self.payments.settle(now)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/oauth2/token`: issues an access token for `token_life_s`."""
        form = await request.post()

        def decide(turn: Turn) -> Response:
            if form.get("grant_type") != "client_credentials":
                return Response.json(400, {"error": "unsupported_grant_type"})
            life_s = turn.account.number("token_life_s", tokens.LIFE_S)
            token = tokens.issue(turn.account, int(turn.now) + life_s)
            body = {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": life_s,
                "scope": "https://uri.paypal.com/",
            }
            return Response.json(200, body)

        return await self.front.read(request, "get", decide)

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Creates an order; with a payment source also takes it, unless a payer has to agree first."""
        raw = await request.read()

        def plan() -> Plan:
            params = wire.create(raw)
            source = params.source
            if source is not None and "PayPal-Request-Id" not in request.headers:
                raise invalid("PayPal-Request-Id", "PAYPAL_REQUEST_ID_REQUIRED")
            method = None if source is None else source.method

            def decide(turn: Turn) -> Response:
                order = self.orders.create(params, turn)
                # PayPal responds with 200, not 201, for an order that waits for its payer.
                status = 200 if order.status == "PAYER_ACTION_REQUIRED" else 201
                return self._show(status, order, turn, minimal=_minimal(request))

            return Plan(decide, scenarios.fault_of(method, "continue"), payment_of(params.reference))

        return await self._once(request, "create", plan, raw, _ORDER_KEY_S)

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        """Authorizes an order that its payer has agreed to."""
        return await self._take(request, "AUTHORIZE")

    async def capture_order(self, request: web.Request) -> web.StreamResponse:
        """Captures an order that its payer has agreed to."""
        return await self._take(request, "CAPTURE")

    async def _take(self, request: web.Request, intent: str) -> web.StreamResponse:
        raw, order_id = await request.read(), request.match_info["id"]

        def plan() -> Plan:
            source = wire.take(raw)
            order = self.store.order(request[ACCOUNT].name, order_id)
            kept = orjson.loads(order.data)
            if kept["intent"] != intent:
                raise unfit("ACTION_DOES_NOT_MATCH_INTENT")

            def decide(turn: Turn) -> Response:
                taken = self.orders.take(order_id, source, turn)
                return self._show(201, taken, turn, minimal=_minimal(request))

            method = kept["method"] if source is None else source.method
            return Plan(decide, scenarios.fault_of(method, "continue"), payment_of(order.reference))

        return await self._once(request, "continue", plan, raw, _ORDER_KEY_S)

    async def capture(self, request: web.Request) -> web.StreamResponse:
        """Captures all or a part of an authorization."""
        raw, paypal_id = await request.read(), request.match_info["id"]
        return await self._later(
            request,
            "capture",
            "authorization",
            raw,
            lambda turn: self._show(
                201, self.payments.capture(paypal_id, wire.money(raw), turn), turn, minimal=_minimal(request)
            ),
        )

    async def refund(self, request: web.Request) -> web.StreamResponse:
        """Refunds all or a part of a capture."""
        raw, paypal_id = await request.read(), request.match_info["id"]
        return await self._later(
            request,
            "refund",
            "capture",
            raw,
            lambda turn: self._show(
                201, self.payments.refund(paypal_id, wire.money(raw), turn), turn, minimal=_minimal(request)
            ),
        )

    async def void(self, request: web.Request) -> web.StreamResponse:
        """Voids an authorization. 204 where the client wants the minimum."""
        raw, paypal_id = await request.read(), request.match_info["id"]
        operation = operation_named(request)

        def decide(turn: Turn) -> Response:
            voided = self.payments.void(paypal_id, operation, turn)
            return Response(204, b"") if _minimal(request) else self._show(200, voided, turn, minimal=False)

        return await self._later(request, "cancel", "authorization", raw, decide)

    async def reauthorize(self, request: web.Request) -> web.StreamResponse:
        """Always refused: the simulator's authorizations cannot be renewed."""
        raw = await request.read()

        def decide(turn: Turn) -> Response:
            raise unfit("REAUTHORIZATION_NOT_SUPPORTED")

        return await self._later(request, "capture", "authorization", raw, decide)

    async def get_order(self, request: web.Request) -> web.StreamResponse:
        """Shows an order with its payments."""

        def decide(turn: Turn) -> Response:
            order = self.store.order(turn.account.name, request.match_info["id"])
            return self._show(200, order, turn, minimal=False)

        return await self.front.read(request, "get", decide)

    async def get_payment(self, request: web.Request) -> web.StreamResponse:
        """Shows an authorization, a capture or a refund."""
        kind, paypal_id = request.match_info["part"].removesuffix("s"), request.match_info["id"]

        def decide(turn: Turn) -> Response:
            one = self.store.payment(turn.account.name, kind, paypal_id)
            return self._show(200, one, turn, minimal=False)

        return await self.front.read(request, "get", decide)

    async def get_event(self, request: web.Request) -> web.StreamResponse:
        """Shows a webhook's event again, whether or not it was delivered."""

        def decide(turn: Turn) -> Response:
            webhook = named(self.front.ledger, GATEWAY, turn.account.name, request.match_info["id"])
            if webhook is None:
                raise missing()
            return Response(200, webhook.body)

        return await self.front.read(request, "get", decide)

    async def verify(self, request: web.Request) -> web.StreamResponse:
        """Verifies a webhook's signature for its receiver."""
        raw = await request.read()

        def decide(turn: Turn) -> Response:
            right = webhooks.verifies(raw, self.signer)
            return Response.json(200, {"verification_status": "SUCCESS" if right else "FAILURE"})

        return await self.front.read(request, "get", decide, call=hashlib.sha256(raw).hexdigest())

    async def _later(
        self, request: web.Request, on: On, kind: str, raw: bytes, decide: Callable[[Turn], Response]
    ) -> web.StreamResponse:
        """Hands a call about an existing payment to the front. `kind`: of that payment."""

        def plan() -> Plan:
            one = self.store.payment(request[ACCOUNT].name, kind, request.match_info["id"])
            order = self.store.order_of(one)
            method = orjson.loads(order.data)["method"]
            return Plan(decide, scenarios.fault_of(method, on), payment_of(order.reference))

        return await self._once(request, on, plan, raw, None if on == "cancel" else _PAYMENT_KEY_S)

    async def _once(
        self, request: web.Request, on: On, plan: Callable[[], Plan], raw: bytes, life_s: float | None
    ) -> web.StreamResponse:
        """Hands the call to the front. `life_s`: how long PayPal remembers its key; None: it takes no key."""
        wire.mock(request.headers.get("PayPal-Mock-Response"))
        key, keyed = request.headers.get("PayPal-Request-Id"), None
        if key is not None and life_s is not None:
            if not 0 < len(key) <= _KEY_MAX:
                raise invalid("PayPal-Request-Id", "INVALID_STRING_LENGTH")
            print_of = hashlib.sha256(f"{request.method} {path_of(request)}\n".encode() + raw).hexdigest()
            keyed = Keyed(key, print_of, life_s)
        return await self.front.once(request, on, plan, keyed)

    def _show(self, status: int, one: Object, turn: Turn, *, minimal: bool) -> Response:
        renderer = Renderer(turn.origin, turn.do)
        body = renderer.order(one, self.store.inside(one)) if one.kind == "order" else renderer.payment(one)
        if minimal:
            body = {name: value for name, value in body.items() if name in MINIMAL}
        return Response.json(status, body, one.id)


def _minimal(request: web.Request) -> bool:
    return request.headers.get("Prefer", _MINIMAL) == _MINIMAL
