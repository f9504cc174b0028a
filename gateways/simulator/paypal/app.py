"""PayPal at the simulator: its calls for orders and payments, the page on which a payer agrees, and its certificates."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web

from gateways.simulator import ids
from gateways.simulator.accounts import Account
from gateways.simulator.faults import On
from gateways.simulator.front import ACCOUNT, Front
from gateways.simulator.paypal import hooks, scenarios, tokens, wire
from gateways.simulator.paypal.certificates import Signer
from gateways.simulator.paypal.errors import invalid, trouble, unfit
from gateways.simulator.paypal.orders import Orders
from gateways.simulator.paypal.pages import Pages
from gateways.simulator.paypal.payments import Payments
from gateways.simulator.paypal.shown import MINIMAL, View
from gateways.simulator.paypal.store import GATEWAY, Store
from gateways.simulator.psp import Answer, Keyed, Plan, Signed, Trouble, Turn, operation_named
from gateways.simulator.rows import Hook, Object, StoredAnswer

ORDERS: Final = "/v2/checkout/orders"
PAYMENTS: Final = "/v2/payments"
_TOKEN: Final = "/v1/oauth2/token"  # noqa: S105 - an address
_ORDER_KEY_S: Final = 6 * 3600
_PAYMENT_KEY_S: Final = 45 * 24 * 3600
_KEY_MAX: Final = 108
_MINIMAL: Final = "return=minimal"


@dataclass(slots=True)
class PayPal:
    front: Front
    store: Store
    orders: Orders
    payments: Payments
    signer: Signer

    @classmethod
    def open(cls, front: Front) -> "PayPal":
        store = Store(front)
        orders = Orders(store)
        (_, _, file), *_ = front.ledger.execute("PRAGMA database_list").fetchall()
        signer = Signer(Path(file))
        signer.authority()
        return cls(front, store, orders, Payments(store, orders), signer)

    def routes(self) -> Sequence[web.AbstractRouteDef]:
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
        )

    def pages(self) -> Sequence[web.AbstractRouteDef]:
        return Pages(self.store, self.orders, self.signer).routes()

    def admit(self, request: web.Request) -> Account | None:
        header, accounts = request.headers.get("Authorization", ""), self.front.accounts
        if request.path.endswith(_TOKEN):
            return tokens.signed_in(header, accounts)
        scheme, _, token = header.partition(" ")
        return tokens.holder(token, accounts, time.time()) if scheme.lower() == "bearer" else None

    def trouble(self, what: Trouble, request: web.Request) -> Answer:
        if what == "unauthorized" and request.path.endswith(_TOKEN):
            said = {"error": "invalid_client", "error_description": "Client Authentication failed"}
            return Answer.json(401, said)
        return trouble(what)

    def finish(self, request: web.Request, answer: web.StreamResponse, *, replayed: bool) -> None:
        answer.headers["Paypal-Debug-Id"] = ids.letters(time.time(), 0).lower()

    def replay(self, keyed: Keyed, stored: StoredAnswer, turn: Turn) -> Answer:
        """The latest state of what was done; a refusal that is kept stays one."""
        one = None if stored.about is None else self.front.ledger.one(GATEWAY, stored.about)
        if one is None or stored.status >= 400:
            return Answer(stored.status, stored.body)
        minimal = orjson.loads(stored.body).keys() <= MINIMAL
        return self._said(200, one, turn, minimal=minimal)

    def sign(self, hook: Hook, account: Account, now: float, *, forged: bool) -> Signed:
        return hooks.sign(hook, account, now, self.signer, forged=forged)

    def settle(self, now: float) -> None:
        self.payments.settle(now)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()

        def decide(turn: Turn) -> Answer:
            if form.get("grant_type") != "client_credentials":
                return Answer.json(400, {"error": "unsupported_grant_type"})
            life_s = turn.account.number("token_life_s", tokens.LIFE_S)
            token = tokens.issue(turn.account, int(turn.now) + life_s)
            said = {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": life_s,
                "scope": "https://uri.paypal.com/",
            }
            return Answer.json(200, said)

        return await self.front.read(request, "get", decide)

    async def create(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()

        def plan() -> Plan:
            asked = wire.create(raw)
            source = asked.source
            if source is not None and "PayPal-Request-Id" not in request.headers:
                raise invalid("PayPal-Request-Id", "PAYPAL_REQUEST_ID_REQUIRED")
            method = None if source is None else source.method

            def decide(turn: Turn) -> Answer:
                order = self.orders.create(asked, turn)
                # One that waits for its payer is nothing new to PayPal: it says 200.
                status = 200 if order.status == "PAYER_ACTION_REQUIRED" else 201
                return self._said(status, order, turn, minimal=_minimal(request))

            return Plan(decide, scenarios.mishap(method, "continue"), _payment_of(asked.reference))

        return await self._once(request, "create", plan, raw, _ORDER_KEY_S)

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        return await self._take(request, "AUTHORIZE")

    async def capture_order(self, request: web.Request) -> web.StreamResponse:
        return await self._take(request, "CAPTURE")

    async def _take(self, request: web.Request, intent: str) -> web.StreamResponse:
        raw, order_id = await request.read(), request.match_info["id"]

        def plan() -> Plan:
            source = wire.take(raw)
            order = self.store.order(request[ACCOUNT].name, order_id)
            kept = orjson.loads(order.data)
            if kept["intent"] != intent:
                raise unfit("ACTION_DOES_NOT_MATCH_INTENT")

            def decide(turn: Turn) -> Answer:
                taken = self.orders.take(order_id, source, turn)
                return self._said(201, taken, turn, minimal=_minimal(request))

            method = kept["method"] if source is None else source.method
            return Plan(decide, scenarios.mishap(method, "continue"), _payment_of(order.reference))

        return await self._once(request, "continue", plan, raw, _ORDER_KEY_S)

    async def capture(self, request: web.Request) -> web.StreamResponse:
        raw, paypal_id = await request.read(), request.match_info["id"]
        return await self._later(
            request,
            "capture",
            "authorization",
            raw,
            lambda turn: self._said(
                201, self.payments.capture(paypal_id, wire.money(raw), turn), turn, minimal=_minimal(request)
            ),
        )

    async def refund(self, request: web.Request) -> web.StreamResponse:
        raw, paypal_id = await request.read(), request.match_info["id"]
        return await self._later(
            request,
            "refund",
            "capture",
            raw,
            lambda turn: self._said(
                201, self.payments.refund(paypal_id, wire.money(raw), turn), turn, minimal=_minimal(request)
            ),
        )

    async def void(self, request: web.Request) -> web.StreamResponse:
        raw, paypal_id = await request.read(), request.match_info["id"]
        operation = operation_named(request)

        def decide(turn: Turn) -> Answer:
            voided = self.payments.void(paypal_id, operation, turn)
            return Answer(204, b"") if _minimal(request) else self._said(200, voided, turn, minimal=False)

        return await self._later(request, "cancel", "authorization", raw, decide)

    async def reauthorize(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()

        def decide(turn: Turn) -> Answer:
            raise unfit("REAUTHORIZATION_NOT_SUPPORTED")

        return await self._later(request, "capture", "authorization", raw, decide)

    async def get_order(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            order = self.store.order(turn.account.name, request.match_info["id"])
            return self._said(200, order, turn, minimal=False)

        return await self.front.read(request, "get", decide)

    async def get_payment(self, request: web.Request) -> web.StreamResponse:
        kind, paypal_id = request.match_info["part"].removesuffix("s"), request.match_info["id"]

        def decide(turn: Turn) -> Answer:
            one = self.store.payment(turn.account.name, kind, paypal_id)
            return self._said(200, one, turn, minimal=False)

        return await self.front.read(request, "get", decide)

    async def verify(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()

        def decide(turn: Turn) -> Answer:
            right = hooks.verifies(raw, self.signer)
            return Answer.json(200, {"verification_status": "SUCCESS" if right else "FAILURE"})

        return await self.front.read(request, "get", decide, call=hashlib.sha256(raw).hexdigest())

    async def _later(
        self, request: web.Request, on: On, kind: str, raw: bytes, decide: Callable[[Turn], Answer]
    ) -> web.StreamResponse:
        """`kind`: of the payment that it acts on."""

        def plan() -> Plan:
            one = self.store.payment(request[ACCOUNT].name, kind, request.match_info["id"])
            order = self.store.order_of(one)
            method = orjson.loads(order.data)["method"]
            return Plan(decide, scenarios.mishap(method, on), _payment_of(order.reference))

        return await self._once(request, on, plan, raw, None if on == "cancel" else _PAYMENT_KEY_S)

    async def _once(
        self, request: web.Request, on: On, plan: Callable[[], Plan], raw: bytes, life_s: float | None
    ) -> web.StreamResponse:
        """`life_s` None: it takes no key."""
        wire.mock(request.headers.get("PayPal-Mock-Response"))
        key, keyed = request.headers.get("PayPal-Request-Id"), None
        if key is not None and life_s is not None:
            if not 0 < len(key) <= _KEY_MAX:
                raise invalid("PayPal-Request-Id", "INVALID_STRING_LENGTH")
            print_of = hashlib.sha256(f"{request.method} {request.path}\n".encode() + raw).hexdigest()
            keyed = Keyed(key, print_of, life_s)
        return await self.front.once(request, on, plan, keyed)

    def _said(self, status: int, one: Object, turn: Turn, *, minimal: bool) -> Answer:
        view = View(turn.origin, turn.do)
        said = view.order(one, self.store.inside(one)) if one.kind == "order" else view.payment(one)
        if minimal:
            said = {name: value for name, value in said.items() if name in MINIMAL}
        return Answer.json(status, said, one.id)


def _minimal(request: web.Request) -> bool:
    return request.headers.get("Prefer", _MINIMAL) == _MINIMAL


def _payment_of(reference: str | None) -> str | None:
    return (reference or "").partition("-")[0] or None
