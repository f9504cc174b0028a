"""Plays a shop's day in a minute against a running stack: orders over Kafka and a few over HTTP, what
follows on them, and the verdict on all of it."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from commands.client import Client
from infra.tools import demo_fraud
from infra.tools.audit.verify import Verdict, VerifySettings, verify
from infra.tools.demo_fraud import Checked
from infra.tools.local.state import StackState
from infra.tools.local.target import MERCHANT, of_stack
from infra.tools.traffic.checkout import PATIENCE_S, REPLY_WITHIN_S, Checkout, Late
from infra.tools.traffic.lifecycles import OrderLifecycle, lifecycles
from infra.tools.traffic.orders import orders, run_name

_ONE_IN_BY_HTTP: Final = 10


@dataclass(slots=True)
class Demo:
    """The result. `lived`: how many orders had which kind of lifecycle. `surprises`: those that ended
    otherwise than planned. `late`: those that had not ended when the shop's patience had; the verdict shows
    whether all is well. `checked`: orders that the fraud hook did not let through at once; empty where the
    stack runs without it."""

    orders: int
    by_http: int = 0
    lived: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    checked: list[Checked] = field(default_factory=list)
    seconds: float = 0.0
    verdict: Verdict | None = None

    @property
    def ok(self) -> bool:
        """True if the verdict is clean and every lifecycle ended as planned."""
        return self.verdict is not None and self.verdict.ok and not self.surprises

    def as_json(self) -> dict[str, Any]:
        """Returns the verdict's fields and what became of the orders."""
        return {
            "ok": self.ok,
            "orders": self.orders,
            "by_http": self.by_http,
            "lived": dict(sorted(self.lived.items())),
            "ended": dict(sorted(self.ended.items())),
            "surprises": self.surprises,
            "late": self.late,
            "checked": {one.idempotency_key: one.story for one in self.checked},
            "seconds": round(self.seconds, 3),
            "verdict": self.verdict.as_json() if self.verdict is not None else None,
        }


async def run_demo(
    stack: StackState, *, payments: int, rate: float, seed: int, settled: Callable[[int], None]
) -> Demo:
    """Plays the orders and returns with the verdict on everything that the stack ever did. `settled`
    receives how many have ended."""
    run = f"demo-{run_name()}"
    shop = list(lifecycles(orders(seed=seed, count=payments, rate=rate, run=run), everywhere=True))
    demo = Demo(orders=len(shop))
    began = time.monotonic()
    async with (
        Client(
            stack.kafka,
            merchant_id=MERCHANT,
            topic_prefix=stack.topic_prefix,
            reply_timeout_s=REPLY_WITHIN_S,
        ) as client,
        aiohttp.ClientSession(
            base_url=stack.api_url, headers={"Authorization": f"Bearer {stack.api_key}"}
        ) as http,
        asyncio.TaskGroup() as customers,
    ):
        checkout = Checkout(client, http)

        async def serve(life: OrderLifecycle, *, by_http: bool) -> None:
            try:
                status = await checkout.serve(life, by_http=by_http)
            except Late as late:
                status = str(late)
                demo.late.append(f"{_named(life)}: {status}")
            else:
                if status != life.ends:
                    demo.surprises.append(f"{_named(life)}: {status}, not {life.ends}")
            demo.by_http += by_http
            demo.lived[life.name] += 1
            demo.ended[status] += 1
            settled(demo.ended.total())

        for number, life in enumerate(shop):
            await asyncio.sleep(max(0.0, began + life.order.arrives_s - time.monotonic()))
            customers.create_task(serve(life, by_http=number % _ONE_IN_BY_HTTP == 0))
        if demo_fraud.PLACE in stack.hooks:
            demo.checked = await demo_fraud.checked(client, run)
            demo.surprises += [f"{one.idempotency_key}: {one.story}" for one in demo.checked if not one.ok]
    demo.seconds = time.monotonic() - began
    demo.verdict = await verify(of_stack(VerifySettings, stack, "audit"), PATIENCE_S)
    return demo


def _named(life: OrderLifecycle) -> str:
    return f"{life.order.idempotency_key} ({life.name}, {life.order.payment_method})"
