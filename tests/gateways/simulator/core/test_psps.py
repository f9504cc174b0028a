"""What the front does for every PSP alike, with two of them on one port."""

import asyncio
import re
import time
from pathlib import Path
from statistics import median

import aiohttp
import pytest

from gateways.simulator.core.conditions import Latency, Lognormal
from gateways.simulator.core.ledger import read_movements, read_open
from tests.gateways.simulator.client import INTENTS, Client, ToyClient, until
from tests.support.movements import captures


def held(ledger_file: Path) -> int:
    return sum(1 for one in read_movements(ledger_file) if one.kind == "authorized")


async def test_both_write_one_ledger_that_names_the_psp(psps: tuple[Client, ToyClient], ledger_file: Path):
    stripe, toys = psps
    intent = (await stripe.create()).body["id"]
    payment = (await toys.pay(reference="r-1")).body["id"]
    await toys.ask("POST", f"/pay/{payment}/capture")

    assert [(one.gateway, one.account, one.intent_id) for one in captures(ledger_file)] == [
        ("stripe", "sim-eu", intent),
        ("toy", "toy", payment),
    ]


@pytest.mark.parametrize("key", ["", "toy-login", "toy-login:", "toy-login:wrong", "wrong:toy-secret"])
async def test_each_refuses_in_its_own_words(psps: tuple[Client, ToyClient], key: str):
    stripe, toys = psps

    response = await toys.ask("GET", "/pay/x", X_Key=key)
    theirs = await stripe.ask("GET", INTENTS, Authorization="Bearer toy-secret")

    assert (response.status, response.body) == (401, {"error": "unauthorized"})
    assert theirs.body["error"]["type"] == "invalid_request_error"


async def test_a_path_that_neither_knows_is_nobodys(toys: ToyClient):
    assert (await toys.ask("GET", "/nothing")).body == {"error": "not_found"}
    async with toys.http.get(f"{toys.root}/nobody/v1") as response:
        assert response.status == 404


async def test_a_repeat_may_show_how_it_is_now(toys: ToyClient, ledger_file: Path):
    first = await toys.pay("k1")
    await toys.ask("POST", f"/pay/{first.body['id']}/capture")

    again = await toys.pay("k1")

    assert (first.body["status"], again.body["status"]) == ("held", "captured")
    assert (first.headers["x-toy"], again.headers["x-toy"]) == ("first", "replayed")
    assert held(ledger_file) == 1


async def test_a_key_with_something_else_is_refused(toys: ToyClient):
    await toys.pay("k1")

    assert (await toys.pay("k1", minor=1)).body == {"error": "key_conflict"}


@pytest.mark.parametrize("do", ["key_ignored", "key_expired"])
async def test_a_key_that_does_not_protect_lets_a_repeat_happen_again(
    toys: ToyClient, ledger_file: Path, do: str
):
    await toys.change(faults=[{"on": "create", "do": do, "share": 1}])

    responses = [(await toys.pay("k1")).body["id"] for _ in range(2)]

    assert responses[0] != responses[1]
    assert held(ledger_file) == 2
    await toys.change(faults=[])
    assert (await toys.pay("k1")).body["id"] == responses[1]


async def test_a_read_may_show_an_earlier_status_once(toys: ToyClient):
    payment = (await toys.pay()).body["id"]
    await toys.ask("POST", f"/pay/{payment}/capture")
    await toys.change(faults=[{"on": "get", "do": "flap", "next": 1}])

    seen = [(await toys.ask("GET", f"/pay/{payment}")).body["status"] for _ in range(2)]

    assert seen == ["held", "captured"]


async def test_a_burst_refuses_all_calls_of_one_account_for_a_while(
    psps: tuple[Client, ToyClient], ledger_file: Path
):
    stripe, toys = psps
    await toys.change(gateway="toy", faults=[{"on": "create", "do": "burst_429", "next": 1, "after_s": 0.3}])

    began = time.monotonic()
    statuses = [(await toys.pay()).status, (await toys.ask("GET", "/pay/x")).status]
    other = (await stripe.create()).status
    async with asyncio.timeout(10):
        while (await toys.ask("GET", "/pay/x")).status == 429:
            pass

    assert (statuses, other) == ([429, 429], 200)
    assert time.monotonic() - began >= 0.3
    assert held(ledger_file) == 0


async def test_the_conditions_are_one_psps_own(psps: tuple[Client, ToyClient]):
    stripe, toys = psps
    await toys.change(gateway="toy", down_s=60, down="failing", latency_ms=1)

    assert ((await toys.pay()).status, (await stripe.create()).status) == (503, 200)

    await toys.change(down_s=0.001, down="failing")
    await stripe.change(gateway="stripe", faults=[{"on": "create", "do": "429", "share": 1}])

    assert ((await toys.pay()).status, (await stripe.create()).status) == (200, 429)


async def test_one_psp_that_is_away_cuts_what_comes_and_does_nothing(
    psps: tuple[Client, ToyClient], ledger_file: Path
):
    stripe, toys = psps
    await toys.change(gateway="toy", down_s=0.5)

    with pytest.raises(aiohttp.ClientConnectionError):
        await toys.pay()
    assert (await stripe.create()).status == 200

    async def back() -> bool:
        try:
            return (await toys.pay()).status == 200
        except aiohttp.ClientConnectionError:
            return False

    async with asyncio.timeout(10):
        while not await back():
            pass
    assert held(ledger_file) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"gateway": "nobody"},
        {"webhooks": {"repeat": 2}},
        {"latency_ms": {"p50_ms": 10, "p99_ms": 5}},
        {"faults": [{"on": "create", "do": "flap", "next": 1}]},
        {"faults": [{"on": "get", "do": "key_ignored", "next": 1}]},
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(toys: ToyClient, change: dict[str, object]):
    async with toys.http.post(f"{toys.root}/_simulator", json=change) as received:
        assert received.status == 400
        response = (await received.json())["error"]
    assert not re.search(r"pydantic|input_value|type=|Input should|validation error|constrained", response), (
        response
    )
    assert set(change) & set(re.split(r"\W", response)), response


async def test_a_change_that_is_no_json_is_refused_in_words(toys: ToyClient):
    async with toys.http.post(f"{toys.root}/_simulator", data=b"latency_ms=1") as response:
        assert (response.status, (await response.json())["error"][:24]) == (400, "the body: must be JSON: ")


def test_latencies_are_spread_as_requested_and_the_same_for_a_seed():
    of = Lognormal(p50_ms=20, p99_ms=200, seed=7)
    one, same = Latency(of), Latency(of)

    drawn = [one.draw_s() for _ in range(4000)]

    assert drawn[:50] == [same.draw_s() for _ in range(50)]
    assert 0.018 <= median(drawn) <= 0.022
    assert 0.15 <= sorted(drawn)[3960] <= 0.28


async def test_a_spread_latency_is_kept(toys: ToyClient):
    await toys.change(latency_ms={"p50_ms": 80, "p99_ms": 80})

    began = time.monotonic()
    await toys.pay()

    assert time.monotonic() - began >= 0.079


async def test_what_may_still_move_money_is_read_until_it_goes_on_by_itself(
    toys: ToyClient, ledger_file: Path
):
    payment = (await toys.pay(reference="r-1", open=0.3)).body["id"]

    (waiting,) = read_open(ledger_file)
    assert (waiting.gateway, waiting.psp_id, waiting.intent_id) == ("toy", payment, payment)
    assert (waiting.reference, waiting.intent_reference) == ("r-1", "r-1")

    await until(lambda: list(read_open(ledger_file)) == [])
    assert (await toys.ask("GET", f"/pay/{payment}")).body["status"] == "expired"
    assert captures(ledger_file) == []
