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

from gateways.simulator.core.ledger import read_movements
from tests.gateways.simulator.client import ACCOUNTS, KEY, MANUAL, PLAIN_KEY, Client, until
from tests.gateways.simulator.receiver import Receiver
from tests.support.movements import captures

Started = tuple[asyncio.subprocess.Process, Client]
Start = Callable[[], Awaitable[Started]]


@pytest.fixture
def accounts_file(tmp_path: Path) -> Path:
    file = tmp_path / "simulator.toml"
    file.write_text(ACCOUNTS)
    return file


@pytest.fixture
async def start(ledger_file: Path, accounts_file: Path) -> AsyncIterator[Start]:
    """Starts one more process on the same ledger."""
    processes: list[asyncio.subprocess.Process] = []
    environment = {
        "PATH": os.environ["PATH"],
        "AEGISPAY_SIMULATOR_ACCOUNTS": str(accounts_file),
        "AEGISPAY_SIMULATOR_LEDGER": str(ledger_file),
        "AEGISPAY_SIMULATOR_PORT": "0",
        "AEGISPAY_SIMULATOR_LATENCY_MS": "0",
    }
    async with aiohttp.ClientSession() as http:

        async def one() -> Started:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "infra.workers.simulator",
                env=environment,
                stdout=asyncio.subprocess.PIPE,
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
    return len(captures(ledger_file))


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


async def test_killed_between_the_charge_and_the_response_it_replays_the_charge(
    start: Start, ledger_file: Path
):
    process, client = await start()
    await killed_during(client, process, "pm_sim_timeout", lambda: charged(ledger_file) == 1)

    _, client = await start()
    again = await client.create(key="k1", payment_method="pm_sim_timeout")

    assert (again.status, again.headers["idempotent-replayed"]) == (200, "true")
    assert charged(ledger_file) == 1
    assert again.body["id"] == captures(ledger_file)[0].intent_id


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


async def test_killed_under_load_no_key_is_charged_twice_and_no_reported_charge_is_lost(
    start: Start, ledger_file: Path
):
    process, client = await start()
    reported: dict[str, str] = {}

    async def pay(number: int) -> None:
        response = await client.create(key=f"k{number}", **{"metadata[order_ref]": f"r-{number}"})
        reported[f"r-{number}"] = response.body["id"]

    calls = [asyncio.create_task(pay(number)) for number in range(300)]
    await until(lambda: len(reported) >= 50)
    process.kill()
    await process.wait()
    await asyncio.gather(*calls, return_exceptions=True)
    before = dict(reported)

    _, client = await start()
    await asyncio.gather(*(pay(number) for number in range(300)))

    charges = captures(ledger_file)
    assert sorted(charge.reference for charge in charges) == sorted(f"r-{number}" for number in range(300))
    assert {charge.reference: charge.intent_id for charge in charges} == reported
    assert before.items() <= reported.items()


async def test_killed_under_load_no_capture_and_no_refund_is_done_twice_or_lost(
    start: Start, ledger_file: Path
):
    process, client = await start()
    ended: list[str] = []

    async def live(number: int) -> None:
        """A whole life. Its repeat has the same keys, so it must come to the same intent."""
        reference = {"metadata[order_ref]": f"{number:032x}-a1"}
        intent = (await client.create(f"{number:032x}-a1-1", **MANUAL, **reference)).body["id"]
        captured = await client.capture(intent, f"{number:032x}-c2-1", amount_to_capture="700")
        refunded = await client.refund(intent, f"{number:032x}-r3-1", amount="300")
        assert (captured.status, refunded.status) == (200, 200)
        ended.append(intent)

    lives = [asyncio.create_task(live(number)) for number in range(150)]
    await until(lambda: len(ended) >= 40)
    process.kill()
    await process.wait()
    await asyncio.gather(*lives, return_exceptions=True)
    before = {(one.kind, one.psp_id) for one in read_movements(ledger_file)}

    _, client = await start()
    await asyncio.gather(*(live(number) for number in range(150)))

    after = [(one.kind, one.psp_id) for one in read_movements(ledger_file)]
    references = sorted((one.kind, one.reference) for one in read_movements(ledger_file))
    assert before <= set(after)
    assert references == sorted(
        moved
        for number in range(150)
        for moved in (
            ("authorized", f"{number:032x}-a1"),
            ("captured", f"{number:032x}-c2"),
            ("released", f"{number:032x}-c2"),
            ("refunded", f"{number:032x}-r3"),
        )
    )


def tell(accounts_file: Path, receiver: Receiver) -> None:
    with_webhooks = f'[accounts.sim-eu]\nwebhook_url = "{receiver.url}"'
    accounts_file.write_text(ACCOUNTS.replace("[accounts.sim-eu]", with_webhooks))


async def test_killed_under_load_nothing_that_was_done_is_left_unreported(
    start: Start, ledger_file: Path, accounts_file: Path, receiver: Receiver
):
    tell(accounts_file, receiver)
    process, client = await start()
    calls = [asyncio.create_task(client.create(f"k{number}")) for number in range(200)]
    await until(lambda: charged(ledger_file) >= 60)
    process.kill()
    await process.wait()
    await asyncio.gather(*calls, return_exceptions=True)
    done = {one.intent_id for one in captures(ledger_file)}

    await start()

    def intents() -> set[str]:
        return {
            one.event["data"]["object"]["id"]
            for one in receiver.came
            if one.event["type"] == "payment_intent.succeeded"
        }

    await until(lambda: intents() == done)


async def test_a_challenge_outlives_the_process(start: Start, ledger_file: Path):
    process, client = await start()
    challenge = {"payment_method": "pm_card_threeDSecure2Required", "return_url": "https://shop.example/back"}
    intent = (await client.create(**challenge, **MANUAL)).body
    process.kill()
    await process.wait()

    _, client = await start()
    page = intent["next_action"]["redirect_to_url"]["url"].partition("/3d-secure/")[2]
    async with client.http.post(
        f"{client.url}/3d-secure/{page}", data={"result": "pass"}, allow_redirects=False
    ) as back:
        assert back.status == 303

    assert [one.kind for one in read_movements(ledger_file)] == ["authorized"]


async def test_a_refund_that_was_pending_when_it_was_killed_is_settled_after_the_start(
    start: Start, ledger_file: Path
):
    process, client = await start()
    intent = (await client.create(payment_method="pm_card_pendingRefund")).body
    await client.refund(intent["id"], amount="100")
    process.kill()
    await process.wait()

    await start()

    await until(lambda: [one.kind for one in read_movements(ledger_file)] == ["captured", "refunded"])


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
    await client.of_account(PLAIN_KEY).create(key="k1", payment_method="pm_nobody")
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()  # noqa: ASYNC240 - a file of /proc

    process.send_signal(signal.SIGTERM)
    logged, _ = await process.communicate()

    for key in (KEY, PLAIN_KEY):
        assert key.encode() not in arguments + logged
