"""`aegispay demo` as a newcomer runs it: with a stack of its own, which is gone afterwards, however it
ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]

ROOT = Path(__file__).parent.parent.parent.parent
_KEPT = ("AEGISPAY_CACHE", "AEGISPAY_KAFKA_JAVA_OPTIONS", "AEGISPAY_PORTS")


@pytest.fixture
def data() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="aegispay demo "))
    folder.chmod(0o711)  # as root, PostgreSQL runs as another user
    yield folder / "data"
    shutil.rmtree(folder)


def _demo(data: Path, *arguments: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AEGISPAY_")}
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-c", "from infra.cli import main; main()", "demo", "--data", data, *arguments],
        cwd=ROOT,
        env=clean | kept | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _left_in(data: Path) -> list[str]:
    """Processes that have anything to do with the folder. One that ends while it is looked at has nothing any
    more."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            words = process.cmdline()
            if process.pid != os.getpid() and any(str(data) in word for word in words):
                found.append(" ".join(words))
    return found


def test_an_interrupted_demo_leaves_no_process_and_the_next_one_is_clean(data):
    first = _demo(data, "--payments", "500", "--rate", "20")
    assert first.stdout is not None
    for line in first.stdout:
        if line.startswith("Orders settled"):
            break
    else:
        pytest.fail(f"ended with {first.wait()} before an order had settled")
    first.send_signal(signal.SIGINT)
    output, _ = first.communicate(timeout=60)
    assert first.returncode == 130, output
    assert "Traceback" not in output
    assert _left_in(data) == []

    second = _demo(data, "--payments", "30", "--rate", "20", "--json")
    output, _ = second.communicate(timeout=300)

    assert second.returncode == 0, output
    assert _left_in(data) == []
    assert f"kept in {data}" in output
    printed = json.loads(output[output.index("\n{\n") :])  # behind its messages on its progress
    assert printed["orders"] == sum(printed["ended"].values()) == 30
    assert len(printed["lived"]) == 20
    assert {"CAPTURED", "PARTIALLY_CAPTURED", "PARTIALLY_REFUNDED", "REFUNDED", "VOIDED"} <= set(
        printed["ended"]
    )
    # What the first run had sent was acted on too.
    assert printed["verdict"]["payments"] > 30
    denied, held = printed["checked"].values()
    assert denied == "denied by the fraud hook: the customer is on the block list (denied_by_fraud_check)"
    assert held == (
        "held for review: demo-risk (score 0.71): the first order of a customer whom nobody knows; "
        "allowed by a person: CAPTURED"
    )
    assert printed["verdict"]["ok"]
