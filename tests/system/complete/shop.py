"""What a shop does at the complete local stack, with every PSP."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from commands.client import Client
from infra.postgres.connections import connect
from infra.tools.audit.verify import Verdict, VerifySettings, verify
from infra.tools.local.stack import Stack
from infra.tools.local.target import MERCHANT, of_stack
from infra.tools.traffic.checkout import Checkout
from infra.tools.traffic.lifecycles import OrderLifecycle

_PATIENCE_S = 60.0


@dataclass
class Shop:
    stack: Stack

    @property
    def state(self) -> Any:
        return self.stack.state

    async def change(self, **conditions: Any) -> dict[str, Any]:
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self.state.simulator_url}/_simulator", json=conditions) as response,
        ):
            assert response.status == 200, await response.text()
            shown: dict[str, Any] = await response.json()
            return shown

    async def serve(self, day: list[OrderLifecycle]) -> list[str]:
        """Every other one by HTTP. What ended otherwise than it should."""
        async with self._checkout() as checkout:

            async def one(number: int, life: OrderLifecycle) -> str | None:
                ended = await checkout.serve(life, by_http=number % 2 == 0)
                difference = f"{life.name} ({life.order.idempotency_key}): {ended}, not {life.ends}"
                return None if ended == life.ends else difference

            ends = await asyncio.gather(*(one(number, life) for number, life in enumerate(day)))
        return [end for end in ends if end is not None]

    @asynccontextmanager
    async def _checkout(self) -> AsyncIterator[Checkout]:
        headers = {"Authorization": f"Bearer {self.state.api_key}"}
        async with (
            Client(
                self.state.kafka,
                merchant_id=MERCHANT,
                topic_prefix=self.state.topic_prefix,
                reply_timeout_s=_PATIENCE_S,
            ) as client,
            aiohttp.ClientSession(base_url=self.state.api_url, headers=headers) as http,
        ):
            yield Checkout(client, http)

    async def verdict(self) -> Verdict:
        return await verify(of_stack(VerifySettings, self.state, "audit"), _PATIENCE_S)

    def looked_again(self) -> list[str]:
        """Why the PSP was queried about what had ended, each time."""
        with connect(of_stack(VerifySettings, self.state, "audit"), "audit") as connection:
            rows = connection.execute(
                "SELECT state->>'reason' FROM (SELECT convert_from(state, 'UTF8')::jsonb AS state"
                " FROM payment_events WHERE topic = 'operation.follow_up_requested.v1') queries WHERE state->>'how' = 'confirm'"
            ).fetchall()
        return [reason for (reason,) in rows]

    def kill(self, *names: str) -> None:
        for one in self.stack.watched:
            if one.program.name in names:
                one.child.signal(signal.SIGKILL)
