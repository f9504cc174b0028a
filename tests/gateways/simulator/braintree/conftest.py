from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateways.simulator.braintree.merchant import Merchant, simulating


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def merchant(ledger_file: Path, settles_after_s: float) -> AsyncIterator[Merchant]:
    async with simulating(ledger_file, settles_after_s) as one:
        yield one


@pytest.fixture
async def keyless(ledger_file: Path) -> AsyncIterator[Merchant]:
    """Whose account has no `apiRequestKey`."""
    async with simulating(ledger_file, keys=False) as one:
        yield one
