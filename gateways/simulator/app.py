"""The simulator's HTTP application: Stripe's calls for payment intents, and the page of a 3-D Secure challenge."""

import asyncio
import html
import re
import socket
import struct
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlencode

import orjson
from aiohttp import web

from gateways.simulator import forms
from gateways.simulator.dialect import invalid
from gateways.simulator.front import Front, json_answer
from gateways.simulator.payments import Keyed, Payments
from gateways.simulator.scenarios import SETTLES_AFTER_S, SUCCESS, Scenario

BODY_BYTES_MAX: Final = 256 * 1024
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER 1, 0 s: the close is a reset


@dataclass(slots=True)
class Simulator:
    payments: Payments
    front: Front

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self.front.guard], client_max_size=BODY_BYTES_MAX)
        intents = "/v1/payment_intents"
        app.router.add_post(intents, self.create)
        app.router.add_get(intents, self.list)
        app.router.add_get(f"{intents}/search", self.search)
        app.router.add_get(f"{intents}/{{id}}", self.retrieve)
        app.router.add_post(f"{intents}/{{id}}/cancel", self.cancel)
        app.router.add_get("/3d-secure/{secret}", self.challenge)
        app.router.add_post("/3d-secure/{secret}", self.finish_challenge)
        return app

    async def create(self, request: web.Request) -> web.StreamResponse:
        async def work(sent: forms.Pairs, keyed: Keyed | None) -> web.StreamResponse:
            asked = forms.create(sent)
            scenario = asked.scenario
            if (
                scenario is not SUCCESS
                and self.payments.refuse_before(scenario, keyed, time.time()) == "reset"
            ):
                return _cut(request, reset=True)
            if scenario.charges_last:
                await asyncio.sleep(scenario.answer_after_s)
            origin = str(request.url.origin()) if scenario.status == "requires_action" else ""
            status, body = self.payments.create(asked, origin, keyed, time.time())
            if scenario.status == "processing":
                asyncio.get_running_loop().call_later(
                    SETTLES_AFTER_S, lambda: self.payments.settle(time.time())
                )
            if not scenario.charges_last and scenario.answer_after_s:
                await asyncio.sleep(scenario.answer_after_s)
            return _spoilt(request, scenario, status, body)

        return await self.front.once(request, work)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        async def work(sent: forms.Pairs, keyed: Keyed | None) -> web.StreamResponse:
            reason = dict(sent).get("cancellation_reason")
            if reason not in {None, "duplicate", "fraudulent", "requested_by_customer", "abandoned"}:
                raise invalid("Invalid cancellation_reason.", param="cancellation_reason")
            return json_answer(*self.payments.cancel(request.match_info["id"], reason, keyed, time.time()))

        return await self.front.once(request, work)

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        intent = self.payments.known(request.match_info["id"], time.time())
        expand = any(value.split(".")[0] == "latest_charge" for value in _all(request, "expand[]"))
        return json_answer(200, orjson.dumps(self.payments.shown(intent, expand_charge=expand)))

    async def search(self, request: web.Request) -> web.StreamResponse:
        reference = forms.searched_reference(request.query.get("query", ""))
        limit = _limit(request, 10)
        now = time.time()
        self.payments.settle(now)
        found = self.payments.ledger.with_reference(
            reference, now - self.front.weather.search_lag_s, limit + 1
        )
        shown = [self.payments.shown(intent) for intent in found[:limit]]
        return json_answer(
            200,
            orjson.dumps(
                {
                    "object": "search_result",
                    "data": shown,
                    "has_more": len(found) > limit,
                    "next_page": None,
                    "url": "/v1/payment_intents/search",
                }
            ),
        )

    async def list(self, request: web.Request) -> web.StreamResponse:
        limit = _limit(request, 10)
        created_from = request.query.get("created[gte]", "0")
        if not re.fullmatch(r"\d{1,12}", created_from, re.ASCII):
            raise invalid("Invalid integer.", param="created[gte]", code="parameter_invalid_integer")
        before = request.query.get("starting_after")
        if before is not None:
            self.payments.known(before, time.time())
        self.payments.settle(time.time())
        found = self.payments.ledger.page(int(created_from), before, limit + 1)
        shown = [self.payments.shown(intent) for intent in found[:limit]]
        page = {"object": "list", "data": shown, "has_more": len(found) > limit, "url": "/v1/payment_intents"}
        return json_answer(200, orjson.dumps(page))

    async def challenge(self, request: web.Request) -> web.StreamResponse:
        """The page that the shopper's bank would show."""
        intent = self.payments.challenged(request.match_info["secret"])
        if intent is None:
            raise web.HTTPNotFound
        page = (
            f"<!doctype html><title>3-D Secure</title><h1>3-D Secure</h1><p>{intent.amount}"
            f" {html.escape(intent.currency.upper())}, status {html.escape(intent.status)}</p>"
            "<form method=post><button name=result value=pass>Authenticate</button> "
            "<button name=result value=fail>Refuse</button></form>"
        )
        return web.Response(text=page, content_type="text/html")

    async def finish_challenge(self, request: web.Request) -> web.StreamResponse:
        result = parse_qs((await request.read()).decode("utf-8", errors="replace")).get("result")
        intent = self.payments.finish_challenge(
            request.match_info["secret"], passed=result == ["pass"], now=time.time()
        )
        if intent is None:
            raise web.HTTPNotFound
        if intent.return_url is None:
            return web.Response(text=f"status {intent.status}")
        back = urlencode({"payment_intent": intent.id, "redirect_status": intent.status})
        joint = "&" if "?" in intent.return_url else "?"
        raise web.HTTPSeeOther(f"{intent.return_url}{joint}{back}")


def _spoilt(request: web.Request, scenario: Scenario, status: int, body: bytes) -> web.StreamResponse:
    if scenario.answer == "lost":
        return _cut(request, reset=False)
    if scenario.answer == "garbage":
        return web.Response(status=200, body=b"<html>upstream prematurely cl", content_type="text/html")
    return json_answer(status, body)


def _cut(request: web.Request, *, reset: bool) -> web.StreamResponse:
    """No answer will reach the client, whatever is returned here."""
    if request.transport is not None:
        if reset:
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        request.transport.abort()
    return web.Response(status=500)


def _all(request: web.Request, name: str) -> list[str]:
    return request.query.getall(name, [])


def _limit(request: web.Request, default: int) -> int:
    text = request.query.get("limit", str(default))
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or not 1 <= int(text) <= 100:
        raise invalid("The limit must be between 1 and 100.", param="limit", code="parameter_invalid_integer")
    return int(text)
