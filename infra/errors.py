"""Errors that end a process or a command, each with the exit code that it ends with.

This module imports no client library, so that `aegispay --help` is quick.
"""

from typing import ClassVar, Final

EXIT_CRASHED: Final = 70
"""A process met an error that it does not know; its supervisor starts it again."""
EXIT_MISCONFIGURED: Final = 78
"""A process, or a command, cannot start with these settings, however often it is tried."""


class Misconfigured(Exception):
    """A start, or a command, fails for a reason that no waiting mends. Its text names the remedy."""


class LocalProblem(Exception):
    """Raised when something on this machine is short. Its text names what is wrong, `remedy` what to do or
    where to look, and `where` the address, file or setting it is about, where there is one."""

    exit_code: ClassVar[int] = 69

    def __init__(self, what: str, remedy: str, where: str | None = None) -> None:
        super().__init__(f"{what}\n{remedy}")
        self.what = what
        self.remedy = remedy
        self.where = where


class NotDone(LocalProblem):
    """Raised when what was named does not exist, or is not in a state in which this can be done."""

    exit_code = 1


class Mistyped(LocalProblem):
    """The command line makes no sense: nothing is wrong with the machine."""

    exit_code = 2


class NoStack(LocalProblem):
    """Raised when there is no local stack to act on."""

    exit_code = 3


class Miswritten(LocalProblem):
    """A setting, or a file that an operator wrote, makes no sense."""

    exit_code = EXIT_MISCONFIGURED


def reason(error: Exception) -> str:
    """Returns why the server does not respond, in one line, from its client's error."""
    first = str(error).partition("\n")[0].rpartition(" failed: ")[2]
    return " ".join(first.split()) or type(error).__name__
