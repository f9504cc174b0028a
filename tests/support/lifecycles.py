"""Processes that end or stop at their failpoints, one point after the other, while a shop goes on
ordering."""

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from commands import failpoints
from infra.errors import LocalProblem
from infra.tools.traffic.orders import Order, orders
from tests.support.processes import Running, until

KINDS: Final = ("command", "relay", "gateway", "read-models", "timers")
POINTS: Final = {
    kind: tuple(name for name in failpoints.NAMES if name.startswith(f"{kind}.")) for kind in KINDS
}


def rough(count: int, rate: float, run: str) -> list[Order]:
    """Enough responses are lost or late that the timers have something to do."""
    return list(orders(seed=11, count=count, rate=rate, run=run, conditions="rough"))


async def arm(stack: Running, name: str, spec: str, marks: Path) -> None:
    """Starts it anew. It leaves its group in order: a killed member is missed when its session ends."""
    if name in stack.children:
        await stack.children.pop(name).stop()
    marks.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # a test's own folder
    with suppress(LocalProblem):  # it may get there before it was seen to be ready
        await stack.start(name, failpoints=spec, failpoint_marks=marks)


async def killed_at(stack: Running, name: str, point: str, marks: Path, seconds: float = 60) -> None:
    """Returns when it has ended itself there."""
    child = stack.children[name]
    async with asyncio.timeout(seconds):
        exit_code = await child.ended()
    assert exit_code == -signal.SIGKILL, child.last_words()
    assert (marks / point).exists()
    del stack.children[name]


async def stopped_at(stack: Running, name: str, point: str, marks: Path) -> None:
    """Returns when it has stopped itself there."""
    pid = stack.children[name].pid

    async def stopped() -> bool:
        return (marks / point).exists() and _state(pid) == "T"

    await until(stopped, f"{name} stopped at {point}")


async def die_at_each(stack: Running, name: str, marks: Path, passes: int) -> None:
    """A life for each point of its kind, each ended there at the `passes`-th time; then one that goes on."""
    for point in POINTS[name]:
        await arm(stack, name, f"{point}:kill:{passes}", marks)
        await killed_at(stack, name, point, marks)
    await stack.start(name)


def _state(pid: int) -> str:
    """Of proc(5)."""
    return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
