"""What a sample says of a call: the classes of outcomes, as health counts them.

Invariant: an unknown outcome is never a decline, an issuer's decline is never a failure, and what is ours
(the configuration, a request at fault, a circuit, our own slowness) is no sample.
"""

import re
from datetime import datetime
from typing import Final

from aggregates.hooks import FAILED
from commands.card_data import holds_card_data
from commands.messages import Outcome, OutcomeKind
from commands.samples import ERROR_KIND_LENGTH, OutcomeClass, Sample
from gateways.agent.ports import StepResult
from gateways.agent.request import Request

CIRCUIT_OPEN: Final = "circuit_open"
"""The code of a request that was given back without a call, since the circuit is open."""
_OURS: Final = frozenset({CIRCUIT_OPEN, FAILED, "too_late_to_send"})
_NO_ROOM: Final = "rate_limited"
"""The code that every adapter gives to HTTP 429."""
_ENDS: Final = frozenset({"cancel", "release"})
_CLASSES: Final[dict[OutcomeKind, OutcomeClass]] = {
    "APPROVED": "approved",
    "DECLINED_SOFT": "declined",
    "DECLINED_HARD": "declined",
    "PENDING": "pending",
    "ACTION_REQUIRED": "pending",
    "UNKNOWN": "unknown",
}
_NOT_IN_A_CODE: Final = re.compile(r"[^A-Za-z0-9_.:-]")


def sample_of(request: Request, result: StepResult, at: datetime) -> Sample | None:
    """Returns the sample of a request that was handled; None: its result says nothing new of the PSP."""
    if request.how in _ENDS or result.source == "stored":
        return None
    by_query = result.source == "query"
    found = _of_query(result.outcome) if by_query else _of_call(result)
    if found is None:
        return None
    return Sample(
        kind=request.call.kind,
        segment=request.segment,
        outcome=found,
        latency_ms=result.call_ms if result.source == "call" else None,
        error=_error(result.outcome.code) if found in {"failed", "unknown"} else None,
        at=at,
        probe=request.probe,
        late="query" if by_query else "repeat" if result.tries > 1 else None,
    )


def _of_call(result: StepResult) -> OutcomeClass | None:
    outcome = result.outcome
    if outcome.hint == "CONFIG" or outcome.code in _OURS:
        return None
    if outcome.kind in {"NOT_SENT", "UNREACHED"}:
        # Nobody was reached, the PSP was not available, or it had no room for the moment. Anything else that
        # was not executed is a request at fault.
        is_theirs = outcome.unreached or outcome.code == _NO_ROOM or outcome.again_after_s is not None
        return "failed" if is_theirs else None
    return _CLASSES.get(outcome.kind)


def _of_query(outcome: Outcome) -> OutcomeClass | None:
    """The class of what a status query found; None: as little is known as before."""
    if outcome.kind == "PROVEN_ABSENT":
        # The call had no effect, which is what was feared when it went unanswered; one that was never sent
        # has shown nothing.
        return None if outcome.unreached else "failed"
    found = _CLASSES.get(outcome.kind)
    return found if found in {"approved", "declined"} else None


def _error(code: str | None) -> str:
    if not code or holds_card_data(code):
        return "other"
    return _NOT_IN_A_CODE.sub("_", code)[:ERROR_KIND_LENGTH]
