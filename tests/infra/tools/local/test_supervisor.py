"""With small real programs."""

import asyncio
import signal
import sys
from pathlib import Path

import psutil
import pytest

from infra.errors import LocalProblem
from infra.tools.local.subprocesses import Program
from infra.tools.local.supervisor import Supervisor

_UP = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"


# infra/process/runtime.py writes such lines; what follows the crash is noise of the interpreter's end.
_CRASHES_WHEN_ASKED = """
import json, pathlib, sys, time
mark = pathlib.Path(sys.argv[1])
mark.touch()
crash = mark.with_suffix(".crash")
while not crash.exists():
    time.sleep(0.01)
crash.unlink()
trace = "Traceback (most recent call last):\\n  File x\\nKafkaError: no broker"
print(json.dumps({"event": "crashed", "exception": trace}))
print("Unclosed connector")
sys.exit(70)
"""


class Reports:
    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []

    def __call__(self, name: str, what: str) -> None:
        self.messages.append((name, what))

    async def until(self, name: str, what: str, times: int = 1) -> None:
        async with asyncio.timeout(30):
            while sum(who == name and what in text for who, text in self.messages) < times:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def _program(name: str, folder: Path, code: str = _UP) -> Program:
    mark = folder / f"{name}.up"

    async def ready() -> bool:
        return mark.exists()

    return Program(name, (sys.executable, "-c", code, str(mark)), folder / f"{name}.log", ready)


async def test_a_killed_program_is_started_again_and_named(tmp_path: Path):
    reports = Reports()
    supervisor = Supervisor(reports)
    await supervisor.start(_program("a", tmp_path), _program("b", tmp_path), within_s=30)
    killed, other = (one.child.pid for one in supervisor.watched)

    supervisor.watched[0].child.signal(signal.SIGKILL)
    await reports.until("a", "ready", times=2)

    again, same = supervisor.watched
    assert (again.restarts, again.state, again.child.pid != killed) == (1, "ready", True)
    assert (same.restarts, same.child.pid) == (0, other)
    assert any(name == "a" and text.startswith("ended by SIGKILL") for name, text in reports.messages)
    await supervisor.stop()


async def test_why_a_program_crashed_is_reported_and_kept_with_its_exit_code(tmp_path: Path):
    """A process of ours writes its last error as a line of JSON, with the whole traceback in it."""
    reports = Reports()
    supervisor = Supervisor(reports)
    await supervisor.start(_program("worker", tmp_path, _CRASHES_WHEN_ASKED), within_s=30)

    (tmp_path / "worker.crash").touch()
    await reports.until("worker", "ended with 70: KafkaError: no broker")
    await reports.until("worker", "ready", times=2)

    (worker,) = supervisor.watched
    assert worker.ended is not None
    assert worker.ended.endswith(" with 70: KafkaError: no broker")
    await supervisor.stop()


async def test_the_last_started_is_stopped_first_and_nothing_is_left(tmp_path: Path):
    reports = Reports()
    supervisor = Supervisor(reports)
    await supervisor.start(_program("first", tmp_path), within_s=30)
    await supervisor.start(_program("second", tmp_path), _program("third", tmp_path), within_s=30)
    pids = [one.child.pid for one in supervisor.watched]

    await supervisor.stop()

    stopped = [name for name, text in reports.messages if text.startswith("stopped")]
    assert stopped == ["third", "second", "first"]
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_a_program_that_says_it_is_misconfigured_is_not_tried_again(tmp_path: Path):
    supervisor = Supervisor(Reports())
    code = "import sys; print('AEGISPAY_KAFKA: it has to be set'); sys.exit(78)"

    with pytest.raises(LocalProblem, match=r"(?s)worker ended with 78.*AEGISPAY_KAFKA: it has to be set"):
        await supervisor.start(_program("worker", tmp_path, code), within_s=30)

    assert supervisor.watched[0].restarts == 0
    await supervisor.stop()


async def test_a_program_that_is_not_ready_in_time_is_reported_with_its_reason_and_its_log(tmp_path: Path):
    supervisor = Supervisor(Reports())
    code = "import time; print('no room for the log', flush=True); time.sleep(60)"

    with pytest.raises(LocalProblem) as problem:
        await supervisor.start(_program("worker", tmp_path, code), within_s=2)

    assert problem.value.what == "worker was not ready within 2 s: no room for the log"
    assert str(tmp_path / "worker.log") in problem.value.remedy
    await supervisor.stop()


async def test_a_program_that_fails_its_first_starts_is_given_up(tmp_path: Path):
    supervisor = Supervisor(Reports())

    with pytest.raises(LocalProblem, match=r"(?s)worker ended with 1.*no such host"):
        await supervisor.start(
            _program("worker", tmp_path, "import sys; sys.exit('no such host')"), within_s=30
        )

    await supervisor.stop()
