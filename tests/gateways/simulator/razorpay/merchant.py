"""A merchant at the simulator: it sends what our adapter writes, its customer goes to the bank, and it hears
the webhooks.
"""

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import aiohttp
from aiohttp import web

from commands.messages import Outcome
from gateways.contract import Call, Credentials, HttpRequest, HttpResponse, Webhook
from gateways.razorpay.adapter import Razorpay
from gateways.simulator.core.ledger import read_movements, read_open
from tests.support import psp_calls
from tests.support.listening import listening
from tests.support.movements import minor

KEY_ID, SECRET, WEBHOOK_SECRET = "rzp_test_shop", "the-secret-of-the-shop", "the-secret-of-its-webhooks"
RAZORPAY = Razorpay()
_FIELD = re.compile(r"name='([^']*)' value='([^']*)'")
_TO = re.compile(r"action='([^']*)'")


def begin(kind: Literal["authorize", "sale"], token: str, **more: Any) -> Call:
    """The first step of a new payment's first attempt."""
    known: dict[str, Any] = {
        "reference": f"{uuid4().hex}-{kind[0]}1",
        "kind": kind,
        "currency": "INR",
    }
    return psp_calls.sale(token, **(known | more))


def later(kind: Literal["capture", "refund"], of: Call, amount_minor: int = 1099, ordinal: int = 2) -> Call:
    payment = of.reference.partition("-")[0]
    return replace(
        of,
        kind=kind,
        step="1",
        reference=f"{payment}-{kind[0]}{ordinal}",
        amount_minor=amount_minor,
        target_reference=of.reference,
        target_psp_id=of.psp_id,
        target_minor=1099,
        psp_id=None,
    )


@dataclass
class Received:
    """What came to the merchant's addresses, and its responses to webhooks."""

    webhooks: list[Webhook] = field(default_factory=list)
    returned: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Received"]:
        app = web.Application()
        app.router.add_post("/webhooks", self._take_webhook)
        app.router.add_post("/return", self._return)
        async with listening(app) as self.url:
            yield self

    async def _take_webhook(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.webhooks.append(Webhook(headers, await request.read()))
        return web.Response()

    async def _return(self, request: web.Request) -> web.Response:
        self.returned.append({name: str(value) for name, value in (await request.post()).items()})
        return web.Response()


@dataclass(frozen=True, slots=True)
class Merchant:
    http: aiohttp.ClientSession
    root: str
    ledger_file: Path
    return_url: str

    @property
    def url(self) -> str:
        return f"{self.root}/razorpay"

    @property
    def credentials(self) -> Credentials:
        options = {"key_id": KEY_ID, "email": "till@shop.example", "contact": "+919999999999"}
        return Credentials(self.url, SECRET, options)

    async def control(self, **change: Any) -> Any:
        async with self.http.post(
            f"{self.root}/_simulator", json={"gateway": "razorpay", **change}
        ) as response:
            assert response.status == 200
            return await response.json()

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        sent = {"Authorization": aiohttp.encode_basic_auth(KEY_ID, SECRET)} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        async with self.http.request(method, self.url + path, json=body, headers=sent) as response:
            return response.status, await response.json()

    async def send(self, call: Call) -> Outcome:
        """UNKNOWN where the response is lost."""
        request = RAZORPAY.request(call, self.credentials)
        response = await self._exchange(request)
        return Outcome(kind="UNKNOWN", code="lost") if response is None else RAZORPAY.outcome(call, response)

    async def look(self, call: Call) -> Outcome | None:
        response = await self._exchange(RAZORPAY.lookup(call, self.credentials))
        assert response is not None
        return RAZORPAY.found(call, response)

    async def found(self, call: Call) -> Outcome:
        outcome = await self.look(call)
        assert outcome is not None
        return outcome

    async def _exchange(self, request: HttpRequest | Outcome) -> HttpResponse | None:
        assert isinstance(request, HttpRequest)
        try:
            async with self.http.request(
                request.method,
                self.url + request.path,
                headers=request.headers,
                data=request.body,
                timeout=aiohttp.ClientTimeout(10),
            ) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                return HttpResponse(response.status, headers, await response.read())
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def ordered(self, call: Call) -> Call:
        """The second step, after the first."""
        outcome = await self.send(call)
        assert (outcome.kind, outcome.next_step) == ("PENDING", "2")
        return replace(call, step="2", psp_id=outcome.psp_id, return_url=self.return_url)

    async def authorized(self, kind: Literal["authorize", "sale"], token: str = "token_frictionless") -> Call:
        """What its bank has authorized: the sale's third step, or the authorization as it is recorded."""
        pay = await self.ordered(begin(kind, token))
        await self.send(pay)
        outcome = await self.found(pay)
        assert (outcome.kind, outcome.next_step) in {("PENDING", "3"), ("APPROVED", None)}
        return replace(pay, step=outcome.next_step or pay.step, psp_id=outcome.psp_id)

    async def sold(self, token: str = "token_frictionless") -> Call:
        take = await self.authorized("sale", token)
        assert (await self.send(take)).kind == "APPROVED"
        return take

    async def at_the_bank(self, url: str | None, **form: str) -> dict[str, str]:
        """What the customer enters there, and what is posted back to the merchant."""
        assert url is not None
        async with self.http.get(url) as page:
            assert page.status == 200
        async with self.http.post(url, data=form) as response:
            assert response.status == 200
            text = await response.text()
        action = _TO.search(text)
        assert action is not None
        fields = {html.unescape(name): html.unescape(value) for name, value in _FIELD.findall(text)}
        async with self.http.post(html.unescape(action[1]), data=fields) as returned:
            assert returned.status == 200
        return fields

    def movements(self, call: Call) -> list[tuple[str, str, int | None]]:
        """Of the payment: what moved, for which operation, and how much."""
        payment = call.reference.partition("-")[0]
        return [
            (one.kind, one.reference.rpartition("-")[2], minor(one))
            for one in read_movements(self.ledger_file)
            if one.intent_reference.startswith(payment)
        ]

    def moved_under(self, call: Call) -> set[str]:
        payment = call.reference.partition("-")[0]
        found = read_movements(self.ledger_file)
        return {one.intent_id for one in found if one.intent_reference.startswith(payment)}

    def still_open(self) -> list[str]:
        return [one.psp_id for one in read_open(self.ledger_file)]
