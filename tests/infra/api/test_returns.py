"""The page that customers come back to: what its token allows, and what it says where the shop has no page."""

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from commands.messages import CompleteAction
from infra import clock, return_token
from infra.settings import ApiSettings
from tests import ports
from tests.infra.api.conftest import served
from tests.projections.stories import put_into_store, requested, stored

pytestmark = pytest.mark.stack

KEY = b"a key of tests, of thirty-two bytes or more"


@pytest.fixture
async def api(place, new_key, tmp_path):
    (port,) = ports.free(1)
    file = tmp_path / "return.key"
    file.write_bytes(KEY)
    settings = place.settings(
        ApiSettings, "api", api_port=port, public_url=f"http://127.0.0.1:{port}", return_key_file=file
    )
    async with served(settings, new_key()) as api:
        yield api


def challenged(place, **asked):
    """A payment in the event store, and the path that its customer comes back to."""
    payment = requested(**asked)
    put_into_store(place, stored(payment))
    (operation,) = payment.operations
    return payment, path_of(operation, timedelta(hours=1))


def path_of(operation, life):
    return f"/return/{return_token.make(KEY, operation, clock.now() + life)}"


async def comes_back(api, path):
    return await api.ask("GET", path, headers={"Authorization": None})


async def test_the_customer_is_asked_about_in_the_name_of_the_payments_merchant_and_sent_on_to_the_shop(
    place, api, worker
):
    payment, path = challenged(place, merchant_id="other", return_page="http://localhost:81/back")
    visit = asyncio.create_task(comes_back(api, path))
    command = await worker.command()
    await worker.reply(command, status="REQUIRES_ACTION", version=4)
    await worker.reply(command, kind="update", status="AUTHORIZED", version=6)

    answer = await visit

    assert isinstance(command, CompleteAction)
    assert (command.merchant_id, command.payment_id) == ("other", payment.id)
    assert command.operation_id == next(iter(payment.operations))
    assert answer.status == 303
    to = urlsplit(answer.headers["Location"])
    assert to.netloc == "localhost:81"
    assert parse_qs(to.query) == {"payment_id": [str(payment.id)], "status": ["AUTHORIZED"]}


class Time:
    """The API's clock, which goes when a test says so."""

    def __init__(self) -> None:
        self.at = clock.now()

    def now(self):
        return self.at


@pytest.fixture
def time(monkeypatch):
    time = Time()
    monkeypatch.setattr("infra.api.returns.clock", time)
    return time


async def test_however_often_the_page_is_opened_at_a_time_it_is_one_command(
    place, api, worker, monkeypatch, time
):
    monkeypatch.setattr("infra.api.returns._REMEMBERED_S", 0.0)
    _, path = challenged(place, return_page="https://shop.example/")
    visits = [asyncio.create_task(comes_back(api, path)) for _ in range(5)]
    first = await worker.command()
    await worker.reply(first, status="CAPTURED", version=4)
    at_once = await asyncio.gather(*visits)
    # Forgotten here by now: it is sent again, and the worker knows it by its id.
    later = asyncio.create_task(comes_back(api, path))
    again = await worker.command()
    await worker.reply(again, status="CAPTURED", version=4)

    assert again == first
    assert {answer.headers["Location"] for answer in at_once} == {(await later).headers["Location"]}


async def test_a_page_that_is_opened_again_later_is_another_question(place, api, worker, monkeypatch, time):
    monkeypatch.setattr("infra.api.returns._REMEMBERED_S", 0.0)
    _, path = challenged(place, return_page="https://shop.example/")
    asked = []
    for _ in range(2):
        visit = asyncio.create_task(comes_back(api, path))
        asked.append(await worker.command())
        await worker.reply(asked[-1], status="CAPTURED", version=4)
        await visit
        time.at += timedelta(seconds=4)

    assert len({command.command_id for command in asked}) == 2
    assert asked[0].operation_id == asked[1].operation_id


async def test_a_visit_without_news_asks_once_more_and_is_told(place, api, worker, monkeypatch, time):
    monkeypatch.setattr("infra.api.returns._ASKED_EVERY_S", 1.0)
    _, path = challenged(place, return_page="https://shop.example/")
    visit = asyncio.create_task(comes_back(api, path))
    first = await worker.command()
    time.at += timedelta(seconds=5)

    second = await worker.command()
    await worker.reply(second, status="CAPTURED", version=6)

    assert "status=CAPTURED" in (await visit).headers["Location"]
    assert second.command_id != first.command_id
    assert second.operation_id == first.operation_id


async def test_a_customer_who_comes_during_an_early_visit_is_asked_about_after_it(
    place, api, worker, monkeypatch
):
    monkeypatch.setattr("infra.api.returns._SETTLED_WITHIN_S", 3.0)
    _, path = challenged(place, return_page="https://shop.example/")
    early = asyncio.create_task(comes_back(api, path))
    await worker.command()
    late = asyncio.create_task(comes_back(api, path))

    assert "status" not in (await early).headers["Location"]
    await worker.reply(await worker.command(), status="CAPTURED", version=6)

    assert "status=CAPTURED" in (await late).headers["Location"]


async def test_without_a_page_of_the_shops_own_it_says_how_the_payment_stands(place, api, worker):
    for status, words in (("CAPTURED", b"went through"), ("FAILED", b"not been charged")):
        _, path = challenged(place)
        visit = asyncio.create_task(comes_back(api, path))
        await worker.reply(await worker.command(), status=status, version=4)

        answer = await visit

        assert answer.status == 200
        assert words in answer.raw
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_without_an_answer_in_time_the_customer_is_not_kept(place, api, worker, monkeypatch):
    monkeypatch.setattr("infra.api.returns._SETTLED_WITHIN_S", 0.1)
    payment, path = challenged(place, return_page="https://shop.example/")

    answer = await comes_back(api, path)

    assert answer.headers["Location"] == f"https://shop.example/?payment_id={payment.id}"


async def test_a_token_whose_time_is_over_is_gone_and_a_forged_one_is_none(place, api):
    payment, path = challenged(place)
    (operation,) = payment.operations

    late = await comes_back(api, path_of(operation, timedelta(seconds=-1)))
    forged = await comes_back(api, path[:-2] + ("xx" if path[-2:] != "xx" else "yy"))

    assert (late.status, forged.status) == (410, 400)
    for answer in (late, forged):
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert str(payment.id).encode() not in answer.raw


async def test_too_many_customers_at_once_are_asked_to_load_the_page_again(place, api, worker, monkeypatch):
    monkeypatch.setattr("infra.api.returns._AT_ONCE_MAX", 1)
    _, one = challenged(place)
    _, other = challenged(place)
    first = asyncio.create_task(comes_back(api, one))
    command = await worker.command()

    turned_away = await comes_back(api, other)
    await worker.reply(command, status="CAPTURED", version=4)

    assert (turned_away.status, turned_away.headers["Retry-After"]) == (503, "2")
    assert b"not lost" in turned_away.raw
    assert (await first).status == 200


async def test_where_no_public_address_is_set_no_token_is_one(place, new_key):
    _, path = challenged(place)
    (port,) = ports.free(1)
    async with served(place.settings(ApiSettings, "api", api_port=port), new_key()) as api:
        assert (await comes_back(api, path)).status == 400
