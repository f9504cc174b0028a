"""What goes wrong with a call, over HTTP: by the token of the payment, and switched on from outside."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from gateways.simulator.core.ledger import read_movements
from tests.gateways.simulator.client import MANUAL, Client, Response, until
from tests.support.movements import minor

PAYMENT = "0f8fad5bd9cb469fa16570867728950e"
ENDPOINTS = ["create", "capture", "cancel", "refund"]
KINDS = {"create": "captured", "capture": "captured", "cancel": "released", "refund": "refunded"}


def done(ledger_file: Path, on: str) -> int:
    return sum(1 for one in read_movements(ledger_file) if one.kind == KINDS[on])


async def caller(
    simulator: Client, on: str, token: str = "pm_card_visa"
) -> Callable[..., Awaitable[Response]]:
    """A call of this kind about a payment that is ready for it; each has the same key."""
    reference = {"metadata[order_ref]": f"{PAYMENT}-s1"}
    if on == "create":
        return lambda key="k1": simulator.create(key, payment_method=token, **reference)
    how = MANUAL if on != "refund" else {}
    intent = (await simulator.create(payment_method=token, **how, **reference)).body
    ask = getattr(simulator, on)
    return lambda key="k1": ask(intent["id"], key)


def tokens(fault: str) -> dict[str, str]:
    return {on: f"pm_sim_{fault}" if on == "create" else f"pm_sim_{on}_{fault}" for on in ENDPOINTS}


async def of_both(
    simulator: Client, on: str, how: str, token: str, do: str
) -> Callable[..., Awaitable[Response]]:
    """With the fault chosen by the token, or switched on for the next call of this kind."""
    if how == "token":
        return await caller(simulator, on, tokens(token)[on])
    call = await caller(simulator, on)
    await simulator.change(faults=[{"on": on, "do": do, "next": 1}])
    return call


both = pytest.mark.parametrize("how", ["token", "switch"])
each = pytest.mark.parametrize("on", ENDPOINTS)


@each
@both
async def test_a_response_that_is_lost_was_done_and_is_replayed(
    simulator: Client, ledger_file: Path, on: str, how: str
):
    call = await of_both(simulator, on, how, "lost", "lost")

    with pytest.raises(aiohttp.ClientError):
        await call()
    assert done(ledger_file, on) == 1
    again = await call()

    assert (again.status, again.headers["idempotent-replayed"]) == (200, "true")
    assert done(ledger_file, on) == 1


@each
@both
async def test_a_reset_before_does_nothing_and_the_repeat_does_it(
    simulator: Client, ledger_file: Path, on: str, how: str
):
    call = await of_both(simulator, on, how, "reset_before", "reset")

    with pytest.raises(aiohttp.ClientError):
        await call()
    assert done(ledger_file, on) == 0

    assert (await call()).status == 200
    assert done(ledger_file, on) == 1


@each
@both
async def test_a_500_is_stored_and_nothing_is_done(simulator: Client, ledger_file: Path, on: str, how: str):
    call = await of_both(simulator, on, how, "500", "500")

    first, again = await call(), await call()

    assert (first.status, again.status) == (500, 500)
    assert again.headers["idempotent-replayed"] == "true"
    assert done(ledger_file, on) == 0


@each
@both
async def test_a_500_that_is_not_stored_is_done_at_the_repeat(
    simulator: Client, ledger_file: Path, on: str, how: str
):
    call = await of_both(simulator, on, how, "500_once", "500_once")

    assert [(await call()).status, (await call()).status] == [500, 200]
    assert done(ledger_file, on) == 1


@each
@both
async def test_a_response_may_be_garbage(simulator: Client, ledger_file: Path, on: str, how: str):
    call = await of_both(simulator, on, how, "garbage", "garbage")

    assert (await call()).raw.startswith(b"<html>")
    assert (await call()).status == 200
    assert done(ledger_file, on) == 1


@each
@both
@pytest.mark.parametrize("do", ["wrong_amount", "wrong_currency"])
async def test_a_response_may_be_about_other_money_and_says_so_for_ever(
    simulator: Client, ledger_file: Path, on: str, how: str, do: str
):
    call = await of_both(simulator, on, how, do, do)

    first, again = await call(), await call()

    response = (first.body["amount"], first.body["currency"])
    assert response == ((1199, "usd") if do == "wrong_amount" else (1099, "eur"))
    assert again.raw == first.raw
    (*_, moved) = read_movements(ledger_file)
    assert (minor(moved), moved.currency) == (1099, "USD")


@each
@pytest.mark.parametrize(("fault", "statuses"), [("429_once", [429, 200]), ("429_twice", [429, 429, 200])])
async def test_a_payment_is_refused_a_number_of_times_under_whatever_keys(
    simulator: Client, ledger_file: Path, on: str, fault: str, statuses: list[int]
):
    call = await caller(simulator, on, tokens(fault)[on])

    responses = [await call(key=f"k{number}") for number in range(len(statuses))]

    assert [response.status for response in responses] == statuses
    assert responses[0].body["error"]["code"] == "rate_limit"
    assert done(ledger_file, on) == 1


async def test_a_token_that_is_always_refused_is_always_refused(simulator: Client, ledger_file: Path):
    statuses = [(await simulator.create("k1", payment_method="pm_sim_429")).status for _ in range(3)]

    assert statuses == [429, 429, 429]
    assert done(ledger_file, "create") == 0


@each
async def test_an_approval_may_come_long_after_the_caller_went(simulator: Client, ledger_file: Path, on: str):
    call = await caller(simulator, on)
    await simulator.change(faults=[{"on": on, "do": "late", "next": 1, "after_s": 0.6}])

    waiting = asyncio.create_task(call())
    in_use = await until_in_use(call)
    before = done(ledger_file, on)
    waiting.cancel()
    await until(lambda: done(ledger_file, on) == 1)

    assert in_use.body["error"]["code"] == "idempotency_key_in_use"
    assert before == 0
    replayed = await call()
    assert (replayed.status, replayed.headers["idempotent-replayed"]) == (200, "true")


async def until_in_use(call: Callable[[], Awaitable[Response]]) -> Response:
    """A repeat that comes while the first call is inside."""
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while (response := await call()).status != 409:
            pass
    return response


@each
async def test_a_call_that_hangs_is_not_done_and_its_repeat_is(simulator: Client, ledger_file: Path, on: str):
    call = await caller(simulator, on)
    await simulator.change(faults=[{"on": on, "do": "hang", "next": 1, "after_s": 0.2}])

    started = time.monotonic()
    with pytest.raises(aiohttp.ClientError):
        await call()

    assert time.monotonic() - started >= 0.2
    assert done(ledger_file, on) == 0
    assert (await call()).status == 200


@pytest.mark.parametrize("do", ["slow", "timeout", "slow_body"])
@each
async def test_a_response_may_take_its_time(simulator: Client, ledger_file: Path, on: str, do: str):
    call = await caller(simulator, on)
    await simulator.change(faults=[{"on": on, "do": do, "next": 1, "after_s": 0.3}])

    started = time.monotonic()
    response = await call()

    assert time.monotonic() - started >= 0.29
    assert response.status == 200
    assert response.raw == (await call()).raw
    assert response.headers["request-id"].startswith("req_")
    assert done(ledger_file, on) == 1


async def test_a_slow_body_outlasts_its_reader(simulator: Client):
    await simulator.change(faults=[{"on": "create", "do": "slow_body", "next": 1, "after_s": 20}])

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(simulator.create("k1"), 1)
    assert (await simulator.create("k1")).headers["idempotent-replayed"] == "true"


@each
async def test_connections_are_refused_after_a_call_that_was_done(
    simulator: Client, ledger_file: Path, on: str
):
    call = await caller(simulator, on)
    await simulator.change(faults=[{"on": on, "do": "outage", "next": 1, "after_s": 0.5}])

    with pytest.raises(aiohttp.ClientError):
        await call()
    with pytest.raises(aiohttp.ClientConnectorError):
        await call()
    assert done(ledger_file, on) == 1

    assert (await response_of(call)).headers["idempotent-replayed"] == "true"


async def response_of(call: Callable[[], Awaitable[Response]]) -> Response:
    async with asyncio.timeout(10):
        while True:
            try:
                return await call()
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.02)
