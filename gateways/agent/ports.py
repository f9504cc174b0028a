"""The gateway agent's ports, and what passes through them: claims, calls to the PSP, credentials, and
reports."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from aggregates.operation import Kind
from aggregates.routing.health import Circuit
from commands.messages import Outcome, OutcomeKind, RecordOutcome
from commands.samples import Sample
from gateways.contract import DEADLINE_S, FIRST_BYTE_WITHIN_S, Credentials, HttpRequest, HttpResponse

FINAL: Final[frozenset[OutcomeKind]] = frozenset(
    {"APPROVED", "DECLINED_SOFT", "DECLINED_HARD", "NOT_SENT", "PROVEN_ABSENT", "EXPIRED"}
)
"""A step that was closed with one of these has ended: it is not sent again, and only `confirm` looks it up
again."""

Source = Literal["call", "query", "stored", "none"]
"""The source of a result: the PSP's response to the step itself, its response to a query, the claim's stored
result, or none of them, where nothing was sent."""


@dataclass(frozen=True, slots=True, order=True)
class StepId:
    """One step of one operation: the key of its claim."""

    operation_id: str
    step: str


@dataclass(frozen=True, slots=True)
class Granted:
    """The step may be sent once, before the `expires_at` of its claim. `tries` counts this try, which began
    at `last_try_at`. Times are PostgreSQL's."""

    tries: int
    first_try_at: datetime
    last_try_at: datetime


@dataclass(frozen=True, slots=True)
class Closed:
    """The step has ended with `result`, and no byte of it is ever sent again. `first_try_at` None: it was
    never sent."""

    result: Outcome
    tries: int
    first_try_at: datetime | None


@dataclass(frozen=True, slots=True)
class MayOnlyQuery:
    """The step was sent, has no result, and may not be sent again: only the PSP can tell what became of
    it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The step was closed for a query at `now`, by PostgreSQL's clock. `stored`: its result so far; unless
    that is final, the PSP has to be queried. Both times None: it was never sent."""

    stored: Outcome | None
    tries: int
    first_try_at: datetime | None
    last_try_at: datetime | None
    now: datetime

    @property
    def result(self) -> Outcome | None:
        """The stored result where it is final. PENDING and ACTION_REQUIRED end a send, but not the step."""
        return self.stored if self.stored is not None and self.stored.kind in FINAL else None

    @property
    def under_way_until(self) -> datetime | None:
        """The time until which its last try may be sent or responded to. None: no try is under way."""
        # The PSP has responded to the only try, so none is under way. Of several tries an earlier one may
        # have responded.
        if self.last_try_at is None or (self.tries == 1 and self.stored is not None):
            return None
        # The first byte is written within the first limit after the claim, if at all; the call has begun by
        # then, and ends within the second.
        return self.last_try_at + timedelta(seconds=FIRST_BYTE_WITHIN_S + DEADLINE_S)


class Claims(Protocol):
    """The table of sends. A step is sent only after `claim` granted it. What a method has done is durable
    when it returns."""

    async def claim(
        self, step: StepId, expires_at: datetime | None, key_life_s: int | None
    ) -> Granted | Closed | MayOnlyQuery:
        """Claims one try. `expires_at`: no try is granted later; None: at any time. `key_life_s`: the seconds
        from the first try within which a repeat has no further effect at the PSP; 0: it always has one;
        None: never."""
        ...

    async def close(self, step: StepId, result: Outcome, *, only_try: bool) -> bool:
        """Stores the step's result and closes it. `only_try`: only where the step is open and was sent once
        at most; False: it was sent oftener, and stays open, or was closed before. Without `only_try` a closed
        step takes it too, in place of none or of PENDING and ACTION_REQUIRED; False: a final result is
        stored already, and stays."""
        ...

    async def refuse(self, step: StepId, result: Outcome) -> bool:
        """Closes a step that was never claimed, with this result, so that no byte of it is ever sent. False:
        it was claimed or closed before, and stays as it is."""
        ...

    async def withdraw(self, step: StepId) -> bool:
        """Forgets the only try of an open step, which is known to have done nothing, so that the next try is
        the first again. False: there was another try, or the step is closed."""
        ...

    async def close_for_query(self, step: StepId) -> Ended:
        """Closes the step without a result, so that no later try makes the PSP's response to a query untrue.
        A step that was never sent ends as NOT_SENT."""
        ...


@dataclass(frozen=True, slots=True)
class Responded:
    """The PSP's whole HTTP response. `call_ms`: from the first byte sent to the last byte received."""

    response: HttpResponse
    call_ms: float


@dataclass(frozen=True, slots=True)
class NotWritten:
    """No byte left this process. `unreached`: for a reason that may pass; False: the same request always
    fails so."""

    code: str
    unreached: bool = True


@dataclass(frozen=True, slots=True)
class ResponseLost:
    """At least one byte was written, and no whole response came. `call_ms`: from the first byte until the
    call was given up."""

    code: str
    call_ms: float


class Http(Protocol):
    """The way to the PSP."""

    async def send(
        self, base_url: str, request: HttpRequest, first_byte_before: float | None
    ) -> Responded | NotWritten | ResponseLost:
        """Sends the request once. `first_byte_before`: by `time.monotonic`; later than that nothing is
        written."""
        ...


class Outcomes(Protocol):
    """The topic of outcomes."""

    async def publish(self, outcome: RecordOutcome, headers: Sequence[tuple[str, bytes]]) -> None:
        """Returns when the broker has stored the message."""
        ...


class Samples(Protocol):
    """Where samples go. Losing one loses no payment."""

    def add(self, account: str, sample: Sample) -> None:
        """Takes the sample; never waits, and drops it where there is no room."""
        ...


class Circuits(Protocol):
    """The circuits, as far as they are known."""

    def of(self, account: str, kind: Kind) -> Circuit | None:
        """Returns the circuit of this kind of operation; None: nothing is known of it, or nothing recent."""
        ...


ReturnUrlOf = Callable[[str, datetime], str | None]
"""The address to which the customer of an operation comes back until a time. The same arguments give the same
address, since a repeat has the same bytes. None: AegisPay has no such page."""


class CredentialsOf(Protocol):
    """The credentials of the accounts, which may change while the process runs."""

    def __call__(self, account: str) -> Credentials | None:
        """The account's credentials. None: no such account is configured."""
        ...


@dataclass(frozen=True, slots=True)
class StepResult:
    """The outcome of a step, and where it comes from. `tries` and `first_try_at`: of the step's claim.
    `call_ms`: of the call that brought it; None: there was none."""

    step: str
    outcome: Outcome
    source: Source
    tries: int
    first_try_at: datetime | None
    call_ms: float | None = None

    @classmethod
    def stored(cls, step: StepId, outcome: Outcome, claim: Closed | Ended) -> "StepResult":
        """The result that the claim of the step has stored."""
        return cls(step.step, outcome, "stored" if claim.tries else "none", claim.tries, claim.first_try_at)
