from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gateways.simulator.core.accounts import Account, Accounts
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.server import serving
from gateways.simulator.razorpay.declaration import PSP
from tests.gateways.simulator.razorpay.merchant import KEY_ID, SECRET, WEBHOOK_SECRET, Merchant, Received


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "razorpay.db"


@pytest.fixture
def options() -> dict[str, str]:
    """Of the account; a test that wants others overrides it."""
    return {}


@pytest.fixture
async def received() -> AsyncIterator[Received]:
    async with Received().serving() as received:
        yield received


@pytest.fixture
async def merchant(
    ledger_file: Path, received: Received, options: dict[str, str], settles_after_s: float
) -> AsyncIterator[Merchant]:
    account = Account(
        *("razorpay-in", "razorpay", SECRET, KEY_ID),
        options=options,
        webhook_url=f"{received.url}/webhooks",
        webhook_secret=WEBHOOK_SECRET,
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
            settles_after_s=settles_after_s,
        ) as (root, _),
        aiohttp.ClientSession() as http,
    ):
        yield Merchant(http, root, ledger_file, f"{received.url}/return")
    ledger.close()
