"""What a running stack tells the commands and scripts beside it: a file in its data folder, for the owner's eyes."""

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict

from infra.local import data
from infra.local.problem import LocalProblem

_FILE: Final = "state.json"


class ProcessState(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    state: Literal["starting", "ready", "down"]
    restarts: int
    metrics_url: str | None
    log: Path


class StackState(BaseModel):
    model_config = ConfigDict(frozen=True)

    up: Literal[True] = True
    pid: int
    data: Path
    kafka: str
    topic_prefix: str
    partitions: int
    api_url: str
    api_key: str  # of the merchant `demo`
    api_key_other: str  # of the merchant `other`
    database_url: str  # reads everything but the API keys' hashes
    database_admin_url: str
    database_schema: str
    simulator_url: str
    simulator_ledger: Path
    simulator_latency_ms: float
    accounts_file: Path
    processes: tuple[ProcessState, ...]

    @classmethod
    def find(cls, folder: Path) -> Self | None:
        """Of the stack that runs in this folder; None: none does, or it is not yet up."""
        file = folder / _FILE
        owner = data.holder(folder)
        if owner is None or not file.exists():
            return None
        found = cls.model_validate_json(file.read_text())
        # A stack that was killed leaves its file, which the next one replaces when it is up.
        return found if found.pid == owner else None

    @classmethod
    def require(cls, folder: Path) -> Self:
        found = cls.find(folder)
        if found is None:
            raise LocalProblem(
                f"No stack runs in {folder}", "Start one: aegispay up, or name its folder with --data"
            )
        return found

    def write(self) -> None:
        data.write_private(self.data / _FILE, self.model_dump_json(indent=2))

    @staticmethod
    def remove(folder: Path) -> None:
        (folder / _FILE).unlink(missing_ok=True)
