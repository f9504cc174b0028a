"""A small PSP for tests of the agent: its adapter, and its server, which keeps a ledger and response what
it is set."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from aiohttp import web

from commands.messages import Outcome, OutcomeKind
from commands.notices import Notice
from gateways.contract import (
    Call,
    Credentials,
    Facts,
    HttpRequest,
    HttpResponse,
    Webhook,
    WebhookKeys,
    WebhookRefused,
)
from tests.support.listening import listening

_KINDS: dict[str, OutcomeKind] = {
    "approved": "APPROVED",
    "declined": "DECLINED_SOFT",
    "pending": "PENDING",
    "challenged": "ACTION_REQUIRED",
    "ended": "EXPIRED",
    "not_taken": "NOT_SENT",
    "goes_on": "PENDING",
    "goes_on_later": "ACTION_REQUIRED",
    "teleported": "UNKNOWN",
}
_STATUSES = {"error": 500, "away": 503}

FACTS = Facts(
    name="till",
    title="FakePsp",
    documents="1",
    kinds=frozenset({"authorize", "sale", "capture", "void", "refund"}),
    currencies=frozenset({"EUR", "USD"}),
    partial_capture=True,
    multicapture=True,
    refunds_of="payment",
    disputes_show_as_refunds=False,
    looks_up=True,
    key_life_s=3600,
    authorization_life_s=86_400,
    final_call_by="psp",
    challenge="a page",
    idempotency="header Key",
    lookup="by reference",
    webhook="none",
    only_by_webhook="nothing",
    payment_method="a word",
    credential="a word",
    signed_by="nothing",
)


@dataclass(frozen=True)
class FakePsp:
    """`proves_absence_after_s`: None, never. `key_s`: 0, no keys. `ours`: the steps that only we can send;
    `idle`: those that move no money."""

    proves_absence_after_s: float | None = 60.0
    key_s: int = 3600
    ours: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    looks_up: bool = True

    @property
    def facts(self) -> Facts:
        return replace(FACTS, looks_up=self.looks_up)

    def key_life_s(self, call: Call, credentials: Credentials) -> int:
        return self.key_s

    def moves_money(self, call: Call) -> bool:
        return call.step not in self.idle

    def steps_we_send(self, call: Call) -> tuple[str, ...]:
        return self.ours

    def absence_delay_s(self, _: Call) -> float | None:
        return self.proves_absence_after_s

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        if call.currency == "XXX":
            return Outcome(kind="NOT_SENT", code="currency_not_supported")
        content = {
            "reference": call.reference,
            "kind": call.kind,
            "amount": call.amount_minor,
            "target": call.target_psp_id,
            "back": call.return_url,
            "returned": dict(call.returned),
        }
        headers = {"Key": call.key, "Secret": credentials.secret}
        return HttpRequest("POST", "/charges", headers, json.dumps(content).encode())

    def outcome(self, call: Call, response: HttpResponse) -> Outcome:
        if response.status != 200:
            return Outcome(kind="UNKNOWN", code=f"http_{response.status}")
        status = json.loads(response.body)["status"]
        psp_id = "ch_1" if status in {"approved", "challenged"} else None
        next_step = str(int(call.step) + 1) if status.startswith("goes_on") else None
        return Outcome.model_validate(
            {
                "kind": _KINDS[status],
                "psp_id": psp_id,
                "code": status,
                "next_step": next_step,
                "unlisted": status == "teleported",
            }
        )

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        if call.kind == "refund" and call.target_psp_id is None:
            return Outcome(kind="UNKNOWN", code="target_unknown")
        return HttpRequest("GET", f"/charges/{call.reference}", {"Secret": credentials.secret}, None)

    def found(self, call: Call, response: HttpResponse) -> Outcome | None:
        return None if response.status == 404 else self.outcome(call, response)

    def cancel(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        if call.psp_id is None:
            return Outcome(kind="UNKNOWN", code="psp_id_unknown")
        headers = {"Key": call.key, "Secret": credentials.secret}
        return HttpRequest("POST", f"/charges/{call.psp_id}/end", headers, b"{}")

    def cancelled(self, call: Call, response: HttpResponse) -> Outcome:
        return self.outcome(call, response)

    def read_webhook(
        self, webhook: Webhook, keys: WebhookKeys, now: datetime
    ) -> tuple[Notice, ...] | WebhookRefused:
        return WebhookRefused("unsigned")


@dataclass
class TillServer:
    """`responses`: the next ones to a charge, `approved` when it is empty; `cancel_responses`: to a
    cancel. `lost`: charged, or ended, and without a response. `gone`: neither. `error`, `away`: neither,
    with HTTP 500 or 503. `finds`: the status that a lookup shows of what is there."""

    url: str = ""
    responses: deque[str] = field(default_factory=deque)
    cancel_responses: deque[str] = field(default_factory=deque)
    finds: str = "approved"
    charges: dict[str, str] = field(default_factory=dict)  # key -> reference
    charge_requests: list[dict[str, object]] = field(
        default_factory=list
    )  # the bodies of the charge requests
    ends: list[str] = field(default_factory=list)  # keys of cancels, in the order in which they came
    lookups: int = 0
    hold: asyncio.Event | None = None

    @property
    def sends(self) -> int:
        return len(self.charge_requests)

    async def charge(self, request: web.Request) -> web.StreamResponse:
        response = self.responses.popleft() if self.responses else "approved"
        content = await request.json()
        self.charge_requests.append(content)
        if response == "gone":
            return _cut(request)
        if response in {"approved", "lost", "challenged"}:
            self.charges[request.headers["Key"]] = content["reference"]
        if self.hold is not None:
            await self.hold.wait()
        if response == "lost":
            return _cut(request)
        return web.json_response({"status": response}, status=_STATUSES.get(response, 200))

    async def end(self, request: web.Request) -> web.StreamResponse:
        self.ends.append(request.headers["Key"])
        response = self.cancel_responses.popleft() if self.cancel_responses else "ended"
        if response in {"ended", "lost"}:
            self.finds = "ended"
        if response in {"gone", "lost"}:
            return _cut(request)
        return web.json_response({"status": response}, status=_STATUSES.get(response, 200))

    async def look_up(self, request: web.Request) -> web.StreamResponse:
        self.lookups += 1
        if request.match_info["reference"] in self.charges.values():
            return web.json_response({"status": self.finds})
        return web.Response(status=404)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["TillServer"]:
        app = web.Application()
        app.router.add_post("/charges", self.charge)
        app.router.add_post("/charges/{id}/end", self.end)
        app.router.add_get("/charges/{reference}", self.look_up)
        async with listening(app) as self.url:
            yield self


def _cut(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
