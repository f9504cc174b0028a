"""The door for PSPs' webhooks, served by the API's own main function on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateways.contract import Hook, HookKeys, Notice
from gateways.stripe.adapter import Stripe
from infra import clock
from infra.accounts import webhook_accounts
from infra.api.app import build
from infra.api.certificates import Certificates
from infra.api.webhooks import REFUSED, TAKEN, Webhooks, _store
from infra.database import connect_async
from infra.settings import ApiSettings
from infra.watched import UNUSABLE, Watched
from tests import ports
from tests.gateways.stripe.hooks import event, headers
from tests.gateways.stripe.says import REFERENCE, intent
from tests.infra.api.conftest import Answer, Api, served
from tests.place import Place
from tests.relay.history import connect
from tests.until import until

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
async def _door(place: Place, accounts: Path) -> AsyncIterator[Api]:
    (port,) = ports.free(1)
    settings = place.settings(ApiSettings, "api", api_port=port, accounts_file=accounts)
    async with served(settings, "no key") as api:
        yield api


@pytest.fixture
async def door(place: Place, accounts: Path) -> AsyncIterator[Api]:
    async with _door(place, accounts) as api:
        yield api


@pytest.fixture
def owner(place: Place) -> Iterator[psycopg.Connection]:
    with connect(place, "admin") as connection:
        yield connection


async def _told(
    door: Api, body: bytes = BODY, *, secret: str = NEW, age_s: int = 0, path: str = PATH, **more: str
) -> Answer:
    signed = headers(body, secret, clock.now() - timedelta(seconds=age_s))
    return await door.ask("POST", path, None, signed | {"Authorization": None} | more, body)


def _stored(owner: psycopg.Connection) -> list[Any]:
    return owner.execute(
        "SELECT event_id, state, notice, headers, body FROM webhooks_in JOIN webhook_deliveries USING (delivery_id)"
    ).fetchall()


def _count(counter: Any, *labels: str) -> float:
    value: float = counter.labels(*labels)._value.get()
    return value


async def test_what_is_answered_with_200_is_stored_as_it_came_and_without_credentials(door, owner):
    answer = await _told(door, Authorization="Basic planted", Cookie="planted=1", **{"X-Api-Key": "planted"})

    assert (answer.status, answer.raw) == (200, b"[accepted]")
    ((event_id, state, notice, kept, body),) = _stored(owner)
    assert (event_id, state) == ("evt_1NG8Du2eZvKYlo2CUI79vXWy", "waiting")
    assert (notice["reference"], notice["outcome"]["kind"]) == (REFERENCE, "APPROVED")
    assert body == BODY
    assert kept.keys() <= {"stripe-signature", "content-type", "user-agent"}
    assert "planted" not in str(kept)


async def test_a_repeat_is_answered_like_the_first_and_counted(door, owner):
    before = _count(TAKEN, "stripe", "eu", "repeated")

    answers = [await _told(door) for _ in range(3)]

    assert {(answer.status, answer.raw) for answer in answers} == {(200, b"[accepted]")}
    assert len(_stored(owner)) == 1
    assert _count(TAKEN, "stripe", "eu", "repeated") - before == 2


async def test_the_same_bytes_tell_nothing_new_under_another_id(place, owner):
    """An id may be in a header that the PSP does not sign."""
    hook = Hook({}, b"signed")
    async with await connect_async(place.settings(ApiSettings, "api"), "test") as connection:
        notices = [(Notice("evt_1", "a"), Notice("evt_2", "b")), (Notice("evt_3", "a"), Notice("evt_4", "b"))]

        stored = [await _store(connection, "stripe", "eu", hook, some) for some in notices]
        of_another = await _store(connection, "stripe", "us", hook, notices[0])

    assert (stored, of_another) == ([2, 0], 2)


async def test_a_body_of_several_events_adds_those_that_are_new(place, owner):
    async with await connect_async(place.settings(ApiSettings, "api"), "test") as connection:
        first = (Notice("evt_1", "a"),)
        more = (Notice("evt_2", "b"), Notice("evt_1", "a"), Notice("evt_2", "b"))

        stored = [
            await _store(connection, "stripe", "eu", Hook({}, body), some)
            for body, some in ((b"1", first), (b"2", more), (b"3", more))
        ]

    assert stored == [1, 1, 0]
    assert [bytes(body) for *_, body in sorted(_stored(owner))] == [b"1", b"2"]


async def test_of_twenty_deliveries_at_once_one_is_stored(door, owner):
    answers = await asyncio.gather(*(_told(door) for _ in range(20)))

    assert {answer.status for answer in answers} == {200}
    assert len(_stored(owner)) == 1


async def test_a_restart_of_the_api_knows_what_came_before(place, accounts, owner):
    for _ in range(2):
        async with _door(place, accounts) as door:
            assert (await _told(door)).status == 200

    assert len(_stored(owner)) == 1


async def test_what_stripe_did_not_just_sign_is_refused_without_a_word_why_and_counted(door, owner):
    before = {why: _count(REFUSED, "stripe", "eu", why) for why in ("forged", "stale", "unsigned")}
    refused = [
        await _told(door, secret="whsec_of_a_forger"),
        await _told(door, age_s=301),
        await _told(door, **{"stripe-signature": "t=1"}),
    ]

    assert {answer.status for answer in refused} == {401}
    assert len({answer.raw for answer in refused}) == 1
    assert refused[0].body == {
        "type": "urn:aegispay:problem:webhook_refused",
        "title": "The webhook is not taken",
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
async def test_a_signed_body_that_cannot_be_read_or_stored_is_refused(door, owner, body):
    answer = await _told(door, body)

    assert (answer.status, answer.body["code"]) == (400, "webhook_unreadable")
    assert _stored(owner) == []


async def test_an_account_that_takes_none_looks_like_one_that_does_not_exist(door):
    paths = ["/webhooks/stripe/silent", "/webhooks/stripe/none", "/webhooks/none/eu", "/webhooks/adyen/eu"]
    answers = [await _told(door, path=path) for path in paths]
    answers += [await door.ask("GET", path) for path in [PATH, *paths]]

    assert {(answer.status, answer.raw) for answer in answers} == {(404, answers[0].raw)}


async def test_an_account_of_a_psp_that_shares_no_secret_is_there(door, accounts):
    accounts.write_text(ACCOUNTS + "webhook_secret_files = []\n")

    async def refused() -> bool:
        return (await _told(door, path="/webhooks/stripe/silent")).status == 401

    await until(refused, within_s=5)


async def test_an_installation_without_accounts_takes_none(api):
    assert (await _told(api)).status == 404


@pytest.mark.parametrize(("size", "status"), [(256 * 1024, 401), (256 * 1024 + 1, 413)])
async def test_a_body_is_read_up_to_its_bound(door, size, status):
    answer = await door.ask("POST", PATH, data=b"x" * size)

    assert answer.status == status


async def test_both_secrets_are_good_while_they_are_exchanged(door, owner):
    other = event("payment_intent.succeeded", intent(), event_id="evt_2")

    assert (await _told(door, secret=OLD)).status == 200
    assert (await _told(door, other, secret=NEW)).status == 200
    assert len(_stored(owner)) == 2


async def test_a_secret_is_exchanged_without_a_restart(door, accounts):
    newest = "whsec_newest_secret_of_eu"
    assert (await _told(door, secret=newest)).status == 401

    (accounts.parent / "newest.key").write_text(newest)
    accounts.write_text(ACCOUNTS.replace('"new.key", "old.key"', '"newest.key", "new.key"'))

    async def taken() -> bool:
        return (await _told(door, secret=newest)).status == 200

    await until(taken, within_s=5)
    assert (await _told(door, secret=NEW)).status == 200
    assert (await _told(door, secret=OLD)).status == 401


async def test_files_that_cannot_be_used_leave_the_old_secrets_and_are_counted(door, accounts):
    before = _count(UNUSABLE, "webhook keys")
    (accounts.parent / "new.key").write_text("")

    async def complained() -> bool:
        assert (await _told(door)).status == 200
        return _count(UNUSABLE, "webhook keys") == before + 1

    await until(complained, within_s=5)
    (accounts.parent / "new.key").write_text("whsec_the_next_secret")

    async def mended() -> bool:
        return (await _told(door, secret="whsec_the_next_secret")).status == 200

    await until(mended, within_s=5)


async def test_while_it_cannot_be_stored_the_psp_is_asked_to_send_again(door, owner):
    with owner.transaction():
        owner.execute("LOCK TABLE webhooks_in IN ACCESS EXCLUSIVE MODE")
        answer = await _told(door)

    assert (answer.status, answer.body["code"]) == (503, "database_unavailable")
    assert (await _told(door)).status == 200
    assert len(_stored(owner)) == 1


async def test_the_api_may_not_read_what_was_told(place):
    with connect(place, "api") as connection:
        for statement in ("SELECT notice FROM webhooks_in", "SELECT body FROM webhook_deliveries"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


class Asking(Stripe):
    """A PSP that checks the address, signs with a certificate, and may say what cannot be stored."""

    def read_hook(self, hook: Any, keys: HookKeys, now: Any) -> Any:
        return tuple(Notice(name, "a") for name in hook.headers.get("says", "").split())

    def hook_challenge(self, query: Any, keys: HookKeys) -> str | None:
        return f"{query['challenge']}|{keys.secrets[0]}" if "challenge" in query else None

    def certificate_url(self, hook: Any, options: Any) -> str | None:
        url: str | None = hook.headers.get("cert-url")
        return url


async def _asked(
    accounts: Path, method: str, query: bytes = b"", door: Any = None, **sent: str
) -> tuple[int, bytes]:
    """Of the application itself, with that adapter."""
    answered: list[Any] = []
    async with Certificates.open() as certificates:
        app = build()
        app.state.door = door
        watched = Watched("webhook keys", accounts, webhook_accounts)
        app.state.webhooks = Webhooks({"stripe": Asking()}, watched, certificates)
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


async def test_a_psps_check_of_the_address_is_answered_as_its_adapter_says(accounts):
    assert await _asked(accounts, "GET", b"challenge=abc") == (200, f"abc|{NEW}".encode())
    assert (await _asked(accounts, "GET"))[0] == 404


async def test_a_certificate_that_cannot_be_had_is_no_verdict(accounts):
    (port,) = ports.free(1)
    before = _count(REFUSED, "stripe", "eu", "certificate_unavailable")

    status, raw = await _asked(accounts, "POST", cert_url=f"https://127.0.0.1:{port}/cert.pem")

    assert (status, b"certificate_unavailable" in raw) == (503, True)
    assert _count(REFUSED, "stripe", "eu", "certificate_unavailable") - before == 1


class Connected:
    """Of the door, what stores."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def read(self, query: Any) -> Any:
        return await query(self._connection)


@pytest.mark.parametrize("says", ["", "x" * 256, "good a\0b"])
async def test_events_that_cannot_be_stored_are_refused_with_all_that_came_with_them(
    place, accounts, owner, says
):
    async with await connect_async(place.settings(ApiSettings, "api"), "test") as connection:
        status, _ = await _asked(accounts, "POST", door=Connected(connection), says=says)

    assert status == 400
    assert _stored(owner) == []
