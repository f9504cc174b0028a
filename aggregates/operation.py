"""An operation: one side effect at one PSP account. Invariant: what ended it is never overwritten by a later report.

STARTED ─► APPROVED | DECLINED | NOT_SENT | ACTION_REQUIRED | PENDING | UNKNOWN
STARTED, UNKNOWN, PENDING, ACTION_REQUIRED ─► APPROVED | DECLINED | NOT_SENT | PROVEN_ABSENT | EXPIRED
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID

from aggregates.money import Money


class OperationState(StrEnum):
    STARTED = "STARTED"
    APPROVED = "APPROVED"
    DECLINED_SOFT = "DECLINED_SOFT"
    DECLINED_HARD = "DECLINED_HARD"
    NOT_SENT = "NOT_SENT"
    ACTION_REQUIRED = "ACTION_REQUIRED"
    PENDING = "PENDING"
    UNKNOWN = "UNKNOWN"
    PROVEN_ABSENT = "PROVEN_ABSENT"
    EXPIRED = "EXPIRED"


S = OperationState
ENDED: Final = frozenset(
    {S.APPROVED, S.DECLINED_SOFT, S.DECLINED_HARD, S.NOT_SENT, S.PROVEN_ABSENT, S.EXPIRED}
)
NOT_CHARGED: Final = ENDED - {S.APPROVED}

TRANSITIONS: Final[dict[OperationState, frozenset[OperationState]]] = {
    S.STARTED: ENDED | {S.ACTION_REQUIRED, S.PENDING, S.UNKNOWN},
    S.UNKNOWN: ENDED | {S.ACTION_REQUIRED, S.PENDING},
    S.PENDING: ENDED,
    S.ACTION_REQUIRED: ENDED | {S.PENDING},
    **dict.fromkeys(ENDED, frozenset()),
}

# How long after the last answer the PSP is asked again. An operation without any answer waits for the second
# of these first: its request may stand in a queue, and asking for it would make the queue longer.
ASK_AFTER: Final = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
)

Kind = Literal["sale"]
_LETTERS: Final[dict[Kind, str]] = {"sale": "s"}


def operation_id(payment_id: UUID, kind: Kind, ordinal: int) -> str:
    """The reference that the PSP gets: from it a webhook finds its payment without a look-up. 35 to 40 characters."""
    return f"{payment_id.hex}-{_LETTERS[kind]}{ordinal}"


def payment_id_of(operation: str) -> UUID:
    """Raises ValueError for what is no operation's id."""
    return UUID(hex=operation.partition("-")[0])


@dataclass(frozen=True, slots=True)
class PspAccount:
    """Where an operation may run. `key_life_s`: how long the PSP remembers an idempotency key; 0 where it has none."""

    gateway: str
    account: str
    key_life_s: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a gateway worker says of a step."""

    operation_id: str
    step: str
    state: OperationState
    psp_id: str | None
    amount_minor: int | None
    currency: str | None
    code: str | None
    detail: str | None
    hint: str | None
    action_url: str | None
    repeat_is_useless: bool
    source: str
    tries: int
    first_try_at: datetime | None
    observed_at: datetime
    call_ms: float | None


@dataclass(slots=True)
class Operation:
    id: str
    kind: Kind
    ordinal: int
    step: str
    psp: PspAccount
    amount: Money
    started_at: datetime
    expires_at: datetime
    state: OperationState = OperationState.STARTED
    psp_id: str | None = None
    first_try_at: datetime | None = None
    repeat_is_useless: bool = False
    asked: int = 0
    last_news_at: datetime | None = None  # of the last question or answer

    def next_ask_at(self) -> datetime | None:
        """When the PSP should be asked, were there no news until then."""
        if self.state in ENDED:
            return None
        first = 1 if self.state is S.STARTED else 0
        gap = ASK_AFTER[min(first + self.asked, len(ASK_AFTER) - 1)]
        return (self.last_news_at or self.started_at) + gap

    def how_to_ask(self, now: datetime, *, frozen: bool) -> tuple[Literal["repeat", "query"], str]:
        """The same call again while that is the surest answer, else a look-up; and why."""
        if self.state in {S.PENDING, S.ACTION_REQUIRED}:
            return "query", f"the PSP answered {self.state}: the call is done, its end is not known"
        if frozen:
            return "query", "the payment is frozen: nothing that moves money may be sent"
        if self.repeat_is_useless:
            return "query", "the PSP repeats a stored answer that says nothing"
        if now >= self.expires_at:
            return "query", "the payment expired: nothing that moves money may be sent"
        key_from = self.first_try_at or self.started_at
        if now >= key_from + timedelta(seconds=self.psp.key_life_s):
            return "query", "the idempotency key is no longer sure to live at the PSP"
        return "repeat", "the same call with the same key is answered, or done, once"

    def takes(self, state: OperationState) -> bool:
        return state in TRANSITIONS[self.state]
