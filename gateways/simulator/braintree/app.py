"""Braintree at the simulator: one address, at which GraphQL is asked."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import web

from gateways.simulator.accounts import Account
from gateways.simulator.braintree import shown, wire
from gateways.simulator.braintree.disputes import Disputes
from gateways.simulator.braintree.documents import Asked, error, failed, invalid, read
from gateways.simulator.braintree.events import Events, sign
from gateways.simulator.braintree.payments import REFUND, TRANSACTION, Payments
from gateways.simulator.braintree.scenarios import of_nonce
from gateways.simulator.braintree.shown import GATEWAY, kept
from gateways.simulator.faults import On
from gateways.simulator.front import ACCOUNT, Front
from gateways.simulator.psp import Answer, Keyed, Plan, Refusal, Signed, Trouble, Turn
from gateways.simulator.rows import Hook, Object, StoredAnswer

_KEY_LIFE_S: Final = 30 * 24 * 3600
_FIRST_MAX: Final = 100
_TROUBLE: Final[dict[Trouble, tuple[str, str]]] = {
    "unauthorized": ("AUTHENTICATION", "Authentication credentials are invalid."),
    "rate_limited": ("RESOURCE_LIMIT", "Too many requests."),
    "broken": ("INTERNAL", "An unexpected error occurred."),
    "unavailable": ("SERVICE_AVAILABILITY", "The service is not available."),
    "not_found": ("NOT_FOUND", "There is nothing at this address."),
    "too_large": ("RESOURCE_LIMIT", "The request is too large."),
    "key_in_use": ("VALIDATION", "A request with this apiRequestKey is still in progress."),
    "key_conflict": ("VALIDATION", "This apiRequestKey was used with other parameters."),
}
_STATUS: Final[dict[Trouble, int]] = {"not_found": 404, "too_large": 413}


@dataclass(frozen=True, slots=True)
class _Keyed(Keyed):
    """With the document of this call, in whose words a repeat is answered."""

    asked: Asked | None = None


@dataclass(slots=True)
class Braintree:
    front: Front
    payments: Payments

    @classmethod
    def open(cls, front: Front) -> "Braintree":
        events = Events(front.hooks, front.accounts)
        disputes = Disputes(front.ledger, events)
        return cls(front, Payments(front.ledger, events, disputes, front.spent))

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return (web.post("/graphql", self.graphql),)

    def pages(self) -> Sequence[web.AbstractRouteDef]:
        return ()

    def admit(self, request: web.Request) -> Account | None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            public, _, private = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            public, private = "", ""
        account = self.front.accounts.admitted(GATEWAY, private, public)
        return account if scheme.lower() == "basic" else None

    def trouble(self, what: Trouble, request: web.Request) -> Answer:
        return failed(error(*_TROUBLE[what]), status=_STATUS.get(what, 200))

    def finish(self, request: web.Request, answer: web.StreamResponse, *, replayed: bool) -> None:
        answer.headers["Braintree-Version"] = "2018-09-10"

    def replay(self, keyed: Keyed, stored: StoredAnswer, turn: Turn) -> Answer:
        """As the transaction or the refund is now."""
        one = None if stored.about is None else self.payments.known(turn.account, stored.about)
        if one is None or not isinstance(keyed, _Keyed) or keyed.asked is None:
            return Answer(stored.status, stored.body)
        return self._told(keyed.asked, one, turn)

    def sign(self, hook: Hook, account: Account, now: float, *, forged: bool) -> Signed:
        return sign(hook, account, forged=forged)

    def settle(self, now: float) -> None:
        self.payments.settle(now)

    async def graphql(self, request: web.Request) -> web.StreamResponse:
        account = request[ACCOUNT]
        asked = read(await request.read(), takes_keys=account.options.get("api_request_key") != "false")
        if not asked.mutates:
            on: On = "search" if asked.field == "search" else "get"
            call = orjson.dumps([asked.field, asked.variables]).decode()
            return await self.front.read(request, on, lambda turn: self._read(asked, turn), call=call)
        if "paymentMethodId" in asked.input:
            return await self._once(request, "create", asked, lambda: self._pay(asked, account))
        one = self.payments.known(account, asked.input["transactionId"], TRANSACTION)
        on, do = self._later(asked, one)

        def plan() -> Plan:
            if one is None:
                raise Refusal(failed(error("NOT_FOUND", "There is no such transaction.")))
            scenario = of_nonce(kept(one).nonce)
            mishap = scenario.mishap if scenario.on == on else None
            return Plan(lambda turn: self._told(asked, do(self._fresh(one, turn), asked, turn), turn), mishap)

        return await self._once(request, on, asked, plan)

    def _later(self, asked: Asked, one: Object | None) -> tuple[On, Callable[[Object, Asked, Turn], Object]]:
        match asked.field:
            case "captureTransaction":
                return "capture", self.payments.capture
            case "refundTransaction":
                return "refund", self.payments.refund
            case _:
                # A void and a refund are one mutation.
                return (
                    "cancel" if one is None or one.status == "AUTHORIZED" else "refund"
                ), self.payments.reverse

    def _pay(self, asked: Asked, account: Account) -> Plan:
        sent = wire.pay(asked, account)
        mishap = sent.scenario.mishap if sent.scenario.on == "create" else None
        return Plan(lambda turn: self._told(asked, self.payments.pay(sent, turn), turn), mishap, sent.payment)

    def _fresh(self, one: Object, turn: Turn) -> Object:
        self.payments.settle(turn.now)
        fresh = self.payments.known(turn.account, one.id)
        assert fresh is not None
        return fresh

    async def _once(
        self, request: web.Request, on: On, asked: Asked, plan: Callable[[], Plan]
    ) -> web.StreamResponse:
        key = asked.input.get("apiRequestKey")
        if key == "":
            raise invalid("apiRequestKey is blank.")
        fingerprint = hashlib.sha256(orjson.dumps([asked.field, asked.input])).hexdigest()
        keyed = None if key is None else _Keyed(key, fingerprint, _KEY_LIFE_S, asked=asked)
        call = asked.input.get("clientMutationId") or fingerprint
        return await self.front.once(request, on, plan, keyed, call=call)

    def _told(self, asked: Asked, one: Object, turn: Turn) -> Answer:
        name = {"reverseTransaction": "reversal", "refundTransaction": "refund"}.get(
            asked.field, "transaction"
        )
        value = {"clientMutationId": asked.input.get("clientMutationId"), name: self._shown(one, turn)}
        return Answer(200, asked.told(value), about=one.id)

    def _shown(self, one: Object, turn: Turn) -> dict[str, Any]:
        if turn.do == "flap":
            one = shown.as_it_was(one)
        if one.kind == TRANSACTION:
            return shown.transaction(one, self.payments.refunds_of(one), turn.do)
        of = self.payments.known(turn.account, one.parent or "", TRANSACTION)
        assert of is not None
        return shown.refund(one, of, turn.do)

    def _read(self, asked: Asked, turn: Turn) -> Answer:
        self.payments.settle(turn.now)
        match asked.field:
            case "search":
                found = {
                    "transactions": self._search(TRANSACTION, turn),
                    "refunds": self._search(REFUND, turn),
                }
                return Answer(200, asked.told(found))
            case "node":
                one = self.payments.known(turn.account, asked.input["id"])
                if one is None:
                    missing = error("NOT_FOUND", "An object with this ID was not found.", inputPath=["id"])
                    return failed(missing, data={"node": None})
                return Answer(200, asked.told(self._shown(one, turn)))
            case _:
                return Answer(200, asked.told("pong"))

    def _search(self, kind: str, turn: Turn) -> Callable[..., dict[str, Any]]:
        def search(_: Any, **given: Any) -> dict[str, Any]:
            reference = (given["input"].get("orderId") or {}).get("is")
            first = max(0, min(given.get("first") or 50, _FIRST_MAX))
            until = turn.now - self.front.weather.search_lag_s
            found = self.front.ledger.find(
                GATEWAY, turn.account.name, kind=kind, reference=reference, listed_at=turn.now, limit=1000
            )
            listed = [] if turn.do == "absent" else [one for one in found if one.created <= until]
            edges = [{"cursor": one.id, "node": self._shown(one, turn)} for one in listed[:first]]
            page = {"hasNextPage": len(listed) > first, "hasPreviousPage": False}
            return {"edges": edges, "pageInfo": page}

        return search
