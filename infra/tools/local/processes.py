"""Every Python process of the stack: its module, its PostgreSQL role, and only the settings that it needs."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from gateways.registry import ADAPTERS
from infra.tools.local.ports import HOST
from infra.tools.local.settings import StackSettings
from infra.tools.local.subprocesses import Program


def python_env(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns what a Python process of ours needs: the code that runs is the code that started it, whatever
    else is installed. Behind it come the user's folders, which may hold hooks."""
    folders = [str(Path(__file__).parents[3]), *filter(None, [environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(folders), "PYTHONUNBUFFERED": "1"}


PYTHON: Final = python_env(os.environ)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of process. `needs`: its settings by name; `count`: how many run; `own`: settings that only
    this kind has."""

    name: str
    module: str
    role: str | None  # None: it needs no PostgreSQL, and Kafka only where `needs` says so
    needs: tuple[str, ...] = ()
    count: Callable[[StackSettings], int] = lambda _: 1
    own: Mapping[str, str] = field(default_factory=dict)


_FIRST: Final = next(iter(ADAPTERS))


def _workers_of(gateway: str, chosen: StackSettings) -> int:
    """Returns how many gateway workers run: several may for the first PSP; the others have one each, where
    they are wanted at all."""
    if gateway == _FIRST:
        return chosen.gateway_workers
    return int(chosen.all_gateways)


# A process for each listener hook.
_LISTENER: Final = Kind("listener", "infra.workers.listener", None, ("kafka", "partitions", "hooks"))

# In the order in which they are started, which is the opposite of the order in which they are stopped.
KINDS: Final = (
    Kind(
        "simulator",
        "infra.workers.simulator",
        None,
        ("simulator_port", "simulator_ledger", "simulator_accounts", "simulator_latency_ms"),
    ),
    *(
        Kind(
            "gateway" if gateway == _FIRST else f"gateway-{gateway}",
            "infra.workers.gateway",
            "gateway",
            ("accounts_file", "public_url", "return_key_file", "hooks"),
            partial(_workers_of, gateway),
            {"gateway": gateway},
        )
        for gateway in ADAPTERS
    ),
    Kind("relay", "infra.workers.relay", "relay", (), lambda chosen: chosen.relays),
    Kind(
        "command",
        "infra.workers.command",
        "command",
        ("accounts_file", "fingerprint_key_file", "hooks"),
        lambda chosen: chosen.command_workers,
    ),
    Kind("timers", "infra.workers.timers", "timers"),
    Kind("health", "infra.workers.health", None, ("kafka", "partitions")),
    _LISTENER,
    Kind("routing", "infra.workers.routing", "routing"),
    Kind("inbox", "infra.workers.inbox", "inbox", ("accounts_file",)),
    Kind(
        "read-models",
        "infra.workers.read_models",
        "read_models",
        (),
        lambda chosen: chosen.read_model_workers,
    ),
    Kind("api", "infra.workers.api", "api", ("api_port", "accounts_file", "public_url", "return_key_file")),
)


def names(settings: StackSettings) -> list[tuple[str, Kind]]:
    """Returns each process with its kind; the second command worker is `command-2`, the listener hook
    `ledger` has the process `listener-ledger`."""
    found: list[tuple[str, Kind]] = []
    for kind in KINDS:
        if kind is _LISTENER:
            found += [
                (f"listener-{hook}", replace(kind, own={"listener": hook})) for hook in settings.listeners
            ]
            continue
        numbers = range(1, kind.count(settings) + 1)
        found += [(kind.name if number == 1 else f"{kind.name}-{number}", kind) for number in numbers]
    return found


def program(
    name: str, kind: Kind, *, metrics_port: int, shared: dict[str, str], database_url: str | None, logs: Path
) -> Program:
    """Returns the process as a program. `shared`: the value of every setting that a kind may need, by
    name."""
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
    """True if GET /ready returns 200."""
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
