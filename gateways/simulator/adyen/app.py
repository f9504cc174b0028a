"""Adyen at the simulator: the calls of Checkout v72 that the adapter makes, and the page of 3-D Secure."""

import hashlib
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from aiohttp import web

from gateways.simulator.accounts import Account
from gateways.simulator.adyen import events, wire
from gateways.simulator.adyen.disputes import Disputes
from gateways.simulator.adyen.events import Events
from gateways.simulator.adyen.modifications import Modifications
from gateways.simulator.adyen.payments import Payments, scenario_of
from gateways.simulator.adyen.wire import GATEWAY, Modification
from gateways.simulator.faults import Mishap, On
from gateways.simulator.front import ACCOUNT, Front
from gateways.simulator.psp import Answer, Keyed, Plan, Refusal, Signed, Trouble, Turn
from gateways.simulator.rows import Hook, StoredAnswer

_PAYMENTS: Final = "/v72/payments"
_KEY_LIFE_S: Final = 7 * 24 * 3600
_KEY_MAX: Final = 64
_TRANSIENT: Final = {"Transient-Error": "true"}
_TROUBLES: Final[dict[Trouble, Answer]] = {
    "unauthorized": wire.error(401, "000", "HTTP Status Response - Unauthorized", "security"),
    "not_found": wire.error(404, "000", "Not found"),
    "too_large": wire.error(413, "000", "Request too large"),
    "rate_limited": wire.error(429, "000", "Too many requests", "security"),
    "broken": wire.error(500, "905", "Internal error", "internal"),
    "unavailable": wire.error(503, "905", "Service unavailable", "internal", **_TRANSIENT),
    "key_in_use": wire.error(409, "704", "request already processed or in progress", **_TRANSIENT),
    "key_conflict": wire.error(422, "704", "request already processed or in progress"),
}

Asks = Callable[[bytes, Account], Modification]
Does = Callable[[str, Modification, Turn], Answer]


@dataclass(slots=True)
class Adyen:
    front: Front
    payments: Payments
    modifications: Modifications
    disputes: Disputes

    @classmethod
    def open(cls, front: Front) -> "Adyen":
        told = Events(front.hooks, front.accounts)
        disputes = Disputes(front.ledger, told)
        payments = Payments(front.ledger, front.accounts, told, front.spent)
        return cls(front, payments, Modifications(front.ledger, payments, told, disputes), disputes)

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return (
            web.post(_PAYMENTS, self.create),
            web.post(f"{_PAYMENTS}/details", self.details),
            web.post(f"{_PAYMENTS}/{{id}}/captures", self.capture),
            web.post(f"{_PAYMENTS}/{{id}}/cancels", self.cancel),
            web.post(f"{_PAYMENTS}/{{id}}/refunds", self.refund),
            web.post(f"{_PAYMENTS}/{{id}}/reversals", self.reverse),
            web.post("/v72/cancels", self.technical_cancel),
        )

    def pages(self) -> Sequence[web.AbstractRouteDef]:
        return (
            web.get("/3d-secure/{id}/{page}", self.show_page),
            web.post("/3d-secure/{id}/{page}", self.answer_page),
        )

    def admit(self, request: web.Request) -> Account | None:
        return self.front.accounts.admitted(GATEWAY, request.headers.get("X-API-Key", ""))

    def trouble(self, what: Trouble, request: web.Request) -> Answer:
        return _TROUBLES[what]

    def finish(self, request: web.Request, answer: web.StreamResponse, *, replayed: bool) -> None:
        key = request.headers.get("Idempotency-Key", "")
        if key.isascii() and key.isprintable() and 0 < len(key) <= _KEY_MAX:
            answer.headers["Idempotency-Key"] = key

    def replay(self, keyed: Keyed, stored: StoredAnswer, turn: Turn) -> Answer:
        return Answer(stored.status, stored.body)

    def sign(self, hook: Hook, account: Account, now: float, *, forged: bool) -> Signed:
        return events.sign(hook, account, forged=forged)

    def settle(self, now: float) -> None:
        for one in self.front.ledger.due_to_settle(GATEWAY, now):
            with self.front.ledger.writing():
                match one.kind:
                    case "payment":
                        self.payments.settle(one, now)
                    case "dispute":
                        self.disputes.settle(one, now)
                    case _:
                        self.modifications.settle(one, now)

    async def create(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()

        def plan() -> Plan:
            asked = wire.pay(raw, request[ACCOUNT])
            scenario = asked.scenario
            if scenario.trouble == "no_connection":
                raise Refusal(wire.error(500, "905", "NO_CONNECTION_AVAILABLE", "internal", **_TRANSIENT))
            mishap = scenario.mishap if scenario.on == "create" else None
            return Plan(lambda turn: self.payments.create(asked, turn), mishap, asked.payment)

        return await self.front.once(request, "create", plan, _keyed(request, raw))

    async def details(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()

        def plan() -> Plan:
            result = wire.redirect_result(raw)
            return Plan(lambda turn: self.payments.details(result, turn))

        return await self.front.once(request, "continue", plan, _keyed(request, raw))

    async def capture(self, request: web.Request) -> web.StreamResponse:
        return await self._modify(request, "capture", wire.with_amount, self.modifications.capture)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        return await self._modify(request, "cancel", wire.without_amount, self.modifications.cancel)

    async def refund(self, request: web.Request) -> web.StreamResponse:
        return await self._modify(request, "refund", wire.with_amount, self.modifications.refund)

    async def reverse(self, request: web.Request) -> web.StreamResponse:
        return await self._modify(request, "cancel", wire.without_amount, self.modifications.reverse)

    async def technical_cancel(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()

        def plan() -> Plan:
            paid, asked = wire.technical_cancel(raw, request[ACCOUNT])
            payment = paid.partition("-")[0]
            return Plan(lambda turn: self.modifications.technical_cancel(paid, asked, turn), payment=payment)

        return await self.front.once(request, "cancel", plan, _keyed(request, raw))

    async def _modify(self, request: web.Request, on: On, asks: Asks, does: Does) -> web.StreamResponse:
        raw, psp_id = await request.read(), request.match_info["id"]

        def plan() -> Plan:
            asked = asks(raw, request[ACCOUNT])
            return Plan(lambda turn: does(psp_id, asked, turn), self._mishap(psp_id, on), psp_id)

        return await self.front.once(request, on, plan, _keyed(request, raw))

    def _mishap(self, psp_id: str, on: On) -> Mishap | None:
        """What the payment's token makes go wrong with the calls after it."""
        one = self.front.ledger.one(GATEWAY, psp_id)
        if one is None or one.kind != "payment":
            return None
        scenario = scenario_of(one)
        return scenario.mishap if scenario.on == on else None

    async def show_page(self, request: web.Request) -> web.StreamResponse:
        one = self.payments.challenged(request.match_info["id"], request.match_info["page"])
        if one is None:
            raise web.HTTPNotFound
        text = (
            f"<!doctype html><title>3-D Secure</title><h1>3-D Secure</h1><p>{one.minor} minor units of"
            f" {html.escape(one.currency)}</p><form method=post>"
            "<button name=result value=pass>Authenticate</button> "
            "<button name=result value=fail>Refuse</button></form>"
        )
        return web.Response(text=text, content_type="text/html")

    async def answer_page(self, request: web.Request) -> web.StreamResponse:
        one = self.payments.challenged(request.match_info["id"], request.match_info["page"])
        if one is None:
            raise web.HTTPNotFound
        result = parse_qs((await request.read()).decode("utf-8", errors="replace")).get("result")
        raise web.HTTPSeeOther(self.payments.answer_the_page(one, passed=result == ["pass"]))


def _keyed(request: web.Request, raw: bytes) -> Keyed | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not (0 < len(key) <= _KEY_MAX and key.isascii()):
        raise wire.refused(422, "702", "Idempotency-Key has at most 64 characters")
    said = f"{request.path}\n".encode() + raw
    return Keyed(key, hashlib.sha256(said).hexdigest(), _KEY_LIFE_S)
