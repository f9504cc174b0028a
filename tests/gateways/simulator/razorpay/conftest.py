from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gateways.simulator.accounts import Account, Accounts
from gateways.simulator.ledger import Ledger
from gateways.simulator.razorpay.declaration import PSP
from gateways.simulator.server import serving
from tests.gateways.simulator.razorpay.shop import HOOK_SECRET, KEY_ID, SECRET, Shop, Told


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "razorpay.db"


@pytest.fixture
def options() -> dict[str, str]:
    """Of the account; a test that wants others overrides it."""
    return {}


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    async with Told().serving() as told:
        yield told


@pytest.fixture
async def shop(ledger_file: Path, told: Told, options: dict[str, str]) -> AsyncIterator[Shop]:
    account = Account(
        *("razorpay-in", "razorpay", SECRET, KEY_ID),
        options=options,
        webhook_url=f"{told.url}/hooks",
        webhook_secret=HOOK_SECRET,
    )
    ledger = Ledger(ledger_file)
    async with (
        serving(
            ledger,
            accounts=Accounts([account]),
            latency_ms=0,
            host="127.0.0.1",
            port=0,
            psps=(PSP,),
            webhook_pace=0.02,
        ) as root,
        aiohttp.ClientSession() as http,
    ):
        yield Shop(http, root, ledger_file, f"{told.url}/return")
    ledger.close()
