"""Stripe at the simulator: its calls for payment intents, refunds and disputes."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from gateways.simulator.accounts import Account
from gateways.simulator.faults import On
from gateways.simulator.front import ACCOUNT, Front
from gateways.simulator.psp import Answer, Decide, Keyed, Plan, Signed, Trouble, Turn
from gateways.simulator.rows import Hook, StoredAnswer
from gateways.simulator.stripe import events, forms, rules
from gateways.simulator.stripe.challenge import Challenge
from gateways.simulator.stripe.dialect import (
    charge_object,
    intent_object,
    invalid,
    new_id,
    page,
    refund_object,
    trouble,
)
from gateways.simulator.stripe.disputes import Disputes, shown
from gateways.simulator.stripe.events import Events
from gateways.simulator.stripe.payments import Payments
from gateways.simulator.stripe.refunds import Refunds
from gateways.simulator.stripe.scenarios import of_token
from gateways.simulator.stripe.store import Store
from gateways.simulator.stripe.tables import GATEWAY, Intent

INTENTS: Final = "/v1/payment_intents"
REFUNDS: Final = "/v1/refunds"
DISPUTES: Final = "/v1/disputes"
_KEY_LIFE_S: Final = 24 * 3600
_KEY_MAX: Final = 255


@dataclass(slots=True)
class Stripe:
    front: Front
    payments: Payments
    refunds: Refunds
    disputes: Disputes
    challenge: Challenge

    @classmethod
    def open(cls, front: Front) -> "Stripe":
        told = Events(front.hooks, front.accounts)
        disputes = Disputes(front.ledger, told)
        payments = Payments(Store(front.ledger), front.accounts, told, disputes, front.spent)
        return cls(front, payments, Refunds(payments), disputes, Challenge(payments))

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return (
            web.post(INTENTS, self.create),
            web.get(INTENTS, self.list),
            web.get(f"{INTENTS}/search", self.search),
            web.get(f"{INTENTS}/{{id}}", self.retrieve),
            web.post(f"{INTENTS}/{{id}}/capture", self.capture),
            web.post(f"{INTENTS}/{{id}}/cancel", self.cancel),
            web.post(REFUNDS, self.refund),
            web.get(REFUNDS, self.list_refunds),
            web.get(f"{REFUNDS}/{{id}}", self.retrieve_refund),
            web.get(f"{DISPUTES}/{{id}}", self.retrieve_dispute),
            web.post(f"{DISPUTES}/{{id}}", self.answer_dispute),
        )

    def pages(self) -> Sequence[web.AbstractRouteDef]:
        return (
            web.get("/3d-secure/{secret}", self.challenge.show),
            web.post("/3d-secure/{secret}", self.challenge.finish),
        )

    def admit(self, request: web.Request) -> Account | None:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        account = self.front.accounts.admitted(GATEWAY, secret)
        return account if scheme.lower() == "bearer" else None

    def trouble(self, what: Trouble, request: web.Request) -> Answer:
        return trouble(what, f"{request.method}: {request.path.removeprefix(f'/{GATEWAY}')}")

    def finish(self, request: web.Request, answer: web.StreamResponse, *, replayed: bool) -> None:
        version = request.headers.get("Stripe-Version", events.VERSION)
        known = re.fullmatch(r"[\w.-]{1,40}", version)
        answer.headers["Stripe-Version"] = version if known else events.VERSION
        answer.headers["Request-Id"] = new_id("req", time.time())
        if replayed:
            answer.headers["Idempotent-Replayed"] = "true"

    def replay(self, keyed: Keyed, stored: StoredAnswer, turn: Turn) -> Answer:
        return Answer(stored.status, stored.body)

    def sign(self, hook: Hook, account: Account, now: float, *, forged: bool) -> Signed:
        return events.sign(hook, account, now, forged=forged)

    def settle(self, now: float) -> None:
        self.payments.settle(now)
        self.refunds.settle(now)
        self.disputes.settle(now)

    async def create(self, request: web.Request) -> web.StreamResponse:
        sent = forms.pairs(await request.read())

        def plan() -> Plan:
            asked = forms.create(sent)
            scenario = asked.scenario
            mishap = scenario.mishap if scenario.on == "create" else None
            return Plan(lambda turn: self.payments.create(asked, turn), mishap, asked.payment)

        return await self.front.once(request, "create", plan, _keyed(request, sent))

    async def capture(self, request: web.Request) -> web.StreamResponse:
        sent = forms.pairs(await request.read())

        def plan() -> Plan:
            asked = forms.capture(sent)
            intent = self.payments.known(request[ACCOUNT], request.match_info["id"], time.time())
            return _of_token(intent, "capture", lambda turn: self.payments.capture(intent.id, asked, turn))

        return await self.front.once(request, "capture", plan, _keyed(request, sent))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        sent = forms.pairs(await request.read())

        def plan() -> Plan:
            reason = forms.cancel(sent)
            intent = self.payments.known(request[ACCOUNT], request.match_info["id"], time.time())
            return _of_token(intent, "cancel", lambda turn: self.payments.cancel(intent.id, reason, turn))

        return await self.front.once(request, "cancel", plan, _keyed(request, sent))

    async def refund(self, request: web.Request) -> web.StreamResponse:
        sent = forms.pairs(await request.read())

        def plan() -> Plan:
            asked = forms.refund(sent)
            intent = self.payments.known(request[ACCOUNT], asked.intent_id, time.time(), "payment_intent")
            return _of_token(intent, "refund", lambda turn: self.refunds.create(asked, turn))

        return await self.front.once(request, "refund", plan, _keyed(request, sent))

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            intent = self.payments.known(turn.account, request.match_info["id"], turn.now)
            self.refunds.settle(turn.now)
            if turn.do == "flap":
                intent = rules.as_it_was(intent)
            expand = any(
                name == "expand[]" and value.split(".")[0] == "latest_charge"
                for name, value in forms.pairs(request.query_string.encode())
            )
            charge = None
            if expand and intent.moves:
                charge = charge_object(intent, disputed=self.disputes.of_intent(intent) is not None)
            return Answer.json(200, intent_object(intent, charge))

        return await self.front.read(request, "get", decide)

    async def search(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            reference = forms.searched_reference(request.query.get("query", ""))
            limit, now = _limit(request), turn.now
            self.payments.settle(now)
            until = now - self.front.weather.search_lag_s
            found = self.payments.store.with_reference(turn.account.name, reference, until, now, limit + 1)
            if turn.do == "flap":
                found = [rules.as_it_was(intent) for intent in found]
            shown = [] if turn.do == "absent" else [intent_object(intent) for intent in found]
            return page(shown, limit, f"{INTENTS}/search", "search_result")

        return await self.front.read(request, "search", decide)

    async def list(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            limit, now = _limit(request), turn.now
            created_from = request.query.get("created[gte]", "0")
            if not re.fullmatch(r"\d{1,12}", created_from, re.ASCII):
                raise invalid("Invalid integer.", param="created[gte]", code="parameter_invalid_integer")
            before = request.query.get("starting_after")
            if before is not None:
                self.payments.known(turn.account, before, now, "starting_after")
            self.payments.settle(now)
            window = int(created_from), now - self.front.weather.search_lag_s
            found = self.payments.store.page(turn.account.name, window, before, now, limit + 1)
            return page([intent_object(intent) for intent in found], limit, INTENTS)

        return await self.front.read(request, "get", decide)

    async def retrieve_refund(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            refund = self.refunds.known(turn.account, request.match_info["id"], turn.now)
            if turn.do == "flap":
                refund = refund._replace(status=refund.earlier or "pending")
            return Answer.json(200, refund_object(refund))

        return await self.front.read(request, "get", decide)

    async def list_refunds(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            limit, account = _limit(request), turn.account
            of_intent, before = request.query.get("payment_intent"), request.query.get("starting_after")
            if of_intent is not None:
                self.payments.known(account, of_intent, turn.now, "payment_intent")
            if before is not None:
                self.refunds.known(account, before, turn.now, "starting_after")
            self.refunds.settle(turn.now)
            found = self.refunds.store.refunds(account.name, of_intent, before, limit + 1)
            return page([refund_object(refund) for refund in found], limit, REFUNDS)

        return await self.front.read(request, "get", decide)

    async def retrieve_dispute(self, request: web.Request) -> web.StreamResponse:
        def decide(turn: Turn) -> Answer:
            return Answer.json(200, shown(self.disputes.known(turn.account, request.match_info["id"])))

        return await self.front.read(request, "get", decide)

    async def answer_dispute(self, request: web.Request) -> web.StreamResponse:
        """Moves no money of ours, so no fault has its name."""
        sent = forms.pairs(await request.read())

        def decide(turn: Turn) -> Answer:
            return self.disputes.answer(request.match_info["id"], forms.evidence(sent), turn)

        return await self.front.read(request, "get", decide)


def _keyed(request: web.Request, sent: forms.Pairs) -> Keyed | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not (0 < len(key) <= _KEY_MAX and key.isascii()):
        raise invalid("Idempotency keys can have up to 255 characters, in ASCII.")
    return Keyed(key, forms.fingerprint(request.method, request.path, sent), _KEY_LIFE_S)


def _of_token(intent: Intent, on: On, decide: Decide) -> Plan:
    scenario = of_token(intent.payment_method)
    payment = (intent.reference or "").partition("-")[0] or None
    return Plan(decide, scenario.mishap if scenario.on == on else None, payment)


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "10")
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or not 1 <= int(text) <= 100:
        raise invalid("The limit must be between 1 and 100.", param="limit", code="parameter_invalid_integer")
    return int(text)
