"""Razorpay at the simulator: its calls for orders, payments and refunds."""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from aiohttp import web

from gateways.simulator.accounts import Account
from gateways.simulator.faults import On
from gateways.simulator.front import ACCOUNT, Front
from gateways.simulator.psp import Answer, Decide, Keyed, Plan, Signed, Trouble, Turn, operation_named
from gateways.simulator.razorpay import disputes, entities, events, wire
from gateways.simulator.razorpay.bank import Bank
from gateways.simulator.razorpay.entities import GATEWAY, data_of
from gateways.simulator.razorpay.events import Events
from gateways.simulator.razorpay.payments import Payments
from gateways.simulator.razorpay.refunds import Refunds
from gateways.simulator.razorpay.scenarios import TOKENS
from gateways.simulator.rows import Hook, Object, StoredAnswer

_KEY_LIFE_S: Final = 24 * 3600
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{10,}")
_COUNT_MAX: Final = 100
_TROUBLE: Final[dict[Trouble, Answer]] = {
    "unauthorized": wire.error(401, "Authentication failed"),
    "not_found": wire.error(404, "The requested URL was not found on the server."),
    "too_large": wire.error(413, "The request is too large."),
    "rate_limited": wire.error(429, "Request failed: too many requests."),
    "broken": wire.error(
        500, "We are facing some trouble completing your request.", code="SERVER_ERROR", reason="server_error"
    ),
    "unavailable": wire.error(
        503, "The server is not available at present.", code="SERVER_ERROR", reason="server_error"
    ),
    "key_in_use": wire.error(409, "Request failed because another one with this key is in progress."),
    "key_conflict": wire.error(400, "Different request with the same idempotency key was made before."),
}


@dataclass(slots=True)
class Razorpay:
    front: Front
    payments: Payments
    refunds: Refunds

    @classmethod
    def open(cls, front: Front) -> "Razorpay":
        payments = Payments(front, Events(front.hooks, front.accounts))
        return cls(front, payments, Refunds(payments))

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return (
            web.post("/v1/orders", self.order),
            web.get("/v1/orders", self.orders),
            web.get("/v1/orders/{id}", self.get_order),
            web.get("/v1/orders/{id}/payments", self.payments_of_order),
            web.post("/v1/payments/create/json", self.pay),
            web.get("/v1/payments/{id}", self.get_payment),
            web.post("/v1/payments/{id}/capture", self.capture),
            web.post("/v1/payments/{id}/refund", self.refund),
            web.get("/v1/payments/{id}/refunds", self.refunds_of_payment),
            web.get("/v1/payments/{payment}/refunds/{id}", self.get_refund),
            web.get("/v1/refunds/{id}", self.get_refund),
        )

    def pages(self) -> Sequence[web.AbstractRouteDef]:
        bank = Bank(self.front, self.payments)
        return (web.get("/bank/{id}/{secret}", bank.ask), web.post("/bank/{id}/{secret}", bank.answer))

    def admit(self, request: web.Request) -> Account | None:
        scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
        try:
            key_id, _, secret = b64decode(pair, validate=True).decode().partition(":")
        except (NotBase64, UnicodeError):
            return None
        account = self.front.accounts.admitted(GATEWAY, secret, key_id)
        return account if scheme.lower() == "basic" else None

    def trouble(self, what: Trouble, request: web.Request) -> Answer:
        return _TROUBLE[what]

    def finish(self, request: web.Request, answer: web.StreamResponse, *, replayed: bool) -> None:
        """Razorpay's answers have no headers of their own."""

    def replay(self, keyed: Keyed, stored: StoredAnswer, turn: Turn) -> Answer:
        return Answer(stored.status, stored.body)

    def sign(self, hook: Hook, account: Account, now: float, *, forged: bool) -> Signed:
        return events.sign(hook, account, forged=forged)

    def settle(self, now: float) -> None:
        for due in self.front.ledger.due_to_settle(GATEWAY, now):
            with self.front.ledger.writing():
                match due.kind:
                    case "payment":
                        self.payments.go_on(due, now)
                    case "refund":
                        self.refunds.go_on(due, now)
                    case _:
                        disputes.go_on(self.front.ledger, self.payments.events, due, now)

    async def order(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        asked = wire.order(raw)

        def plan() -> Plan:
            return Plan(lambda turn: self.payments.order(asked, turn), payment=_payment(asked.receipt))

        return await self.front.once(request, "create", plan, call=asked.receipt or "")

    async def pay(self, request: web.Request) -> web.StreamResponse:
        asked = wire.payment(await request.read())

        def plan() -> Plan:
            order = self.payments.known(request[ACCOUNT], asked.order_id, "order", field="order_id")
            return _of_token(order, asked.token, "continue", lambda turn: self.payments.create(asked, turn))

        return await self.front.once(request, "continue", plan, call=asked.order_id)

    async def capture(self, request: web.Request) -> web.StreamResponse:
        asked = wire.capture(await request.read())
        operation = operation_named(request)

        def plan() -> Plan:
            one = self.payments.known(request[ACCOUNT], request.match_info["id"], "payment")
            token = data_of(one)["token"]
            return _of_token(
                one, token, "capture", lambda turn: self.payments.capture(one, asked, operation, turn)
            )

        return await self.front.once(request, "capture", plan)

    async def refund(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        payment_id, key = request.match_info["id"], request.headers.get("X-Refund-Idempotency")
        if key is not None and _KEY.fullmatch(key) is None:
            raise wire.invalid("The idempotency key has to have 10 characters or more, of A-Z a-z 0-9 - _")
        keyed = None if key is None else Keyed(key, sha256(raw).hexdigest(), _KEY_LIFE_S, payment_id)

        def plan() -> Plan:
            asked = wire.refund(raw)
            one = self.payments.known(request[ACCOUNT], payment_id, "payment")
            token = data_of(one)["token"]
            return _of_token(one, token, "refund", lambda turn: self.refunds.create(payment_id, asked, turn))

        return await self.front.once(request, "refund", plan, keyed)

    async def orders(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            receipt, ledger = request.query.get("receipt"), self.front.ledger
            found = ledger.find(
                GATEWAY, turn.account.name, kind="order", reference=receipt, limit=_count(request)
            )
            if receipt is not None:
                until = turn.now - self.front.weather.search_lag_s
                found = [] if turn.do == "absent" else [one for one in found if one.created <= until]
            expand = "payments" in request.query.getall("expand[]", [])
            shown = [entities.order(one, self.payments.of_order(one) if expand else None) for one in found]
            return Answer.json(200, entities.collection(shown))

        return await self.front.read(request, "search", decide)

    async def get_order(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            return Answer.json(200, entities.order(self._known(request, turn, "order")))

        return await self.front.read(request, "get", decide)

    async def payments_of_order(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            order = self._known(request, turn, "order")
            shown = [entities.payment(_seen(one, turn)) for one in self.payments.of_order(order)]
            return Answer.json(200, entities.collection(shown))

        return await self.front.read(request, "get", decide)

    async def get_payment(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            one = self._known(request, turn, "payment")
            return Answer.json(200, entities.payment(_seen(one, turn)))

        return await self.front.read(request, "get", decide)

    async def refunds_of_payment(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            one, count = self._known(request, turn, "payment"), _count(request)
            found = self.front.ledger.find(GATEWAY, one.account, kind="refund", parent=one.id, limit=count)
            return Answer.json(200, entities.collection([entities.refund(_seen(r, turn)) for r in found]))

        return await self.front.read(request, "get", decide)

    async def get_refund(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            one = self._known(request, turn, "refund")
            return Answer.json(200, entities.refund(_seen(one, turn)))

        return await self.front.read(request, "get", decide)

    def _known(self, request: web.Request, turn: Turn, kind: str) -> Object:
        self.settle(turn.now)
        return self.payments.known(turn.account, request.match_info["id"], kind)


def _seen(one: Object, turn: Turn) -> Object:
    if turn.do != "flap":
        return one
    return entities.as_it_was(one, "created" if one.kind == "payment" else "pending")


def _of_token(one: Object, token: str, on: On, decide: Decide) -> Plan:
    scenario = TOKENS[token]
    return Plan(decide, scenario.mishap if scenario.on == on else None, _payment(one.reference))


def _payment(reference: str | None) -> str | None:
    """What all attempts at one payment have in common."""
    return (reference or "").partition("-")[0] or None


def _count(request: web.Request) -> int:
    text = request.query.get("count", "10")
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _COUNT_MAX):
        raise wire.invalid("The count must be between 1 and 100.", field="count")
    return int(text)
