from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateways.simulator.paypal.client import Client, simulating


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def paypal(ledger_file: Path) -> AsyncIterator[Client]:
    async with simulating(ledger_file) as client:
        yield client
