"""What the gateway agent needs from outside: claims, a way to the PSP, credentials, and somewhere to report to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from commands.messages import Outcome, OutcomeKind, RecordOutcome
from gateways.contract import DEADLINE_S, FIRST_BYTE_WITHIN_S, Credentials, HttpAnswer, HttpRequest

FINAL: Final[frozenset[OutcomeKind]] = frozenset(
    {"APPROVED", "DECLINED_SOFT", "DECLINED_HARD", "NOT_SENT", "PROVEN_ABSENT", "EXPIRED"}
)
"""A step that closed with one of these has ended: it is neither sent nor asked for again."""


@dataclass(frozen=True, slots=True, order=True)
class StepId:
    operation_id: str
    step: str


@dataclass(frozen=True, slots=True)
class Granted:
    """The step may be sent, once, before `expires_at`. Times are PostgreSQL's; `last_try_at` is this try."""

    tries: int
    first_try_at: datetime
    last_try_at: datetime


@dataclass(frozen=True, slots=True)
class Closed:
    """No byte of this step is ever sent again; `result` is its answer."""

    result: Outcome
    tries: int
    first_try_at: datetime | None


@dataclass(frozen=True, slots=True)
class MayOnlyAsk:
    """The step was sent, has no answer, and may not be sent again."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The step is closed. `stored` is its answer so far; without a final one the PSP has to be asked, at `now` or later."""

    stored: Outcome | None
    tries: int
    first_try_at: datetime | None
    last_try_at: datetime | None
    now: datetime

    @property
    def result(self) -> Outcome | None:
        """PENDING and ACTION_REQUIRED answer a send, but not the question how it ended."""
        return self.stored if self.stored is not None and self.stored.kind in FINAL else None

    @property
    def under_way_until(self) -> datetime | None:
        """When the last byte of its last try can have been sent or answered; None where no try is left under way."""
        if self.last_try_at is None or (self.tries == 1 and self.stored is not None):
            return None
        return self.last_try_at + timedelta(seconds=FIRST_BYTE_WITHIN_S + DEADLINE_S)


class Claims(Protocol):
    """The table of sends. A step is sent only after `claim` granted it; every answer is durable when it returns."""

    async def claim(
        self, step: StepId, expires_at: datetime | None, key_life_s: int | None
    ) -> Granted | Closed | MayOnlyAsk:
        """`expires_at`: no try later than that; None: at any time. `key_life_s`: how long from the first try a repeat
        has the same effect; 0: never; None: always, with a key or without."""
        ...

    async def close(self, step: StepId, result: Outcome, *, only_try: bool) -> bool:
        """Keep the step's answer. `only_try`: only if it was sent once at most; False: it was not, and stays open."""
        ...

    async def end_for_query(self, step: StepId) -> Ended:
        """Close the step without an answer, so that what the PSP says of it stays true. Never sent: it ends as NOT_SENT."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    answer: HttpAnswer
    call_ms: float


@dataclass(frozen=True, slots=True)
class NotWritten:
    """No byte left this process."""

    code: str


@dataclass(frozen=True, slots=True)
class Lost:
    """At least a byte was written, and there is no whole answer."""

    code: str
    call_ms: float


class Http(Protocol):
    async def send(
        self, base_url: str, request: HttpRequest, first_byte_before: float | None
    ) -> Answered | NotWritten | Lost:
        """Once. `first_byte_before`: by the monotonic clock; later than that nothing is written."""
        ...


class Outcomes(Protocol):
    async def publish(self, outcome: RecordOutcome, headers: Sequence[tuple[str, bytes]]) -> None:
        """Returns when the broker has it."""
        ...


ReturnUrlOf = Callable[[str, datetime], str | None]
"""Where the customer of this operation comes back to until then, the same at each call; None: there is no page."""


class CredentialsOf(Protocol):
    def __call__(self, account: str) -> Credentials | None:
        """None: no such account is configured."""
        ...
