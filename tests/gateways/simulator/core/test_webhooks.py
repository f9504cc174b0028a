"""Webhooks as they are sent, and what may happen to them on the way."""

import hashlib
import hmac
import sqlite3
from contextlib import closing
from pathlib import Path

from gateways.simulator.core.ledger import read_movements
from gateways.simulator.core.sender import TRIES
from tests.gateways.simulator.client import Client, ToyClient, until
from tests.gateways.simulator.conftest import Start
from tests.gateways.simulator.receiver import Came, Receiver


def genuine(came: Came) -> bool:
    mac = hmac.new(b"toy-webhooks", came.body, hashlib.sha256).hexdigest()
    return came.headers["x-signature"] == mac


async def settled(toys: ToyClient) -> dict[str, int]:
    """How many there are in each state, once none is waiting."""
    counts: dict[str, int] = {"waiting": 1}

    async def ask() -> bool:
        counts.update((await toys.change())["webhook_counts"])
        return counts["waiting"] > 0

    while await ask():
        pass
    return counts


async def test_what_happened_is_reported_once_and_signed(toys: ToyClient, receiver: Receiver):
    response = await toys.pay(reference="r-1")

    await until(lambda: len(receiver.came) == 1)

    (came,) = receiver.came
    assert came.event == {"type": "held", "id": response.body["id"], "reference": "r-1"}
    assert genuine(came)
    assert (await settled(toys))["sent"] == 1


async def test_what_was_refused_is_not_reported(toys: ToyClient, ledger_file: Path):
    refused = await toys.pay(refuse=True)

    assert refused.status == 400
    assert sum((await settled(toys)).values()) == 0
    assert list(read_movements(ledger_file)) == []


async def test_a_repeat_of_a_call_tells_nothing_again(toys: ToyClient, receiver: Receiver):
    await toys.pay("k1")
    await toys.pay("k1")

    assert (await settled(toys))["sent"] == len(receiver.came) == 1


async def test_without_an_address_nothing_is_stored(simulator: Client, ledger_file: Path):
    await simulator.create()

    with closing(sqlite3.connect(ledger_file)) as db:
        assert db.execute("SELECT count(*) FROM webhooks").fetchone() == (0,)


async def test_what_is_not_taken_is_sent_again_with_growing_gaps(toys: ToyClient, receiver: Receiver):
    receiver.responses = [500, 302, 404]

    await toys.pay()
    counts = await settled(toys)

    assert counts["sent"] == 1
    assert len(receiver.came) == 4
    assert len({came.body for came in receiver.came}) == 1


async def test_what_is_never_taken_is_given_up(toys: ToyClient, receiver: Receiver):
    receiver.responses = [500] * TRIES

    await toys.pay()
    counts = await settled(toys)

    assert (counts["given_up"], len(receiver.came)) == (1, TRIES)


async def test_a_webhook_that_was_not_delivered_outlives_the_simulator(both_psps: Start, receiver: Receiver):
    receiver.responses = [500] * TRIES
    async with both_psps() as (_, toys):
        await toys.pay(reference="r-1")
        await until(lambda: len(receiver.came) >= 1)
    receiver.responses.clear()
    before = len(receiver.came)

    async with both_psps() as (_, toys):
        await until(lambda: len(receiver.came) > before)

        assert (await settled(toys))["sent"] == 1


async def test_a_webhook_may_come_twice(toys: ToyClient, receiver: Receiver):
    await toys.change(webhooks={"repeat": 1})

    await toys.pay()
    await settled(toys)

    assert len(receiver.came) == 2
    assert receiver.came[0].body == receiver.came[1].body


async def test_a_forgery_may_come_before_the_true_one(toys: ToyClient, receiver: Receiver):
    await toys.change(webhooks={"forged": 1})

    await toys.pay()
    await settled(toys)

    assert [genuine(came) for came in receiver.came] == [False, True]


async def test_a_webhook_may_be_lost(toys: ToyClient, receiver: Receiver):
    await toys.change(webhooks={"lost": 1})

    await toys.pay()

    assert (await settled(toys))["lost"] == 1
    assert receiver.came == []


async def test_a_webhook_may_come_before_the_response(toys: ToyClient, receiver: Receiver):
    await toys.change(webhooks={"before_response": 1})

    await toys.pay()

    assert len(receiver.came) == 1


async def test_a_webhook_before_a_response_that_is_lost_comes_all_the_same(
    toys: ToyClient, receiver: Receiver
):
    await toys.change(webhooks={"before_response": 1}, faults=[{"on": "create", "do": "garbage", "next": 1}])

    await toys.pay()

    assert len(receiver.came) == 1


async def test_a_webhook_may_be_overtaken_by_a_later_one(toys: ToyClient, receiver: Receiver):
    await toys.change(gateway="toy", webhooks={"out_of_order": 1})
    payment = (await toys.pay()).body["id"]
    await toys.change(gateway="toy", webhooks={})
    await toys.ask("POST", f"/pay/{payment}/capture")
    await settled(toys)

    assert receiver.types == ["captured", "held"]


async def test_all_webhooks_may_be_late(toys: ToyClient, receiver: Receiver):
    await toys.change(webhooks={"delay_s": 3600})

    await toys.pay()

    assert (await toys.change())["webhook_counts"]["waiting"] == 1
    assert receiver.came == []


async def test_the_seed_says_which_are_lost(toys: ToyClient, receiver: Receiver):
    async def lost(seed: int) -> set[str]:
        receiver.came.clear()
        await toys.change(webhooks={"lost": 0.5, "seed": seed})
        for number in range(20):
            await toys.pay(reference=f"r-{number}")
        await settled(toys)
        return {f"r-{number}" for number in range(20)} - {came.event["reference"] for came in receiver.came}

    first, again, other = await lost(1), await lost(1), await lost(2)

    assert first == again != other
    assert 3 <= len(first) <= 17
