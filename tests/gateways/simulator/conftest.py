import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gateways.simulator import registry
from gateways.simulator.ledger import Ledger
from gateways.simulator.server import serving
from tests.gateways.simulator.client import ACCOUNTS, Client


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "charges of the simulator.db"


@pytest.fixture
async def simulator(ledger_file: Path) -> AsyncIterator[Client]:
    ledger = Ledger(ledger_file)
    accounts = registry.accounts(ACCOUNTS)
    async with (
        serving(ledger, accounts=accounts, latency_ms=0, host="127.0.0.1", port=0) as url,
        aiohttp.ClientSession() as http,
    ):
        yield Client(http, url, itertools.count())
    ledger.close()
