"""Programs that this process starts. Invariant: none outlives it, however it ends.

The kernel ends a child when the *thread* that started it ends, so programs are started from the main thread
only.
"""

import asyncio
import ctypes
import json
import os
import pwd
import re
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.errors import EXIT_CRASHED, LocalProblem

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG: Final = 1
_LOG_BYTES_MAX: Final = 20_000_000
_LINE_MAX: Final = 600
_TAIL_BYTES: Final = 64 * 1024
# The frames of a Java stack trace, and lines without a word, such as the frame around an exception group.
_NO_REASON: Final = re.compile(r"at \S+\(.*\)|\.\.\. \d+ more|[\W_]*")
_SEVERE: Final = re.compile(r"\b(?:ERROR|FATAL|PANIC)\b")
_TRACEBACK: Final = "Traceback (most recent call last):"
_GROUP_FRAME: Final = re.compile(r"^ *(?:\+-|\+ Exception Group |\| )", re.MULTILINE)
_GROUP_PARTS: Final = re.compile(r"^ *\+-.*$", re.MULTILINE)
_GROUP_MARGIN: Final = re.compile(r"^ *[|+] ?", re.MULTILINE)
_GROUP_HEADING: Final = re.compile(r"\(\d+ sub-exceptions?\)")
_INHERITED: Final = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "TZ")


@dataclass(frozen=True, slots=True)
class Program:
    """A program to run: its command line, environment and log, and how to tell that it is ready."""

    name: str
    argv: tuple[str, ...]
    log: Path
    ready: Callable[[], Awaitable[bool]]
    env: Mapping[str, str] = field(default_factory=dict)
    user: pwd.struct_passwd | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    # The signal for a child whose parent was killed. Nothing waits for it then, so it must be sure to end it.
    orphan_signal: signal.Signals = signal.SIGKILL


class Child:
    """A started program, in a session of its own: Ctrl-C reaches the parent only, which stops its children
    in order."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._log_from = 0
        program.log.parent.mkdir(parents=True, exist_ok=True)
        if program.log.exists() and program.log.stat().st_size > _LOG_BYTES_MAX:
            program.log.replace(program.log.with_suffix(".log.1"))
        user = program.user
        with program.log.open("ab") as log:
            self._log_from = log.tell()
            self._popen = subprocess.Popen(
                program.argv,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ} | dict(program.env),
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

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, minus the signal's number if a signal ended it; None: it still runs."""
        return self._popen.poll()

    def signal(self, number: signal.Signals) -> None:
        """Sends the signal."""
        self._popen.send_signal(number)

    async def ended(self) -> int:
        """Waits for the end and returns the exit code, minus the signal's number if a signal ended it."""
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
        """Waits until the program is ready. Raises `LocalProblem` with the end of its log if it ends or
        the time runs out."""
        try:
            async with asyncio.timeout(seconds):
                while not await self.program.ready():
                    if self.exit_code is not None:
                        raise LocalProblem(
                            f"{self.program.name} ended {self.how(self.exit_code)}", self.last_words()
                        )
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = f"{self.program.name} was not ready within {seconds:.0f} s"
            raise LocalProblem(text, self.last_words()) from None

    async def stop(self, patience_s: float = 15.0) -> int:
        """Stops the program with its signal, and with SIGKILL after `patience_s`. Returns the exit code."""
        if self.exit_code is None:
            self.signal(self.program.stop_signal)
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    return await self.ended()
            self.signal(signal.SIGKILL)
        return await self.ended()

    def how(self, exit_code: int) -> str:
        """Returns how the program ended: the exit code or the signal, and the reason as far as the log has
        one."""
        if exit_code < 0:
            return f"by {signal.Signals(-exit_code).name}"  # a killed process writes no reason
        reason = self.reason()
        return f"with {exit_code}: {reason}" if reason else f"with {exit_code}"

    def reason(self) -> str | None:
        """Returns why the program ended or is not ready, from its log since its start: the error of the
        last of our log lines that has one, or else what an interpreter's or a server's own lines say.
        None: the log gives no reason."""
        with self.program.log.open("rb") as log:
            log.seek(max(self._log_from, self.program.log.stat().st_size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").split("\n")
        errors = (error for line in reversed(lines) if (error := _error_in(line)) is not None)
        after_ours = next((n for n in range(len(lines), 0, -1) if lines[n - 1].startswith("{")), 0)
        reason = next(errors, None) or _reason_in(lines[after_ours:])
        return reason and reason[:_LINE_MAX]

    def last_words(self) -> str:
        """Returns the end of the log, with a heading."""
        return f"The end of {self.program.log}:\n{tail(self.program.log)}"


async def run_to_end(program: Program) -> None:
    """Runs a program that does one thing. Raises `LocalProblem` unless it exits with 0. `ready` is not
    called."""
    child = Child(program)
    try:
        exit_code = await child.ended()
    finally:
        await child.stop()
    if exit_code:
        raise LocalProblem(f"{program.name} ended {child.how(exit_code)}", child.last_words())


async def at_once() -> bool:
    """Returns True: for a program that is ready at once, or that only runs to its end."""
    return True


def _error_in(line: str) -> str | None:
    """Returns the error of a log line as infra/process/runtime.py writes it, empty for a line that records
    that all was well until then. None: the line is neither."""
    try:
        content = json.loads(line)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    match content.get("event"):
        case "crashed":
            return _errors_of(str(content.get("exception") or ""))
        case "misconfigured":
            return " ".join(str(content.get("error") or "").split()) or None
        case "not ready" | "ready":
            state = str(content.get("reason") or "")
            return state if state.startswith("waiting for ") else ""
        case _:
            return None


def _errors_of(traceback: str) -> str | None:
    """Returns the error that a traceback ends with, in one line; of an exception group the errors in it,
    each once. None: there is none."""
    if not _GROUP_FRAME.search(traceback):
        return _last_error(traceback)
    parts = (_last_error(_GROUP_MARGIN.sub("", part)) for part in _GROUP_PARTS.split(traceback))
    errors = [error for error in parts if error and not _GROUP_HEADING.search(error)]
    return "; ".join(dict.fromkeys(errors)) or None


def _last_error(traceback: str) -> str | None:
    lines = traceback.rpartition(_TRACEBACK)[2].splitlines()
    # Its frames are indented, and the error is not; what its text has in further lines comes after it.
    first = next((n for n, line in enumerate(lines) if line.strip() and not line.startswith(" ")), len(lines))
    return " ".join(" ".join(lines[first:]).split()) or None


def _reason_in(lines: list[str]) -> str | None:
    """Returns the reason from lines that are none of our log's: the errors of a traceback, the last line
    that a server calls an error, or the last line that has words. None: no line has any."""
    text = "\n".join(lines)
    if _TRACEBACK in text and (error := _errors_of(text)):
        return error
    reasons = [line.strip() for line in lines if not _NO_REASON.fullmatch(line.strip())]
    severe = [line for line in reasons if _SEVERE.search(line)]
    return next(reversed(severe or reasons), None)


def tail(log: Path, lines: int = 8) -> str:
    """Returns the last lines of a log."""
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
            os._exit(EXIT_CRASHED)

    return in_the_child
