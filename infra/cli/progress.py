"""Finds or starts a stack for a command, and shows progress: a bar on a terminal, a plain line now and
then elsewhere."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from infra.tools.local.stack import Stack
from infra.tools.local.state import StackState
from infra.tools.local.target import stack_settings

_LINE_EVERY_S: Final = 2.0
_EXIT_INTERRUPTED: Final = 130

T = TypeVar("T")


def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Runs the work to its end. Ctrl-C or SIGTERM cancels it, which stops what it had started; the exit
    code is then 130."""

    async def run() -> T:
        task = asyncio.current_task()
        assert task is not None, "inside a coroutine there is a task"

        def stop_requested() -> None:
            if task.cancelling():
                # A second signal ends the process at once; the kernel ends the children.
                os._exit(_EXIT_INTERRUPTED)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop_requested)
        return await work

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        sys.stderr.write("aegispay: interrupted\n")
        raise typer.Exit(_EXIT_INTERRUPTED) from None


@asynccontextmanager
async def stack_for(
    console: Console, data: Path | None, *, fresh: bool, hooks: str = ""
) -> AsyncIterator[StackState]:
    """Yields the running stack, or starts one and stops it at the end. `hooks`: those of one that is started,
    beside those that AEGISPAY_HOOKS names. Raises `LocalProblem`."""
    settings = stack_settings(data)
    settings = settings.model_copy(update={"hooks": ",".join(filter(None, (settings.hooks, hooks)))})
    running = None if fresh else StackState.find(settings.data)
    if running is not None:
        console.print(f"Using the stack that runs in {running.data}", highlight=False)
        yield running
        return
    began = time.monotonic()
    async with Stack(settings, fresh=fresh, say=lambda text: console.print(text, highlight=False)) as stack:
        console.print(f"Ready after {time.monotonic() - began:.1f} s", highlight=False)
        yield stack.state
        console.print("Stopping", highlight=False)


@contextmanager
def counting(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields a function to be called with the number of those done."""
    if not console.is_terminal:
        yield _Lines(console, what, total).count
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


class _Lines:
    def __init__(self, console: Console, what: str, total: int) -> None:
        self._console = console
        self._what = what
        self._total = total
        self._printed_at = time.monotonic()

    def count(self, done: int) -> None:
        now = time.monotonic()
        if done == self._total or now - self._printed_at >= _LINE_EVERY_S:
            self._printed_at = now
            self._console.print(f"{self._what}: {done} of {self._total}", highlight=False)
