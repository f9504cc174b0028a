"""The state file of a running stack, in its data folder and readable for the owner only: what commands
beside it need."""

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict

from infra.errors import NoStack
from infra.tools.local import data

_FILE: Final = "state.json"


class ProcessState(BaseModel):
    """One process of the stack, as the supervisor last saw it."""

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    state: Literal["starting", "ready", "down"]
    restarts: int
    ended: str | None  # the last time: when, with what exit code, and why
    metrics_url: str | None
    log: Path

    @property
    def again(self) -> str:
        """The number of restarts, as a phrase to append; empty if none."""
        match self.restarts:
            case 0:
                return ""
            case 1:
                return ", started again once"
            case often:
                return f", started again {often} times"


class StackState(BaseModel):
    """The addresses, credentials and processes of a running stack."""

    model_config = ConfigDict(frozen=True)

    up: Literal[True] = True
    pid: int
    data: Path
    kafka: str
    topic_prefix: str
    partitions: int
    api_url: str
    api_key: str  # of the merchant `demo`
    database_url: str  # reads everything but the API keys' hashes
    database_admin_url: str
    database_schema: str
    simulator_url: str
    simulator_ledger: Path
    simulator_latency_ms: float
    accounts_file: Path
    hooks: str = ""  # AEGISPAY_HOOKS of its processes
    processes: tuple[ProcessState, ...]

    @classmethod
    def find(cls, folder: Path) -> Self | None:
        """Returns the state of the stack that runs in this folder; None: none runs, or it is not up yet."""
        file = folder / _FILE
        owner = data.holder(folder)
        if owner is None or not file.exists():
            return None
        found = cls.model_validate_json(file.read_text())
        # A stack that was killed leaves its file, which the next one replaces when it is up.
        return found if found.pid == owner else None

    @classmethod
    def require(cls, folder: Path) -> Self:
        """Returns the state of the stack that runs in this folder. Raises `NoStack`."""
        found = cls.find(folder)
        if found is None:
            raise NoStack(
                f"No stack is up in {folder}", "Start one: aegispay up, or name its folder with --data"
            )
        return found

    def write(self) -> None:
        """Writes the file, completely or not at all."""
        data.write_private(self.data / _FILE, self.model_dump_json(indent=2))

    @staticmethod
    def remove(folder: Path) -> None:
        """Deletes the file, if there is one."""
        (folder / _FILE).unlink(missing_ok=True)
