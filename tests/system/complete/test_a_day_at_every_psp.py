"""Each PSP, by its own dialect, through every process: what a shop does there, under all conditions of its
webhooks.

It comes first of the files of this stack: after it not all is at rest."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from infra.tools.traffic.lifecycles import OrderLifecycle, lifecycles
from infra.tools.traffic.orders import orders, run_name
from tests.system.complete.shop import Shop

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(400),
    pytest.mark.asyncio(loop_scope="package"),
]


def elsewhere(count: int, seed: int) -> list[OrderLifecycle]:
    """Each kind of life at the PSPs but Stripe, so many times."""
    made = orders(seed=seed, count=40 * count, rate=1000, run=f"psps-{seed}-{run_name()}", conditions="calm")
    met: Counter[str] = Counter()
    day = []
    for life in lifecycles(made, everywhere=True):
        if ":" in life.order.payment_method and met[life.name] < count:
            met[life.name] += 1
            day.append(life)
    assert set(met.values()) == {count}
    return day


async def test_what_a_shop_does_at_every_psp_ends_as_it_should(shop: Shop):
    assert await shop.serve(elsewhere(2, seed=1)) == []

    verdict = await shop.verdict()
    assert verdict.ok, verdict.as_json()
    assert not verdict.doubts
    # The webhooks of what we did ourselves are no news.
    assert shop.looked_again() == []


async def test_webhooks_that_come_twice_late_out_of_order_or_forged_change_nothing(shop: Shop):
    await shop.change(
        webhooks={"seed": 7, "repeat": 0.5, "out_of_order": 0.3, "forged": 0.3, "before_response": 0.3}
    )

    assert await shop.serve(elsewhere(2, seed=2)) == []

    verdict = await shop.verdict()
    assert verdict.ok, verdict.as_json()
    assert not verdict.doubts


def _lost(*, refund: str = "reset", but: str = "") -> list[dict[str, Any]]:
    what = {"create": "lost", "continue": "lost", "capture": "lost", "cancel": "lost", "get": "garbage"}
    of_all = {**what, "refund": refund}
    return [{"on": on, "do": do, "share": 0.3, "seed": 11} for on, do in of_all.items() if on != but]


async def test_every_gateway_worker_and_the_inbox_may_be_killed_while_responses_are_lost_and_nothing_is_done_twice(
    shop: Shop,
):
    await shop.change(webhooks={}, faults=_lost())
    # Without keys: that a refund never reached Braintree is proven after an hour only; and where the response
    # with its bank's page is lost, Razorpay's customer cannot go on.
    await shop.change(gateway="braintree", faults=_lost(refund="lost"))
    await shop.change(gateway="razorpay", faults=_lost(but="continue"))

    async def killed() -> None:
        for name in ("gateway-adyen", "inbox", "gateway-paypal", "gateway-braintree", "gateway-razorpay"):
            await asyncio.sleep(0.5)
            shop.kill(name)

    surprises, _ = await asyncio.gather(shop.serve(elsewhere(3, seed=4)), killed())
    hits = (await shop.change(faults=[]))["hits"]

    assert {"create/lost", "continue/lost", "capture/lost"} <= hits.keys()
    verdict = await shop.verdict()
    assert verdict.ok, verdict.as_json()
    assert surprises == []
