"""A merchant of the simulated Braintree: sends what our adapter writes, and receives the simulator's
webhooks."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from commands.messages import Outcome
from gateways.braintree.adapter import Braintree
from gateways.contract import Call, Credentials, HttpRequest, HttpResponse, Webhook
from gateways.simulator.braintree.declaration import PSP
from gateways.simulator.core.accounts import Account, Accounts
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.server import serving
from tests.support import psp_calls
from tests.support.until import until

BRAINTREE = Braintree()
PUBLIC_KEY, PRIVATE_KEY = "public_of_the_simulator", "private_of_the_simulator"
ADDRESS_OPTIONS = {"public_key": PUBLIC_KEY, "merchant_accounts": "USD=acct_usd,JPY=acct_jpy,KWD=acct_kwd"}
_NUMBERS = itertools.count(1)


def begin(kind: str = "sale", nonce: str = "fake-valid-nonce", **more: Any) -> Call:
    """Of another payment each time."""
    known: dict[str, Any] = {
        "reference": f"{next(_NUMBERS):032x}-{kind[0]}1",
        "kind": kind,
        "description": None,
        "final": True,
    }
    return psp_calls.sale(nonce, **(known | more))


def later(kind: str, of: Call, amount_minor: int = 1099, **more: Any) -> Call:
    """`of`: with its `psp_id`."""
    return replace(
        of,
        kind=kind,
        reference=f"{of.reference.partition('-')[0]}-{kind[0]}2",
        amount_minor=amount_minor,
        target_reference=of.reference,
        target_psp_id=of.psp_id,
        target_minor=of.amount_minor,
        psp_id=None,
        **more,
    )


@dataclass
class Merchant:
    """`keys`: whether the account has `apiRequestKey`."""

    http: aiohttp.ClientSession
    root: str
    webhooks: list[Webhook] = field(default_factory=list)
    keys: bool = True

    @property
    def credentials(self) -> Credentials:
        options = ADDRESS_OPTIONS | {"api_request_key": "true" if self.keys else "false"}
        return Credentials(f"{self.root}/braintree", PRIVATE_KEY, options)

    async def send(self, call: Call) -> Outcome:
        request = BRAINTREE.request(call, self.credentials)
        assert isinstance(request, HttpRequest), request
        return BRAINTREE.outcome(call, await self.exchange(request))

    async def sent(self, call: Call) -> Call:
        """Approved; with the id that it got."""
        outcome = await self.send(call)
        assert outcome.kind == "APPROVED", outcome
        return replace(call, psp_id=outcome.psp_id)

    async def find(self, call: Call) -> Outcome | None:
        request = BRAINTREE.lookup(call, self.credentials)
        assert isinstance(request, HttpRequest)
        return BRAINTREE.found(call, await self.exchange(request))

    async def settled(self, call: Call) -> None:
        async def is_settled() -> bool:
            body = await self.ask(f'{{ node(id: "{call.psp_id}") {{ ... on Payment {{ status }} }} }}')
            return bool(body["data"]["node"]["status"] == "SETTLED")

        await until(is_settled, "the settlement", 15)

    async def exchange(self, request: HttpRequest) -> HttpResponse:
        url = self.credentials.base_url + request.path
        async with self.http.request(
            request.method, url, headers=request.headers, data=request.body, allow_redirects=False
        ) as response:
            return HttpResponse(response.status, {}, await response.read())

    async def ask(self, query: str, secret: str = PRIVATE_KEY, **variables: Any) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        headers = {"Authorization": aiohttp.encode_basic_auth(PUBLIC_KEY, secret)}
        async with self.http.post(
            f"{self.credentials.base_url}/graphql", json=body, headers=headers
        ) as response:
            assert response.status == 200
            body: dict[str, Any] = await response.json()
            return body

    async def dashboard(self, do: str, call: Call, amount_minor: int) -> None:
        """Acts as an operator does in the control panel."""
        of = {"account": "merchant", "reference": call.reference, "do": do, "minor": amount_minor}
        sent = {"gateway": "braintree", **of}
        async with self.http.post(f"{self.root}/_simulator/dashboard", json=sent) as response:
            assert response.status == 200, await response.text()

    async def change(self, **conditions: Any) -> None:
        sent = {"gateway": "braintree", **conditions}
        async with self.http.post(f"{self.root}/_simulator", json=sent) as response:
            assert response.status == 200, await response.text()


@asynccontextmanager
async def simulating(file: Path, settles_after_s: float = 0, *, keys: bool = True) -> AsyncIterator[Merchant]:
    """With an address for webhooks."""
    webhooks: list[Webhook] = []

    async def hear(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        webhooks.append(Webhook(headers, await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/webhooks", hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    account = Account(
        "merchant",
        "braintree",
        PRIVATE_KEY,
        login=PUBLIC_KEY,
        options={"api_request_key": "true" if keys else "false"},
        webhook_url=f"http://127.0.0.1:{site.port}/webhooks",
    )
    ledger = Ledger(file)
    try:
        async with (
            serving(
                ledger,
                accounts=Accounts([account]),
                latency_ms=0,
                host="127.0.0.1",
                port=0,
                psps=(PSP,),
                webhook_pace=0.02,
                settles_after_s=settles_after_s,
            ) as (root, _),
            aiohttp.ClientSession() as http,
        ):
            yield Merchant(http, root, webhooks, keys)
    finally:
        ledger.close()
        await runner.cleanup()
