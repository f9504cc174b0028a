"""A chaos plan, from a file or a seed: how many payments, at what rate, with how many workers, and which
faults when."""

import json
import random
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from commands import failpoints
from infra.errors import Mistyped, Miswritten
from infra.tools.chaos import faults, mistakes
from infra.tools.chaos.faults import Fault

Workers = Annotated[int, Field(ge=1, le=9)]


class StackPlan(BaseModel):
    """The number of processes of each kind, and their settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partitions: Annotated[int, Field(ge=1, le=64)] = 4
    command_workers: Workers = 1
    gateway_workers: Workers = 1
    relays: Workers = 1
    read_model_workers: Workers = 1
    simulator_latency_ms: Annotated[float, Field(ge=0, le=10_000)] = 20.0
    session_timeout_s: Annotated[float, Field(ge=1, le=60)] = 6.0

    def count(self, kind: str) -> int:
        """Returns how many processes of this kind the plan starts."""
        return {
            "command": self.command_workers,
            "gateway": self.gateway_workers,
            "relay": self.relays,
            "read-models": self.read_model_workers,
        }.get(kind, 1)


class ChaosPlan(BaseModel):
    """A run of orders and faults. `seed` chooses the orders and, in a random plan, the faults too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 1
    payments: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    rate: Annotated[float, Field(gt=0, le=1000, description="Payments a second, on average")] = 40.0
    conditions: Literal["calm", "rough", "storm"] = "rough"
    expires_s: Annotated[float, Field(ge=30, le=86_400)] = 3600.0
    settle_s: Annotated[float, Field(ge=0, le=7200)] = 180.0
    stack: StackPlan = StackPlan()
    faults: tuple[Fault, ...] = ()

    @model_validator(mode="after")
    def _processes_exist(self) -> Self:
        for number, fault in enumerate(self.faults, 1):
            name = fault.where if isinstance(fault, faults.CrashPoint) else getattr(fault, "process", None)
            if name is None or name in faults.SERVERS:
                continue
            kind = faults.kind_of(name)
            if int(name.removeprefix(kind).removeprefix("-") or 1) > self.stack.count(kind):
                raise ValueError(f"fault {number}: the stack has no {name}; see [stack] for more workers")
        return self


def load(file: Path) -> ChaosPlan:
    """Reads a plan as TOML, or as JSON by its suffix. Raises `Mistyped` or `Miswritten`, which names the
    place at fault."""
    try:
        text = file.read_text()
        content = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
        return ChaosPlan.model_validate(content)
    except OSError as error:
        raise Mistyped(f"{file} cannot be read: {error.strerror}", "Name a plan: see docs/chaos.md") from None
    except ValidationError as invalid:
        lines = "\n".join(
            f"  {_place(one['loc'])}: {mistakes.sentence(one, _fields(one['loc']))}"
            for one in invalid.errors()
        )
        raise Miswritten(f"{file} is no plan", f"{lines}\ndocs/chaos.md describes every field") from None
    except ValueError as error:
        raise Miswritten(f"{file} is no {file.suffix[1:] or 'TOML'}", str(error)) from None


def _place(loc: tuple[str | int, ...]) -> str:
    """Returns where a plan is at fault: faults, 3, kill, down_s gives "fault 4 (kill), down_s"."""
    if len(loc) > 1 and loc[0] == "faults" and isinstance(loc[1], int):
        kind = f" ({loc[2]})" if len(loc) > 2 else ""
        return ", ".join([f"fault {loc[1] + 1}{kind}", *map(str, loc[3:])])
    return ".".join(map(str, loc)) or "the plan"


def _fields(loc: tuple[str | int, ...]) -> Iterable[str]:
    """Returns the fields that exist beside the one that a plan is at fault in."""
    match loc:
        case ("faults", int(), str(kind), *_) if kind in faults.KINDS:
            return faults.KINDS[kind].model_fields
        case ("stack", _):
            return StackPlan.model_fields
        case _:
            return ChaosPlan.model_fields


RANDOM_RATE: Final = 40.0
_FIRST_AFTER_S: Final = 3.0
_BETWEEN_S: Final = (3.0, 7.0)
_PAIRS: Final = StackPlan(command_workers=2, gateway_workers=2, relays=2)
_POINTS_MAX: Final = 12


def random_plan(seed: int, payments: int) -> ChaosPlan:
    """Derives a plan from a seed: the same seed and count always give the same plan."""
    chance = random.Random(seed)  # noqa: S311  # it makes up faults, not secrets
    lasts_s = payments / RANDOM_RATE
    points = chance.sample(sorted(failpoints.NAMES), k=min(_POINTS_MAX, 1 + payments // 250))
    # They come when the process gets there: none of these has a time.
    made = [_crash_point(chance, point) for point in points]
    at_s = _FIRST_AFTER_S
    while at_s < lasts_s:
        make = chance.choices([make for make, _ in _MAKERS], [weight for _, weight in _MAKERS])[0]
        fault = make(chance)
        made.append(fault | {"at_s": round(at_s, 2)})
        at_s += chance.uniform(*_BETWEEN_S) + min(fault.get("down_s", 0.0), _BETWEEN_S[1])
    return ChaosPlan.model_validate(
        {
            "seed": seed,
            "payments": payments,
            "rate": RANDOM_RATE,
            "conditions": "storm",
            "settle_s": 300.0,
            "stack": _PAIRS,
            "faults": made,
        }
    )


_DOUBLED: Final = ("command", "gateway", "relay")
_EACH: Final = (*faults.PROCESSES, *(f"{kind}-2" for kind in _DOUBLED))
_DECIDING: Final = ("command", "command-2", "gateway", "gateway-2", "timers", "read-models", "api")


def _crash_point(chance: random.Random, point: str) -> dict[str, Any]:
    kind = point.partition(".")[0]
    return {
        "fault": "failpoint",
        "point": point,
        "process": f"{kind}-2" if kind in _DOUBLED and chance.random() < 0.5 else kind,
        "action": chance.choice(("kill", "kill", "stop")),
        "times": chance.randint(1, 3) if kind == "timers" else chance.randint(1, 40),
        "for_s": round(chance.uniform(1.0, 12.0), 1),
    }


def _kill(chance: random.Random) -> dict[str, Any]:
    down_s = chance.choice((0.0, 0.0, 2.0, 10.0))
    return {"fault": "kill", "process": chance.choice(_EACH), "down_s": down_s}


def _stop(chance: random.Random) -> dict[str, Any]:
    return {"fault": "stop", "process": chance.choice(_EACH), "down_s": chance.choice((0.0, 3.0))}


def _pause(chance: random.Random) -> dict[str, Any]:
    return {"fault": "pause", "process": chance.choice(_EACH), "for_s": round(chance.uniform(0.5, 14.0), 1)}


def _kill_server(chance: random.Random) -> dict[str, Any]:
    return {"fault": "kill", "process": "postgres", "down_s": chance.choice((0.0, 2.0))}


def _stop_kafka(chance: random.Random) -> dict[str, Any]:
    how, down_s = chance.choice(("kill", "stop")), chance.choice((0.0, 5.0, 15.0))
    return {"fault": how, "process": "kafka", "down_s": down_s}


def _cut(chance: random.Random) -> dict[str, Any]:
    process, statement = chance.choice(
        (
            ("command", "COMMIT"),
            ("command-2", "COMMIT"),
            ("read-models", "COMMIT"),
            ("gateway", "INSERT"),
            ("relay", "UPDATE"),
            ("timers", "UPDATE"),
        )
    )
    when = chance.choice(("after", "after", "before"))
    return {"fault": "cut_commit", "process": process, "statement": statement, "when": when}


def _clock(chance: random.Random) -> dict[str, Any]:
    # Work that a fast clock has planned comes later by its offset: not after the run.
    step_s = chance.choice((-600.0, -60.0, 60.0, 120.0))
    # Two hours ahead is more than Kafka takes of a producer's own stamp; only what plans nothing is set so
    # far.
    process, step_s = chance.choice(
        ((chance.choice(_DECIDING), step_s), (chance.choice(_DECIDING), step_s), ("relay", 7200.0))
    )
    return {"fault": "clock", "process": process, "step_s": step_s, "for_s": 8.0}


def _simulator(chance: random.Random) -> dict[str, Any]:
    seed = chance.randint(1, 1000)
    change, then = chance.choice(
        (
            ({"latency_ms": 1500}, {"latency_ms": 20}),
            ({"down_s": 4, "down": "refusing"}, {}),
            ({"down_s": 4, "down": "failing"}, {}),
            ({"search_lag_s": 20}, {"search_lag_s": 0}),
            *(
                ({"faults": [{"on": on, "do": do, "share": 0.3, "seed": seed}]}, {"faults": []})
                for on, do in (
                    ("create", "lost"),
                    ("create", "outage"),
                    ("capture", "lost"),
                    ("refund", "lost"),
                    ("cancel", "500_once"),
                    ("refund", "reset"),
                    ("search", "absent"),
                    ("get", "hang"),
                )
            ),
        )
    )
    return {"fault": "simulator", "set": change, "then": then, "for_s": 5.0}


def _again(chance: random.Random) -> dict[str, Any]:
    how = chance.choice(("duplicate", "reorder"))
    return {"fault": how, "topic": chance.choice(faults.TOPICS), "count": chance.randint(1, 60)}


def _lose(chance: random.Random) -> dict[str, Any]:
    return {"fault": "lose", "what": chance.choice(("outcomes", "requests", "events"))}


def _database(chance: random.Random) -> dict[str, Any]:
    for_s = round(chance.uniform(1.0, 6.0), 1)
    return chance.choice(
        (
            {"fault": "no_connections", "for_s": for_s},
            {"fault": "locked", "table": "payment_events", "for_s": for_s},
            {"fault": "locked", "table": "gateway_sends", "for_s": for_s},
            {"fault": "locked", "table": "payments", "for_s": for_s},
            {"fault": "disk_full", "table": "payment_events", "for_s": for_s},
            {"fault": "disk_full", "table": "gateway_sends", "for_s": for_s},
        )
    )


_MAKERS: Final[tuple[tuple[Callable[[random.Random], dict[str, Any]], int], ...]] = (
    (_kill, 6),
    (_stop, 2),
    (_pause, 4),
    (_kill_server, 2),
    (_stop_kafka, 1),
    (_cut, 4),
    (_clock, 2),
    (_simulator, 3),
    (_again, 3),
    (_lose, 3),
    (_database, 3),
)
