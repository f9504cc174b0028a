"""Signing in, and how many calls a credential has in flight."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from commands.messages import Outcome
from gateways.agent.ports import NotWritten, Responded
from gateways.agent.session import Calls
from gateways.contract import Access, Credentials, HttpRequest, HttpResponse
from infra.psp.http_client import HttpClient
from tests.support.fake_psp import FakePsp
from tests.support.listening import listening


class SigningFakePsp(FakePsp):
    def sign_in(self, credentials: Credentials) -> HttpRequest:
        return HttpRequest("POST", "/token", {"Secret": credentials.secret}, b"")

    def signed_in(self, response: HttpResponse) -> Access | None:
        return Access(response.body.decode(), 3600.0) if response.status == 200 else None


@dataclass
class Door:
    """`takes`: the tokens that it lets in; `gives`: those that it gives next."""

    url: str = ""
    takes: set[str] = field(default_factory=lambda: {"t1", "t2"})
    gives: deque[str] = field(default_factory=lambda: deque(["t1", "t2", "t3"]))
    refuses: int | None = None
    tokens: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def token(self, request: web.Request) -> web.Response:
        if self.refuses is not None:
            return web.Response(status=self.refuses)
        await asyncio.sleep(0)
        return web.Response(text=self.gives.popleft())

    async def pay(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers["Token"])
        self.bodies.append(await request.read())
        return web.Response(status=200 if request.headers["Token"] in self.takes else 401)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/token", self.token)
        app.router.add_post("/pay", self.pay)
        async with listening(app) as self.url:
            yield


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    async with door.open():
        yield door


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    async with HttpClient.open(10) as client:
        yield client


def pay(credentials: Credentials) -> HttpRequest:
    return HttpRequest("POST", "/pay", {"Token": credentials.access_token}, b"the same bytes")


def calls(door: Door, http: HttpClient, secret: str = "sk_one", calls_max: int = 10) -> Calls:
    known = Credentials(door.url, secret, calls_max=calls_max)
    return Calls(SigningFakePsp(), http, lambda account: known if account == "fake-eu" else None)


async def test_the_token_is_fetched_once_for_many_calls(door: Door, http: HttpClient):
    made = calls(door, http)

    await asyncio.gather(*(made.call("send", "fake-eu", pay, None) for _ in range(8)))

    assert door.tokens == ["t1"] * 8


async def test_a_call_that_gets_a_401_is_sent_once_more_with_a_new_token(door: Door, http: HttpClient):
    made, door.takes = calls(door, http), {"t2"}

    result = await made.call("send", "fake-eu", pay, None)

    assert isinstance(result, Responded)
    assert result.response.status == 200
    assert (door.tokens, door.bodies) == (["t1", "t2"], [b"the same bytes"] * 2)


async def test_a_second_401_is_the_result(door: Door, http: HttpClient):
    made, door.takes = calls(door, http), set()

    result = await made.call("send", "fake-eu", pay, None)

    assert isinstance(result, Responded)
    assert (result.response.status, len(door.tokens)) == (401, 2)


@pytest.mark.parametrize(
    ("status", "code", "hint"), [(401, "sign_in_refused", "CONFIG"), (503, "sign_in_http_503", None)]
)
async def test_a_refused_sign_in_sends_nothing(
    door: Door, http: HttpClient, *, status: int, code: str, hint: str | None
):
    door.refuses = status

    result = await calls(door, http).call("send", "fake-eu", pay, None)

    assert result == Outcome(kind="NOT_SENT", code=code, hint=hint, unreached=hint is None)
    assert door.tokens == []


async def test_a_sign_in_that_cannot_be_reached_sends_nothing(http: HttpClient):
    result = await calls(Door(url="http://127.0.0.1:9"), http).call("send", "fake-eu", pay, None)

    assert result == NotWritten("sign_in_connect_failed")


async def test_another_secret_is_signed_in_with_anew(door: Door, http: HttpClient):
    known = [Credentials(door.url, "sk_one")]
    made = Calls(SigningFakePsp(), http, lambda _: known[-1])
    await made.call("send", "fake-eu", pay, None)

    known.append(Credentials(door.url, "sk_two"))
    await made.call("send", "fake-eu", pay, None)

    assert door.tokens == ["t1", "t2"]


async def test_an_account_that_is_not_configured_is_an_alarm(door: Door, http: HttpClient):
    result = await calls(door, http).call("send", "fake-us", pay, None)

    assert result == Outcome(kind="NOT_SENT", code="account_not_configured", hint="CONFIG")


async def test_a_credential_has_so_many_calls_in_flight_and_no_more(door: Door, http: HttpClient):
    made, inside, most = calls(door, http, calls_max=2), 0, 0
    full, leave = asyncio.Event(), asyncio.Event()

    async def one() -> None:
        nonlocal inside, most
        async with made.slot("fake-eu"):
            inside += 1
            most = max(most, inside)
            if inside == 2:
                full.set()
            await leave.wait()
            inside -= 1

    tasks = [asyncio.create_task(one()) for _ in range(6)]
    await full.wait()
    leave.set()
    await asyncio.gather(*tasks)

    assert most == 2


async def test_a_changed_limit_of_calls_counts_from_the_next_one_on(door: Door, http: HttpClient):
    known = {"fake-eu": Credentials(door.url, "sk_one", calls_max=1)}
    made = Calls(SigningFakePsp(), http, known.get)
    leave, entered = asyncio.Event(), asyncio.Queue[int]()

    async def one(number: int) -> None:
        async with made.slot("fake-eu"):
            entered.put_nowait(number)
            await leave.wait()

    tasks = [asyncio.create_task(one(1)), asyncio.create_task(one(2))]
    assert await entered.get() == 1

    known["fake-eu"] = Credentials(door.url, "sk_one", calls_max=3)
    tasks.append(asyncio.create_task(one(3)))
    assert {await entered.get(), await entered.get()} == {2, 3}

    known["fake-eu"] = Credentials(door.url, "sk_one", calls_max=1)
    tasks += [asyncio.create_task(one(4)), asyncio.create_task(one(5))]
    tasks[3].cancel()  # a call that is given up waits for nothing
    leave.set()
    await asyncio.wait(tasks)
    assert [entered.get_nowait()] == [5]
    assert entered.empty()
