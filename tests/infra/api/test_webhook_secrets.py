"""Webhooks whose secrets or certificates change."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from infra.api.webhooks import REFUSED
from infra.process import clock
from infra.process.reloading import UNUSABLE
from tests.gateways.paypal.signing import WEBHOOK_ID, intermediate, issued, root, signed
from tests.gateways.stripe.payloads import intent
from tests.gateways.stripe.webhooks import event
from tests.infra.api.webhook_api import ACCOUNTS, NEW, OLD, counted, deliver, serving, stored_events
from tests.support.api import Answer
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack


async def test_both_secrets_are_good_while_they_are_exchanged(webhooks_api, owner):
    other = event("payment_intent.succeeded", intent(), event_id="evt_2")

    assert (await deliver(webhooks_api, secret=OLD)).status == 200
    assert (await deliver(webhooks_api, other, secret=NEW)).status == 200
    assert len(stored_events(owner)) == 2


async def test_a_secret_is_exchanged_without_a_restart(webhooks_api, accounts):
    newest = "whsec_newest_secret_of_eu"
    assert (await deliver(webhooks_api, secret=newest)).status == 401

    (accounts.parent / "newest.key").write_text(newest)
    accounts.write_text(ACCOUNTS.replace('"new.key", "old.key"', '"newest.key", "new.key"'))

    async def taken() -> bool:
        return (await deliver(webhooks_api, secret=newest)).status == 200

    await until(taken, within_s=5)
    assert (await deliver(webhooks_api, secret=NEW)).status == 200
    assert (await deliver(webhooks_api, secret=OLD)).status == 401


async def test_files_that_cannot_be_used_leave_the_old_secrets_and_are_counted(webhooks_api, accounts):
    before = counted(UNUSABLE, "webhook keys")
    (accounts.parent / "new.key").write_text("")

    async def complained() -> bool:
        assert (await deliver(webhooks_api)).status == 200
        return counted(UNUSABLE, "webhook keys") == before + 1

    await until(complained, within_s=5)
    (accounts.parent / "new.key").write_text("whsec_the_next_secret")

    async def mended() -> bool:
        return (await deliver(webhooks_api, secret="whsec_the_next_secret")).status == 200

    await until(mended, within_s=5)


@asynccontextmanager
async def _paypals(environment: Environment, tmp_path: Path, *, alone: bool = False) -> AsyncIterator[Any]:
    """Sends what PayPal signs to an API of ours, which fetches the certificate from where it says. `alone`:
    without the one that signed it, which is served elsewhere."""

    async def certificate(_: web.Request) -> web.Response:
        return web.Response(body=by.pem.encode())

    async def issuer(_: web.Request) -> web.Response:
        return web.Response(body=intermediate().certificate.public_bytes(Encoding.DER))

    app = web.Application()
    app.router.add_get("/cert", certificate)
    app.router.add_get("/issuer.crt", issuer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host = f"127.0.0.1:{site.port}"
    by = issued(days=(-8000, 8000), issuer_at=f"http://{host}/issuer.crt" if alone else None)
    options = {
        "client_id": "us",
        "webhook_id": WEBHOOK_ID,
        "webhook_ca": root().pem,
        "certificate_host": host,
    }
    (tmp_path / "accounts.toml").write_text(
        '[merchants]\n[accounts.pp]\ngateway = "paypal"\nbase_url = "https://api-m.paypal.com"\n'
        'secret_file = "never-there.key"\nwebhook_secret_files = []\n[accounts.pp.options]\n'
        + "".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items())
    )
    now = clock.now()
    async with serving(environment, tmp_path / "accounts.toml") as webhooks_api:

        async def deliver(event: Any, **other: str) -> Answer:
            webhook = signed(event, by=by, sent_at=now, paypal_cert_url=f"http://{host}/cert", **other)
            given = {**webhook.headers, "Authorization": None}
            return await webhooks_api.ask("POST", "/webhooks/paypal/pp", None, given, webhook.body)

        yield deliver
    await runner.cleanup()


async def test_of_two_bodies_that_paypal_signed_under_one_transmission_the_first_is_taken(
    environment, tmp_path, owner
):
    """PayPal signs a checksum of the body, which another body may have: here each is rightly signed for
    itself."""
    one = {"id": "WH-1", "event_type": "CUSTOMER.DISPUTE.CREATED", "resource": {"dispute_id": "PP-D-1"}}
    other = one | {"id": "WH-2"}
    before = counted(REFUSED, "paypal", "pp", "second_body")

    async with _paypals(environment, tmp_path) as deliver:
        first, second, again = await deliver(one), await deliver(other), await deliver(one)

    assert (first.status, second.status, again.status) == (200, 401, 200)
    assert second.body["code"] == "webhook_refused"
    assert [row[0] for row in stored_events(owner)] == ["WH-1"]
    assert counted(REFUSED, "paypal", "pp", "second_body") - before == 1


async def test_a_certificate_that_paypal_serves_alone_is_completed_by_its_issuer(
    environment, tmp_path, owner
):
    event = {"id": "WH-1", "event_type": "CUSTOMER.DISPUTE.CREATED", "resource": {"dispute_id": "PP-D-1"}}

    async with _paypals(environment, tmp_path, alone=True) as deliver:
        assert (await deliver(event)).status == 200

    assert [row[0] for row in stored_events(owner)] == ["WH-1"]
