"""A shop's day in a minute: orders by Kafka and a few by HTTP, against a running stack, and the verdict on all of it."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from commands.client import SETTLED, Client, NoAnswer, NotSettled, Refused
from infra.local.state import StackState
from infra.shop import Order, orders, run_name
from infra.target import MERCHANT, of_stack
from infra.verify import Verdict, VerifySettings, verify

_ONE_IN_BY_HTTP: Final = 10
_PATIENCE_S: Final = 60.0
_ASK_AGAIN_S: Final = 0.25


@dataclass(slots=True)
class Demo:
    """`surprises`: orders that ended otherwise than their payment token says."""

    orders: int
    by_http: int = 0
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
            "ended": dict(sorted(self.ended.items())),
            "surprises": self.surprises,
            "seconds": round(self.seconds, 3),
            "verdict": self.verdict.as_json() if self.verdict is not None else None,
        }


async def run_demo(
    stack: StackState, *, payments: int, rate: float, seed: int, settled: Callable[[int], None]
) -> Demo:
    """`settled` is called with how many orders have ended. Returns with the verdict on all that the stack ever did."""
    shop = list(orders(seed=seed, count=payments, rate=rate, run=f"demo-{run_name()}"))
    demo = Demo(orders=len(shop))
    began = time.monotonic()
    async with (
        Client(stack.kafka, merchant_id=MERCHANT, topic_prefix=stack.topic_prefix) as client,
        aiohttp.ClientSession(
            base_url=stack.api_url, headers={"Authorization": f"Bearer {stack.api_key}"}
        ) as http,
        asyncio.TaskGroup() as customers,
    ):
        counter = Checkout(client, http, demo, settled)
        for number, order in enumerate(shop):
            await asyncio.sleep(max(0.0, began + order.arrives_s - time.monotonic()))
            customers.create_task(counter.serve(order, by_http=number % _ONE_IN_BY_HTTP == 0))
    demo.seconds = time.monotonic() - began
    demo.verdict = await verify(of_stack(VerifySettings, stack, "audit"), _PATIENCE_S)
    return demo


class Checkout:
    def __init__(
        self, client: Client, http: aiohttp.ClientSession, demo: Demo, settled: Callable[[int], None]
    ) -> None:
        self._client = client
        self._http = http
        self._demo = demo
        self._settled = settled

    async def serve(self, order: Order, *, by_http: bool) -> None:
        status = await (self._by_http(order) if by_http else self._by_kafka(order))
        self._demo.by_http += by_http
        self._demo.ended[status] += 1
        if status != order.ends:
            self._demo.surprises.append(
                f"{order.idempotency_key} ({order.payment_method}): {status}, not {order.ends}"
            )
        self._settled(self._demo.ended.total())

    async def _by_kafka(self, order: Order) -> str:
        try:
            reply = await self._client.pay(
                timeout_s=_PATIENCE_S,
                idempotency_key=order.idempotency_key,
                amount_minor=order.amount_minor,
                currency=order.currency,
                payment_method=order.payment_method,
                customer_id=order.customer_id,
                country=order.country,
                description=order.description,
            )
        except Refused as refused:
            return f"refused: {refused.code}"
        except NoAnswer:
            return "no answer"
        except NotSettled as late:
            return f"still {late.status}"
        return str(reply.status)

    async def _by_http(self, order: Order) -> str:
        body = {
            "amount_minor": order.amount_minor,
            "currency": order.currency,
            "payment_method": order.payment_method,
            "customer_id": order.customer_id,
            "country": order.country,
            "description": order.description,
        }
        headers = {"Idempotency-Key": order.idempotency_key, "Prefer": "wait=5"}
        async with self._http.post("/v1/payments", json=body, headers=headers) as answer:
            if answer.status not in {200, 201, 202}:
                return f"HTTP {answer.status}"
            payment = await answer.json()
        until = time.monotonic() + _PATIENCE_S
        while payment.get("status") not in SETTLED and time.monotonic() < until:
            await asyncio.sleep(_ASK_AGAIN_S)
            async with self._http.get(f"/v1/payments/{payment['payment_id']}") as answer:
                # 404: the read model has not seen it yet.
                payment |= await answer.json() if answer.status == 200 else {}
        return str(payment.get("status"))
