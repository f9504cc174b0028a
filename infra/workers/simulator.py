"""The simulator's process. Needs neither Kafka nor PostgreSQL."""

import os
import sqlite3
from typing import Final

from gateways.simulator import registry
from gateways.simulator.core.accounts import Accounts
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.server import serving
from infra.errors import Misconfigured
from infra.process.runtime import Process, run
from infra.settings import SimulatorSettings

NAME: Final = "simulator"


async def main(process: Process, settings: SimulatorSettings) -> None:
    """Serves the simulated PSPs until a stop signal comes. Raises `Misconfigured`."""
    accounts, ledger = _accounts(settings), _opened(settings)
    try:
        async with serving(
            ledger,
            psps=registry.PSPS,
            accounts=accounts,
            latency_ms=settings.simulator_latency_ms,
            host=settings.simulator_host,
            port=settings.simulator_port,
            webhook_pace=settings.simulator_webhook_pace,
        ) as (url, _):
            process.log.info("listening", url=url)
            process.ready()
            await process.stop.wait()
            process.not_ready("stopping")
    except OSError as error:
        text = (
            f"{settings.simulator_host}:{settings.simulator_port} cannot be listened on ({os.strerror(error.errno or 0)}); "
            "choose another port with AEGISPAY_SIMULATOR_PORT"
        )
        raise Misconfigured(text) from error
    finally:
        ledger.close()


def _accounts(settings: SimulatorSettings) -> Accounts:
    file = settings.simulator_accounts
    try:
        return registry.accounts(file.read_text() if file is not None else None)
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"AEGISPAY_SIMULATOR_ACCOUNTS: {file} cannot be read ({error})") from error
    except ValueError as error:
        raise Misconfigured(f"AEGISPAY_SIMULATOR_ACCOUNTS: {file}: {error}; see docs/simulator.md") from error


def _opened(settings: SimulatorSettings) -> Ledger:
    try:
        return Ledger(settings.simulator_ledger)
    except (OSError, sqlite3.DatabaseError) as error:
        text = f"the ledger {settings.simulator_ledger} cannot be used ({error}); choose another with AEGISPAY_SIMULATOR_LEDGER"
        raise Misconfigured(text) from error


if __name__ == "__main__":
    run(NAME, SimulatorSettings, main)
