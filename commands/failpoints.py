"""Named points between two lines of code at which a test kills or stops the process. Invariant: nothing
happens unless armed; a point that fired leaves a mark and never fires again, so the process that replaces it
goes on.

Only `infra.process.runtime.run` arms them, and only where AEGISPAY_ENVIRONMENT is `test`.
"""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NAMES: Final[Mapping[str, str]] = {
    "command.before_save": "decided, nothing written",
    "command.after_save": "events committed, replies not sent",
    "command.after_replies": "replies sent, offsets not committed",
    "relay.before_send": "page read, nothing sent",
    "relay.after_send": "sent and acknowledged, cursor not saved",
    "gateway.before_claim": "request read, not claimed",
    "gateway.after_claim": "claimed, nothing sent to the PSP",
    "gateway.after_response": "the PSP has responded, the claim is open",
    "gateway.after_close": "claim closed, outcome not published",
    "gateway.after_publish": "outcome published, request not acknowledged",
    "read-models.before_commit": "rows written, not committed",
    "read-models.after_commit": "rows committed, records not acknowledged",
    "timers.after_lease": "rows leased, wakes not published",
    "timers.after_publish": "wakes published",
}
"""Each point with what is done there and what is not. The first word is the process: see
infra/tools/local/processes.py."""

_ACTIONS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class BadSpec(ValueError):
    """A specification of points that cannot be armed; its text names what is wrong and what would be
    right."""


@dataclass(slots=True)
class _Armed:
    signal: signal.Signals
    passes_left: int
    mark: Path


_armed: dict[str, _Armed] = {}


def reached(name: str) -> None:
    """Kills or stops the process if this point is armed and its turn has come; otherwise does nothing."""
    if _armed:
        _pass(name)


def arm(spec: str, marks: Path) -> None:
    """Arms the points of `spec`: name:kill or name:stop, with :3 for the third time that it is reached;
    several with commas.

    `marks`: a folder; a point that fires leaves a file of its name there first. Raises `BadSpec`.
    """
    _armed.clear()
    for one in filter(None, spec.split(",")):
        name, number, passes = parse(one)
        if not (mark := marks / name).exists():
            _armed[name] = _Armed(number, passes, mark)


def parse(spec: str) -> tuple[str, signal.Signals, int]:
    """Returns one point's name, the signal that the process sends itself, and the pass at which it does so,
    from 1. Raises `BadSpec`."""
    name, _, rest = spec.strip().partition(":")
    action, _, times = rest.partition(":")
    if name not in NAMES:
        raise BadSpec(f"no failpoint is called {name}; known: {', '.join(NAMES)}")
    if action not in _ACTIONS:
        raise BadSpec(f"{name}: {action or 'nothing'} is no action; name:kill or name:stop")
    if times and not (times.isascii() and times.isdigit() and int(times) > 0):
        raise BadSpec(f"{name}: {times} is no count; 1 is the first time")
    return name, _ACTIONS[action], int(times or 1)


def _pass(name: str) -> None:
    armed = _armed.get(name)
    if armed is None:
        return
    armed.passes_left -= 1
    if armed.passes_left > 0:
        return
    del _armed[name]
    try:
        # Before the signal, after which nothing runs. Of several processes only the one that makes the file
        # fires.
        armed.mark.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), armed.signal)
