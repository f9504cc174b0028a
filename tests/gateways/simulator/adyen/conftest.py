from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gateways.simulator.adyen.declaration import PSP
from gateways.simulator.core.accounts import Account, Accounts
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.server import serving
from tests.gateways.simulator.adyen.merchant import HMAC_KEY, MERCHANT, SECRET, Merchant
from tests.gateways.simulator.receiver import Receiver


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "adyen.db"


@pytest.fixture
def options() -> dict[str, str]:
    """Of the account, beside its merchant account; a test that wants others overrides it."""
    return {}


@pytest.fixture
async def merchant(
    ledger_file: Path, receiver: Receiver, options: dict[str, str], settles_after_s: float
) -> AsyncIterator[Merchant]:
    account = Account(
        *("adyen-eu", "adyen", SECRET),
        options={"merchant_account": MERCHANT, **options},
        webhook_url=receiver.url,
        webhook_secret=HMAC_KEY,
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
        yield Merchant(http, root, ledger_file, receiver)
    ledger.close()
