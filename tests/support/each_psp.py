"""The simulator as a process of its own has it: each PSP at its own port, and with TLS behind the proxy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from gateways.simulator import registry
from gateways.simulator.core import tls
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.proxy import proxying
from gateways.simulator.core.server import Addresses, serving
from gateways.simulator.registry import PSPS

HOSTS = [name for psp in PSPS for name in psp.hosts]


class WithTls(NamedTuple):
    """`own`: by PSP, the URL of its own port. `authority`: the file of its certificate."""

    own: dict[str, str]
    authority: Path
    proxy: str


@asynccontextmanager
async def at_own_ports(ledger_file: Path, made: tls.Tls | None = None) -> AsyncIterator[Addresses]:
    ledger = Ledger(ledger_file)
    try:
        async with serving(
            ledger,
            psps=PSPS,
            accounts=registry.accounts(None),
            latency_ms=0,
            host="127.0.0.1",
            port=0,
            own_ports=[0] * len(PSPS),
            tls=None if made is None else made.context,
        ) as at:
            yield at
    finally:
        ledger.close()


@asynccontextmanager
async def behind_tls(ledger_file: Path, folder: Path) -> AsyncIterator[WithTls]:
    """`folder`: where the authority is kept."""
    made = tls.kept_in(folder, HOSTS)
    async with at_own_ports(ledger_file, made) as (_, own):
        ports = {name: urlsplit(own[psp.name]).port or 0 for psp in PSPS for name in psp.hosts}
        async with proxying(ports, "127.0.0.1", 0) as proxy:
            yield WithTls(dict(own), made.authority, proxy)
