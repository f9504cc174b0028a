"""Webhooks as they arrive: signed by the simulator's certificate, and read by the adapter."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from commands.notices import Notice
from gateways.contract import Webhook, WebhookKeys, WebhookRefused
from tests.gateways.simulator.paypal.client import (
    ADAPTER,
    OTHER_SECRET,
    WEBHOOK_ID,
    Client,
    later,
    simulating,
)
from tests.gateways.simulator.taken import taken
from tests.support.listening import listening
from tests.support.until import until


@dataclass
class Received:
    """Keeps what comes."""

    webhooks: list[Webhook] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.webhooks.append(Webhook(headers, await request.read()))
        return web.Response()

    async def webhook(self, event_type: str) -> Webhook:
        def there() -> bool:
            return any(orjson.loads(webhook.body)["event_type"] == event_type for webhook in self.webhooks)

        await until(there, f"{event_type} has come")
        return next(
            webhook for webhook in self.webhooks if orjson.loads(webhook.body)["event_type"] == event_type
        )


@pytest.fixture
async def received() -> AsyncIterator[Received]:
    received, app = Received(), web.Application()
    app.router.add_post("/webhooks/paypal/pp-eu", received.take)
    async with listening(app) as url:
        received.url = f"{url}/webhooks/paypal/pp-eu"
        yield received


@pytest.fixture
async def paypal(ledger_file: Path, received: Received) -> AsyncIterator[Client]:
    async with simulating(ledger_file, webhook_url=received.url) as client:
        yield client


async def read(paypal: Client, webhook: Webhook, **options: str) -> tuple[Notice, ...] | WebhookRefused:
    """As the intake does it: the certificate is fetched from where the adapter lets it be."""
    authority = await fetched(paypal, f"{paypal.root}/paypal/authority.pem")
    known = {
        "webhook_id": WEBHOOK_ID,
        "webhook_ca": authority.decode(),
        "certificate_host": paypal.root.removeprefix("http://"),
    } | options
    url = ADAPTER.certificate_url(webhook, known)
    assert url is not None
    keys = WebhookKeys((), known, await fetched(paypal, url))
    return ADAPTER.read_webhook(webhook, keys, datetime.now(UTC))


async def fetched(paypal: Client, url: str) -> bytes:
    async with paypal.http.get(url) as response:
        assert response.status == 200
        return await response.read()


async def one(paypal: Client, webhook: Webhook) -> Notice:
    notices = await read(paypal, webhook)
    assert isinstance(notices, tuple), notices
    return notices[0]


async def test_an_authorization_its_capture_and_its_refund_are_reported(paypal: Client, received: Received):
    held = await paypal.authorized()
    capture = later(held, "capture", 400)
    captured = await paypal.send(capture)
    assert captured.psp_id is not None
    refund = later((capture, captured.psp_id), "refund", 100, 3)
    refunded = await paypal.send(refund)
    void = later(held, "void", 699, 4)
    await paypal.send(void)

    for event_type, reference, psp_id, minor in (
        ("PAYMENT.AUTHORIZATION.CREATED", held[0].reference, held[1], 1099),
        ("PAYMENT.CAPTURE.COMPLETED", capture.reference, captured.psp_id, 400),
        ("PAYMENT.CAPTURE.REFUNDED", refund.reference, refunded.psp_id, 100),
    ):
        notice = await one(paypal, await received.webhook(event_type))
        assert (notice.reference, notice.psp_id) == (reference, psp_id)
        assert notice.outcome is not None
        assert (notice.outcome.kind, notice.outcome.amount_minor) == ("APPROVED", minor)
    notice = await one(paypal, await received.webhook("PAYMENT.AUTHORIZATION.VOIDED"))
    assert notice.outcome is not None
    assert (notice.reference, notice.outcome.kind) == (held[0].reference, "EXPIRED")


async def test_a_payer_who_agreed_is_reported(paypal: Client, received: Received):
    call = paypal.call("paypal")
    waiting = await paypal.send(call)
    await paypal.decides(waiting.action_url)

    notice = await one(paypal, await received.webhook("CHECKOUT.ORDER.APPROVED"))

    assert (notice.reference, notice.psp_id) == (call.reference, waiting.psp_id)


async def test_a_declined_sale_is_reported(paypal: Client, received: Received):
    call = paypal.call("sim_processor_5400")
    await paypal.done(call)

    notice = await one(paypal, await received.webhook("PAYMENT.CAPTURE.DECLINED"))

    assert notice.outcome is not None
    assert (notice.reference, notice.outcome.kind, notice.outcome.code) == (
        call.reference,
        "DECLINED_HARD",
        "5400",
    )


@pytest.mark.parametrize(
    ("token", "states"),
    [
        ("sim_dispute_won", ("opened", "won")),
        ("sim_dispute_lost", ("opened", "lost")),
        ("sim_dispute_payout", ("opened", "unclear")),
        ("sim_inquiry", ("inquiry", "closed")),
    ],
)
async def test_a_dispute_is_begun_and_ends(
    paypal: Client, received: Received, ledger_file: Path, token: str, states: tuple[str, str]
):
    call, _ = await paypal.sold(token)

    begun = await one(paypal, await received.webhook("CUSTOMER.DISPUTE.CREATED"))
    ended = await one(paypal, await received.webhook("CUSTOMER.DISPUTE.RESOLVED"))

    assert begun.dispute is not None
    assert ended.dispute is not None
    assert (begun.reference, ended.reference) == (call.reference, call.reference)
    assert (begun.dispute.state, ended.dispute.state) == states
    assert begun.dispute.dispute_id == ended.dispute.dispute_id
    kept = Decimal("10.99") if states[1] in {"lost", "unclear"} else Decimal()
    assert taken(ledger_file) == {ended.dispute.dispute_id: kept}
    assert begun.dispute.amount_minor == 1099


async def test_a_forged_webhook_is_refused_and_the_true_one_comes_too(paypal: Client, received: Received):
    await paypal.change(webhooks={"forged": 1.0})
    await paypal.sold()
    await until(lambda: len(received.webhooks) == 2, "both have come")

    response = [await read(paypal, webhook) for webhook in received.webhooks]

    assert WebhookRefused("forged") in response
    assert any(isinstance(one, tuple) for one in response)


async def test_another_webhooks_id_and_an_altered_body_are_refused(paypal: Client, received: Received):
    await paypal.sold()
    webhook = await received.webhook("PAYMENT.CAPTURE.COMPLETED")

    assert await read(paypal, webhook, webhook_id="ANOTHER") == WebhookRefused("forged")
    altered = replace(webhook, body=webhook.body.replace(b"10.99", b"90.99"))
    assert await read(paypal, altered) == WebhookRefused("forged")


async def test_paypal_itself_says_whether_a_signature_is_right(paypal: Client, received: Received):
    await paypal.sold()
    webhook = await received.webhook("PAYMENT.CAPTURE.COMPLETED")
    names = ("transmission_id", "transmission_time", "transmission_sig", "cert_url", "auth_algo")
    waiting: dict[str, Any] = {name: webhook.headers[f"paypal-{name.replace('_', '-')}"] for name in names}

    async def status(webhook_id: str, event: bytes) -> Any:
        body = orjson.dumps(waiting | {"webhook_id": webhook_id})[:-1] + b', "webhook_event": ' + event + b"}"
        response = await paypal.ask("POST", "/v1/notifications/verify-webhook-signature", body)
        assert response.status == 200
        return orjson.loads(response.body)["verification_status"]

    assert await status(WEBHOOK_ID, webhook.body) == "SUCCESS"
    assert await status("ANOTHER", webhook.body) == "FAILURE"
    assert await status(WEBHOOK_ID, webhook.body.replace(b"10.99", b"90.99")) == "FAILURE"
    refused = await paypal.ask("POST", "/v1/notifications/verify-webhook-signature", b"{}")
    assert refused.status == 400


async def test_the_authority_and_the_certificate_are_the_same_after_a_restart(
    ledger_file: Path, received: Received, paypal: Client
):
    await paypal.sold()
    webhook = await received.webhook("PAYMENT.CAPTURE.COMPLETED")
    authority = await fetched(paypal, f"{paypal.root}/paypal/authority.pem")
    name = webhook.headers["paypal-cert-url"].rpartition("/")[2]

    async with simulating(ledger_file.with_name("other.db")) as other:
        assert await fetched(other, f"{other.root}/paypal/authority.pem") != authority
        with pytest.raises(AssertionError):
            await fetched(other, f"{other.root}/paypal/v1/notifications/certs/{name}")
    async with simulating(ledger_file) as again, aiohttp.ClientSession():
        assert await fetched(again, f"{again.root}/paypal/authority.pem") == authority
        assert await fetched(again, f"{again.root}/paypal/v1/notifications/certs/{name}")


async def test_an_event_is_shown_by_its_id_as_it_was_sent_and_to_its_own_account_only(
    paypal: Client, received: Received
):
    await paypal.authorized()
    webhook = await received.webhook("PAYMENT.AUTHORIZATION.CREATED")
    notice = await one(paypal, webhook)

    shown = await paypal.exchange(ADAPTER.confirm(notice, paypal.credentials))
    other = await paypal.signed_in(OTHER_SECRET)
    to_another = await paypal.exchange(ADAPTER.confirm(notice, other.credentials))

    assert (shown.status, shown.body) == (200, webhook.body)
    assert ADAPTER.confirmed(notice, shown) == notice
    assert to_another.status == 404
