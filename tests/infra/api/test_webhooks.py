"""PSPs' webhooks, received by the API's own main function on a real PostgreSQL."""

import asyncio
import io
from pathlib import Path
from typing import Any

import psycopg
import pytest

from commands.messages import Outcome
from commands.notices import Notice
from gateways.contract import Webhook, WebhookKeys
from gateways.stripe.adapter import Stripe
from infra.api.app import build
from infra.api.webhooks import REFUSED, TAKEN, Webhooks, _store
from infra.postgres.connections import connect_async
from infra.process.reloading import Watched
from infra.psp.accounts import webhook_accounts
from infra.psp.certificates import Certificates
from infra.settings import ApiSettings
from tests.gateways.stripe.payloads import REFERENCE, intent
from tests.gateways.stripe.webhooks import event
from tests.infra.api.webhook_api import ACCOUNTS, BODY, NEW, PATH, counted, deliver, serving, stored_events
from tests.support import ports
from tests.support.until import until

pytestmark = pytest.mark.stack


async def test_a_webhook_with_response_200_is_stored_as_it_came_and_without_credentials(webhooks_api, owner):
    response = await deliver(
        webhooks_api, Authorization="Basic planted", Cookie="planted=1", **{"X-Api-Key": "planted"}
    )

    assert (response.status, response.raw) == (200, b"[accepted]")
    ((event_id, state, notice, kept, body),) = stored_events(owner)
    assert (event_id, state) == ("evt_1NG8Du2eZvKYlo2CUI79vXWy", "waiting")
    assert (notice["reference"], notice["outcome"]["kind"]) == (REFERENCE, "APPROVED")
    assert body == BODY
    assert kept.keys() <= {"stripe-signature", "content-type", "user-agent"}
    assert "planted" not in str(kept)


async def test_a_repeat_gets_the_same_response_and_is_counted(webhooks_api, owner):
    before = counted(TAKEN, "stripe", "eu", "repeated")

    responses = [await deliver(webhooks_api) for _ in range(3)]

    assert {(response.status, response.raw) for response in responses} == {(200, b"[accepted]")}
    assert len(stored_events(owner)) == 1
    assert counted(TAKEN, "stripe", "eu", "repeated") - before == 2


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
    assert [bytes(body) for *_, body in sorted(stored_events(owner))] == [b"1", b"2"]


async def test_of_twenty_deliveries_at_once_one_is_stored(webhooks_api, owner):
    responses = await asyncio.gather(*(deliver(webhooks_api) for _ in range(20)))

    assert {response.status for response in responses} == {200}
    assert len(stored_events(owner)) == 1


async def test_a_restart_of_the_api_knows_what_came_before(environment, accounts, owner):
    for _ in range(2):
        async with serving(environment, accounts) as webhooks_api:
            assert (await deliver(webhooks_api)).status == 200

    assert len(stored_events(owner)) == 1


async def test_what_stripe_did_not_just_sign_is_refused_without_a_word_why_and_counted(webhooks_api, owner):
    before = {why: counted(REFUSED, "stripe", "eu", why) for why in ("forged", "stale", "unsigned")}
    refused = [
        await deliver(webhooks_api, secret="whsec_of_a_forger"),
        await deliver(webhooks_api, age_s=301),
        await deliver(webhooks_api, **{"stripe-signature": "t=1"}),
    ]

    assert {response.status for response in refused} == {401}
    assert len({response.raw for response in refused}) == 1
    assert refused[0].body == {
        "type": "urn:aegispay:problem:webhook_refused",
        "title": "The webhook is not accepted",
        "status": 401,
        "code": "webhook_refused",
    }
    assert {why: counted(REFUSED, "stripe", "eu", why) - count for why, count in before.items()} == {
        "forged": 1,
        "stale": 1,
        "unsigned": 1,
    }
    assert stored_events(owner) == []


@pytest.mark.parametrize(
    "body",
    [b"{", event("payment_intent.succeeded", intent(), event_id="x" * 256), event("charge.expired", [])],
)
async def test_a_signed_body_that_cannot_be_read_or_stored_is_refused(webhooks_api, owner, body):
    response = await deliver(webhooks_api, body)

    assert (response.status, response.body["code"]) == (400, "webhook_unreadable")
    assert stored_events(owner) == []


async def test_an_account_that_takes_none_looks_like_one_that_does_not_exist(webhooks_api):
    paths = ["/webhooks/stripe/silent", "/webhooks/stripe/none", "/webhooks/none/eu", "/webhooks/adyen/eu"]
    responses = [await deliver(webhooks_api, path=path) for path in paths]
    responses += [await webhooks_api.ask("GET", path) for path in [PATH, *paths]]

    assert {(response.status, response.raw) for response in responses} == {(404, responses[0].raw)}


async def test_an_account_of_a_psp_that_shares_no_secret_is_there(webhooks_api, accounts):
    accounts.write_text(ACCOUNTS + "webhook_secret_files = []\n")

    async def refused() -> bool:
        return (await deliver(webhooks_api, path="/webhooks/stripe/silent")).status == 401

    await until(refused, within_s=5)


async def test_an_installation_without_accounts_takes_none(api):
    assert (await deliver(api)).status == 404


async def test_an_invoice_of_300_kb_is_taken_and_one_without_an_event_is_counted_and_not_stored(
    webhooks_api, owner
):
    before = counted(TAKEN, "stripe", "eu", "nothing")
    lines = [{"id": f"il_{number}", "description": "x" * 100} for number in range(2500)]
    invoice = event("invoice.finalized", {"id": "in_1", "lines": {"data": lines}})
    assert len(invoice) > 300_000

    responses = [await deliver(webhooks_api, invoice) for _ in range(2)]

    assert {(response.status, response.raw) for response in responses} == {(200, b"[accepted]")}
    assert stored_events(owner) == []
    assert owner.execute("SELECT count(*) FROM webhook_deliveries").fetchone() == (0,)
    assert counted(TAKEN, "stripe", "eu", "nothing") - before == 2


@pytest.mark.parametrize(("size", "status"), [(1024 * 1024, 401), (1024 * 1024 + 1, 413)])
async def test_a_body_is_read_up_to_its_bound(webhooks_api, size, status):
    response = await webhooks_api.ask("POST", PATH, data=io.BytesIO(b"x" * size))

    assert response.status == status


async def test_while_it_cannot_be_stored_the_psp_gets_a_503_and_sends_it_again(webhooks_api, owner):
    with owner.transaction():
        owner.execute("LOCK TABLE webhooks_in IN ACCESS EXCLUSIVE MODE")
        response = await deliver(webhooks_api)

    assert (response.status, response.body["code"]) == (503, "database_unavailable")
    assert (await deliver(webhooks_api)).status == 200
    assert len(stored_events(owner)) == 1


async def test_the_apis_role_may_not_read_webhooks(environment):
    with environment.connect("api") as connection:
        for statement in ("SELECT notice FROM webhooks_in", "SELECT body FROM webhook_deliveries"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


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
    messages: list[Any] = []
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
            messages.append(message)

        await app(scope, receive, send)
    return messages[0]["status"], b"".join(message.get("body", b"") for message in messages[1:])


async def test_a_psps_check_of_the_address_gets_its_adapters_response(accounts):
    assert await _request(accounts, "GET", b"challenge=abc") == (200, f"abc|{NEW}".encode())
    assert (await _request(accounts, "GET"))[0] == 404


async def test_a_certificate_that_cannot_be_had_is_no_verdict(accounts):
    (port,) = ports.free(1)
    before = counted(REFUSED, "stripe", "eu", "certificate_unavailable")

    status, raw = await _request(accounts, "POST", cert_url=f"https://127.0.0.1:{port}/cert.pem")

    assert (status, b"certificate_unavailable" in raw) == (503, True)
    assert counted(REFUSED, "stripe", "eu", "certificate_unavailable") - before == 1


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
    assert stored_events(owner) == []
