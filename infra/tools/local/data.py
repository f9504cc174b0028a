"""The data folder of a stack.

Invariants: one stack runs in it at a time; PostgreSQL and Kafka in it were made together and are emptied
together.
"""

import fcntl
import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from infra.errors import LocalProblem
from infra.tools.local.kafka import new_cluster_id

_MARKER: Final = "aegispay.json"
_LOCK: Final = "lock"
_LOCK_TRIES: Final = 20
_PARTS: Final = ("postgres", "kafka")


class DataFolder:
    """The folder, opened and locked. `id` is also Kafka's cluster id and stands in PostgreSQL's folder.
    Raises `LocalProblem` where another stack runs in it, or where it holds anything that no stack made."""

    def __init__(self, path: Path, *, fresh: bool) -> None:
        self.path = path
        _require_ours(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o711 if os.geteuid() == 0 else 0o700)  # as root, PostgreSQL runs as another user
            self._lock = (path / _LOCK).open("a+")
        except OSError as error:
            raise LocalProblem(
                f"{path} cannot be used: {error.strerror}",
                "Choose another folder with --data or AEGISPAY_DATA",
            ) from error
        self._take_lock()
        try:
            if fresh or not self._note().get("complete"):
                # A folder that never was complete holds nothing of value: its first start was interrupted.
                self._empty()
            self.id = str(self._note().get("id") or self._new())
            self._require_together()
        except BaseException:
            self.close()
            raise

    def remembered(self, name: str) -> Any:
        """Returns a value of an earlier start; None: there is none."""
        return self._note().get(name)

    def remember(self, **values: Any) -> None:
        """Keeps the values for later starts."""
        write_private(self.path / _MARKER, json.dumps(self._note() | values, indent=1))

    def completed(self) -> None:
        """Notes that both servers' folders exist: from now on neither is emptied without the other."""
        write_private(self.path / "postgres" / "aegispay.id", self.id)
        self.remember(complete=True)

    def close(self) -> None:
        """Releases the lock."""
        self._lock.close()

    def _take_lock(self) -> None:
        # `holder` takes it too, for an instant.
        for _ in range(_LOCK_TRIES):
            with suppress(BlockingIOError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.02)
        else:
            owner = holder(self.path)
            self.close()
            raise LocalProblem(
                f"{self.path} belongs to a running stack (process {owner})",
                f"Use that one (aegispay status), stop it (kill {owner}), or choose another folder with --data",
            )
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def _note(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.path / _MARKER).read_text())
        except FileNotFoundError:
            return {}
        return found

    def _new(self) -> str:
        self.remember(id=new_cluster_id())
        return str(self._note()["id"])

    def _empty(self) -> None:
        for entry in self.path.iterdir():
            if entry.name in {_LOCK, _MARKER}:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        # The marker goes last: while the folder holds anything, it shows that a stack made it.
        (self.path / _MARKER).unlink(missing_ok=True)

    def _require_together(self) -> None:
        if not self._note().get("complete"):
            return
        found = {"postgres": _postgres_id(self.path / "postgres"), "kafka": _kafka_id(self.path / "kafka")}
        wrong = [part for part in _PARTS if found[part] != self.id]
        if wrong:
            raise LocalProblem(
                f"{self.path} does not hold the {' and '.join(wrong)} data that it was made with: "
                "events in one and not in the other would be lost or repeated",
                "Put the missing part back, or empty both with --fresh",
            )


def holder(path: Path) -> int | None:
    """Returns the id of the process whose stack runs in this folder; None: none does."""
    try:
        with (path / _LOCK).open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    return None


def write_private(path: Path, text: str) -> None:
    """Writes the file completely or not at all, readable for the owner only."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.replace(path)


def _require_ours(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise LocalProblem(f"{path} is not a folder", "Choose another with --data or AEGISPAY_DATA")
    found = {entry.name for entry in path.iterdir()} - {_LOCK} if path.exists() else set()
    if found and _MARKER not in found:
        raise LocalProblem(
            f"{path} holds things that this stack did not make", "Choose an empty or a new folder with --data"
        )


def _postgres_id(folder: Path) -> str | None:
    try:
        return (folder / "aegispay.id").read_text()
    except FileNotFoundError:
        return None


def _kafka_id(folder: Path) -> str | None:
    try:
        lines = (folder / "logs" / "meta.properties").read_text().splitlines()
    except FileNotFoundError:
        return None
    return next((line.removeprefix("cluster.id=") for line in lines if line.startswith("cluster.id=")), None)
