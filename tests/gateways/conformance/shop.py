"""A shop at a PSP's simulator: it sends what the adapter writes, and goes on as the agent would until the end
is known."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp
from aiohttp import web

from aggregates.operation import FIRST_STEP
from commands.messages import Outcome
from commands.notices import Notice
from gateways.agent.ports import Responded
from gateways.agent.session import Calls
from gateways.contract import Call, Webhook, WebhookKeys, WebhookRefused
from gateways.simulator.core.accounts import Accounts
from gateways.simulator.core.ledger import Ledger, read_movements
from gateways.simulator.core.server import serving
from infra.psp.http_client import HttpClient
from tests.gateways.conformance.book import CaseBook, Simulated
from tests.gateways.conformance.cases import Operation, Token, Without
from tests.gateways.conformance.faulty_server import send
from tests.support.listening import listening
from tests.support.movements import minor

ENDS: Final = frozenset({"APPROVED", "DECLINED_SOFT", "DECLINED_HARD", "NOT_SENT", "EXPIRED"})
_END_WITHIN_S: Final = 20.0


@dataclass
class Shop:
    book: CaseBook
    simulated: Simulated
    root: str
    http: HttpClient
    browser: aiohttp.ClientSession
    ledger_file: Path
    notices: list[Notice] = field(default_factory=list)
    refused: list[WebhookRefused] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.root}/{self.book.name}"

    def begin(self, operation: Operation, token: Token, **more: Any) -> Call:
        """The first step of a new payment."""
        call, payment_method = self.book.first(operation), self.simulated.tokens[token]
        assert isinstance(payment_method, str)
        reference = f"{uuid4().hex}-{call.reference.partition('-')[2]}"
        return replace(call, reference=reference, payment_method=payment_method, **more)

    def later(self, operation: Operation, of: Call, minor: int, ordinal: int = 2) -> Call:
        """On what was authorized or sold."""
        call = self.book.call(operation)
        return replace(
            call,
            reference=f"{of.reference.partition('-')[0]}-{call.kind[0]}{ordinal}",
            amount_minor=minor,
            target_reference=of.reference,
            target_psp_id=of.psp_id,
            target_minor=of.amount_minor,
            payment_method=of.payment_method,
        )

    async def send(self, call: Call, http: HttpClient | None = None) -> Outcome:
        return await send(self.book, call, self.url, http or self.http)

    async def latest_outcome(self, call: Call) -> Outcome:
        """By a lookup, or by the webhooks that came; UNKNOWN where there are none."""
        gateway = self.book.gateway
        if not gateway.facts.looks_up:
            outcomes = [
                one.outcome for one in self.notices if one.reference == call.reference and one.outcome
            ]
            # What leads to this step, or to one before it, is none.
            outcomes = [one for one in outcomes if one.next_step is None or one.next_step > call.step]
            return outcomes[-1] if outcomes else Outcome(kind="UNKNOWN", code="nothing_received")
        calls = Calls(gateway, self.http, lambda _: replace(self.book.credentials, base_url=self.url))
        result = await calls.call("query", "account", lambda known: gateway.lookup(call, known), None)
        if isinstance(result, Outcome):
            return result
        assert isinstance(result, Responded), result
        return gateway.found(call, result.response) or Outcome(kind="UNKNOWN", code="not_found")

    async def end(self, call: Call, outcome: Outcome) -> tuple[Call, Outcome]:
        """With the step at which it ended, known by the PSP's id."""
        passed: set[str] = set()
        async with asyncio.timeout(_END_WITHIN_S):
            while True:
                call = replace(call, psp_id=outcome.psp_id or call.psp_id)
                returned: dict[str, str] = {}
                if outcome.kind in ENDS:
                    return call, outcome
                if outcome.action_url is not None and outcome.action_url not in passed:
                    passed.add(outcome.action_url)
                    customer = self.simulated.customer
                    assert not isinstance(customer, Without)
                    returned = dict(await customer(self.browser, outcome.action_url))
                elif outcome.next_step is None or outcome.kind == "ACTION_REQUIRED":
                    outcome = await self.latest_outcome(call)
                    await asyncio.sleep(0.02)
                    continue
                if outcome.next_step is not None:
                    call = replace(call, step=outcome.next_step, returned=returned)
                    outcome = await self.send(call)
                else:
                    outcome = await self.latest_outcome(call)

    async def until_the_money(self, operation: Operation, token: Token) -> Call:
        """The step that takes the money, not yet sent."""
        call, last = self.begin(operation, token), self.book.call(operation).step
        while call.step != last:
            outcome = await self.send(call)
            while outcome.next_step is None:
                if outcome.action_url is not None and not isinstance(self.simulated.customer, Without):
                    await self.simulated.customer(self.browser, outcome.action_url)
                call = replace(call, psp_id=outcome.psp_id or call.psp_id)
                outcome = await self.latest_outcome(call)
                assert outcome.kind in {"PENDING", "ACTION_REQUIRED"}, outcome
            call = replace(call, step=outcome.next_step, psp_id=outcome.psp_id)
        return call

    async def done(self, operation: Operation) -> Call:
        """A payment that went well."""
        call = self.begin(operation, "approved")
        call, outcome = await self.end(call, await self.send(call))
        assert outcome.kind == "APPROVED", outcome
        return call

    async def taken_in(self, call: Call) -> Outcome:
        """Of a refund that may have to wait for the settlement of what it gives back."""
        async with asyncio.timeout(_END_WITHIN_S):
            while (outcome := await self.send(call)).code == "not_settled_yet":  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.1)
        return outcome

    async def switch(self, **change: Any) -> None:
        change = {"gateway": self.book.name, **change}
        async with self.browser.post(f"{self.root}/_simulator", json=change) as response:
            assert response.status == 200, await response.text()

    def moved(self, call: Call) -> Counter[str]:
        """What moved at the PSP for the call's payment, in minor units by kind."""
        moved: Counter[str] = Counter()
        for one in read_movements(self.ledger_file):
            if call.reference.partition("-")[0] in {one.reference[:32], one.intent_reference[:32]}:
                moved[one.kind] += minor(one)
        return moved


@asynccontextmanager
async def shop_at(book: CaseBook, folder: Path) -> AsyncIterator[Shop]:
    simulated = book.simulator
    assert not isinstance(simulated, Without)
    notices: list[Notice] = []
    refused: list[WebhookRefused] = []
    async with _receiving(book, simulated, notices, refused) as hooks_url:
        account = replace(simulated.account, webhook_url=hooks_url)
        ledger = Ledger(folder / "ledger.db")
        async with (
            serving(
                ledger,
                accounts=Accounts([account]),
                latency_ms=0,
                host="127.0.0.1",
                port=0,
                psps=(simulated.psp,),
                webhook_pace=0.02,
                settles_after_s=0,
            ) as (root, _),
            HttpClient.open(10) as http,
            aiohttp.ClientSession() as browser,
        ):
            yield Shop(book, simulated, root, http, browser, folder / "ledger.db", notices, refused)
        ledger.close()


@asynccontextmanager
async def _receiving(
    book: CaseBook, simulated: Simulated, notices: list[Notice], refused: list[WebhookRefused]
) -> AsyncIterator[str]:
    """Where the PSP's webhooks come to."""
    keys = WebhookKeys((), {}) if isinstance(simulated.keys, Without) else simulated.keys

    async def hear(request: web.Request) -> web.Response:
        webhook = Webhook(
            {name.lower(): value for name, value in request.headers.items()}, await request.read()
        )
        read = book.gateway.read_webhook(webhook, keys, datetime.now(UTC))
        if isinstance(read, WebhookRefused):
            refused.append(read)
        else:
            notices.extend(read)
        return web.Response(text="[accepted]")

    app = web.Application()
    app.router.add_post("/hooks", hear)
    async with listening(app) as url:
        yield f"{url}/hooks"


def on(call: Call) -> str:
    """What the simulator calls this step."""
    if call.kind in {"authorize", "sale"}:
        return {FIRST_STEP: "create", "2": "continue", "3": "capture"}[call.step]
    return {"capture": "capture", "void": "cancel", "refund": "refund"}[call.kind]
