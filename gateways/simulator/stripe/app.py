"""The simulator's HTTP application: Stripe's calls for payment intents and refunds, and the page of a challenge."""

import asyncio
import html
import re
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlencode

import orjson
from aiohttp import web

from gateways.simulator.faults import Do, On
from gateways.simulator.front import ACCOUNT, Front, Plan
from gateways.simulator.mishaps import Decide
from gateways.simulator.rows import Intent
from gateways.simulator.stripe import forms
from gateways.simulator.stripe.dialect import intent_object, invalid, page, refund_object
from gateways.simulator.stripe.payments import Answer, Payments
from gateways.simulator.stripe.refunds import Refunds
from gateways.simulator.stripe.rules import Keyed, Turn
from gateways.simulator.stripe.scenarios import SETTLES_AFTER_S, of_token

BODY_BYTES_MAX: Final = 256 * 1024
INTENTS: Final = "/v1/payment_intents"
REFUNDS: Final = "/v1/refunds"
_REDIRECT_STATUS: Final = {"requires_capture": "succeeded", "requires_payment_method": "failed"}


@dataclass(slots=True)
class Simulator:
    payments: Payments
    refunds: Refunds
    front: Front

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self.front.guard], client_max_size=BODY_BYTES_MAX)
        app.router.add_post(INTENTS, self.create)
        app.router.add_get(INTENTS, self.list)
        app.router.add_get(f"{INTENTS}/search", self.search)
        app.router.add_get(f"{INTENTS}/{{id}}", self.retrieve)
        app.router.add_post(f"{INTENTS}/{{id}}/capture", self.capture)
        app.router.add_post(f"{INTENTS}/{{id}}/cancel", self.cancel)
        app.router.add_post(REFUNDS, self.refund)
        app.router.add_get(REFUNDS, self.list_refunds)
        app.router.add_get(f"{REFUNDS}/{{id}}", self.retrieve_refund)
        app.router.add_get("/3d-secure/{secret}", self.challenge)
        app.router.add_post("/3d-secure/{secret}", self.finish_challenge)
        return app

    async def create(self, request: web.Request) -> web.StreamResponse:
        def plan(sent: forms.Pairs, keyed: Keyed | None) -> Plan:
            asked = forms.create(sent)
            scenario = asked.scenario

            def decide(do: Do | None) -> Answer:
                if scenario.status == "processing":
                    self.settle_later()
                origin = str(request.url.origin())
                return self.payments.create(asked, Turn(request[ACCOUNT], keyed, time.time(), do), origin)

            return Plan(decide, scenario.mishap if scenario.on == "create" else None, asked.payment)

        return await self.front.once(request, "create", plan)

    async def capture(self, request: web.Request) -> web.StreamResponse:
        def plan(sent: forms.Pairs, keyed: Keyed | None) -> Plan:
            asked, account = forms.capture(sent), request[ACCOUNT]
            intent = self.payments.known(account, request.match_info["id"], time.time())

            def decide(do: Do | None) -> Answer:
                return self.payments.capture(intent.id, asked, Turn(account, keyed, time.time(), do))

            return _of_token(intent, "capture", decide)

        return await self.front.once(request, "capture", plan)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        def plan(sent: forms.Pairs, keyed: Keyed | None) -> Plan:
            reason, account = forms.cancel(sent), request[ACCOUNT]
            intent = self.payments.known(account, request.match_info["id"], time.time())

            def decide(do: Do | None) -> Answer:
                return self.payments.cancel(intent.id, reason, Turn(account, keyed, time.time(), do))

            return _of_token(intent, "cancel", decide)

        return await self.front.once(request, "cancel", plan)

    async def refund(self, request: web.Request) -> web.StreamResponse:
        def plan(sent: forms.Pairs, keyed: Keyed | None) -> Plan:
            asked, account = forms.refund(sent), request[ACCOUNT]
            intent = self.payments.known(account, asked.intent_id, time.time(), "payment_intent")

            def decide(do: Do | None) -> Answer:
                if of_token(intent.payment_method).refund is not None:
                    self.settle_later()
                return self.refunds.create(asked, Turn(account, keyed, time.time(), do))

            return _of_token(intent, "refund", decide)

        return await self.front.once(request, "refund", plan)

    def settle(self) -> None:
        self.payments.settle(time.time())
        self.refunds.settle(time.time())

    def settle_later(self) -> None:
        asyncio.get_running_loop().call_later(SETTLES_AFTER_S + 0.01, self.settle)

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        def decide(_: Do | None) -> Answer:
            intent = self.payments.known(request[ACCOUNT], request.match_info["id"], time.time())
            self.refunds.settle(time.time())
            expand = any(
                value.split(".")[0] == "latest_charge" for value in request.query.getall("expand[]", [])
            )
            return 200, orjson.dumps(intent_object(intent, expand_charge=expand))

        return await self.front.read(request, "get", decide)

    async def search(self, request: web.Request) -> web.StreamResponse:
        def decide(do: Do | None) -> Answer:
            reference = forms.searched_reference(request.query.get("query", ""))
            limit, now = _limit(request), time.time()
            self.payments.settle(now)
            until = now - self.front.weather.search_lag_s
            account = request[ACCOUNT].name
            found = self.payments.ledger.with_reference(account, reference, until, now, limit + 1)
            shown = [] if do == "absent" else [intent_object(intent) for intent in found]
            return 200, page(shown, limit, f"{INTENTS}/search", "search_result")

        return await self.front.read(request, "search", decide)

    async def list(self, request: web.Request) -> web.StreamResponse:
        def decide(_: Do | None) -> Answer:
            limit, now, account = _limit(request), time.time(), request[ACCOUNT]
            created_from = request.query.get("created[gte]", "0")
            if not re.fullmatch(r"\d{1,12}", created_from, re.ASCII):
                raise invalid("Invalid integer.", param="created[gte]", code="parameter_invalid_integer")
            before = request.query.get("starting_after")
            if before is not None:
                self.payments.known(account, before, now, "starting_after")
            self.payments.settle(now)
            until = now - self.front.weather.search_lag_s
            found = self.payments.ledger.page(
                account.name, (int(created_from), until), before, now, limit + 1
            )
            return 200, page([intent_object(intent) for intent in found], limit, INTENTS)

        return await self.front.read(request, "get", decide)

    async def retrieve_refund(self, request: web.Request) -> web.StreamResponse:
        def decide(_: Do | None) -> Answer:
            refund = self.refunds.known(request[ACCOUNT], request.match_info["id"], time.time())
            return 200, orjson.dumps(refund_object(refund))

        return await self.front.read(request, "get", decide)

    async def list_refunds(self, request: web.Request) -> web.StreamResponse:
        def decide(_: Do | None) -> Answer:
            limit, now, account = _limit(request), time.time(), request[ACCOUNT]
            of_intent, before = request.query.get("payment_intent"), request.query.get("starting_after")
            if of_intent is not None:
                self.payments.known(account, of_intent, now, "payment_intent")
            if before is not None:
                self.refunds.known(account, before, now, "starting_after")
            self.refunds.settle(now)
            found = self.refunds.ledger.refunds(account.name, of_intent, before, limit + 1)
            return 200, page([refund_object(refund) for refund in found], limit, REFUNDS)

        return await self.front.read(request, "get", decide)

    async def challenge(self, request: web.Request) -> web.StreamResponse:
        """The page that the shopper's bank would show."""
        intent = self.payments.challenged(request.match_info["secret"])
        if intent is None:
            raise web.HTTPNotFound
        text = (
            f"<!doctype html><title>3-D Secure</title><h1>3-D Secure</h1><p>{intent.amount}"
            f" {html.escape(intent.currency.upper())}, status {html.escape(intent.status)}</p>"
            "<form method=post><button name=result value=pass>Authenticate</button> "
            "<button name=result value=fail>Refuse</button></form>"
        )
        return web.Response(text=text, content_type="text/html")

    async def finish_challenge(self, request: web.Request) -> web.StreamResponse:
        result = parse_qs((await request.read()).decode("utf-8", errors="replace")).get("result")
        intent = self.payments.finish_challenge(
            request.match_info["secret"], passed=result == ["pass"], now=time.time()
        )
        if intent is None:
            raise web.HTTPNotFound
        if intent.return_url is None:
            return web.Response(text=f"status {intent.status}")
        ended = _REDIRECT_STATUS.get(intent.status, intent.status)
        back = urlencode({"payment_intent": intent.id, "redirect_status": ended})
        joint = "&" if "?" in intent.return_url else "?"
        raise web.HTTPSeeOther(f"{intent.return_url}{joint}{back}")


def _of_token(intent: Intent, on: On, decide: Decide) -> Plan:
    scenario = of_token(intent.payment_method)
    payment = (intent.reference or "").partition("-")[0] or None
    return Plan(decide, scenario.mishap if scenario.on == on else None, payment)


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "10")
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or not 1 <= int(text) <= 100:
        raise invalid("The limit must be between 1 and 100.", param="limit", code="parameter_invalid_integer")
    return int(text)
