"""What the simulator tells of its own accord, as our adapter reads it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateways.contract import Hook, HookKeys, HookRefused, Notice
from tests.gateways.simulator.razorpay.shop import HOOK_SECRET, RAZORPAY, Shop, Told, begin, later
from tests.until import until

KEYS = HookKeys((HOOK_SECRET,), {})


def read(hook: Hook) -> Notice:
    notices = RAZORPAY.read_hook(hook, KEYS, datetime.now(UTC))
    assert not isinstance(notices, HookRefused)
    return notices[0]


async def heard(told: Told, count: int) -> list[Notice]:
    await until(lambda: len(told.hooks) >= count, f"{count} webhooks", 10)
    return [read(hook) for hook in told.hooks]


def short(notices: list[Notice]) -> dict[str, Any]:
    return {one.event_type: one.outcome.kind if one.outcome else None for one in notices}


async def test_a_sale_is_told_step_by_step(shop: Shop, told: Told):
    sold = await shop.sold()

    notices = await heard(told, 3)

    assert short(notices) == {
        "payment.authorized": "UNKNOWN",
        "payment.captured": "APPROVED",
        "order.paid": "APPROVED",
    }
    assert {(one.reference, one.psp_id) for one in notices} == {(sold.reference, sold.psp_id)}
    assert len({one.event_id for one in notices}) == 3


async def test_an_authorization_is_told_and_its_capture_is_news(shop: Shop, told: Told):
    held = await shop.authorized("authorize")
    await shop.send(later("capture", held))

    notices = await heard(told, 3)

    assert short(notices)["payment.authorized"] == "APPROVED"
    assert short(notices)["payment.captured"] == "UNKNOWN"
    assert {one.reference for one in notices} == {held.reference}


async def test_a_failed_payment_is_news(shop: Shop, told: Told):
    await shop.send(await shop.ordered(begin("sale", "token_card_declined")))

    assert short(await heard(told, 1)) == {"payment.failed": "UNKNOWN"}


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("token_frictionless", {"refund.created": "APPROVED", "refund.processed": "APPROVED"}),
        ("token_refund_pending", {"refund.created": "PENDING", "refund.processed": "APPROVED"}),
        ("token_refund_pending_fails", {"refund.created": "PENDING", "refund.failed": "DECLINED_HARD"}),
    ],
)
async def test_a_refund_is_told_under_its_own_reference(
    shop: Shop, told: Told, token: str, said: dict[str, str]
):
    sold = await shop.sold(token)
    await heard(told, 3)
    told.hooks.clear()
    refund = later("refund", sold, 400)
    outcome = await shop.send(refund)

    notices = await heard(told, 2)

    assert short(notices) == said
    assert {(one.reference, one.psp_id) for one in notices} == {(refund.reference, outcome.psp_id)}


@pytest.mark.parametrize("options", [{"uncaptured_life_s": "1"}])
async def test_what_was_not_captured_in_its_time_is_told_as_expired(shop: Shop, told: Told):
    held = await shop.authorized("authorize")

    notices = await heard(told, 2)

    assert short(notices)["refund.processed"] == "EXPIRED"
    assert {(one.reference, one.psp_id) for one in notices} == {(held.reference, held.psp_id)}


@pytest.mark.parametrize("end", ["won", "lost"])
async def test_a_dispute_is_told_when_it_is_opened_and_when_it_is_decided(shop: Shop, told: Told, end: str):
    sold = await shop.sold(f"token_dispute_{end}")

    notices = [one for one in await heard(told, 5) if one.dispute is not None]

    assert {one.dispute.state for one in notices if one.dispute} == {"opened", end}
    assert {(one.reference, one.psp_id) for one in notices} == {(sold.reference, sold.psp_id)}
    for notice in notices:
        assert notice.dispute is not None
        assert (notice.dispute.amount_minor, notice.dispute.currency) == (1099, "INR")
        assert notice.dispute.respond_by is not None
    assert len({one.dispute.dispute_id for one in notices if one.dispute}) == 1


async def test_a_forged_webhook_is_refused_and_the_true_one_follows(shop: Shop, told: Told):
    await shop.control(webhooks={"forged": 1.0})
    await shop.authorized("authorize")
    await until(lambda: len(told.hooks) >= 2, "the forged one and the true one", 10)

    read_ones = [RAZORPAY.read_hook(hook, KEYS, datetime.now(UTC)) for hook in told.hooks]

    assert [one.why for one in read_ones if isinstance(one, HookRefused)] == ["forged"]
    assert any(not isinstance(one, HookRefused) for one in read_ones)


async def test_a_webhook_that_comes_twice_has_one_id(shop: Shop, told: Told):
    await shop.control(webhooks={"repeat": 1.0})
    await shop.authorized("authorize")

    notices = await heard(told, 2)

    assert len({one.event_id for one in notices}) == 1
