"""Webhooks as they arrive: signed by the simulator's certificate, and read by the adapter."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from gateways.contract import Hook, HookKeys, HookRefused, Notice
from tests.gateways.simulator.paypal.client import ADAPTER, WEBHOOK_ID, Client, later, simulating
from tests.until import until


@dataclass
class Door:
    """Keeps what comes."""

    hooks: list[Hook] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.hooks.append(Hook(headers, await request.read()))
        return web.Response()

    async def told(self, event_type: str) -> Hook:
        def there() -> bool:
            return any(orjson.loads(hook.body)["event_type"] == event_type for hook in self.hooks)

        await until(there, f"{event_type} has come")
        return next(hook for hook in self.hooks if orjson.loads(hook.body)["event_type"] == event_type)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door, app = Door(), web.Application()
    app.router.add_post("/webhooks/paypal/pp-eu", door.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    door.url = f"http://127.0.0.1:{site.port}/webhooks/paypal/pp-eu"
    yield door
    await runner.cleanup()


@pytest.fixture
async def paypal(ledger_file: Path, door: Door) -> AsyncIterator[Client]:
    async with simulating(ledger_file, webhook_url=door.url) as client:
        yield client


async def read(paypal: Client, hook: Hook, **options: str) -> tuple[Notice, ...] | HookRefused:
    """As the intake does it: the certificate is fetched from where the adapter lets it be."""
    authority = await fetched(paypal, f"{paypal.root}/paypal/authority.pem")
    known = {
        "webhook_id": WEBHOOK_ID,
        "webhook_ca": authority.decode(),
        "certificate_host": paypal.root.removeprefix("http://"),
    } | options
    url = ADAPTER.certificate_url(hook, known)
    assert url is not None
    keys = HookKeys((), known, await fetched(paypal, url))
    return ADAPTER.read_hook(hook, keys, datetime.now(UTC))


async def fetched(paypal: Client, url: str) -> bytes:
    async with paypal.http.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


async def one(paypal: Client, hook: Hook) -> Notice:
    said = await read(paypal, hook)
    assert isinstance(said, tuple), said
    return said[0]


async def test_an_authorization_its_capture_and_its_refund_are_told(paypal: Client, door: Door):
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
        notice = await one(paypal, await door.told(event_type))
        assert (notice.reference, notice.psp_id) == (reference, psp_id)
        assert notice.outcome is not None
        assert (notice.outcome.kind, notice.outcome.amount_minor) == ("APPROVED", minor)
    notice = await one(paypal, await door.told("PAYMENT.AUTHORIZATION.VOIDED"))
    assert notice.outcome is not None
    assert (notice.reference, notice.outcome.kind) == (held[0].reference, "EXPIRED")


async def test_a_payer_who_agreed_is_told_of(paypal: Client, door: Door):
    call = paypal.call("paypal")
    asked = await paypal.send(call)
    await paypal.decides(asked.action_url)

    notice = await one(paypal, await door.told("CHECKOUT.ORDER.APPROVED"))

    assert (notice.reference, notice.psp_id) == (call.reference, asked.psp_id)


async def test_a_declined_sale_is_told_of(paypal: Client, door: Door):
    call = paypal.call("sim_processor_5400")
    await paypal.done(call)

    notice = await one(paypal, await door.told("PAYMENT.CAPTURE.DECLINED"))

    assert notice.outcome is not None
    assert (notice.reference, notice.outcome.kind, notice.outcome.code) == (
        call.reference,
        "DECLINED_HARD",
        "5400",
    )


@pytest.mark.parametrize(("token", "state"), [("sim_dispute_won", "won"), ("sim_dispute_lost", "lost")])
async def test_a_dispute_is_begun_and_ends(paypal: Client, door: Door, token: str, state: str):
    call, _ = await paypal.sold(token)

    begun = await one(paypal, await door.told("CUSTOMER.DISPUTE.CREATED"))
    ended = await one(paypal, await door.told("CUSTOMER.DISPUTE.RESOLVED"))

    assert begun.dispute is not None
    assert ended.dispute is not None
    assert (begun.reference, ended.reference) == (call.reference, call.reference)
    assert (begun.dispute.state, ended.dispute.state) == ("opened", state)
    assert begun.dispute.dispute_id == ended.dispute.dispute_id
    assert begun.dispute.amount_minor == 1099


async def test_a_forged_webhook_is_refused_and_the_true_one_comes_too(paypal: Client, door: Door):
    await paypal.change(webhooks={"forged": 1.0})
    await paypal.sold()
    await until(lambda: len(door.hooks) == 2, "both have come")

    said = [await read(paypal, hook) for hook in door.hooks]

    assert HookRefused("forged") in said
    assert any(isinstance(one, tuple) for one in said)


async def test_another_webhooks_id_and_an_altered_body_are_refused(paypal: Client, door: Door):
    await paypal.sold()
    hook = await door.told("PAYMENT.CAPTURE.COMPLETED")

    assert await read(paypal, hook, webhook_id="ANOTHER") == HookRefused("forged")
    altered = replace(hook, body=hook.body.replace(b"10.99", b"90.99"))
    assert await read(paypal, altered) == HookRefused("forged")


async def test_paypal_itself_says_whether_a_signature_is_right(paypal: Client, door: Door):
    await paypal.sold()
    hook = await door.told("PAYMENT.CAPTURE.COMPLETED")
    names = ("transmission_id", "transmission_time", "transmission_sig", "cert_url", "auth_algo")
    asked: dict[str, Any] = {name: hook.headers[f"paypal-{name.replace('_', '-')}"] for name in names}

    async def status(webhook_id: str, event: bytes) -> Any:
        body = orjson.dumps(asked | {"webhook_id": webhook_id})[:-1] + b', "webhook_event": ' + event + b"}"
        said = await paypal.ask("POST", "/v1/notifications/verify-webhook-signature", body)
        assert said.status == 200
        return orjson.loads(said.body)["verification_status"]

    assert await status(WEBHOOK_ID, hook.body) == "SUCCESS"
    assert await status("ANOTHER", hook.body) == "FAILURE"
    assert await status(WEBHOOK_ID, hook.body.replace(b"10.99", b"90.99")) == "FAILURE"
    refused = await paypal.ask("POST", "/v1/notifications/verify-webhook-signature", b"{}")
    assert refused.status == 400


async def test_the_authority_and_the_certificate_are_the_same_after_a_restart(
    ledger_file: Path, door: Door, paypal: Client
):
    await paypal.sold()
    hook = await door.told("PAYMENT.CAPTURE.COMPLETED")
    authority = await fetched(paypal, f"{paypal.root}/paypal/authority.pem")
    name = hook.headers["paypal-cert-url"].rpartition("/")[2]

    async with simulating(ledger_file.with_name("other.db")) as other:
        assert await fetched(other, f"{other.root}/paypal/authority.pem") != authority
        with pytest.raises(AssertionError):
            await fetched(other, f"{other.root}/paypal/v1/notifications/certs/{name}")
    async with simulating(ledger_file) as again, aiohttp.ClientSession():
        assert await fetched(again, f"{again.root}/paypal/authority.pem") == authority
        assert await fetched(again, f"{again.root}/paypal/v1/notifications/certs/{name}")
