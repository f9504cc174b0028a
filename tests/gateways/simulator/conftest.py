import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from gateways.simulator import registry
from gateways.simulator.core.accounts import Accounts
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.psp import SETTLES_AFTER_S
from gateways.simulator.core.server import serving
from gateways.simulator.stripe.declaration import PSP as STRIPE
from tests.gateways.simulator.client import ACCOUNTS, Client, ToyClient
from tests.gateways.simulator.core import toy
from tests.gateways.simulator.receiver import Receiver

PACE = 0.004
"""Of webhooks: so much faster than life."""


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "charges of the simulator.db"


@pytest.fixture
def settles_after_s() -> float:
    """So that nobody waits; a test that looks at what has not settled yet asks for `slowly`."""
    return 0


slowly = pytest.mark.parametrize("settles_after_s", [SETTLES_AFTER_S])


@pytest.fixture
async def simulator(ledger_file: Path, settles_after_s: float) -> AsyncIterator[Client]:
    ledger = Ledger(ledger_file)
    accounts = registry.accounts(ACCOUNTS)
    async with (
        serving(
            ledger,
            psps=registry.PSPS,
            accounts=accounts,
            latency_ms=0,
            host="127.0.0.1",
            port=0,
            settles_after_s=settles_after_s,
        ) as (url, _),
        aiohttp.ClientSession() as http,
    ):
        yield Client(http, url, itertools.count())
    ledger.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with receiver.listening():
        yield receiver


Start = Callable[[], AbstractAsyncContextManager[tuple[Client, ToyClient]]]


@pytest.fixture
def both_psps(ledger_file: Path, receiver: Receiver, settles_after_s: float) -> Start:
    """Stripe and the toy, their webhooks going to the receiver; started on the same ledger each time."""

    @asynccontextmanager
    async def start() -> AsyncIterator[tuple[Client, ToyClient]]:
        ledger = Ledger(ledger_file)
        stripe = registry.accounts(ACCOUNTS).all
        accounts = Accounts([replace(one, webhook_url=receiver.url) for one in (*stripe, toy.PSP.default)])
        async with (
            serving(
                ledger,
                accounts=accounts,
                latency_ms=0,
                host="127.0.0.1",
                port=0,
                psps=(STRIPE, toy.PSP),
                webhook_pace=PACE,
                settles_after_s=settles_after_s,
            ) as (url, _),
            aiohttp.ClientSession() as http,
        ):
            yield Client(http, url, itertools.count()), ToyClient(http, url)
        ledger.close()

    return start


@pytest.fixture
async def psps(both_psps: Start) -> AsyncIterator[tuple[Client, ToyClient]]:
    async with both_psps() as clients:
        yield clients


@pytest.fixture
def toys(psps: tuple[Client, ToyClient]) -> ToyClient:
    return psps[1]


@pytest.fixture
def hearing(psps: tuple[Client, ToyClient]) -> Client:
    """Stripe, where somebody hears its webhooks."""
    return psps[0]
