"""A PSP of the tests, as small as can be: what its repeats are answered is how the payment is now."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from gateways.simulator import ids
from gateways.simulator.accounts import Account
from gateways.simulator.front import Front
from gateways.simulator.psp import (
    JSON,
    Answer,
    Entry,
    Group,
    Keyed,
    Option,
    Plan,
    Psp,
    Refusal,
    Signed,
    Trouble,
    Turn,
)
from gateways.simulator.rows import Hook, Moved, Object, StoredAnswer

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

    def trouble(self, what: Trouble, request: web.Request) -> Answer:
        return Answer.json(_STATUS[what], {"error": what})

    def finish(self, request: web.Request, answer: web.StreamResponse, *, replayed: bool) -> None:
        answer.headers["X-Toy"] = "replayed" if replayed else "first"

    def replay(self, keyed: Keyed, stored: StoredAnswer, turn: Turn) -> Answer:
        one = self.front.ledger.one(NAME, stored.about or "")
        return Answer(stored.status, stored.body) if one is None else _answer(one, turn)

    def sign(self, hook: Hook, account: Account, now: float, *, forged: bool) -> Signed:
        secret = account.webhook_secret[::-1] if forged else account.webhook_secret
        mac = hmac.new(secret.encode(), hook.body, hashlib.sha256).hexdigest()
        return Signed(hook.body, {"Content-Type": JSON, "X-Signature": mac})

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

    def _paid(self, raw: bytes, turn: Turn) -> Answer:
        asked = orjson.loads(raw)
        ledger, minor = self.front.ledger, asked["minor"]
        one = Object(
            NAME,
            f"pay_{ids.letters(turn.now)}",
            turn.account.name,
            "payment",
            "held",
            minor,
            "EUR",
            turn.now,
            reference=asked.get("reference"),
            authorized=minor,
            capture_limit=minor,
            may_move=bool(asked.get("open")),
            settles_at=turn.now + asked["open"] if asked.get("open") else None,
        )
        one = ledger.move(ledger.add(one), [Moved("authorized", one.id, one.reference, minor)], turn.now)
        self._tell("held", one, turn)
        if asked.get("refuse"):
            raise Refusal(Answer.json(400, {"error": "as asked"}))
        return _answer(one, turn)

    async def capture(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            one = self._known(request, turn)
            one = one._replace(status="captured", captured=one.minor)
            one = self.front.ledger.move(one, [Moved("captured", one.id, one.reference, one.minor)], turn.now)
            self._tell("captured", one, turn)
            return _answer(one, turn)

        return await self.front.once(request, "capture", lambda: Plan(decide))

    async def get(self, request: web.Request) -> web.StreamResponse:
        return await self.front.read(request, "get", lambda turn: _answer(self._known(request, turn), turn))

    async def search(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            found = self.front.ledger.find(
                NAME, turn.account.name, reference=request.query["reference"], listed_at=turn.now
            )
            return Answer.json(200, [] if turn.do == "absent" else [one.id for one in found])

        return await self.front.read(request, "search", decide)

    def _known(self, request: web.Request, turn: Turn) -> Object:
        one = self.front.ledger.one(NAME, request.match_info["id"])
        if one is None or one.account != turn.account.name:
            raise Refusal(Answer.json(404, {"error": "no such payment"}))
        return one

    def _tell(self, kind: str, one: Object, turn: Turn) -> None:
        body = orjson.dumps({"type": kind, "id": one.id, "reference": one.reference})
        self.front.hooks.tell(turn.account, ids.letters(turn.now), kind, one.reference or one.id, body)


def _answer(one: Object, turn: Turn) -> Answer:
    status = one.earlier or "unknown yet" if turn.do == "flap" else one.status
    minor = one.minor + 100 if turn.do == "wrong_amount" else one.minor
    shown: dict[str, Any] = {"id": one.id, "status": status, "minor": minor}
    return Answer.json(200, shown, one.id)


PSP = Psp(
    name=NAME,
    title="Toy",
    version="1",
    default=Account(NAME, NAME, "toy-secret", "toy-login", webhook_secret="toy-hooks"),
    open=Toy,
    credentials="Login and secret.",
    webhooks="held, captured",
    groups=[Group("Cards", [Entry("<any>", "success")])],
    options={"speed": Option("fast|slow", "how fast")},
)
