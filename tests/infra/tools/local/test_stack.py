"""The whole stack by its own command, in a folder with a space in its name."""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from infra.tools.local.processes import names
from infra.tools.local.settings import StackSettings
from infra.tools.local.state import StackState

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]

_READY_WITHIN_S = 150
_KEPT = ("AEGISPAY_CACHE", "AEGISPAY_KAFKA_JAVA_OPTIONS", "AEGISPAY_PORTS")
_KINDS = ["postgres", "kafka", *(name for name, _ in names(StackSettings()))]


Up = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's: as root, PostgreSQL runs as a user who may not pass it.
    path = Path(tempfile.mkdtemp(prefix="aegispay stack "))
    path.chmod(0o711)
    yield path / "data"
    shutil.rmtree(path)


@pytest.fixture
def up(folder: Path) -> Iterator[Up]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        with (folder.parent / "up.log").open("w") as log:
            process = subprocess.Popen(
                _aegispay("up", "--data", str(folder), "--json"),
                stdout=subprocess.DEVNULL,
                stderr=log,
                # Of the variables of whoever runs the tests only those that say nothing about a stack.
                env={name: value for name, value in os.environ.items() if not name.startswith("AEGISPAY_")}
                | {name: os.environ[name] for name in _KEPT if name in os.environ},
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.wait(60)


def _aegispay(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from infra.cli import main; main()", *arguments]


def _status(folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        _aegispay("status", "--data", str(folder), "--json"), capture_output=True, text=True, check=False
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["up"] else 3)
    return found


def _until(condition: Callable[[], Any], what: str, seconds: float = _READY_WITHIN_S) -> Any:
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return found


def _until_up(process: "subprocess.Popen[bytes]", folder: Path) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        assert process.poll() is None, (folder.parent / "up.log").read_text()
        return _state(folder)

    return dict(_until(found, "the stack is up"))


def _state(folder: Path) -> dict[str, Any] | None:
    found = StackState.find(folder)
    return found and found.model_dump(mode="json")


def _alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if _is_alive(pid)]


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _pids(state: dict[str, Any]) -> list[int]:
    # With what they started themselves: PostgreSQL's own processes.
    return [
        pid
        for process in state["processes"]
        for pid in (process["pid"], *(one.pid for one in psutil.Process(process["pid"]).children(True)))
    ]


def _pay(state: dict[str, Any]) -> str:
    request = urllib.request.Request(
        f"{state['api_url']}/v1/payments",
        data=json.dumps({"amount_minor": 1099, "currency": "EUR", "payment_method": "pm_card_visa"}).encode(),
        headers={
            "Authorization": f"Bearer {state['api_key']}",
            "Idempotency-Key": secrets.token_hex(8),
            "Content-Type": "application/json",
            "Prefer": "wait=20",
        },
    )
    with urllib.request.urlopen(request, timeout=40) as response:
        return str(json.load(response)["payment_id"])


def _captured(state: dict[str, Any], payment: str) -> bool:
    with psycopg.connect(state["database_url"]) as conn:
        row = conn.execute(
            f"SELECT status FROM {state['database_schema']}_read.payments WHERE payment_id = %s", [payment]
        ).fetchone()
    return row == ("CAPTURED",)


def test_the_stack_comes_back_after_every_kind_of_end(folder: Path, up: Up):
    first = up()
    state = _until_up(first, folder)
    assert [process["name"] for process in state["processes"]] == _KINDS
    assert (folder / "state.json").stat().st_mode & 0o077 == 0
    kafka = next(process for process in state["processes"] if process["name"] == "kafka")
    assert os.environ["AEGISPAY_KAFKA_JAVA_OPTIONS"] in " ".join(psutil.Process(kafka["pid"]).cmdline())
    payment = _pay(state)
    _until(lambda: _captured(state, payment), "the payment is captured")

    # A second stack in the same folder is refused, and its message names the owner.
    second = subprocess.run(
        _aegispay("up", "--data", str(folder), "--fresh"), capture_output=True, text=True, check=False
    )
    assert second.returncode == 69
    assert f"belongs to a running stack (process {first.pid})" in second.stderr

    # A killed process comes back, and is named.
    timers = next(process for process in state["processes"] if process["name"] == "timers")
    os.kill(timers["pid"], signal.SIGKILL)

    def timers_again() -> bool:
        now = next(one for one in (_state(folder) or state)["processes"] if one["name"] == "timers")
        return now["restarts"] == 1 and now["state"] == "ready" and now["pid"] != timers["pid"]

    _until(timers_again, "the killed process is ready again")
    assert "timers: ended by SIGKILL" in (folder.parent / "up.log").read_text()

    examined = subprocess.run(
        _aegispay("doctor", "--data", str(folder)), capture_output=True, text=True, check=False
    )
    assert re.search(r"timers: ready, started again once, ended last \S+ by SIGKILL", examined.stdout)
    assert re.search(r"accounts: \d named; nothing is open at any other", examined.stdout)

    # A killed parent leaves no process.
    pids = _pids(_status(folder))
    first.kill()
    first.wait()
    _until(lambda: not _alive(pids), "every process has ended", seconds=20)
    assert _status(folder) == {"up": False, "data": str(folder)}

    # What was there is there again, and `aegispay down` stops it all in order.
    third = up()
    state = _until_up(third, folder)
    assert _captured(state, payment)
    pids = _pids(state)
    down = subprocess.run(
        _aegispay("down", "--data", str(folder)), capture_output=True, text=True, check=False
    )
    assert (down.returncode, down.stdout) == (0, f"Stopped process {third.pid}\n")
    assert third.wait(timeout=60) == 0
    assert not _alive(pids)
    stopped = [
        line.split()[2].rstrip(":")
        for line in (folder.parent / "up.log").read_text().splitlines()
        if ": stopped (" in line
    ]
    assert stopped == list(reversed(_KINDS))
