"""A small PSP for tests of the agent: its adapter, and its server, which keeps a ledger and says what it is told to."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from commands.messages import Outcome, OutcomeKind
from gateways.contract import Call, Credentials, HttpAnswer, HttpRequest

_KINDS: dict[str, OutcomeKind] = {
    "approved": "APPROVED",
    "declined": "DECLINED_SOFT",
    "pending": "PENDING",
    "not_taken": "NOT_SENT",
}


@dataclass(frozen=True)
class Till:
    name: str = "till"
    key_life_s: int = 3600
    absence_delay_s: float = 60.0

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        if call.currency == "XXX":
            return Outcome(kind="NOT_SENT", code="currency_not_supported")
        body = json.dumps({"reference": call.reference, "amount": call.amount_minor}).encode()
        return HttpRequest("POST", "/charges", {"Key": call.key, "Secret": credentials.secret}, body)

    def outcome(self, call: Call, answer: HttpAnswer) -> Outcome:
        if answer.status != 200:
            return Outcome(kind="UNKNOWN", code=f"http_{answer.status}")
        status = json.loads(answer.body)["status"]
        return Outcome(kind=_KINDS[status], psp_id="ch_1" if status == "approved" else None, code=status)

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest:
        return HttpRequest("GET", f"/charges/{call.reference}", {"Secret": credentials.secret}, None)

    def found(self, call: Call, answer: HttpAnswer) -> Outcome | None:
        return None if answer.status == 404 else self.outcome(call, answer)


@dataclass
class TillServer:
    """`says`: the next answers to a charge, `approved` when it is empty. `lost`: charged, and never answered."""

    url: str = ""
    says: deque[str] = field(default_factory=deque)
    charges: dict[str, str] = field(default_factory=dict)  # key -> reference
    sends: int = 0
    lookups: int = 0
    hold: asyncio.Event | None = None

    async def charge(self, request: web.Request) -> web.StreamResponse:
        self.sends += 1
        says = self.says.popleft() if self.says else "approved"
        content = await request.json()
        if says == "gone":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if says in {"approved", "lost"}:
            self.charges[request.headers["Key"]] = content["reference"]
        if self.hold is not None:
            await self.hold.wait()
        if says == "lost":
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"status": says}, status=500 if says == "error" else 200)

    async def look_up(self, request: web.Request) -> web.StreamResponse:
        self.lookups += 1
        if request.match_info["reference"] in self.charges.values():
            return web.json_response({"status": "approved"})
        return web.Response(status=404)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["TillServer"]:
        app = web.Application()
        app.router.add_post("/charges", self.charge)
        app.router.add_get("/charges/{reference}", self.look_up)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}"
            yield self
        finally:
            await runner.cleanup()
