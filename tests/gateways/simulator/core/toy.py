"""A PSP of the tests, as small as can be: the response to a repeat shows how the payment is now."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from gateways.simulator.core import ids
from gateways.simulator.core.accounts import Account
from gateways.simulator.core.front import Front
from gateways.simulator.core.psp import (
    JSON,
    DashboardAction,
    Entry,
    ErrorKind,
    Group,
    Keyed,
    Option,
    Plan,
    Psp,
    Refusal,
    Response,
    Signed,
    Turn,
)
from gateways.simulator.core.rows import Moved, Object, StoredResult, Webhook

NAME = "toy"
_STATUS = {
    "unauthorized": 401,
    "not_found": 404,
    "too_large": 413,
    "rate_limited": 429,
    "broken": 500,
    "unavailable": 503,
    "key_in_use": 409,
    "key_conflict": 422,
}


@dataclass(slots=True)
class Toy:
    front: Front

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return (
            web.post("/pay", self.pay),
            web.post("/pay/{id}/capture", self.capture),
            web.get("/pay/{id}", self.get),
            web.get("/pay", self.search),
        )

    def pages(self) -> Sequence[web.AbstractRouteDef]:
        return ()

    def admit(self, request: web.Request) -> Account | None:
        login, _, secret = request.headers.get("X-Key", "").partition(":")
        return self.front.accounts.admitted(NAME, secret, login)

    def error_response(self, kind: ErrorKind, request: web.Request) -> Response:
        return Response.json(_STATUS[kind], {"error": kind})

    def finish(self, request: web.Request, response: web.StreamResponse, *, replayed: bool) -> None:
        response.headers["X-Toy"] = "replayed" if replayed else "first"

    def replay(self, keyed: Keyed, stored: StoredResult, turn: Turn) -> Response:
        one = self.front.ledger.one(NAME, stored.about or "")
        return Response(stored.status, stored.body) if one is None else _respond(one, turn)

    def dashboard(self, action: DashboardAction, turn: Turn) -> None:
        raise AssertionError("the toy has no dashboard")

    def sign(self, webhook: Webhook, account: Account, now: float, *, forged: bool) -> Signed:
        secret = account.webhook_secret[::-1] if forged else account.webhook_secret
        mac = hmac.new(secret.encode(), webhook.body, hashlib.sha256).hexdigest()
        return Signed(webhook.body, {"Content-Type": JSON, "X-Signature": mac})

    def settle(self, now: float) -> None:
        for one in self.front.ledger.due_to_settle(NAME, now):
            self.front.ledger.change(one._replace(status="expired", settles_at=None, may_move=False))

    async def pay(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        key = request.headers.get("X-Once")
        keyed = Keyed(key, hashlib.sha256(raw).hexdigest(), 3600) if key else None
        return await self.front.once(
            request, "create", lambda: Plan(lambda turn: self._paid(raw, turn)), keyed
        )

    def _paid(self, raw: bytes, turn: Turn) -> Response:
        params = orjson.loads(raw)
        ledger, mills = self.front.ledger, params["minor"] * 10
        one = Object(
            NAME,
            f"pay_{ids.letters(turn.now)}",
            turn.account.name,
            "payment",
            "held",
            mills,
            "EUR",
            turn.now,
            reference=params.get("reference"),
            authorized=mills,
            capture_limit=mills,
            may_move=bool(params.get("open")),
            settles_at=turn.now + params["open"] if params.get("open") else None,
        )
        one = ledger.move(ledger.add(one), [Moved("authorized", one.id, one.reference, mills)], turn.now)
        self._tell("held", one, turn)
        if params.get("refuse"):
            raise Refusal(Response.json(400, {"error": "as requested"}))
        return _respond(one, turn)

    async def capture(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Response:
            one = self._known(request, turn)
            one = one._replace(status="captured", captured=one.mills)
            one = self.front.ledger.move(one, [Moved("captured", one.id, one.reference, one.mills)], turn.now)
            self._tell("captured", one, turn)
            return _respond(one, turn)

        return await self.front.once(request, "capture", lambda: Plan(decide))

    async def get(self, request: web.Request) -> web.StreamResponse:
        return await self.front.read(request, "get", lambda turn: _respond(self._known(request, turn), turn))

    async def search(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Response:
            found = self.front.ledger.find(
                NAME, turn.account.name, reference=request.query["reference"], listed_at=turn.now
            )
            return Response.json(200, [] if turn.do == "absent" else [one.id for one in found])

        return await self.front.read(request, "search", decide)

    def _known(self, request: web.Request, turn: Turn) -> Object:
        one = self.front.ledger.one(NAME, request.match_info["id"])
        if one is None or one.account != turn.account.name:
            raise Refusal(Response.json(404, {"error": "no such payment"}))
        return one

    def _tell(self, kind: str, one: Object, turn: Turn) -> None:
        body = orjson.dumps({"type": kind, "id": one.id, "reference": one.reference})
        self.front.webhooks.store(turn.account, ids.letters(turn.now), kind, one.reference or one.id, body)


def _respond(one: Object, turn: Turn) -> Response:
    status = one.earlier or "unknown yet" if turn.do == "flap" else one.status
    minor = one.mills // 10 + (100 if turn.do == "wrong_amount" else 0)
    shown: dict[str, Any] = {"id": one.id, "status": status, "minor": minor}
    return Response.json(200, shown, one.id)


PSP = Psp(
    name=NAME,
    title="Toy",
    version="1",
    default=Account(NAME, NAME, "toy-secret", "toy-login", webhook_secret="toy-webhooks"),
    open=Toy,
    credentials="Login and secret.",
    webhooks="held, captured",
    groups=[Group("Cards", [Entry("<any>", "success")])],
    options={"speed": Option("fast|slow", "how fast")},
)
