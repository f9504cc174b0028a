"""An operation: one side effect at one PSP account. Invariant: what ended it is never overwritten by a later report.

STARTED ─► APPROVED | DECLINED | NOT_SENT | ACTION_REQUIRED | PENDING | UNKNOWN
STARTED, UNKNOWN, PENDING, ACTION_REQUIRED ─► APPROVED | DECLINED | NOT_SENT | PROVEN_ABSENT | EXPIRED
PENDING, ACTION_REQUIRED ─► STARTED, when the next step of the same operation is sent
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID

from aggregates.money import Money
from aggregates.retry import PspAccount


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
NOT_EXECUTED: Final = ENDED - {S.APPROVED}

TRANSITIONS: Final[dict[OperationState, frozenset[OperationState]]] = {
    S.STARTED: ENDED | {S.ACTION_REQUIRED, S.PENDING, S.UNKNOWN},
    S.UNKNOWN: ENDED | {S.ACTION_REQUIRED, S.PENDING},
    S.PENDING: ENDED | {S.UNKNOWN},
    # UNKNOWN: a cancel of the challenge was sent, and nobody knows what became of it.
    S.ACTION_REQUIRED: ENDED | {S.PENDING, S.UNKNOWN},
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
PERSON_AFTER: Final = timedelta(hours=24)
"""In doubt for so long, an operation also stands in the queue of those that a person looks at."""

CANCEL_OVER_AFTER: Final = timedelta(minutes=10)
"""Longer than a PSP works on a call: a cancel without an answer is not executed later than this."""

CHALLENGE_OPEN: Final = "challenge_still_open"
"""The code of UNKNOWN where the PSP was told to end a challenge, and still shows it open."""

Kind = Literal["authorize", "sale", "capture", "void", "refund"]
TAKING: Final[frozenset[Kind]] = frozenset({"authorize", "sale"})
"""Attempts at the payment itself: at most one of them may be executed."""

How = Literal["continue", "repeat", "query", "cancel", "confirm"]
"""`continue`: the next step is sent. `confirm`: a look-up that takes no answer from before."""

CANCEL_STEP: Final = "x"

_LETTERS: Final[dict[Kind, str]] = {
    "authorize": "a",
    "sale": "s",
    "capture": "c",
    "void": "v",
    "refund": "r",
}


def operation_id(payment_id: UUID, kind: Kind, ordinal: int) -> str:
    """The reference that the PSP gets: from it a webhook finds its payment without a look-up. 35 to 40 characters."""
    return f"{payment_id.hex}-{_LETTERS[kind]}{ordinal}"


def payment_id_of(operation: str) -> UUID:
    """Raises ValueError for what is no operation's id."""
    return UUID(hex=operation.partition("-")[0])


@dataclass(frozen=True, slots=True)
class Report:
    """What is said of a step: by a gateway worker, or by a person."""

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
    next_step: str | None = None


@dataclass(slots=True)
class Operation:
    """`late`: an approval that came when the operation had ended without one. `confirmed`: what a look-up said
    when it was asked whether a second charge is real; None until then. `extra`: its money is given back, and is in
    no sum; so is what gives it back. `step`: the one that was sent last; `next_step`: the one that follows it, when
    the customer is back or at once."""

    id: str
    kind: Kind
    ordinal: int
    attempt: int
    step: str
    psp: PspAccount
    amount: Money
    command_id: str
    started_at: datetime
    expires_at: datetime
    action_until: datetime | None = None
    target: str | None = None
    final: bool = False
    three_ds: bool = False
    extra: bool = False
    state: OperationState = OperationState.STARTED
    approved_minor: int = 0
    approved_at: datetime | None = None
    psp_id: str | None = None
    first_try_at: datetime | None = None
    repeat_is_useless: bool = False
    queried: bool = False  # which has closed its claim: no byte of it is sent any more
    told_to_end: bool = False
    challenged: bool = False
    challenge_open: bool = False  # although the PSP was told to end it
    rechecked: bool = False  # approved beside a cancel without an answer, and looked up once that was over
    asked: int = 0
    last_news_at: datetime | None = None  # of the last question or answer, by our clock
    observed_at: datetime | None = None  # of the last answer, by the clock of the one who saw it
    unknown_since: datetime | None = None
    person_asked: bool = False
    next_step: str | None = None
    returned: dict[str, str] | None = None  # by the customer's browser, for the step that was sent last
    late: Report | None = None
    confirming: bool = False
    confirmed: bool | None = None

    @property
    def taking(self) -> bool:
        return self.kind in TAKING

    @property
    def open(self) -> bool:
        return self.state not in ENDED

    @property
    def to_recheck(self) -> bool:
        """The cancel may have been executed after the approval, and have released it."""
        released = self.kind == "authorize" and self.told_to_end and self.state is S.APPROVED
        return released and not self.rechecked and not self.extra

    def challenge_over(self, at: datetime) -> bool:
        return self.action_until is not None and at >= self.action_until

    def next_ask_at(self) -> datetime | None:
        """When the PSP should be asked, or told to end a challenge, were there no news until then."""
        if self.confirming:
            return self._ask_at(0)
        if self.to_recheck:
            return (self.last_news_at or self.started_at) + CANCEL_OVER_AFTER
        if not self.open:
            return None
        due = self._ask_at(1 if self.state is S.STARTED else 0)
        if self.state is S.ACTION_REQUIRED and self.action_until is not None:
            # Once there were news after its end, the questions go on by their schedule.
            if self.challenge_over(self.last_news_at or self.started_at):
                return due
            return self.action_until if self.only_told else min(due, self.action_until)
        return None if self.only_told else due

    def _ask_at(self, first: int) -> datetime:
        gap = ASK_AFTER[min(first + self.asked, len(ASK_AFTER) - 1)]
        return (self.last_news_at or self.started_at) + gap

    def person_at(self) -> datetime | None:
        """When a person should look, were it in doubt, or waiting for a webhook alone, until then."""
        if self.person_asked or self.doubt_since is None:
            return None
        return self.doubt_since + PERSON_AFTER

    @property
    def doubt_since(self) -> datetime | None:
        if self.state is S.PENDING and self.only_told:
            return self.last_news_at
        return self.unknown_since if self.state is S.UNKNOWN else None

    @property
    def only_told(self) -> bool:
        """Nothing can be asked or done until a webhook, or the customer, comes."""
        waits = self.state is S.PENDING and self.next_step is None
        return not self.psp.looks_up and (waits or self.state is S.ACTION_REQUIRED)

    def how_to_ask(self, now: datetime, *, frozen: bool, canceled: bool) -> tuple[How, str]:
        """The same call again while that is the surest answer, else a look-up; and why."""
        if self.to_recheck:
            return "confirm", "it was approved while the PSP was told to end it: whether it still stands"
        if self.confirming:
            return "confirm", "two charges were reported: each has to be confirmed by the PSP"
        if self.challenge_open:
            return "cancel", "the PSP still shows the challenge that it was told to end"
        if self.state is S.PENDING and self.next_step is not None:
            if canceled or self.told_to_end:
                return "cancel", "it was to end before the step that takes money"
            if not frozen:
                return "continue", f"step {self.step} is done, and step {self.next_step} follows it"
        if self.state is S.ACTION_REQUIRED and (self.psp_id is not None or self.next_step is not None):
            if canceled:
                return "cancel", "the payment was cancelled: the PSP has to end the open challenge"
            if self.observed_at is not None and self.challenge_over(self.observed_at):
                return "cancel", "the customer did not come back in time: the PSP has to end the challenge"
            if self.challenge_over(now) and not self.psp.looks_up:
                return "cancel", "the customer's time is over, and this PSP cannot be asked"
            if self.challenge_over(now):
                return "query", "the customer's time is over: ended at the PSP unless it was passed"
        how, because = self._how_to_learn(now, frozen=frozen)
        if how == "query" and self.taking and not self.psp.looks_up and self.state in {S.STARTED, S.UNKNOWN}:
            return "cancel", f"this PSP cannot be asked, so it is cancelled by our reference: {because}"
        return how, because

    def _how_to_learn(self, now: datetime, *, frozen: bool) -> tuple[How, str]:
        if self.state in {S.PENDING, S.ACTION_REQUIRED}:
            return "query", f"the PSP answered {self.state}: the call is done, its end is not known"
        if frozen:
            return "query", "the payment is frozen: nothing that moves money may be sent"
        if self.told_to_end or self.queried:
            return "query", "nothing is sent again once it was looked up"
        if self.repeat_is_useless:
            return "query", "the PSP repeats a stored answer that says nothing"
        if now >= self.expires_at:
            return "query", "the time in which it may be sent is over"
        key_from = self.first_try_at or self.started_at
        if now >= key_from + timedelta(seconds=self.psp.key_life_s):
            return "query", "the idempotency key is no longer sure to live at the PSP"
        return "repeat", "the same call with the same key is answered, or done, once"

    def takes(self, state: OperationState) -> bool:
        return state in TRANSITIONS[self.state]
