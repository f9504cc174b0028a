"""Razorpay at the simulator: its calls for orders, payments and refunds."""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from aiohttp import web

from gateways.simulator.core.accounts import Account
from gateways.simulator.core.faults import On, fault_at
from gateways.simulator.core.front import ACCOUNT, Front
from gateways.simulator.core.psp import (
    DashboardAction,
    Decide,
    ErrorKind,
    Keyed,
    Plan,
    Response,
    Signed,
    Turn,
    operation_named,
    payment_of,
)
from gateways.simulator.core.rows import Object, StoredResult, Webhook
from gateways.simulator.razorpay import disputes, entities, events, wire
from gateways.simulator.razorpay.bank import Bank
from gateways.simulator.razorpay.entities import GATEWAY, data_of
from gateways.simulator.razorpay.events import Events
from gateways.simulator.razorpay.payments import Payments
from gateways.simulator.razorpay.refunds import Refunds
from gateways.simulator.razorpay.scenarios import TOKENS

_KEY_LIFE_S: Final = 24 * 3600
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{10,}")
_COUNT_MAX: Final = 100
_ERRORS: Final[dict[ErrorKind, Response]] = {
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
    """Razorpay's dialect: orders, payments and refunds of API v1."""

    front: Front
    payments: Payments
    refunds: Refunds

    @classmethod
    def open(cls, front: Front) -> "Razorpay":
        """Builds the dialect on the front's ledger, accounts and webhooks."""
        payments = Payments(front, Events(front.webhooks, front.accounts))
        return cls(front, payments, Refunds(payments))

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """The calls of API v1 that a merchant's server makes."""
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
        """The page of the customer's bank, by an address that only the payment's response has."""
        bank = Bank(self.front, self.payments)
        return (web.get("/bank/{id}/{secret}", bank.show), web.post("/bank/{id}/{secret}", bank.take_otp))

    def admit(self, request: web.Request) -> Account | None:
        """The account that signs in with the key id and the secret (Basic), else None."""
        scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
        try:
            key_id, _, secret = b64decode(pair, validate=True).decode().partition(":")
        except (NotBase64, UnicodeError):
            return None
        account = self.front.accounts.admitted(GATEWAY, secret, key_id)
        return account if scheme.lower() == "basic" else None

    def error_response(self, kind: ErrorKind, request: web.Request) -> Response:
        """Razorpay's error object."""
        return _ERRORS[kind]

    def finish(self, request: web.Request, response: web.StreamResponse, *, replayed: bool) -> None:
        """Razorpay's responses have no headers of their own."""

    def replay(self, keyed: Keyed, stored: StoredResult, turn: Turn) -> Response:
        """The stored response as it was: Razorpay shows no later state."""
        return Response(stored.status, stored.body)

    def sign(self, webhook: Webhook, account: Account, now: float, *, forged: bool) -> Signed:
        """The event, with the HMAC of its body."""
        return events.sign(webhook, account, forged=forged)

    def dashboard(self, action: DashboardAction, turn: Turn) -> None:
        """Captures or refunds as the dashboard does. Raises `Refusal` for a cancel, which Razorpay does not
        have."""
        ledger, account = self.front.ledger, turn.account.name
        found = ledger.find(GATEWAY, account, kind="payment", reference=action.reference, limit=1)
        if not found or action.do == "cancel":
            raise wire.invalid("There is no such payment, or Razorpay has no cancel")
        if action.do == "capture":
            self.payments.capture_in_dashboard(found[0], turn.now)
        else:
            params = wire.Refund(action.minor, None, {}, "normal")
            self.refunds.create(found[0].id, params, turn)

    def settle(self, now: float) -> None:
        """Ends challenges and holds whose time is over, and moves refunds and disputes on."""
        for due in self.front.ledger.due_to_settle(GATEWAY, now):
            with self.front.ledger.writing():
                match due.kind:
                    case "payment":
                        self.payments.go_on(due, now)
                    case "refund":
                        self.refunds.go_on(due, now)
                    case _:
                        disputes.go_on(self.front, self.payments.events, due, now)

    async def order(self, request: web.Request) -> web.StreamResponse:
        """Creates an order. It has no key: two calls make two orders."""
        raw = await request.read()
        params = wire.order(raw)

        def plan() -> Plan:
            return Plan(lambda turn: self.payments.order(params, turn), payment=payment_of(params.receipt))

        return await self.front.once(request, "create", plan, call=params.receipt or "")

    async def pay(self, request: web.Request) -> web.StreamResponse:
        """Pays an order with a token (server to server): authorized, failed, or waiting for the bank."""
        params = wire.payment(await request.read())

        def plan() -> Plan:
            order = self.payments.known(request[ACCOUNT], params.order_id, "order", field="order_id")
            return _of_token(order, params.token, "continue", lambda turn: self.payments.create(params, turn))

        return await self.front.once(request, "continue", plan, call=params.order_id)

    async def capture(self, request: web.Request) -> web.StreamResponse:
        """Captures an authorized payment, whole; `X-Request-Id` names the operation of AegisPay's."""
        params = wire.capture(await request.read())
        operation = operation_named(request)

        def plan() -> Plan:
            one = self.payments.known(request[ACCOUNT], request.match_info["id"], "payment")
            token = data_of(one)["token"]
            return _of_token(
                one, token, "capture", lambda turn: self.payments.capture(one, params, operation, turn)
            )

        return await self.front.once(request, "capture", plan)

    async def refund(self, request: web.Request) -> web.StreamResponse:
        """Refunds all or a part; the only call that takes a key, unique within the payment."""
        raw = await request.read()
        payment_id, key = request.match_info["id"], request.headers.get("X-Refund-Idempotency")
        if key is not None and _KEY.fullmatch(key) is None:
            raise wire.invalid("The idempotency key has to have 10 characters or more, of A-Z a-z 0-9 - _")
        keyed = None if key is None else Keyed(key, sha256(raw).hexdigest(), _KEY_LIFE_S, payment_id)

        def plan() -> Plan:
            params = wire.refund(raw)
            one = self.payments.known(request[ACCOUNT], payment_id, "payment")
            token = data_of(one)["token"]
            return _of_token(one, token, "refund", lambda turn: self.refunds.create(payment_id, params, turn))

        return await self.front.once(request, "refund", plan, keyed)

    async def orders(self, request: web.Request) -> web.StreamResponse:
        """Lists the account's orders, or searches them by receipt; the search has the lag of the
        conditions."""

        def decide(turn: Turn) -> Response:
            receipt, ledger = request.query.get("receipt"), self.front.ledger
            found = ledger.find(
                GATEWAY, turn.account.name, kind="order", reference=receipt, limit=_count(request)
            )
            if receipt is not None:
                until = turn.now - self.front.conditions.search_lag_s
                found = [] if turn.do == "absent" else [one for one in found if one.created <= until]
            expand = "payments" in request.query.getall("expand[]", [])
            shown = [entities.order(one, self.payments.of_order(one) if expand else None) for one in found]
            return Response.json(200, entities.collection(shown))

        return await self.front.read(request, "search", decide)

    async def get_order(self, request: web.Request) -> web.StreamResponse:
        """Shows an order."""

        def decide(turn: Turn) -> Response:
            return Response.json(200, entities.order(self._known(request, turn, "order")))

        return await self.front.read(request, "get", decide)

    async def payments_of_order(self, request: web.Request) -> web.StreamResponse:
        """Lists the payments of an order."""

        def decide(turn: Turn) -> Response:
            order = self._known(request, turn, "order")
            shown = [entities.payment(_seen(one, turn)) for one in self.payments.of_order(order)]
            return Response.json(200, entities.collection(shown))

        return await self.front.read(request, "get", decide)

    async def get_payment(self, request: web.Request) -> web.StreamResponse:
        """Shows a payment."""

        def decide(turn: Turn) -> Response:
            one = self._known(request, turn, "payment")
            return Response.json(200, entities.payment(_seen(one, turn)))

        return await self.front.read(request, "get", decide)

    async def refunds_of_payment(self, request: web.Request) -> web.StreamResponse:
        """Lists the refunds of a payment, newest first."""

        def decide(turn: Turn) -> Response:
            one, count = self._known(request, turn, "payment"), _count(request)
            found = self.front.ledger.find(GATEWAY, one.account, kind="refund", parent=one.id, limit=count)
            return Response.json(200, entities.collection([entities.refund(_seen(r, turn)) for r in found]))

        return await self.front.read(request, "get", decide)

    async def get_refund(self, request: web.Request) -> web.StreamResponse:
        """Shows a refund."""

        def decide(turn: Turn) -> Response:
            one = self._known(request, turn, "refund")
            return Response.json(200, entities.refund(_seen(one, turn)))

        return await self.front.read(request, "get", decide)

    def _known(self, request: web.Request, turn: Turn, kind: str) -> Object:
        self.settle(turn.now)
        return self.payments.known(turn.account, request.match_info["id"], kind)


def _seen(one: Object, turn: Turn) -> Object:
    if turn.do != "flap":
        return one
    return entities.as_it_was(one, "created" if one.kind == "payment" else "pending")


def _of_token(one: Object, token: str, on: On, decide: Decide) -> Plan:
    return Plan(decide, fault_at(TOKENS[token].fault, on), payment_of(one.reference))


def _count(request: web.Request) -> int:
    text = request.query.get("count", "10")
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _COUNT_MAX):
        raise wire.invalid("The count must be between 1 and 100.", field="count")
    return int(text)
