"""Reloads values from files when one of the files changes. Invariant: a file that cannot be used changes
nothing; the last usable value stays.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import structlog
from prometheus_client import Counter

from infra.errors import Misconfigured

UNUSABLE: Final = Counter(
    "aegispay_settings_unusable",
    "Changes of files that could not be used: what was read before stays",
    ["what"],
)

T = TypeVar("T")
# A file's time of change in ns, its size and its inode; None: it is not there. A file that is replaced by a
# rename has another inode, even with the same time and size.
_Stamp = dict[Path, tuple[int, int, int] | None]


class Watched(Generic[T]):
    """A value that is reloaded. `read` takes `file` and returns the value and all files it comes from, or
    raises `Misconfigured`."""

    def __init__(
        self,
        what: str,
        file: Path,
        read: Callable[[Path], tuple[T, frozenset[Path]]],
        look_every_s: float = 1.0,
    ) -> None:
        self._what = what
        self._file = file
        self._read = read
        self._look_every_s = look_every_s
        self._log: Any = structlog.get_logger(settings=what)
        self._complaint: str | None = None
        self._value, self._stamp = self._taken()
        self._look_at = time.monotonic() + self._look_every_s

    def now(self) -> T:
        """Returns the newest usable value. Checks the files at most once in `look_every_s`."""
        if time.monotonic() >= self._look_at:
            self._look()
            self._look_at = time.monotonic() + self._look_every_s
        return self._value

    def _look(self) -> None:
        # A file that could not be used is read again: what it names may have come since.
        if self._complaint is None and self._stamp == _stamp(frozenset(self._stamp)):
            return
        try:
            self._value, self._stamp = self._taken()
        except Misconfigured as error:
            # The log has each reason once, though the file is read again at each look.
            if self._complaint != str(error):
                self._complaint = str(error)
                UNUSABLE.labels(self._what).inc()
                self._log.error("unusable: what was read before stays", error=str(error))
        else:
            self._complaint = None
            self._log.info("read again")

    def _taken(self) -> tuple[T, _Stamp]:
        # Stamped before they are read: a change in between is read again.
        named = frozenset({self._file})
        while True:
            stamp = _stamp(named)
            value, files = self._read(self._file)
            # The first reading finds which files there are; only those that were stamped before it count as
            # seen.
            if files <= named:
                return value, {path: stamp[path] for path in files}
            named |= files


def _stamp(files: frozenset[Path]) -> _Stamp:
    return {file: _one(file) for file in files}


def _one(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
