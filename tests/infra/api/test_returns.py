"""The page that customers come back to: what its token allows, and what it shows where the shop has no
page."""

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from commands.messages import CompleteAction
from infra.process import clock
from infra.psp import return_token
from infra.settings import ApiSettings
from tests.support import ports
from tests.support.api import served
from tests.support.event_stories import put_into_store, requested, stored

pytestmark = pytest.mark.stack

KEY = b"a key of tests, of thirty-two bytes or more"


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A visit that the worker replies to waits as long as a busy machine takes, and queries once."""
    monkeypatch.setattr("infra.api.returns._SETTLED_WITHIN_S", 60.0)
    monkeypatch.setattr("infra.api.returns._QUERY_EVERY_S", 60.0)


@pytest.fixture
async def api(environment, new_key, tmp_path):
    (port,) = ports.free(1)
    file = tmp_path / "return.key"
    file.write_bytes(KEY)
    settings = environment.settings(
        ApiSettings, "api", api_port=port, public_url=f"http://127.0.0.1:{port}", return_key_file=file
    )
    async with served(settings, new_key()) as api:
        yield api


def challenged(environment, **fields):
    """A payment in the event store, and the path that its customer comes back to."""
    payment = requested(**fields)
    put_into_store(environment, stored(payment))
    (operation,) = payment.operations
    return payment, path_of(operation, timedelta(hours=1))


def path_of(operation, life):
    return f"/return/{return_token.make(KEY, operation, clock.now() + life)}"


async def comes_back(api, path):
    return await api.ask("GET", path, headers={"Authorization": None})


async def test_the_psp_is_queried_for_the_payments_merchant_and_the_customer_is_redirected_to_the_shop(
    environment, api, worker
):
    payment, path = challenged(environment, merchant_id="other", return_page="http://localhost:81/back")
    visit = asyncio.create_task(comes_back(api, path))
    command = await worker.command()
    await worker.reply(command, status="REQUIRES_ACTION", version=4)
    await worker.reply(command, kind="update", status="AUTHORIZED", version=6)

    response = await visit

    assert isinstance(command, CompleteAction)
    assert (command.merchant_id, command.payment_id) == ("other", payment.id)
    assert command.operation_id == next(iter(payment.operations))
    assert response.status == 303
    to = urlsplit(response.headers["Location"])
    assert to.netloc == "localhost:81"
    assert parse_qs(to.query) == {"payment_id": [str(payment.id)], "status": ["AUTHORIZED"]}


class Time:
    """The API's clock, which a test moves; by `step` at every look."""

    def __init__(self) -> None:
        self.at = clock.now()
        self.step = timedelta()

    def now(self):
        self.at += self.step
        return self.at


@pytest.fixture
def time(monkeypatch):
    time = Time()
    monkeypatch.setattr("infra.api.returns.clock", time)
    return time


async def test_however_often_the_page_is_opened_at_a_time_it_is_one_command(
    environment, api, worker, monkeypatch, time
):
    monkeypatch.setattr("infra.api.returns._REMEMBERED_S", 0.0)
    _, path = challenged(environment, return_page="https://shop.example/")
    visits = [asyncio.create_task(comes_back(api, path)) for _ in range(5)]
    first = await worker.command()
    await worker.reply(first, status="CAPTURED", version=4)
    at_once = await asyncio.gather(*visits)
    # Forgotten here by now: it is sent again, and the worker knows it by its id.
    later = asyncio.create_task(comes_back(api, path))
    again = await worker.command()
    await worker.reply(again, status="CAPTURED", version=4)

    assert again == first
    assert {response.headers["Location"] for response in at_once} == {(await later).headers["Location"]}


async def test_a_page_that_is_opened_again_later_sends_another_query(
    environment, api, worker, monkeypatch, time
):
    monkeypatch.setattr("infra.api.returns._REMEMBERED_S", 0.0)
    _, path = challenged(environment, return_page="https://shop.example/")
    commands = []
    for _ in range(2):
        visit = asyncio.create_task(comes_back(api, path))
        commands.append(await worker.command())
        await worker.reply(commands[-1], status="CAPTURED", version=4)
        await visit
        time.at += timedelta(seconds=60)

    assert len({command.command_id for command in commands}) == 2
    assert commands[0].operation_id == commands[1].operation_id


async def test_a_visit_without_a_result_sends_one_more_query(environment, api, worker, monkeypatch, time):
    monkeypatch.setattr("infra.api.returns._QUERY_EVERY_S", 1.0)
    time.step = timedelta(seconds=5)
    _, path = challenged(environment, return_page="https://shop.example/")
    visit = asyncio.create_task(comes_back(api, path))
    first = await worker.command()

    second = await worker.command()
    await worker.reply(second, status="CAPTURED", version=6)

    assert "status=CAPTURED" in (await visit).headers["Location"]
    assert second.command_id != first.command_id
    assert second.operation_id == first.operation_id


async def test_a_customer_who_comes_during_an_early_visit_gets_a_query_after_it(
    environment, api, worker, monkeypatch
):
    monkeypatch.setattr("infra.api.returns._SETTLED_WITHIN_S", 3.0)
    _, path = challenged(environment, return_page="https://shop.example/")
    early = asyncio.create_task(comes_back(api, path))
    await worker.command()
    monkeypatch.setattr("infra.api.returns._SETTLED_WITHIN_S", 60.0)  # of the visits that begin from now on
    late = asyncio.create_task(comes_back(api, path))
    assert "status" not in (await early).headers["Location"]

    async def reply_to_all() -> None:
        # The early visit's last query is among them, and a reply to it may come before the late one waits.
        while True:
            await worker.reply(await worker.command(), status="CAPTURED", version=6)

    replying = asyncio.create_task(reply_to_all())
    assert "status=CAPTURED" in (await late).headers["Location"]
    replying.cancel()


async def test_without_a_return_page_it_shows_how_the_payment_stands(environment, api, worker):
    for status, words in (("CAPTURED", b"went through"), ("FAILED", b"not been charged")):
        _, path = challenged(environment)
        visit = asyncio.create_task(comes_back(api, path))
        await worker.reply(await worker.command(), status=status, version=4)

        response = await visit

        assert response.status == 200
        assert words in response.raw
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert response.headers["Referrer-Policy"] == "no-referrer"


async def test_without_a_result_in_time_the_customer_is_redirected_all_the_same(
    environment, api, worker, monkeypatch
):
    monkeypatch.setattr("infra.api.returns._SETTLED_WITHIN_S", 0.1)
    payment, path = challenged(environment, return_page="https://shop.example/")

    response = await comes_back(api, path)

    assert response.headers["Location"] == f"https://shop.example/?payment_id={payment.id}"


async def test_a_token_whose_time_is_over_is_gone_and_a_forged_one_is_none(environment, api):
    payment, path = challenged(environment)
    (operation,) = payment.operations

    late = await comes_back(api, path_of(operation, timedelta(seconds=-1)))
    forged = await comes_back(api, path[:-2] + ("xx" if path[-2:] != "xx" else "yy"))

    assert (late.status, forged.status) == (410, 400)
    for response in (late, forged):
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert str(payment.id).encode() not in response.raw


async def test_too_many_customers_at_once_get_a_page_to_load_again(environment, api, worker, monkeypatch):
    monkeypatch.setattr("infra.api.returns._AT_ONCE_MAX", 1)
    _, one = challenged(environment)
    _, other = challenged(environment)
    first = asyncio.create_task(comes_back(api, one))
    command = await worker.command()

    turned_away = await comes_back(api, other)
    await worker.reply(command, status="CAPTURED", version=4)

    assert (turned_away.status, turned_away.headers["Retry-After"]) == (503, "2")
    assert b"not lost" in turned_away.raw
    assert (await first).status == 200


async def test_where_no_public_address_is_set_no_token_is_one(environment, new_key):
    _, path = challenged(environment)
    (port,) = ports.free(1)
    async with served(environment.settings(ApiSettings, "api", api_port=port), new_key()) as api:
        assert (await comes_back(api, path)).status == 400
