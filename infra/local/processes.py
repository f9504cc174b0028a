"""Every Python process of the stack: its module, its role in PostgreSQL, and the settings that it needs, no more."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from infra.adapters import ADAPTERS
from infra.local.children import Program
from infra.local.ports import HOST
from infra.local.settings import StackSettings

# The code that runs is the code that started it, whatever else is installed.
PYTHON: Final = {"PYTHONPATH": str(Path(__file__).parent.parent.parent), "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    module: str
    role: str | None  # None: it needs neither PostgreSQL nor Kafka
    needs: tuple[str, ...] = ()
    count: Callable[[StackSettings], int] = lambda _: 1
    own: Mapping[str, str] = field(default_factory=dict)


_FIRST: Final = next(iter(ADAPTERS))


def _workers_of(gateway: str, chosen: StackSettings) -> int:
    """Several may run for the first PSP; the others have one each, where they are wanted at all."""
    if gateway == _FIRST:
        return chosen.gateway_workers
    return int(chosen.all_gateways)


# In the order in which they are started, which is the opposite of the order in which they are stopped.
KINDS: Final = (
    Kind(
        "simulator",
        "infra.simulator",
        None,
        ("simulator_port", "simulator_ledger", "simulator_accounts", "simulator_latency_ms"),
    ),
    *(
        Kind(
            "gateway" if gateway == _FIRST else f"gateway-{gateway}",
            "infra.gateway_worker",
            "gateway",
            ("accounts_file", "public_url", "return_key_file"),
            partial(_workers_of, gateway),
            {"gateway": gateway},
        )
        for gateway in ADAPTERS
    ),
    Kind("relay", "infra.relay_process", "relay", (), lambda chosen: chosen.relays),
    Kind(
        "command",
        "infra.command_worker",
        "command",
        ("accounts_file",),
        lambda chosen: chosen.command_workers,
    ),
    Kind("timers", "infra.timers", "timers"),
    Kind("inbox", "infra.inbox", "inbox"),
    Kind("views", "infra.read_models", "views", (), lambda chosen: chosen.read_model_workers),
    Kind("api", "infra.api", "api", ("api_port", "accounts_file", "public_url", "return_key_file")),
)


def names(settings: StackSettings) -> list[tuple[str, Kind]]:
    """`command`, and `command-2` where there are two."""
    return [
        (kind.name if number == 1 else f"{kind.name}-{number}", kind)
        for kind in KINDS
        for number in range(1, kind.count(settings) + 1)
    ]


def program(
    name: str, kind: Kind, *, metrics_port: int, shared: dict[str, str], database_url: str | None, logs: Path
) -> Program:
    """`shared`: the values of every setting that a kind may need, by name."""
    needed = {"metrics_port": str(metrics_port), "environment": "development"}
    needed |= dict(kind.own) | {setting: shared[setting] for setting in kind.needs}
    if database_url:
        needed |= {setting: shared[setting] for setting in ("kafka", "partitions", "database_schema")}
        needed["database_url"] = database_url
    return Program(
        name=name,
        argv=(sys.executable, "-m", kind.module),
        log=logs / f"{name}.log",
        ready=lambda: ready(metrics_port),
        env={f"AEGISPAY_{setting.upper()}": value for setting, value in needed.items()} | PYTHON,
    )


async def ready(metrics_port: int) -> bool:
    """Whether GET /ready answers 200."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(HOST, metrics_port)
            try:
                writer.write(b"GET /ready HTTP/1.0\r\n\r\n")
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return status.split()[1:2] == [b"200"]
