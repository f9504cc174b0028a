"""What a plan may do to a stack, as data. docs/chaos.md describes each for those who write plans."""

import signal
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from commands import crash_points
from infra import topics

PROCESSES: Final = ("simulator", "gateway", "relay", "command", "timers", "views", "api")
SERVERS: Final = ("postgres", "kafka")
_NAME: Final = rf"^({'|'.join(PROCESSES)})(-[2-9])?$"
TOPICS: Final = (
    topics.COMMANDS,
    topics.OUTCOMES,
    topics.EVENTS,
    *(topics.requests(gateway) for gateway in topics.GATEWAYS),
)

ProcessName = Annotated[str, Field(pattern=_NAME, description="`command`; `command-2` is the second of two")]
Seconds = Annotated[float, Field(ge=0, le=3600)]


class _Fault(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    at_s: Annotated[float, Field(ge=0, le=86_400, description="After the first payment")] = 0.0


class Kill(_Fault):
    """kill -9; started again by the supervisor, not before `down_s` has passed."""

    fault: Literal["kill"]
    process: Annotated[str, Field(pattern=rf"{_NAME}|^({'|'.join(SERVERS)})$")]
    down_s: Seconds = 0.0


class Stop(_Fault):
    """SIGTERM, and started again after `down_s`."""

    fault: Literal["stop"]
    process: Annotated[str, Field(pattern=rf"{_NAME}|^({'|'.join(SERVERS)})$")]
    down_s: Seconds = 0.0


class Pause(_Fault):
    """SIGSTOP, and SIGCONT after `for_s`."""

    fault: Literal["pause"]
    process: ProcessName
    for_s: Seconds = 8.0


class CrashPoint(_Fault):
    """The process ends or stops itself between two lines, when it gets there for the `times`-th time after a start."""

    fault: Literal["crash_point"]
    point: str
    process: Annotated[str, Field(pattern=rf"{_NAME}|^$", description="Else the first of its kind")] = ""
    action: Literal["kill", "stop"] = "kill"
    times: Annotated[int, Field(ge=1, le=100_000)] = 1
    for_s: Annotated[Seconds, Field(description="Of a stop")] = 8.0

    @field_validator("point")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in crash_points.NAMES:
            raise ValueError(f"no crash point is called {name}; known: {', '.join(crash_points.NAMES)}")
        return name

    @model_validator(mode="after")
    def _of_that_process(self) -> "CrashPoint":
        kind = self.point.partition(".")[0]
        if self.process and self.process.partition("-")[0] != kind:
            raise ValueError(f"{self.point} is in a {kind} process, not in {self.process}")
        return self

    @property
    def where(self) -> str:
        return self.process or self.point.partition(".")[0]

    @property
    def spec(self) -> str:
        return f"{self.point}:{self.action}:{self.times}"

    @property
    def signal(self) -> signal.Signals:
        return signal.SIGKILL if self.action == "kill" else signal.SIGSTOP


class CutCommit(_Fault):
    """The connection to PostgreSQL is cut at the next such statement: `after` the server executed it, so that only its
    answer is lost, or `before` it got there. `statement`: COMMIT, or what a statement in autocommit does."""

    fault: Literal["cut_commit"]
    process: ProcessName
    when: Literal["before", "after"] = "after"
    statement: Literal["COMMIT", "INSERT", "UPDATE"] = "COMMIT"


class Clock(_Fault):
    """The process' clock is `step_s` ahead (or behind, below 0), for `for_s`."""

    fault: Literal["clock"]
    process: ProcessName
    step_s: Annotated[float, Field(ge=-86_400, le=86_400)]
    for_s: Seconds = 10.0


class Simulator(_Fault):
    """POST /_simulator with `set`; after `for_s`, where it is above 0, with `then`. See docs/simulator.md."""

    fault: Literal["simulator"]
    set: dict[str, Any]
    for_s: Seconds = 0.0
    then: dict[str, Any] = {}


class Again(_Fault):
    """The last `count` records of each partition of a topic once more: `duplicate` in their order, `reorder` backwards."""

    fault: Literal["duplicate", "reorder"]
    topic: str
    count: Annotated[int, Field(ge=1, le=1000)] = 20

    @field_validator("topic")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in TOPICS:
            raise ValueError(f"choose one of {', '.join(TOPICS)}")
        return name


class Lose(_Fault):
    """Records that nobody will read: all readers of the topic are stopped, the group's offset is committed behind what
    is there by then, and they are started again. `events` are lost to the read models, and to nobody else."""

    fault: Literal["lose"]
    what: Literal["outcomes", "requests", "events"]
    for_s: Annotated[Seconds, Field(description="At most so long for something to be there")] = 10.0


class NoConnections(_Fault):
    """PostgreSQL has no connection left for who comes now; those that are open go on."""

    fault: Literal["no_connections"]
    for_s: Seconds = 5.0


class Locked(_Fault):
    """Nobody can read or write `table`."""

    fault: Literal["locked"]
    table: Literal["payment_events", "payment_timers", "gateway_sends", "payments"] = "payment_events"
    for_s: Seconds = 5.0


class DiskFull(_Fault):
    """Every insert into `table` fails as on a full disk (SQLSTATE 53100)."""

    fault: Literal["disk_full"]
    table: Literal["payment_events", "gateway_sends", "payments"] = "payment_events"
    for_s: Seconds = 5.0


Fault: TypeAlias = Annotated[
    Kill
    | Stop
    | Pause
    | CrashPoint
    | CutCommit
    | Clock
    | Simulator
    | Again
    | Lose
    | NoConnections
    | Locked
    | DiskFull,
    Field(discriminator="fault"),
]


def lasts_s(fault: Fault) -> float:
    """From its beginning until the fault itself is over; the recovery comes after."""
    match fault:
        case Kill() | Stop():
            return fault.down_s
        case CrashPoint():
            return fault.for_s if fault.action == "stop" else 0.0
        case CutCommit() | Again():
            return 0.0
        case _:
            return fault.for_s


def title(fault: Fault) -> str:
    """For a person, on one line."""
    told = fault.model_dump(exclude={"fault", "at_s"}, exclude_defaults=True)
    return " ".join([fault.fault, *(f"{name}={value}" for name, value in told.items())])
