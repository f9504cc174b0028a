"""PSPs' webhooks, received by the API's own main function on a real PostgreSQL."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from commands.messages import Outcome
from commands.notices import Notice
from gateways.contract import Webhook, WebhookKeys
from gateways.stripe.adapter import Stripe
from infra.api.app import build
from infra.api.webhooks import REFUSED, TAKEN, Webhooks, _store
from infra.postgres.connections import connect_async
from infra.process import clock
from infra.process.reloading import UNUSABLE, Watched
from infra.psp.accounts import webhook_accounts
from infra.psp.certificates import Certificates
from infra.settings import ApiSettings
from tests.gateways.paypal.signing import WEBHOOK_ID, intermediate, issued, root, signed
from tests.gateways.stripe.payloads import REFERENCE, intent
from tests.gateways.stripe.webhooks import event, headers
from tests.support import ports
from tests.support.api import Answer, Api, served
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack

NEW, OLD = "whsec_new_secret_of_eu", "whsec_old_secret_of_eu"
ACCOUNTS = """
[merchants.demo]
accounts = ["eu", "silent"]
[accounts.eu]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "never-there.key"
webhook_secret_files = ["new.key", "old.key"]
[accounts.silent]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "never-there.key"
"""
PATH = "/webhooks/stripe/eu"
BODY = event("payment_intent.succeeded", intent())


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    (tmp_path / "new.key").write_text(NEW)
    (tmp_path / "old.key").write_text(OLD)
    (tmp_path / "accounts.toml").write_text(ACCOUNTS)
    return tmp_path / "accounts.toml"


@asynccontextmanager
async def _serving(environment: Environment, accounts: Path) -> AsyncIterator[Api]:
    (port,) = ports.free(1)
    settings = environment.settings(ApiSettings, "api", api_port=port, accounts_file=accounts)
    async with served(settings, "no key") as webhooks_api:
        yield webhooks_api


@pytest.fixture
async def webhooks_api(environment: Environment, accounts: Path) -> AsyncIterator[Api]:
    async with _serving(environment, accounts) as webhooks_api:
        yield webhooks_api


async def _deliver(
    webhooks_api: Api, body: bytes = BODY, *, secret: str = NEW, age_s: int = 0, path: str = PATH, **more: str
) -> Answer:
    signed = headers(body, secret, clock.now() - timedelta(seconds=age_s))
    return await webhooks_api.ask("POST", path, None, signed | {"Authorization": None} | more, body)


def _stored(owner: psycopg.Connection) -> list[Any]:
    return owner.execute(
        "SELECT event_id, state, notice, headers, body FROM webhooks_in JOIN webhook_deliveries USING (delivery_id)"
    ).fetchall()


def _count(counter: Any, *labels: str) -> float:
    value: float = counter.labels(*labels)._value.get()
    return value


async def test_a_webhook_with_response_200_is_stored_as_it_came_and_without_credentials(webhooks_api, owner):
    response = await _deliver(
        webhooks_api, Authorization="Basic planted", Cookie="planted=1", **{"X-Api-Key": "planted"}
    )

    assert (response.status, response.raw) == (200, b"[accepted]")
    ((event_id, state, notice, kept, body),) = _stored(owner)
    assert (event_id, state) == ("evt_1NG8Du2eZvKYlo2CUI79vXWy", "waiting")
    assert (notice["reference"], notice["outcome"]["kind"]) == (REFERENCE, "APPROVED")
    assert body == BODY
    assert kept.keys() <= {"stripe-signature", "content-type", "user-agent"}
    assert "planted" not in str(kept)


async def test_a_repeat_gets_the_same_response_and_is_counted(webhooks_api, owner):
    before = _count(TAKEN, "stripe", "eu", "repeated")

    responses = [await _deliver(webhooks_api) for _ in range(3)]

    assert {(response.status, response.raw) for response in responses} == {(200, b"[accepted]")}
    assert len(_stored(owner)) == 1
    assert _count(TAKEN, "stripe", "eu", "repeated") - before == 2


async def test_the_same_bytes_tell_nothing_new_under_another_id(environment, owner):
    """An id may be in a header that the PSP does not sign."""
    webhook = Webhook({}, b"signed")
    async with await connect_async(environment.settings(ApiSettings, "api"), "test") as connection:
        notices = [(Notice("evt_1", "a"), Notice("evt_2", "b")), (Notice("evt_3", "a"), Notice("evt_4", "b"))]

        stored = [await _store(connection, "stripe", "eu", webhook, some) for some in notices]
        of_another = await _store(connection, "stripe", "us", webhook, notices[0])

    assert (stored, of_another) == ([2, 0], 2)


async def test_a_body_of_several_events_adds_those_that_are_new(environment, owner):
    async with await connect_async(environment.settings(ApiSettings, "api"), "test") as connection:
        first = (Notice("evt_1", "a"),)
        more = (Notice("evt_2", "b"), Notice("evt_1", "a"), Notice("evt_2", "b"))

        stored = [
            await _store(connection, "stripe", "eu", Webhook({}, body), some)
            for body, some in ((b"1", first), (b"2", more), (b"3", more))
        ]

    assert stored == [1, 1, 0]
    assert [bytes(body) for *_, body in sorted(_stored(owner))] == [b"1", b"2"]


async def test_of_twenty_deliveries_at_once_one_is_stored(webhooks_api, owner):
    responses = await asyncio.gather(*(_deliver(webhooks_api) for _ in range(20)))

    assert {response.status for response in responses} == {200}
    assert len(_stored(owner)) == 1


async def test_a_restart_of_the_api_knows_what_came_before(environment, accounts, owner):
    for _ in range(2):
        async with _serving(environment, accounts) as webhooks_api:
            assert (await _deliver(webhooks_api)).status == 200

    assert len(_stored(owner)) == 1


async def test_what_stripe_did_not_just_sign_is_refused_without_a_word_why_and_counted(webhooks_api, owner):
    before = {why: _count(REFUSED, "stripe", "eu", why) for why in ("forged", "stale", "unsigned")}
    refused = [
        await _deliver(webhooks_api, secret="whsec_of_a_forger"),
        await _deliver(webhooks_api, age_s=301),
        await _deliver(webhooks_api, **{"stripe-signature": "t=1"}),
    ]

    assert {response.status for response in refused} == {401}
    assert len({response.raw for response in refused}) == 1
    assert refused[0].body == {
        "type": "urn:aegispay:problem:webhook_refused",
        "title": "The webhook is not accepted",
        "status": 401,
        "code": "webhook_refused",
    }
    assert {why: _count(REFUSED, "stripe", "eu", why) - count for why, count in before.items()} == {
        "forged": 1,
        "stale": 1,
        "unsigned": 1,
    }
    assert _stored(owner) == []


@pytest.mark.parametrize(
    "body",
    [b"{", event("payment_intent.succeeded", intent(), event_id="x" * 256), event("charge.expired", [])],
)
async def test_a_signed_body_that_cannot_be_read_or_stored_is_refused(webhooks_api, owner, body):
    response = await _deliver(webhooks_api, body)

    assert (response.status, response.body["code"]) == (400, "webhook_unreadable")
    assert _stored(owner) == []


async def test_an_account_that_takes_none_looks_like_one_that_does_not_exist(webhooks_api):
    paths = ["/webhooks/stripe/silent", "/webhooks/stripe/none", "/webhooks/none/eu", "/webhooks/adyen/eu"]
    responses = [await _deliver(webhooks_api, path=path) for path in paths]
    responses += [await webhooks_api.ask("GET", path) for path in [PATH, *paths]]

    assert {(response.status, response.raw) for response in responses} == {(404, responses[0].raw)}


async def test_an_account_of_a_psp_that_shares_no_secret_is_there(webhooks_api, accounts):
    accounts.write_text(ACCOUNTS + "webhook_secret_files = []\n")

    async def refused() -> bool:
        return (await _deliver(webhooks_api, path="/webhooks/stripe/silent")).status == 401

    await until(refused, within_s=5)


async def test_an_installation_without_accounts_takes_none(api):
    assert (await _deliver(api)).status == 404


async def test_an_invoice_of_300_kb_is_taken_and_one_without_an_event_is_counted_and_not_stored(
    webhooks_api, owner
):
    before = _count(TAKEN, "stripe", "eu", "nothing")
    lines = [{"id": f"il_{number}", "description": "x" * 100} for number in range(2500)]
    invoice = event("invoice.finalized", {"id": "in_1", "lines": {"data": lines}})
    assert len(invoice) > 300_000

    responses = [await _deliver(webhooks_api, invoice) for _ in range(2)]

    assert {(response.status, response.raw) for response in responses} == {(200, b"[accepted]")}
    assert _stored(owner) == []
    assert owner.execute("SELECT count(*) FROM webhook_deliveries").fetchone() == (0,)
    assert _count(TAKEN, "stripe", "eu", "nothing") - before == 2


@pytest.mark.parametrize(("size", "status"), [(1024 * 1024, 401), (1024 * 1024 + 1, 413)])
async def test_a_body_is_read_up_to_its_bound(webhooks_api, size, status):
    response = await webhooks_api.ask("POST", PATH, data=io.BytesIO(b"x" * size))

    assert response.status == status


async def test_both_secrets_are_good_while_they_are_exchanged(webhooks_api, owner):
    other = event("payment_intent.succeeded", intent(), event_id="evt_2")

    assert (await _deliver(webhooks_api, secret=OLD)).status == 200
    assert (await _deliver(webhooks_api, other, secret=NEW)).status == 200
    assert len(_stored(owner)) == 2


async def test_a_secret_is_exchanged_without_a_restart(webhooks_api, accounts):
    newest = "whsec_newest_secret_of_eu"
    assert (await _deliver(webhooks_api, secret=newest)).status == 401

    (accounts.parent / "newest.key").write_text(newest)
    accounts.write_text(ACCOUNTS.replace('"new.key", "old.key"', '"newest.key", "new.key"'))

    async def taken() -> bool:
        return (await _deliver(webhooks_api, secret=newest)).status == 200

    await until(taken, within_s=5)
    assert (await _deliver(webhooks_api, secret=NEW)).status == 200
    assert (await _deliver(webhooks_api, secret=OLD)).status == 401


async def test_files_that_cannot_be_used_leave_the_old_secrets_and_are_counted(webhooks_api, accounts):
    before = _count(UNUSABLE, "webhook keys")
    (accounts.parent / "new.key").write_text("")

    async def complained() -> bool:
        assert (await _deliver(webhooks_api)).status == 200
        return _count(UNUSABLE, "webhook keys") == before + 1

    await until(complained, within_s=5)
    (accounts.parent / "new.key").write_text("whsec_the_next_secret")

    async def mended() -> bool:
        return (await _deliver(webhooks_api, secret="whsec_the_next_secret")).status == 200

    await until(mended, within_s=5)


async def test_while_it_cannot_be_stored_the_psp_gets_a_503_and_sends_it_again(webhooks_api, owner):
    with owner.transaction():
        owner.execute("LOCK TABLE webhooks_in IN ACCESS EXCLUSIVE MODE")
        response = await _deliver(webhooks_api)

    assert (response.status, response.body["code"]) == (503, "database_unavailable")
    assert (await _deliver(webhooks_api)).status == 200
    assert len(_stored(owner)) == 1


async def test_the_apis_role_may_not_read_webhooks(environment):
    with environment.connect("api") as connection:
        for statement in ("SELECT notice FROM webhooks_in", "SELECT body FROM webhook_deliveries"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


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
    async with _serving(environment, tmp_path / "accounts.toml") as webhooks_api:

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
    before = _count(REFUSED, "paypal", "pp", "second_body")

    async with _paypals(environment, tmp_path) as deliver:
        first, second, again = await deliver(one), await deliver(other), await deliver(one)

    assert (first.status, second.status, again.status) == (200, 401, 200)
    assert second.body["code"] == "webhook_refused"
    assert [row[0] for row in _stored(owner)] == ["WH-1"]
    assert _count(REFUSED, "paypal", "pp", "second_body") - before == 1


async def test_a_certificate_that_paypal_serves_alone_is_completed_by_its_issuer(
    environment, tmp_path, owner
):
    event = {"id": "WH-1", "event_type": "CUSTOMER.DISPUTE.CREATED", "resource": {"dispute_id": "PP-D-1"}}

    async with _paypals(environment, tmp_path, alone=True) as deliver:
        assert (await deliver(event)).status == 200

    assert [row[0] for row in _stored(owner)] == ["WH-1"]


class UnusualStripe(Stripe):
    """A PSP that checks the address, signs with a certificate, and may send unusable event ids."""

    def read_webhook(self, webhook: Any, keys: WebhookKeys, now: Any) -> Any:
        outcome = Outcome(kind="UNKNOWN")
        return tuple(
            Notice(name, "a", outcome=outcome) for name in webhook.headers.get("event-ids", "").split()
        )

    def webhook_challenge(self, query: Any, keys: WebhookKeys) -> str | None:
        return f"{query['challenge']}|{keys.secrets[0]}" if "challenge" in query else None

    def certificate_url(self, webhook: Any, options: Any) -> str | None:
        url: str | None = webhook.headers.get("cert-url")
        return url


async def _request(
    accounts: Path, method: str, query: bytes = b"", context: Any = None, **sent: str
) -> tuple[int, bytes]:
    """Sends a request to the application itself, with that adapter."""
    answered: list[Any] = []
    async with Certificates.open() as certificates:
        app = build()
        app.state.context = context
        watched = Watched("webhook keys", accounts, webhook_accounts)
        app.state.webhooks = Webhooks({"stripe": UnusualStripe()}, watched, certificates)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "method": method,
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": query,
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()],
            "scheme": "https",
            "root_path": "",
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": BODY, "more_body": False}

        async def send(message: Any) -> None:
            answered.append(message)

        await app(scope, receive, send)
    return answered[0]["status"], b"".join(message.get("body", b"") for message in answered[1:])


async def test_a_psps_check_of_the_address_gets_its_adapters_response(accounts):
    assert await _request(accounts, "GET", b"challenge=abc") == (200, f"abc|{NEW}".encode())
    assert (await _request(accounts, "GET"))[0] == 404


async def test_a_certificate_that_cannot_be_had_is_no_verdict(accounts):
    (port,) = ports.free(1)
    before = _count(REFUSED, "stripe", "eu", "certificate_unavailable")

    status, raw = await _request(accounts, "POST", cert_url=f"https://127.0.0.1:{port}/cert.pem")

    assert (status, b"certificate_unavailable" in raw) == (503, True)
    assert _count(REFUSED, "stripe", "eu", "certificate_unavailable") - before == 1


class Connected:
    """The context's part that stores, over one connection."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def read(self, query: Any) -> Any:
        return await query(self._connection)


@pytest.mark.parametrize("event_ids", ["x" * 256, "good a\0b"])
async def test_events_that_cannot_be_stored_are_refused_with_all_that_came_with_them(
    environment, accounts, owner, event_ids
):
    async with await connect_async(environment.settings(ApiSettings, "api"), "test") as connection:
        status, _ = await _request(accounts, "POST", context=Connected(connection), event_ids=event_ids)

    assert status == 400
    assert _stored(owner) == []
