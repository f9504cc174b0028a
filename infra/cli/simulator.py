"""`aegispay simulator`: the simulated PSPs, without a stack."""

import asyncio
import os
import re
import signal
import sqlite3
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from infra.errors import LocalProblem, Mistyped, Miswritten

if TYPE_CHECKING:
    from gateways.simulator.core.accounts import Accounts
    from gateways.simulator.core.ledger import Ledger
    from gateways.simulator.core.tls import Tls

_HOST: Final = "127.0.0.1"


def simulator(
    *,
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65500,
            help="The port of all PSPs. The next ones are each PSP's own, and the proxy's. 0: free ones.",
        ),
    ] = 8200,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The SQLite file of the ledger. Without it everything is forgotten at the end.",
            show_default=False,
        ),
    ] = None,
    accounts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The accounts, TOML. Without it each PSP has one with well-known secrets.",
            show_default=False,
        ),
    ] = None,
    latency_ms: Annotated[
        float, typer.Option(min=0, help="Milliseconds from a call to its response.")
    ] = 20.0,
    tls: Annotated[
        bool,
        typer.Option(
            "--tls",
            help="The PSPs' own ports speak TLS, by an authority made here; and a proxy leads to them by host name.",
        ),
    ] = False,
    tls_folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the authority's certificate is kept. Without it each start with --tls makes another.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Simulate the PSPs on this machine, each under its own base URL and port, and stay up; Ctrl-C stops
    them."""
    from infra.process.runtime import configure_logs

    configure_logs("pretty", "warning")
    known = _accounts(accounts)
    with tempfile.TemporaryDirectory(prefix="aegispay-simulator-") as folder:
        made = _tls(tls_folder or Path(folder)) if tls or tls_folder is not None else None
        opened = _opened(ledger or Path(folder, "ledger.sqlite"))
        try:
            asyncio.run(_serve(opened, known, port, latency_ms, made))
        finally:
            opened.close()


async def _serve(
    ledger: "Ledger", accounts: "Accounts", port: int, latency_ms: float, tls: "Tls | None"
) -> None:
    from gateways.simulator.core.proxy import proxying
    from gateways.simulator.core.server import serving
    from gateways.simulator.registry import PSPS

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ports = [port + number if port else 0 for number in range(len(PSPS) + 2)]
    try:
        async with AsyncExitStack() as stack:
            at = await stack.enter_async_context(
                serving(
                    ledger,
                    psps=PSPS,
                    accounts=accounts,
                    latency_ms=latency_ms,
                    host=_HOST,
                    port=port,
                    own_ports=ports[1:-1],
                    tls=tls.context if tls is not None else None,
                )
            )
            for psp in PSPS:
                names = ", ".join(one.name for one in accounts.of(psp.name)) or "none"
                typer.echo(f"{psp.title:<10} {at.url}/{psp.name} or {at.own[psp.name]}  accounts: {names}")
            if tls is not None:
                hosts = {name: urlsplit(at.own[psp.name]).port or 0 for psp in PSPS for name in psp.hosts}
                proxy = await stack.enter_async_context(proxying(hosts, _HOST, ports[-1]))
                typer.echo(f"{'Authority':<10} {tls.authority}  which clients have to trust")
                typer.echo(f"{'Proxy':<10} {proxy}  to {', '.join(hosts)}")
            typer.echo(f"{'Docs':<10} {at.url}/  test values, secrets of default accounts, control")
            await stop.wait()
    except OSError as error:
        named = re.search(r", (\d+)\)", str(error))  # asyncio names the address in its text
        taken = named[1] if named else str(port)
        raise LocalProblem(
            f"Port {taken} cannot be listened on ({os.strerror(error.errno or 0)}); "
            f"{ports[0]} to {ports[-1 if tls else -2]} are needed",
            "Choose another with --port, or 0 for free ones",
            taken,
        ) from error


def _tls(folder: Path) -> "Tls":
    from gateways.simulator.core import tls
    from gateways.simulator.registry import PSPS

    try:
        return tls.kept_in(folder, [name for psp in PSPS for name in psp.hosts])
    except (OSError, ValueError) as error:
        raise LocalProblem(
            f"No certificate can be kept in {folder} ({error})", "Choose another folder with --tls-folder"
        ) from error


def _accounts(file: Path | None) -> "Accounts":
    from gateways.simulator import registry

    try:
        return registry.accounts(None if file is None else file.read_text())
    except OSError as error:
        raise Mistyped(
            f"{file} cannot be read: {error.strerror}", "docs/simulator.md shows such a file", str(file)
        ) from None
    except ValueError as error:
        raise Miswritten(
            f"{file} holds no accounts for the simulator ({error})", "docs/simulator.md shows such a file"
        ) from error


def _opened(file: Path) -> "Ledger":
    from gateways.simulator.core.ledger import Ledger

    try:
        return Ledger(file)
    except (OSError, sqlite3.DatabaseError) as error:
        raise LocalProblem(
            f"The ledger {file} cannot be used ({error})", "Choose another file with --ledger"
        ) from error
