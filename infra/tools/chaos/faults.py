"""The faults that a plan may inject into a stack, as data. docs/chaos.md describes each of them."""

import re
import signal
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from commands import failpoints
from gateways.simulator.core.conditions import Behaviour, Lognormal
from gateways.simulator.core.control import Change
from gateways.simulator.core.faults import FaultRule
from infra.kafka import topics
from infra.tools.chaos import mistakes

PROCESSES: Final = (
    "simulator",
    "gateway",
    "relay",
    "command",
    "timers",
    "health",
    "routing",
    "read-models",
    "api",
)
_WITHOUT_DATABASE: Final = ("simulator", "health")
SERVERS: Final = ("postgres", "kafka")
_NAME: Final = rf"({'|'.join(PROCESSES)})(-[2-9])?"
TOPICS: Final = (
    topics.COMMANDS,
    topics.OUTCOMES,
    topics.EVENTS,
    *(topics.requests(gateway) for gateway in topics.GATEWAYS),
)


def _process(name: str) -> str:
    if not re.fullmatch(_NAME, name):
        raise ValueError(mistakes.unknown("process", name, PROCESSES))
    return name


def _process_or_server(name: str) -> str:
    if name not in SERVERS and not re.fullmatch(_NAME, name):
        raise ValueError(mistakes.unknown("process or server", name, (*PROCESSES, *SERVERS)))
    return name


ProcessName = Annotated[
    str, AfterValidator(_process), Field(description="`command`; `command-2` is the second of two")
]
ProcessOrServer = Annotated[str, AfterValidator(_process_or_server)]
Seconds = Annotated[float, Field(ge=0, le=3600)]


def kind_of(process: str) -> str:
    """Returns the kind of a process by its name: `command` for `command-2`, `gateway` for `gateway-adyen`."""
    return next((kind for kind in PROCESSES if process == kind or process.startswith(f"{kind}-")), process)


class _Fault(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    at_s: Annotated[float, Field(ge=0, le=86_400, description="After the first payment")] = 0.0


class Kill(_Fault):
    """Sends SIGKILL. The supervisor restarts the process, not before `down_s` has passed."""

    fault: Literal["kill"]
    process: ProcessOrServer
    down_s: Seconds = 0.0


class Stop(_Fault):
    """Sends SIGTERM. The process starts again after `down_s`."""

    fault: Literal["stop"]
    process: ProcessOrServer
    down_s: Seconds = 0.0


class Pause(_Fault):
    """Sends SIGSTOP, and SIGCONT after `for_s`."""

    fault: Literal["pause"]
    process: ProcessName
    for_s: Seconds = 8.0


class CrashPoint(_Fault):
    """Makes the process end or stop itself between two lines, at its `times`-th pass after a start."""

    fault: Literal["failpoint"]
    point: str
    process: Annotated[ProcessName, Field(description="Else the first of its kind")] = ""
    action: Literal["kill", "stop"] = "kill"
    times: Annotated[int, Field(ge=1, le=100_000)] = 1
    for_s: Annotated[Seconds, Field(description="Of a stop")] = 8.0

    @field_validator("point")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in failpoints.NAMES:
            raise ValueError(mistakes.unknown("failpoint", name, failpoints.NAMES))
        return name

    @model_validator(mode="after")
    def _of_that_process(self) -> "CrashPoint":
        kind = self.point.partition(".")[0]
        if self.process and kind_of(self.process) != kind:
            raise ValueError(f"{self.point} is in a {kind} process, not in {self.process}")
        return self

    @property
    def where(self) -> str:
        """The process's name: the chosen one, or the first of the point's kind."""
        return self.process or self.point.partition(".")[0]

    @property
    def spec(self) -> str:
        """The point as AEGISPAY_FAILPOINTS takes it: `name:action:times`."""
        return f"{self.point}:{self.action}:{self.times}"

    @property
    def signal(self) -> signal.Signals:
        """The signal that the process sends itself."""
        return signal.SIGKILL if self.action == "kill" else signal.SIGSTOP


class CutCommit(_Fault):
    """Cuts the connection to PostgreSQL at the next such statement: `after` the server executed it, so
    that only the result is lost, or `before` it got there. `statement`: COMMIT, or what an autocommit
    statement does."""

    fault: Literal["cut_commit"]
    process: ProcessName
    when: Literal["before", "after"] = "after"
    statement: Literal["COMMIT", "INSERT", "UPDATE"] = "COMMIT"

    @field_validator("process")
    @classmethod
    def _has_a_database(cls, name: str) -> str:
        if name in _WITHOUT_DATABASE:
            raise ValueError(f"{name} has no connection to PostgreSQL")
        return name


class Clock(_Fault):
    """Sets the process's clock `step_s` ahead (or behind, below 0) for `for_s`."""

    fault: Literal["clock"]
    process: ProcessName
    step_s: Annotated[float, Field(ge=-86_400, le=86_400)]
    for_s: Seconds = 10.0


class Simulator(_Fault):
    """Posts `set` to the simulator's control interface and, after `for_s` if that is above 0, `then`. Both
    are a `Change` of gateways/simulator/core/control.py; see docs/simulator.md."""

    fault: Literal["simulator"]
    set: dict[str, Any]
    for_s: Seconds = 0.0
    then: dict[str, Any] = {}

    @field_validator("set", "then")
    @classmethod
    def _known(cls, change: dict[str, Any]) -> dict[str, Any]:
        try:
            Change.model_validate(change)
        except ValidationError as invalid:
            fields = [name for one in (Change, FaultRule, Lognormal, Behaviour) for name in one.model_fields]
            problems = [
                f"{'.'.join(map(str, one['loc']))}: {mistakes.sentence(one, fields)}"
                for one in invalid.errors()
            ]
            raise ValueError("; ".join(problems)) from None
        return change


class Again(_Fault):
    """Sends the last `count` records of each partition of a topic once more: `duplicate` in their order,
    `reorder` backwards."""

    fault: Literal["duplicate", "reorder"]
    topic: str
    count: Annotated[int, Field(ge=1, le=1000)] = 20

    @field_validator("topic")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in TOPICS:
            raise ValueError(mistakes.unknown("topic", name, TOPICS))
        return name


class Lose(_Fault):
    """Makes records unread for ever: it stops all readers of the topic, commits the group's offset past
    what is there by then, and starts the readers again. `events` are lost to the read models only."""

    fault: Literal["lose"]
    what: Literal["outcomes", "requests", "events"]
    for_s: Annotated[Seconds, Field(description="At most so long for something to be there")] = 10.0


class NoConnections(_Fault):
    """Makes PostgreSQL refuse new connections; open ones go on."""

    fault: Literal["no_connections"]
    for_s: Seconds = 5.0


class Locked(_Fault):
    """Locks `table` against all reads and writes."""

    fault: Literal["locked"]
    table: Literal["payment_events", "payment_timers", "gateway_sends", "payments"] = "payment_events"
    for_s: Seconds = 5.0


class DiskFull(_Fault):
    """Makes every insert into `table` fail as on a full disk (SQLSTATE 53100)."""

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

KINDS: Final[Mapping[str, type[_Fault]]] = {
    name: kind
    for kind in get_args(get_args(Fault)[0])
    for name in get_args(kind.model_fields["fault"].annotation)
}
"""The kind of each fault, by the name that a plan gives it."""


def lasts_s(fault: Fault) -> float:
    """Returns how long the fault itself lasts, in seconds; the recovery comes after."""
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
    """Returns the fault on one line, for an operator."""
    fields = fault.model_dump(exclude={"fault", "at_s"}, exclude_defaults=True)
    return " ".join([fault.fault, *(f"{name}={value}" for name, value in fields.items())])
