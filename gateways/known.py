"""What the agent comes to know of a step."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from commands.messages import Outcome
from gateways.ports import Closed, Ended

Source = Literal["call", "query", "stored", "none"]


@dataclass(frozen=True, slots=True)
class Known:
    """An outcome, and how it came to be known."""

    step: str
    outcome: Outcome
    source: Source
    tries: int
    first_try_at: datetime | None
    call_ms: float | None = None

    @classmethod
    def stored(cls, step: str, outcome: Outcome, claim: Closed | Ended) -> "Known":
        return cls(step, outcome, "stored" if claim.tries else "none", claim.tries, claim.first_try_at)
