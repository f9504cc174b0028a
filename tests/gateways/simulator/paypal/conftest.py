from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateways.simulator.paypal.client import Client, simulating


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def paypal(ledger_file: Path, settles_after_s: float) -> AsyncIterator[Client]:
    async with simulating(ledger_file, settles_after_s) as client:
        yield client
