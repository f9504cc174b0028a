"""With small real programs."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from infra.errors import LocalProblem
from infra.tools.local.subprocesses import Child, Program, at_once, run_to_end, tail

_SLEEP = "import time; time.sleep(60)"
_DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
_PARENT = f"""
import sys, time
from pathlib import Path
from infra.tools.local.subprocesses import Child, Program, at_once
for number in range(2):
    argv = (sys.executable, "-c", {_SLEEP!r})
    print(Child(Program("child", argv, Path(sys.argv[1]), at_once)).pid, flush=True)
time.sleep(60)
"""


def _python(code: str, log: Path, name: str = "program") -> Program:
    async def ready() -> bool:
        return "up" in tail(log)

    return Program(name, (sys.executable, "-c", code), log, ready)


def _gone_within(pid: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def test_no_child_outlives_a_parent_that_is_killed(tmp_path: Path):
    root = Path(__file__).parents[4]
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path / "log")], cwd=root, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        pids = [int(parent.stdout.readline()) for _ in range(2)]

        parent.kill()
        parent.wait()

    assert all(_gone_within(pid, 10) for pid in pids)


async def test_a_child_has_a_session_of_its_own_so_ctrl_c_does_not_reach_it(tmp_path: Path):
    child = Child(_python(_SLEEP, tmp_path / "log"))

    session = os.getsid(child.pid)

    await child.stop()
    assert session == child.pid


async def test_a_program_that_ignores_the_stop_signal_is_killed_after_a_while(tmp_path: Path):
    child = Child(_python(_DEAF, tmp_path / "log"))
    await child.ready_within(20)

    assert await child.stop(patience_s=0.2) == -signal.SIGKILL


async def test_a_program_that_ends_before_it_is_ready_is_named_with_the_end_of_its_log(tmp_path: Path):
    child = Child(_python("import sys; sys.exit('no such flag')", tmp_path / "log", name="kettle"))

    with pytest.raises(
        LocalProblem, match=r"(?s)kettle ended with 1: no such flag\nThe end of .*/log:\nno such flag"
    ):
        await child.ready_within(20)


async def test_a_program_that_is_never_ready_is_given_up_with_the_end_of_its_log(tmp_path: Path):
    child = Child(_python(_SLEEP, tmp_path / "log"))

    with pytest.raises(LocalProblem, match="was not ready within 0 s"):
        await child.ready_within(0.2)

    await child.stop()


_LOGS = """
import asyncio, logging, sys
from infra.process.runtime import configure_logs
import structlog
configure_logs("json", "info")
async def fails(error):
    raise error
async def both():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fails(ConnectionRefusedError(111, "no broker")))
        tasks.create_task(inner())
async def inner():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fails(ValueError("first line\\n  second line")))
async def main():
    await both()
log = structlog.get_logger()
"""
_GROUP = "ConnectionRefusedError: [Errno 111] no broker; ValueError: first line second line"
_WAITS = """
from infra.process.runtime import Process
process = Process("worker")
process.not_ready("waiting for Kafka: NodeNotReadyError")
"""
_SERVER = """
print('[2026-03-01 12:00:00] ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)')
print('java.net.BindException: Address already in use')
print('\\tat java.base/sun.nio.ch.Net.bind0(Native Method)')
print('\\t... 2 more')
print('INFO shut down')
sys.exit(1)
"""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (f"{_LOGS}try: asyncio.run(main())\nexcept Exception: log.exception('crashed')", _GROUP),
        (f"{_LOGS}asyncio.run(main())", _GROUP),
        (f"{_LOGS}{_WAITS}", "waiting for Kafka: NodeNotReadyError"),
        (f"{_LOGS}{_WAITS}process.ready()", None),
        ("open('/nowhere')", "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere'"),
        (
            f"import sys{_SERVER}",
            "[2026-03-01 12:00:00] ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)",
        ),
        ("print('up'); print('no more room'); print('+-----')", "no more room"),
        ("", None),
    ],
    ids=["group", "unlogged-group", "waits", "ready-again", "traceback", "server", "words", "silent"],
)
async def test_the_reason_is_the_last_line_that_means_something(
    tmp_path: Path, code: str, reason: str | None
):
    program = _python(code, tmp_path / "log")
    child = Child(replace(program, env={"PYTHONPATH": str(Path(__file__).parents[4])}))

    exit_code = await child.ended()

    assert child.reason() == reason
    assert child.how(exit_code) == (f"with {exit_code}: {reason}" if reason else f"with {exit_code}")


async def test_a_program_gets_no_environment_but_its_own_and_the_basics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AEGISPAY_DATABASE_URL", "of-the-parent")
    code = "import os; print(os.environ.get('AEGISPAY_DATABASE_URL'), os.environ['OWN'])"

    await run_to_end(
        Program("printer", (sys.executable, "-c", code), tmp_path / "log", at_once, env={"OWN": "yes"})
    )

    assert (tmp_path / "log").read_text() == "None yes\n"
