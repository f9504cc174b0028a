"""Faults that are switched on from outside, over HTTP."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.gateways.simulator.client import INTENTS, MANUAL, REFUNDS, SEVERAL, Client
from tests.support.movements import captures, minor


@pytest.mark.parametrize("do", ["429", "500_once", "garbage", "lost", "wrong_amount"])
async def test_the_repeat_of_a_call_that_was_done_may_go_wrong_too(
    simulator: Client, ledger_file: Path, do: str
):
    first = await simulator.create("k1")
    await simulator.change(faults=[{"on": "create", "do": do, "next": 1}])

    if do == "lost":
        with pytest.raises(aiohttp.ClientError):
            await simulator.create("k1")
    else:
        wrong = await simulator.create("k1")
        assert (wrong.raw != first.raw) == (do != "wrong_amount")

    assert (await simulator.create("k1")).raw == first.raw
    assert len(captures(ledger_file)) == 1


async def test_a_search_may_find_nothing_once(simulator: Client):
    await simulator.create(**{"metadata[order_ref]": "r-1"})
    await simulator.change(faults=[{"on": "search", "do": "absent", "share": 1}])
    path = f"{INTENTS}/search?query=metadata['order_ref']:'r-1'"

    found = [len((await simulator.ask("GET", path)).body["data"]) for _ in range(2)]

    assert found == [0, 1]


@pytest.mark.parametrize(("do", "status"), [("429", 429), ("500", 500), ("garbage", 200)])
async def test_reading_may_go_wrong_too(simulator: Client, do: str, status: int):
    intent = (await simulator.create()).body
    await simulator.change(faults=[{"on": "get", "do": do, "share": 1}])

    wrong = await simulator.ask("GET", f"{INTENTS}/{intent['id']}")
    right = await simulator.ask("GET", f"{INTENTS}/{intent['id']}")

    assert wrong.status == status
    assert wrong.body.get("id") is None
    assert right.body == intent


async def test_a_read_may_show_what_an_intent_was_before_it_was_captured(simulator: Client):
    intent = (await simulator.create(**MANUAL)).body["id"]
    await simulator.capture(intent, amount_to_capture="700")
    await simulator.change(faults=[{"on": "get", "do": "flap", "next": 1}])

    first, then = [(await simulator.ask("GET", f"{INTENTS}/{intent}")).body for _ in range(2)]

    assert (first["status"], first["amount_capturable"], first["amount_received"]) == (
        "requires_capture",
        1099,
        0,
    )
    assert (then["status"], then["amount_received"]) == ("succeeded", 700)


async def test_a_search_and_a_refund_may_show_an_earlier_status_too(simulator: Client):
    intent = (await simulator.create(**{"metadata[order_ref]": "r-1"})).body["id"]
    refund = (await simulator.refund(intent)).body["id"]
    await simulator.change(faults=[{"on": on, "do": "flap", "next": 1} for on in ("search", "get")])

    found = (await simulator.ask("GET", f"{INTENTS}/search?query=metadata['order_ref']:'r-1'")).body["data"]
    read = (await simulator.ask("GET", f"{REFUNDS}/{refund}")).body

    assert [one["status"] for one in found] == ["processing"]
    assert read["status"] == "pending"


@pytest.mark.parametrize("do", ["key_ignored", "key_expired"])
async def test_a_key_that_does_not_protect_captures_a_part_twice(
    simulator: Client, ledger_file: Path, do: str
):
    intent = (await simulator.create(**SEVERAL)).body["id"]
    await simulator.change(faults=[{"on": "capture", "do": do, "share": 1}])

    for _ in range(2):
        response = await simulator.capture(intent, "k1", amount_to_capture="300", final_capture="false")
        assert (response.status, "idempotent-replayed" in response.headers) == (200, False)

    assert [minor(one) for one in captures(ledger_file)] == [300, 300]


async def test_a_share_hits_the_same_keys_in_whatever_order_they_come(simulator: Client):
    async def broken(order: list[int]) -> set[int]:
        await simulator.change(faults=[{"on": "create", "do": "429", "share": 0.3, "seed": 5}])
        responses = await asyncio.gather(*(simulator.create(f"k{number}") for number in order))
        return {number for number, response in zip(order, responses, strict=True) if response.status == 429}

    forward = await broken(list(range(40)))
    changed = await simulator.change(faults=[])
    backward = await broken(list(range(39, -1, -1)))

    assert forward == backward
    assert 4 <= len(forward) <= 20
    assert changed["hits"] == {"create/429": len(forward)}


async def test_faults_that_are_cleared_hit_nothing(simulator: Client):
    await simulator.change(faults=[{"on": "create", "do": "429", "share": 1}])
    await simulator.change(faults=[])

    assert (await simulator.create()).status == 200


@pytest.mark.parametrize("fault", [{"on": "create", "do": "lost"}, {"on": "get", "do": "late", "next": 1}])
async def test_faults_that_make_no_sense_are_refused(simulator: Client, fault: dict[str, Any]):
    async with simulator.http.post(f"{simulator.root}/_simulator", json={"faults": [fault]}) as response:
        assert response.status == 400


async def test_a_fault_of_an_account_that_is_not_there_is_refused_with_those_that_are(simulator: Client):
    fault = {"on": "create", "do": "429", "share": 1, "account": "stripe-eu"}
    for gateway in ("stripe", None):
        change = {"gateway": gateway, "faults": [fault]}
        async with simulator.http.post(f"{simulator.root}/_simulator", json=change) as response:
            error = (await response.json())["error"]
        assert (response.status, error.partition(", ")[0]) == (400, "faults.0.account is one of sim-eu")

    await simulator.change(faults=[fault | {"account": "sim-eu"}])
    assert (await simulator.create()).status == 429
