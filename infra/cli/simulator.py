"""`aegispay simulator`: the simulated PSPs, without a stack."""

import asyncio
import os
import signal
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.local.problem import LocalProblem

if TYPE_CHECKING:
    from gateways.simulator.accounts import Accounts
    from gateways.simulator.ledger import Ledger


def simulator(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8200,
    ledger: Annotated[Path, typer.Option(metavar="FILE", help="The SQLite file of what they did.")] = Path(
        "simulator.sqlite"
    ),
    accounts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Their accounts, TOML. Without it each PSP has one with secrets that anybody knows.",
            show_default=False,
        ),
    ] = None,
    latency_ms: Annotated[float, typer.Option(min=0, help="From a call to its answer.")] = 20.0,
) -> None:
    """Simulate the PSPs on this machine, each under its own base URL, and stay up; Ctrl-C stops them."""
    from infra.process import configure_logs

    configure_logs("pretty", "warning")
    known = _accounts(accounts)
    opened = _opened(ledger)
    try:
        asyncio.run(_serve(opened, known, port, latency_ms))
    finally:
        opened.close()


async def _serve(ledger: "Ledger", accounts: "Accounts", port: int, latency_ms: float) -> None:
    from gateways.simulator.registry import PSPS
    from gateways.simulator.server import serving

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with serving(
            ledger, accounts=accounts, latency_ms=latency_ms, host="127.0.0.1", port=port
        ) as url:
            for psp in PSPS:
                names = ", ".join(one.name for one in accounts.of(psp.name)) or "none"
                typer.echo(f"{psp.title:<10} {url}/{psp.name}  accounts: {names}")
            typer.echo(f"{'Docs':<10} {url}/  test values, secrets of default accounts, control")
            await stop.wait()
    except OSError as error:
        raise LocalProblem(
            f"127.0.0.1:{port} cannot be listened on ({os.strerror(error.errno or 0)})",
            "Choose another port with --port, or 0 for a free one",
        ) from error


def _accounts(file: Path | None) -> "Accounts":
    from gateways.simulator import registry

    try:
        return registry.accounts(None if file is None else file.read_text())
    except (OSError, ValueError) as error:
        raise LocalProblem(
            f"{file} holds no accounts for the simulator ({error})", "docs/simulator.md shows such a file"
        ) from error


def _opened(file: Path) -> "Ledger":
    from gateways.simulator.ledger import Ledger

    try:
        return Ledger(file)
    except (OSError, sqlite3.DatabaseError) as error:
        raise LocalProblem(
            f"The ledger {file} cannot be used ({error})", "Choose another file with --ledger"
        ) from error
