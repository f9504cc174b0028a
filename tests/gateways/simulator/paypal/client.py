"""A client of PayPal at the simulator: what our adapter sends, over HTTP, and what it makes of the
responses."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from commands.messages import Outcome
from gateways.contract import Call, Credentials, HttpRequest, HttpResponse
from gateways.paypal.adapter import PayPal
from gateways.simulator.core.accounts import Account, Accounts
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.server import serving
from gateways.simulator.paypal.declaration import PSP
from tests.support import psp_calls

CLIENT_ID, SECRET, OTHER_SECRET = "sim-client", "sim-secret", "sim-other-secret"
WEBHOOK_ID = "4JH86294D6297924G"
BACK = "https://shop.example/back"
ADAPTER = PayPal()


def accounts(webhook_url: str | None = None, **options: str) -> Accounts:
    main = Account("pp-eu", "paypal", SECRET, CLIENT_ID, {"webhook_id": WEBHOOK_ID} | options, webhook_url)
    return Accounts([main, Account("pp-us", "paypal", OTHER_SECRET, CLIENT_ID)])


@asynccontextmanager
async def simulating(
    ledger_file: Path, settles_after_s: float = 0, *, webhook_url: str | None = None, **options: str
) -> AsyncIterator["Client"]:
    ledger = Ledger(ledger_file)
    try:
        async with (
            serving(
                ledger,
                accounts=accounts(webhook_url, **options),
                latency_ms=0,
                host="127.0.0.1",
                port=0,
                psps=(PSP,),
                webhook_pace=0.02,
                settles_after_s=settles_after_s,
            ) as (root, _),
            aiohttp.ClientSession() as http,
        ):
            yield await Client(http, root, ledger).signed_in()
    finally:
        ledger.close()


@dataclass(frozen=True, slots=True)
class Client:
    http: aiohttp.ClientSession
    root: str
    ledger: Ledger
    secret: str = SECRET
    token: str = ""
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    @property
    def credentials(self) -> Credentials:
        options = {"client_id": CLIENT_ID, "webhook_id": WEBHOOK_ID}
        return Credentials(f"{self.root}/paypal", self.secret, options, self.token)

    async def signed_in(self, secret: str | None = None) -> "Client":
        known = replace(self, secret=secret or self.secret)
        access = ADAPTER.signed_in(await known.exchange(ADAPTER.sign_in(known.credentials)))
        assert access is not None
        return replace(known, token=access.token)

    async def exchange(self, request: HttpRequest) -> HttpResponse:
        """Raises aiohttp's errors where no response came."""
        async with self.http.request(
            request.method,
            f"{self.root}/paypal{request.path}",
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpResponse(response.status, headers, await response.read())

    async def ask(self, method: Any, path: str, body: bytes | None = None, **headers: str) -> HttpResponse:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        signed_in = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"} | given
        return await self.exchange(HttpRequest(method, path, signed_in, body))

    async def send(self, call: Call) -> Outcome:
        request = ADAPTER.request(call, self.credentials)
        assert isinstance(request, HttpRequest), request
        return ADAPTER.outcome(call, await self.exchange(request))

    async def find(self, call: Call) -> Outcome | None:
        request = ADAPTER.lookup(call, self.credentials)
        return request if isinstance(request, Outcome) else ADAPTER.found(call, await self.exchange(request))

    async def prepared(self, call: Call) -> Call:
        """Its second step, the order being there."""
        outcome = await self.send(call)
        assert (outcome.kind, outcome.next_step) == ("PENDING", "2"), outcome
        return replace(call, step="2", psp_id=outcome.psp_id)

    async def done(self, call: Call) -> Outcome:
        return await self.send(await self.prepared(call))

    async def authorized(self, method: str = "sim_ok", amount_minor: int = 1099) -> tuple[Call, str]:
        call = self.call(method, kind="authorize", amount_minor=amount_minor)
        outcome = await self.done(call)
        assert outcome.kind == "APPROVED"
        assert outcome.psp_id is not None
        return call, outcome.psp_id

    async def sold(self, method: str = "sim_ok") -> tuple[Call, str]:
        call = self.call(method)
        outcome = await self.done(call)
        assert outcome.kind == "APPROVED"
        assert outcome.psp_id is not None
        return call, outcome.psp_id

    async def decides(self, page: str | None, result: str = "approve") -> str:
        """As the payer on PayPal's page; gives back where the browser goes."""
        assert page is not None
        async with self.http.post(page, data={"result": result}, allow_redirects=False) as response:
            assert response.status == 303, await response.text()
            return response.headers["Location"]

    async def change(self, **conditions: Any) -> dict[str, Any]:
        async with self.http.post(
            f"{self.root}/_simulator", json={"gateway": "paypal"} | conditions
        ) as response:
            assert response.status == 200, await response.text()
            changed: dict[str, Any] = await response.json()
            return changed

    def call(self, method: str = "sim_ok", **more: Any) -> Call:
        """The first step of another payment each time."""
        letter = {"authorize": "a"}.get(more.get("kind", "sale"), "s")
        reference = f"{next(self.numbers):032x}-{letter}1"
        known: dict[str, Any] = {"reference": reference, "multicapture": True, "return_url": BACK}
        return psp_calls.sale(method, **(known | more))


def later(of: tuple[Call, str], kind: Any, amount_minor: int, number: int = 2, **more: Any) -> Call:
    """What follows on that operation, with its id at the PSP."""
    target, psp_id = of
    return replace(
        target,
        kind=kind,
        step="1",
        psp_id=None,
        reference=f"{target.reference.partition('-')[0]}-{kind[0]}{number}",
        amount_minor=amount_minor,
        target_reference=target.reference,
        target_psp_id=psp_id,
        **more,
    )
