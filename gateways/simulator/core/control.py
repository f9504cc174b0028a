"""The calls of tests, on loopback only: POST /_simulator changes the conditions, POST /_simulator/dashboard
acts as a merchant's colleague does in a PSP's own dashboard.
"""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from commands import wording
from gateways.simulator.core import webhooks
from gateways.simulator.core.accounts import Accounts
from gateways.simulator.core.conditions import Behaviour, Conditions, Latency, Lognormal
from gateways.simulator.core.faults import FaultRule
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.psp import JSON, DashboardAction, Dialect, Refusal, Turn


class Change(BaseModel):
    """New conditions. `gateway`: the PSP; None: all. `down_s`: for so long it is away, `refusing` connections
    (one PSP alone: closing them) or `failing` every call with 503. `faults`: the rules instead of those in
    force; an empty list ends all. None: as before."""

    model_config = ConfigDict(extra="forbid")
    gateway: str | None = None
    latency_ms: Annotated[float, Field(ge=0, le=60_000)] | Lognormal | None = None
    search_lag_s: Annotated[float, Field(ge=0, le=86_400)] | None = None
    down_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    down: Literal["refusing", "failing"] = "refusing"
    faults: Annotated[list[FaultRule], Field(max_length=100)] | None = None
    webhooks: Behaviour | None = None


class Dashboard(BaseModel):
    """A `DashboardAction`, and the account and PSP at which it is done."""

    model_config = ConfigDict(extra="forbid")
    gateway: str
    account: str
    do: Literal["capture", "cancel", "refund"]
    reference: str
    minor: Annotated[int, Field(gt=0)] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """The handlers of the control. `refuse`: closes every port for so many seconds."""

    ledger: Ledger
    accounts: Accounts
    dialects: Mapping[str, Dialect]
    conditions_of: Mapping[str, Conditions]
    refuse: Callable[[float], Awaitable[None]]

    async def change(self, request: web.Request) -> web.StreamResponse:
        """Changes the conditions of one PSP or of all. The response shows the change, how often each fault
        hit since the rules last changed, and how many webhooks are in each state. 400: the body is no
        `Change`."""
        try:
            change = Change.model_validate_json(await request.read())
            conditions_of = self._of(change.gateway)
            self._require_accounts(change)
        except ValueError as error:
            return web.json_response({"error": _in_words(error)}, status=400)
        hits: dict[str, int] = {}
        for conditions in conditions_of:
            for label, count in conditions.faults.hits.items():
                hits[label] = hits.get(label, 0) + count
            _apply(change, conditions)
        response = web.json_response(self._result(change, hits))
        if change.down_s is not None and change.down == "refusing" and change.gateway is None:
            # The response first: going away cuts this connection too.
            response.force_close()
            await response.prepare(request)
            await response.write_eof()
            await self.refuse(change.down_s)
        return response

    async def act(self, request: web.Request) -> web.StreamResponse:
        """Captures, cancels or refunds a payment in a PSP's dashboard. 404: no such account; 409, with the
        PSP's error: the PSP does not offer it now."""
        try:
            params = Dashboard.model_validate_json(await request.read())
        except ValueError as error:
            return web.json_response({"error": _in_words(error)}, status=400)
        dialect, account = (
            self.dialects.get(params.gateway),
            self.accounts.named(params.gateway, params.account),
        )
        if dialect is None or account is None:
            return web.json_response({"error": "no such account"}, status=404)
        turn = Turn(account, None, time.time(), f"{request.url.origin()}/{params.gateway}")
        try:
            with self.ledger.writing():
                dialect.dashboard(
                    DashboardAction(params.do, params.reference, params.minor, params.reason), turn
                )
        except Refusal as refusal:
            return web.Response(status=409, body=refusal.response.body, content_type=JSON)
        return web.json_response(params.model_dump(exclude_none=True))

    def _of(self, gateway: str | None) -> list[Conditions]:
        if gateway is None:
            return list(self.conditions_of.values())
        if gateway not in self.conditions_of:
            raise ValueError(f"gateway is one of {', '.join(self.conditions_of)}")
        return [self.conditions_of[gateway]]

    def _require_accounts(self, change: Change) -> None:
        """Raises `ValueError` for a fault of an account that no PSP of the change has: it would never hit."""
        known = [one.name for one in self.accounts.all if change.gateway in (None, one.gateway)]
        for place, rule in enumerate(change.faults or ()):
            if rule.account is not None and rule.account not in known:
                raise ValueError(f"faults.{place}.account is one of {', '.join(known)}")

    def _result(self, change: Change, hits: dict[str, int]) -> dict[str, Any]:
        counts = webhooks.counts(self.ledger, change.gateway)
        return change.model_dump(exclude_none=True) | {"hits": hits, "webhook_counts": counts}


def _in_words(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    problems = {
        f"{_place(one['loc'])}: {wording.sentence(one)}"
        for one in error.errors(include_url=False, include_input=False)
    }
    return "; ".join(sorted(problems))


def _place(loc: tuple[int | str, ...]) -> str:
    """The names that were sent, and positions, without the types that were tried for a value."""
    names = [str(part) for part in loc if isinstance(part, int) or re.fullmatch("[a-z][a-z0-9_]*", part)]
    return ".".join(names) or "the body"


def _apply(change: Change, conditions: Conditions) -> None:
    if change.latency_ms is not None:
        conditions.latency = Latency(change.latency_ms)
    if change.search_lag_s is not None:
        conditions.search_lag_s = change.search_lag_s
    if change.webhooks is not None:
        conditions.webhooks = change.webhooks
    if change.faults is not None:
        conditions.faults.replace(change.faults)
        conditions.bursts.clear()
    if change.down_s is not None and change.down == "failing":
        conditions.failing_until = time.monotonic() + change.down_s
    elif change.down_s is not None and change.gateway is not None:
        conditions.cutting_until = time.monotonic() + change.down_s
