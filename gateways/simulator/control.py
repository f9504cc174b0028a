"""The calls by which tests change the weather: POST /_simulator, on loopback only."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateways.simulator import hooks
from gateways.simulator.faults import Fault
from gateways.simulator.ledger import Ledger
from gateways.simulator.weather import Behaviour, Latency, Lognormal, Weather


class Change(BaseModel):
    """`gateway`: all where None. `down_s`: for so long it is away, `refusing` connections (one PSP alone: cutting them)
    or `failing` every call with 503. `faults`: instead of those that are switched on; none clears them."""

    model_config = ConfigDict(extra="forbid")
    gateway: str | None = None
    latency_ms: Annotated[float, Field(ge=0, le=60_000)] | Lognormal | None = None
    search_lag_s: Annotated[float, Field(ge=0, le=86_400)] | None = None
    down_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    down: Literal["refusing", "failing"] = "refusing"
    faults: Annotated[list[Fault], Field(max_length=100)] | None = None
    webhooks: Behaviour | None = None


@dataclass(frozen=True, slots=True)
class Control:
    ledger: Ledger
    weathers: Mapping[str, Weather]
    refuse: Callable[[float], Awaitable[None]]

    async def change(self, request: web.Request) -> web.StreamResponse:
        try:
            change = Change.model_validate_json(await request.read())
            weathers = self._of(change.gateway)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        hits: dict[str, int] = {}
        for weather in weathers:
            for label, count in weather.faults.hits.items():
                hits[label] = hits.get(label, 0) + count
            _apply(change, weather)
        answer = web.json_response(self._said(change, hits))
        if change.down_s is not None and change.down == "refusing" and change.gateway is None:
            # Answered first: going away cuts this connection too.
            answer.force_close()
            await answer.prepare(request)
            await answer.write_eof()
            await self.refuse(change.down_s)
        return answer

    def _of(self, gateway: str | None) -> list[Weather]:
        if gateway is None:
            return list(self.weathers.values())
        if gateway not in self.weathers:
            raise ValueError(f"gateway is one of {', '.join(self.weathers)}")
        return [self.weathers[gateway]]

    def _said(self, change: Change, hits: dict[str, int]) -> dict[str, Any]:
        told = hooks.counts(self.ledger, change.gateway)
        return change.model_dump(exclude_none=True) | {"hits": hits, "hooks": told}


def _apply(change: Change, weather: Weather) -> None:
    if change.latency_ms is not None:
        weather.latency = Latency(change.latency_ms)
    if change.search_lag_s is not None:
        weather.search_lag_s = change.search_lag_s
    if change.webhooks is not None:
        weather.webhooks = change.webhooks
    if change.faults is not None:
        weather.faults.switch(change.faults)
        weather.bursts.clear()
    if change.down_s is not None and change.down == "failing":
        weather.failing_until = time.monotonic() + change.down_s
    elif change.down_s is not None and change.gateway is not None:
        weather.cutting_until = time.monotonic() + change.down_s
