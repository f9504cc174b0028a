"""A client of the simulator: one that speaks Stripe by hand, and one that sends what our adapter says."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from commands.messages import Outcome
from gateways.contract import Call, Credentials, HttpAnswer, HttpRequest
from gateways.stripe import Stripe
from tests.gateways.stripe_says import CALL

KEY = "sk_test_simulatorsimulator"
INTENTS = "/v1/payment_intents"
STRIPE = Stripe(takes_ugx=True)


async def until(condition: Callable[[], bool], within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the state of another process has no event
            await asyncio.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Said:
    status: int
    headers: dict[str, str]
    raw: bytes
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Client:
    http: aiohttp.ClientSession
    url: str
    numbers: "itertools.count[int]"

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Said:
        sent = {"Authorization": f"Bearer {KEY}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        async with self.http.request(method, self.url + path, data=body, headers=sent) as answer:
            raw = await answer.read()
            said = await answer.json() if answer.content_type == "application/json" else {}
            return Said(answer.status, {name.lower(): v for name, v in answer.headers.items()}, raw, said)

    async def create(self, key: str | None = None, **fields: str) -> Said:
        form = {
            "amount": "1099",
            "currency": "usd",
            "confirm": "true",
            "payment_method": "pm_card_visa",
            **fields,
        }
        headers = {} if key is None else {"Idempotency_Key": key}
        return await self.ask("POST", INTENTS, form, **headers)

    async def change(self, **weather: Any) -> None:
        async with self.http.post(
            f"{self.url}/_simulator", json=weather, headers={"Authorization": f"Bearer {KEY}"}
        ) as answer:
            assert answer.status == 200, await answer.text()

    def call(self, payment_method: str = "pm_card_visa", **more: Any) -> Call:
        """A call of another operation each time."""
        reference = f"{next(self.numbers):032x}-s1"
        return replace(CALL, reference=reference, payment_method=payment_method, **more)

    async def sell(self, call: Call, return_url: str | None = None) -> Outcome:
        """Raises aiohttp's errors where no answer came."""
        request = STRIPE.request(call, Credentials(self.url, KEY, return_url))
        if isinstance(request, Outcome):
            return request
        return STRIPE.outcome(call, await self.exchange(request))

    async def find(self, call: Call, psp_id: str | None = None) -> Outcome | None:
        asked = replace(call, psp_id=psp_id)
        return STRIPE.found(asked, await self.exchange(STRIPE.lookup(asked, Credentials(self.url, KEY))))

    async def exchange(self, request: HttpRequest) -> HttpAnswer:
        async with self.http.request(
            request.method,
            self.url + request.path,
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
        ) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return HttpAnswer(answer.status, headers, await answer.read())
