"""Programs that this process starts. Invariant: none outlives it, however it ends.

The kernel ends a child when the *thread* that started it ends: start programs from the main thread only.
"""

import asyncio
import ctypes
import os
import pwd
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.local.problem import LocalProblem

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG: Final = 1
_LOG_BYTES_MAX: Final = 20_000_000
_LINE_MAX: Final = 600
_INHERITED: Final = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "TZ")


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    argv: tuple[str, ...]
    log: Path
    ready: Callable[[], Awaitable[bool]]
    env: Mapping[str, str] = field(default_factory=dict)
    user: pwd.struct_passwd | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    # What it gets when its parent was killed. Nothing waits for it then, so it must be sure to end it.
    orphan_signal: signal.Signals = signal.SIGKILL


class Child:
    """A started program, in a session of its own: Ctrl-C reaches the parent, which stops its children in order."""

    def __init__(self, program: Program) -> None:
        self.program = program
        program.log.parent.mkdir(parents=True, exist_ok=True)
        if program.log.exists() and program.log.stat().st_size > _LOG_BYTES_MAX:
            program.log.replace(program.log.with_suffix(".log.1"))
        user = program.user
        with program.log.open("ab") as log:
            self._popen = (
                subprocess.Popen(  # one system call that takes no lock; setpriv(1) is not everywhere
                    program.argv,
                    env={name: os.environ[name] for name in _INHERITED if name in os.environ}
                    | dict(program.env),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    user=user and user.pw_uid,
                    group=user and user.pw_gid,
                    extra_groups=user and (),
                    # One system call that takes no lock; setpriv(1) is not everywhere.
                    preexec_fn=_tie_to_parent(program.orphan_signal),  # noqa: PLW1509
                )
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        return self._popen.poll()

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    async def ended(self) -> int:
        """Its exit code, when it has one; minus the signal's number when one ended it."""
        pidfd = os.pidfd_open(self.pid) if self.exit_code is None else None
        if pidfd is not None:
            loop, gone = asyncio.get_running_loop(), asyncio.Event()
            loop.add_reader(pidfd, gone.set)
            try:
                await gone.wait()
            finally:
                loop.remove_reader(pidfd)
                os.close(pidfd)
        return self._popen.wait()

    async def ready_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not await self.program.ready():
                    if self.exit_code is not None:
                        raise LocalProblem(
                            f"{self.program.name} ended with {self.exit_code}", self.last_words()
                        )
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = f"{self.program.name} was not ready within {seconds:.0f} s"
            raise LocalProblem(text, self.last_words()) from None

    async def stop(self, patience_s: float = 15.0) -> int:
        if self.exit_code is None:
            self.signal(self.program.stop_signal)
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    return await self.ended()
            self.signal(signal.SIGKILL)
        return await self.ended()

    def last_words(self) -> str:
        return f"The end of {self.program.log}:\n{tail(self.program.log)}"


async def run_to_end(program: Program) -> None:
    """Of a program that does one thing; `ready` is not asked."""
    child = Child(program)
    try:
        exit_code = await child.ended()
    finally:
        await child.stop()
    if exit_code:
        raise LocalProblem(f"{program.name} ended with {exit_code}", child.last_words())


async def at_once() -> bool:
    """For a program that needs no time to be ready, or that only runs to its end."""
    return True


def tail(log: Path, lines: int = 8) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        return "\n".join(
            line[:_LINE_MAX] for line in file.read().decode(errors="replace").splitlines()[-lines:]
        )


def _tie_to_parent(orphan_signal: signal.Signals) -> Callable[[], None]:
    parent, number = os.getpid(), int(orphan_signal)

    def in_the_child() -> None:
        # After setuid, which clears it. The parent may have been killed before the call took hold.
        if _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) or os.getppid() != parent:
            os._exit(70)

    return in_the_child
