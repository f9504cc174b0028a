"""Stripe's events: which come of what, and that our adapter takes them for genuine and understands them."""

import hashlib
import hmac
from datetime import UTC, datetime

import aiohttp
import pytest

from commands.notices import Notice
from gateways.contract import Webhook, WebhookKeys, WebhookRefused
from gateways.simulator.core.ledger import read_movements
from gateways.simulator.stripe.events import VERSION
from gateways.stripe import webhooks
from tests.gateways.simulator.client import INTENTS, MANUAL, SEVERAL, SHORT_KEY, Client, until
from tests.gateways.simulator.receiver import Came, Receiver

PAYMENT = "0f8fad5bd9cb469fa16570867728950e"
REF = {"metadata[order_ref]": f"{PAYMENT}-s1"}
HELD = {"metadata[order_ref]": f"{PAYMENT}-a1", **MANUAL}
CHALLENGE = {"payment_method": "pm_card_threeDSecure2Required", "return_url": "https://shop.example/back"}


def read(came: Came, secret: str = "whsec_eu") -> tuple[Notice, ...] | WebhookRefused:
    return webhooks.read(Webhook(came.headers, came.body), WebhookKeys((secret,), {}), datetime.now(UTC))


async def received(receiver: Receiver, *types: str) -> None:
    """Until these have come, in whatever order, and no others."""
    try:
        await until(lambda: len(receiver.came) >= len(types), 10)
    finally:
        assert sorted(receiver.types) == sorted(types)


async def test_a_sale_is_reported_with_its_key_and_signed_with_the_whole_secret(
    hearing: Client, receiver: Receiver
):
    intent = (await hearing.create("k1", **REF)).body

    await received(receiver, "charge.succeeded", "payment_intent.succeeded")

    came = next(one for one in receiver.came if one.event["type"] == "payment_intent.succeeded")
    event = came.event
    assert event["data"]["object"] == intent
    assert event["request"]["idempotency_key"] == "k1"
    assert (event["object"], event["api_version"], event["livemode"]) == ("event", VERSION, False)
    moment, signature = [part.partition("=")[2] for part in came.headers["stripe-signature"].split(",")]
    right = hmac.new(b"whsec_eu", moment.encode() + b"." + came.body, hashlib.sha256).hexdigest()
    assert signature == right


async def test_our_adapter_reads_the_sale_and_takes_it_from_nobody_else(hearing: Client, receiver: Receiver):
    intent = (await hearing.create(**REF)).body
    await received(receiver, "charge.succeeded", "payment_intent.succeeded")

    came = next(one for one in receiver.came if one.event["type"] == "payment_intent.succeeded")
    (notice,) = read(came)

    assert notice.outcome is not None
    assert (notice.reference, notice.psp_id, notice.outcome.kind) == (
        f"{PAYMENT}-s1",
        intent["id"],
        "APPROVED",
    )
    assert read(came, "whsec_other") == WebhookRefused("forged")


async def test_a_forgery_is_one(hearing: Client, receiver: Receiver):
    await hearing.change(webhooks={"forged": 1})
    await hearing.create()

    await until(lambda: len(receiver.came) == 4)

    refused = [one for one in receiver.came if read(one) == WebhookRefused("forged")]
    assert len(refused) == 2


@pytest.mark.parametrize(
    ("token", "types"),
    [
        ("pm_card_visa_chargeDeclined", ["payment_intent.payment_failed"]),
        ("pm_card_threeDSecure2Required", ["payment_intent.requires_action"]),
        ("pm_sim_lost", ["charge.succeeded", "payment_intent.succeeded"]),
    ],
)
async def test_each_begin_has_its_events(hearing: Client, receiver: Receiver, token: str, types: list[str]):
    try:
        await hearing.create(payment_method=token, return_url="https://shop.example/back")
    except aiohttp.ClientError:
        assert token == "pm_sim_lost"

    await received(receiver, *types)


async def test_the_end_of_a_challenge_is_reported(hearing: Client, receiver: Receiver):
    intent = (await hearing.create(**CHALLENGE)).body

    await hearing.pass_challenge(intent, "fail")

    await received(receiver, "payment_intent.requires_action", "payment_intent.payment_failed")


async def test_what_is_processing_is_reported_when_it_has_succeeded(hearing: Client, receiver: Receiver):
    await hearing.create(payment_method="pm_sim_processing")

    await received(receiver, "payment_intent.processing", "charge.succeeded", "payment_intent.succeeded")


async def test_a_hold_is_reported_and_what_becomes_of_it(hearing: Client, receiver: Receiver):
    several = {**SEVERAL, **HELD}
    intent = (await hearing.create(**several)).body["id"]
    await hearing.capture(intent, amount_to_capture="500", final_capture="false")
    await hearing.capture(intent, amount_to_capture="599")

    await received(
        receiver,
        *("charge.succeeded", "payment_intent.amount_capturable_updated"),
        *("charge.captured", "payment_intent.amount_capturable_updated"),
        *("charge.captured", "payment_intent.succeeded"),
    )


async def test_a_canceled_hold_is_reported(hearing: Client, receiver: Receiver):
    intent = (await hearing.create(**HELD)).body["id"]
    await hearing.cancel(intent)

    await received(
        receiver,
        *("charge.succeeded", "payment_intent.amount_capturable_updated", "payment_intent.canceled"),
    )


@pytest.mark.parametrize(
    ("token", "types"),
    [
        ("pm_card_visa", ["refund.created", "charge.refunded"]),
        ("pm_card_pendingRefund", ["refund.created", "charge.refunded", "refund.updated"]),
        ("pm_sim_refund_failed", ["refund.created", "refund.failed"]),
        (
            "pm_sim_refund_pending_fails",
            ["refund.created", "charge.refunded", "refund.updated", "refund.failed"],
        ),
    ],
)
async def test_a_refund_is_reported_until_its_end(
    hearing: Client, receiver: Receiver, token: str, types: list[str]
):
    intent = (await hearing.create(payment_method=token)).body["id"]
    await hearing.refund(intent, amount="300")

    await received(receiver, "charge.succeeded", "payment_intent.succeeded", *types)


async def test_a_hold_that_nobody_captures_expires_where_the_account_says_so(
    hearing: Client, receiver: Receiver, ledger_file
):
    intent = (await hearing.of_account(SHORT_KEY).create(**HELD)).body["id"]

    await received(
        receiver,
        *("charge.succeeded", "payment_intent.amount_capturable_updated"),
        *("charge.expired", "payment_intent.canceled"),
    )

    shown = (await hearing.of_account(SHORT_KEY).ask("GET", f"{INTENTS}/{intent}")).body
    assert (shown["status"], shown["cancellation_reason"]) == ("canceled", "automatic")
    assert [one.kind for one in read_movements(ledger_file)] == ["authorized", "released"]


async def test_a_hold_that_was_captured_does_not_expire(hearing: Client, receiver: Receiver, ledger_file):
    client = hearing.of_account(SHORT_KEY)
    intent = (await client.create(**HELD)).body["id"]
    await client.capture(intent)
    other = (await client.create(**HELD)).body["id"]

    await until(lambda: "charge.expired" in receiver.types)

    expired = [one.event["data"]["object"] for one in receiver.came if one.event["type"] == "charge.expired"]
    assert [one["payment_intent"] for one in expired] == [other]
