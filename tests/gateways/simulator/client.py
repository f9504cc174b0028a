"""Clients of the simulator: one that writes Stripe's requests itself, and one that sends what the adapter
writes.
"""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from commands.messages import Outcome
from gateways.contract import Call, Credentials, HttpRequest, HttpResponse
from gateways.stripe.adapter import Stripe
from tests.support import psp_calls

KEY = "sk_test_simulatorsimulator"
PLAIN_KEY = "sk_test_withoutmulticapture"
OVER_KEY = "sk_test_withovercapture"
SHORT_KEY = "sk_test_whereauthorizationsexpire"
ACCOUNTS = f"""
[accounts.sim-eu]
gateway = "stripe"
secret = "{KEY}"
options = {{ multicapture = "true" }}
webhook_secret = "whsec_eu"

[accounts.sim-us]
gateway = "stripe"
secret = "{PLAIN_KEY}"

[accounts.sim-over]
gateway = "stripe"
secret = "{OVER_KEY}"
options = {{ overcapture_percent = "20" }}

[accounts.sim-short]
gateway = "stripe"
secret = "{SHORT_KEY}"
options = {{ authorization_life_s = "1" }}
"""
INTENTS = "/v1/payment_intents"
REFUNDS = "/v1/refunds"
MANUAL = {"capture_method": "manual"}
SEVERAL = {**MANUAL, "payment_method_options[card][request_multicapture]": "if_available"}
STRIPE = Stripe()
UGX = {"takes_ugx": "true"}


async def until(condition: Callable[[], bool], within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the state of another process has no event
            await asyncio.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: dict[str, str]
    raw: bytes
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Client:
    """`root`: the simulator's URL; `url`: Stripe's there."""

    http: aiohttp.ClientSession
    root: str
    numbers: "itertools.count[int]"
    secret: str = KEY

    @property
    def url(self) -> str:
        return f"{self.root}/stripe"

    def of_account(self, secret: str) -> "Client":
        return replace(self, secret=secret)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        sent = {"Authorization": f"Bearer {self.secret}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        async with self.http.request(method, self.url + path, data=body, headers=sent) as received:
            raw = await received.read()
            response = await received.json() if received.content_type == "application/json" else {}
            return Response(
                received.status, {name.lower(): v for name, v in received.headers.items()}, raw, response
            )

    async def create(self, key: str | None = None, **fields: str) -> Response:
        form = {
            "amount": "1099",
            "currency": "usd",
            "confirm": "true",
            "payment_method": "pm_card_visa",
            **fields,
        }
        return await self.post(INTENTS, form, key)

    async def post(self, path: str, form: dict[str, str], key: str | None = None) -> Response:
        headers = {} if key is None else {"Idempotency_Key": key}
        return await self.ask("POST", path, form, **headers)

    async def capture(self, intent_id: str, key: str | None = None, **fields: str) -> Response:
        return await self.post(f"{INTENTS}/{intent_id}/capture", fields, key)

    async def cancel(self, intent_id: str, key: str | None = None, **fields: str) -> Response:
        return await self.post(f"{INTENTS}/{intent_id}/cancel", fields, key)

    async def refund(self, intent_id: str, key: str | None = None, **fields: str) -> Response:
        return await self.post(REFUNDS, {"payment_intent": intent_id, **fields}, key)

    async def pass_challenge(self, intent: dict[str, Any], result: str = "pass") -> None:
        """As the customer does it on the page of the bank; `fail`: as one who refuses."""
        url = intent["next_action"]["redirect_to_url"]["url"]
        async with self.http.post(url, data={"result": result}, allow_redirects=False) as back:
            assert back.status == 303, await back.text()

    async def change(self, **conditions: Any) -> dict[str, Any]:
        async with self.http.post(f"{self.root}/_simulator", json=conditions) as response:
            assert response.status == 200, await response.text()
            changed: dict[str, Any] = await response.json()
            return changed

    def call(self, payment_method: str = "pm_card_visa", **more: Any) -> Call:
        """A call of another operation each time."""
        known: dict[str, Any] = {"reference": f"{next(self.numbers):032x}-s1", "final": True}
        return psp_calls.sale(payment_method, **(known | more))

    async def sell(self, call: Call, return_url: str | None = None) -> Outcome:
        """Raises aiohttp's errors where no response came."""
        credentials = Credentials(self.url, self.secret, UGX)
        request = STRIPE.request(replace(call, return_url=return_url), credentials)
        if isinstance(request, Outcome):
            return request
        return STRIPE.outcome(call, await self.exchange(request))

    async def find(self, call: Call, psp_id: str | None = None) -> Outcome | None:
        known = replace(call, psp_id=psp_id)
        request = STRIPE.lookup(known, Credentials(self.url, self.secret))
        return request if isinstance(request, Outcome) else STRIPE.found(known, await self.exchange(request))

    async def exchange(self, request: HttpRequest) -> HttpResponse:
        async with self.http.request(
            request.method,
            self.url + request.path,
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpResponse(response.status, headers, await response.read())


@dataclass(frozen=True, slots=True)
class ToyClient:
    """Of the PSP in `toy`."""

    http: aiohttp.ClientSession
    root: str

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        sent = {"X-Key": "toy-login:toy-secret"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        async with self.http.request(method, f"{self.root}/toy{path}", json=body, headers=sent) as received:
            raw = await received.read()
            response = await received.json() if received.content_type == "application/json" else {}
            return Response(
                received.status, {name.lower(): v for name, v in received.headers.items()}, raw, response
            )

    async def pay(self, key: str | None = None, **fields: Any) -> Response:
        headers = {} if key is None else {"X_Once": key}
        return await self.ask("POST", "/pay", {"minor": 1099, **fields}, **headers)

    async def change(self, **conditions: Any) -> dict[str, Any]:
        async with self.http.post(f"{self.root}/_simulator", json=conditions) as response:
            assert response.status == 200, await response.text()
            changed: dict[str, Any] = await response.json()
            return changed
