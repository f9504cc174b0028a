"""Keeps programs running: starts them in order, watches them, restarts those that end, and stops them in the
opposite order.

It runs in the main thread's event loop, like everything that starts child processes.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from infra.errors import EXIT_MISCONFIGURED, LocalProblem
from infra.process import clock
from infra.tools.local.subprocesses import Child, Program

# The exit code of infra.process.runtime when no waiting would help.
_BACK_OFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 15.0)
# A program that was up this long starts again with the shortest pause.
_SOUND_AFTER_S: Final = 30.0

# The servers of a stack that was just killed may need a moment to let go of their folders.
_FIRST_STARTS_MAX: Final = 3

Report = Callable[[str, str], None]


@dataclass(slots=True)
class WatchedProgram:
    """A program under supervision and what became of it."""

    program: Program
    child: Child
    state: Literal["starting", "ready", "down"] = "starting"
    restarts: int = 0
    ended: str | None = None  # the last time: when, with what exit code, and why
    ready_once: asyncio.Event = field(default_factory=asyncio.Event)
    # Cleared, it stays down once it has ended.
    may_start: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Supervisor:
    """Runs programs. `report` receives a program's name and what became of it, whenever that changes."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._watched: list[WatchedProgram] = []

    @property
    def watched(self) -> tuple[WatchedProgram, ...]:
        """Every program that was started, in order."""
        return tuple(self._watched)

    async def start(self, *programs: Program, within_s: float) -> None:
        """Starts all programs at once and returns when all are ready. Raises `LocalProblem`; what was
        started then still runs, so call `stop`."""
        begun = [WatchedProgram(program, Child(program)) for program in programs]
        self._watched.extend(begun)
        for one in begun:
            one.may_start.set()
            one.task = asyncio.create_task(self._keep(one), name=one.program.name)
        await asyncio.gather(*(self._first_ready(one, within_s) for one in begun))

    async def stop(self) -> None:
        """Stops the programs one by one, the last started first, so that each can finish while the others
        still serve it."""
        for one in reversed(self._watched):
            if one.task:
                one.task.cancel()
                await asyncio.gather(one.task, return_exceptions=True)
            exit_code = await one.child.stop()
            one.state = "down"
            self._report(one.program.name, f"stopped ({exit_code})")
        self._watched.clear()

    async def _first_ready(self, one: WatchedProgram, within_s: float) -> None:
        assert one.task
        ready = asyncio.create_task(one.ready_once.wait())
        try:
            await asyncio.wait((ready, one.task), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if one.task.done():
            one.task.result()
        if not one.ready_once.is_set():
            reason = f"it ended last {one.ended}" if one.ended else one.child.reason()
            text = f"{one.program.name} was not ready within {within_s:.0f} s"
            raise LocalProblem(f"{text}: {reason}" if reason else text, one.child.last_words())

    async def _keep(self, one: WatchedProgram) -> None:
        """Restarts the program whenever it ends. Raises `LocalProblem` where a restart would not help."""
        failures = 0
        while True:
            since = time.monotonic()
            exit_code = await self._live(one)
            hopeless = exit_code == EXIT_MISCONFIGURED or one.restarts == _FIRST_STARTS_MAX
            if hopeless and not one.ready_once.is_set():
                raise LocalProblem(
                    f"{one.program.name} ended {one.child.how(exit_code)}", one.child.last_words()
                )
            failures = 0 if time.monotonic() - since > _SOUND_AFTER_S else failures + 1
            pause_s = _BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)]
            one.state = "down"
            how = one.child.how(exit_code)
            one.ended = f"{clock.now().isoformat(timespec='seconds')} {how}"
            self._report(
                one.program.name, f"ended {how}; starts again in {pause_s:g} s; see {one.program.log}"
            )
            await asyncio.sleep(pause_s)
            await one.may_start.wait()
            one.restarts += 1
            one.state = "starting"
            one.child = Child(one.program)

    async def _live(self, one: WatchedProgram) -> int:
        """Waits until the child ends and returns its exit code."""
        ended = asyncio.create_task(one.child.ended())
        try:
            while not ended.done():
                if await one.program.ready():
                    one.state = "ready"
                    one.ready_once.set()
                    self._report(one.program.name, f"ready (process {one.child.pid})")
                    break
                await asyncio.wait((ended,), timeout=0.05)
            return await ended
        finally:
            ended.cancel()
