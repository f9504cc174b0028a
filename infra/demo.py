"""A shop's day in a minute: orders by Kafka and a few by HTTP, and what becomes of them, against a running stack; and
the verdict on all of it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from commands.client import Client
from infra.checkout import PATIENCE_S, Checkout
from infra.local.state import StackState
from infra.shop import orders, run_name
from infra.shop_life import Life, lives
from infra.target import MERCHANT, of_stack
from infra.verify import Verdict, VerifySettings, verify

_ONE_IN_BY_HTTP: Final = 10


@dataclass(slots=True)
class Demo:
    """`lived`: how many orders had which kind of life; `surprises`: those that ended otherwise than theirs should."""

    orders: int
    by_http: int = 0
    lived: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)
    seconds: float = 0.0
    verdict: Verdict | None = None

    @property
    def ok(self) -> bool:
        return self.verdict is not None and self.verdict.ok and not self.surprises

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "orders": self.orders,
            "by_http": self.by_http,
            "lived": dict(sorted(self.lived.items())),
            "ended": dict(sorted(self.ended.items())),
            "surprises": self.surprises,
            "seconds": round(self.seconds, 3),
            "verdict": self.verdict.as_json() if self.verdict is not None else None,
        }


async def run_demo(
    stack: StackState, *, payments: int, rate: float, seed: int, settled: Callable[[int], None]
) -> Demo:
    """`settled` is called with how many orders have ended. Returns with the verdict on all that the stack ever did."""
    shop = list(
        lives(orders(seed=seed, count=payments, rate=rate, run=f"demo-{run_name()}"), everywhere=True)
    )
    demo = Demo(orders=len(shop))
    began = time.monotonic()
    async with (
        Client(
            stack.kafka,
            merchant_id=MERCHANT,
            topic_prefix=stack.topic_prefix,
            answer_timeout_s=PATIENCE_S,
        ) as client,
        aiohttp.ClientSession(
            base_url=stack.api_url, headers={"Authorization": f"Bearer {stack.api_key}"}
        ) as http,
        asyncio.TaskGroup() as customers,
    ):
        checkout = Checkout(client, http)

        async def serve(life: Life, *, by_http: bool) -> None:
            status = await checkout.serve(life, by_http=by_http)
            _note(demo, life, status, by_http=by_http)
            settled(demo.ended.total())

        for number, life in enumerate(shop):
            await asyncio.sleep(max(0.0, began + life.order.arrives_s - time.monotonic()))
            customers.create_task(serve(life, by_http=number % _ONE_IN_BY_HTTP == 0))
    demo.seconds = time.monotonic() - began
    demo.verdict = await verify(of_stack(VerifySettings, stack, "audit"), PATIENCE_S)
    return demo


def _note(demo: Demo, life: Life, status: str, *, by_http: bool) -> None:
    demo.by_http += by_http
    demo.lived[life.name] += 1
    demo.ended[status] += 1
    if status != life.ends:
        order = life.order
        what = f"{order.idempotency_key} ({life.name}, {order.payment_method})"
        demo.surprises.append(f"{what}: {status}, not {life.ends}")
