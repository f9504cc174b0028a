"""The simulator as a process of its own: killed, stopped, started again on the same ledger."""

import asyncio
import itertools
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from gateways.simulator.ledger import read_charges
from tests.gateways.simulator.client import KEY, Client, until

Started = tuple[asyncio.subprocess.Process, Client]
Start = Callable[[], Awaitable[Started]]


@pytest.fixture
async def start(ledger_file: Path) -> AsyncIterator[Start]:
    """Starts one more process on the same ledger."""
    processes: list[asyncio.subprocess.Process] = []
    environment = {
        "PATH": os.environ["PATH"],
        "AEGISPAY_SIMULATOR_KEY": KEY,
        "AEGISPAY_SIMULATOR_LEDGER": str(ledger_file),
        "AEGISPAY_SIMULATOR_PORT": "0",
        "AEGISPAY_SIMULATOR_LATENCY_MS": "0",
    }
    async with aiohttp.ClientSession() as http:

        async def one() -> Started:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "infra.simulator", env=environment, stdout=asyncio.subprocess.PIPE
            )
            processes.append(process)
            assert process.stdout is not None
            while line := await process.stdout.readline():
                if (url := json.loads(line).get("url")) is not None:
                    return process, Client(http, url, itertools.count())
            raise AssertionError("the simulator ended before it listened")

        yield one
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.communicate()


def charged(ledger_file: Path) -> int:
    return sum(1 for _ in read_charges(ledger_file))


async def in_use(client: Client, key: str) -> None:
    """Returns when a call with this key is inside. The probe itself is refused, or meets the key in use."""
    async with asyncio.timeout(20):
        while (await client.create(key=key, amount="none")).status != 409:
            pass


async def killed_during(
    client: Client, process: asyncio.subprocess.Process, token: str, ready: Callable[[], bool]
) -> None:
    call = asyncio.create_task(client.create(key="k1", payment_method=token))
    try:
        await until(ready)
        process.kill()
        await process.wait()
        with pytest.raises(aiohttp.ClientError):
            await call
    finally:
        call.cancel()


async def test_killed_between_the_charge_and_the_answer_it_replays_the_charge(
    start: Start, ledger_file: Path
):
    process, client = await start()
    await killed_during(client, process, "pm_sim_timeout", lambda: charged(ledger_file) == 1)

    _, client = await start()
    again = await client.create(key="k1", payment_method="pm_sim_timeout")

    assert (again.status, again.headers["idempotent-replayed"]) == (200, "true")
    assert charged(ledger_file) == 1
    assert again.body["id"] == next(read_charges(ledger_file)).intent_id


async def test_killed_before_the_charge_it_charges_at_the_repeat(start: Start, ledger_file: Path):
    process, client = await start()
    before = asyncio.create_task(client.create(key="k1", payment_method="pm_sim_slow"))
    await in_use(client, "k1")
    process.kill()
    await process.wait()
    with pytest.raises(aiohttp.ClientError):
        await before
    assert charged(ledger_file) == 0

    _, client = await start()
    again = await client.create(key="k1", payment_method="pm_sim_slow")

    assert again.status == 200
    assert "idempotent-replayed" not in again.headers
    assert charged(ledger_file) == 1


async def test_killed_under_load_no_key_is_charged_twice_and_no_answered_charge_is_lost(
    start: Start, ledger_file: Path
):
    process, client = await start()
    answered: dict[str, str] = {}

    async def pay(number: int) -> None:
        said = await client.create(key=f"k{number}", **{"metadata[order_ref]": f"r-{number}"})
        answered[f"r-{number}"] = said.body["id"]

    calls = [asyncio.create_task(pay(number)) for number in range(300)]
    await until(lambda: len(answered) >= 50)
    process.kill()
    await process.wait()
    await asyncio.gather(*calls, return_exceptions=True)
    before = dict(answered)

    _, client = await start()
    await asyncio.gather(*(pay(number) for number in range(300)))

    charges = list(read_charges(ledger_file))
    assert sorted(charge.reference for charge in charges) == sorted(f"r-{number}" for number in range(300))
    assert {charge.reference: charge.intent_id for charge in charges} == answered
    assert before.items() <= answered.items()


async def test_asked_to_stop_it_finishes_the_calls_in_flight(start: Start, ledger_file: Path):
    process, client = await start()
    call = asyncio.create_task(client.create(key="k1", payment_method="pm_sim_slow"))
    await in_use(client, "k1")

    process.send_signal(signal.SIGTERM)

    assert (await call).status == 200
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert charged(ledger_file) == 1


async def test_asked_to_stop_it_waits_for_no_call_longer_than_five_seconds(start: Start, ledger_file: Path):
    process, client = await start()
    call = asyncio.create_task(client.create(key="k1", payment_method="pm_sim_timeout"))
    await until(lambda: charged(ledger_file) == 1)

    process.send_signal(signal.SIGTERM)

    with pytest.raises(aiohttp.ClientError):
        await call
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_what_was_processing_when_it_was_killed_is_settled_after_the_start(
    start: Start, ledger_file: Path
):
    process, client = await start()
    await client.create(key="k1", payment_method="pm_sim_processing")
    process.kill()
    await process.wait()
    with closing(sqlite3.connect(ledger_file)) as db:
        db.execute("UPDATE intents SET settles_at = 1")
        db.commit()

    await start()

    assert charged(ledger_file) == 1


async def test_neither_logs_nor_arguments_show_the_key(start: Start):
    process, client = await start()
    await client.create(key="k1", payment_method="pm_nobody")
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()  # noqa: ASYNC240 - a file of /proc

    process.send_signal(signal.SIGTERM)
    logged, _ = await process.communicate()

    assert KEY.encode() not in arguments + logged
