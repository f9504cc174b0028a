"""An operation: one side effect at one PSP account. Invariant: what ended it is never overwritten by a later
report.

STARTED ─► APPROVED | DECLINED | NOT_SENT | UNREACHED | ACTION_REQUIRED | PENDING | UNKNOWN
STARTED, UNREACHED, UNKNOWN, PENDING, ACTION_REQUIRED
        ─► APPROVED | DECLINED | NOT_SENT | PROVEN_ABSENT | EXPIRED
UNREACHED ─► STARTED, when it is sent again
PENDING, ACTION_REQUIRED ─► STARTED, when the next step of the same operation is sent
"""

import re
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final, Literal, get_args
from uuid import UUID

from aggregates.money import Money
from aggregates.routing.accounts import PspAccount


class OperationState(StrEnum):
    """The state of an operation; `TRANSITIONS` lists what may follow what."""

    STARTED = "STARTED"
    APPROVED = "APPROVED"
    DECLINED_SOFT = "DECLINED_SOFT"
    DECLINED_HARD = "DECLINED_HARD"
    NOT_SENT = "NOT_SENT"
    UNREACHED = "UNREACHED"
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
    S.STARTED: ENDED | {S.UNREACHED, S.ACTION_REQUIRED, S.PENDING, S.UNKNOWN},
    S.UNREACHED: ENDED | {S.STARTED, S.ACTION_REQUIRED, S.PENDING, S.UNKNOWN},
    S.UNKNOWN: ENDED | {S.ACTION_REQUIRED, S.PENDING},
    # STARTED: the next step is sent.
    S.PENDING: ENDED | {S.STARTED, S.UNKNOWN},
    # UNKNOWN: a cancel of the challenge was sent, and nobody knows what became of it.
    S.ACTION_REQUIRED: ENDED | {S.STARTED, S.PENDING, S.UNKNOWN},
    **dict.fromkeys(ENDED, frozenset()),
}

# The pauses after the last response before AegisPay queries the PSP again. An operation without any waits for
# the second of these first: its request may stand in a queue, and a query would make the queue longer.
QUERY_AFTER: Final = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
)
ESCALATE_AFTER: Final = timedelta(hours=24)
"""After so long in doubt, an operation also needs an operator."""

CANCEL_OVER_AFTER: Final = timedelta(minutes=10)
"""Longer than a PSP works on a call: a cancel without a response is not executed later than this."""

CHALLENGE_OPEN: Final = "challenge_still_open"
"""The code of UNKNOWN where AegisPay cancelled a challenge at the PSP, and the PSP still shows it open."""

FOUND_TWICE: Final = "found_twice"
"""The code of UNKNOWN where a lookup shows more than one execution of one operation."""

Kind = Literal["authorize", "sale", "capture", "void", "refund"]
KINDS: Final[frozenset[Kind]] = frozenset(get_args(Kind))
MoveKind = Literal["capture", "refund"]
"""External moves that have an amount of their own."""

CHARGE_ATTEMPTS: Final[frozenset[Kind]] = frozenset({"authorize", "sale"})
"""Attempts at the payment itself: at most one of them may be executed."""

How = Literal["continue", "repeat", "query", "cancel", "confirm", "release"]
"""`continue`: the next step is sent. `confirm`: a fresh lookup that ignores stored results. `release`: ends
the hold of an earlier step, since the step that takes the money was not executed."""

FIRST_STEP: Final = "1"
CANCEL_STEP: Final = "x"
"""Ends at the PSP what waits for its customer. It moves no money."""

_LETTERS: Final[dict[Kind, str]] = {"authorize": "a", "sale": "s", "capture": "c", "void": "v", "refund": "r"}
_KINDS: Final = {letter: kind for kind, letter in _LETTERS.items()}

OPERATION_ID: Final = r"[0-9a-f]{32}-[acrsv][0-9]{1,6}"
"""The pattern of an operation's id: the payment's id in hex, the letter of the kind, and the operation's
number in its payment. Also written in SQL, `payment_named_by` in infra/postgres/migrations, and in the
simulator, `OPERATION` in gateways/simulator/core/psp.py: tests compare them."""
_OPERATION_ID: Final = re.compile(OPERATION_ID)


def operation_id(payment_id: UUID, kind: Kind, ordinal: int) -> str:
    """Returns the reference that the PSP gets: from it a webhook finds its payment without a lookup. 35 to
    40 characters."""
    return f"{payment_id.hex}-{_LETTERS[kind]}{ordinal}"


def payment_id_of(operation: str) -> UUID:
    """Returns the payment's id from an operation's id, whatever follows it. Raises ValueError for what is no
    such id."""
    return UUID(hex=operation.partition("-")[0])


def kind_of(operation: str) -> Kind | None:
    """Returns the kind that an operation's id names. None: it is no operation's id."""
    return _KINDS[operation[33]] if _OPERATION_ID.fullmatch(operation) else None


@dataclass(frozen=True, slots=True)
class Move:
    """Money that moved under an id of its own at the PSP, in minor units."""

    kind: MoveKind
    psp_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Balances:
    """The money of a payment at the PSP, whoever moved it, in minor units of the payment's currency; None:
    not reported. `captured_minor`, `refunded_minor`: in all. `held_minor`: still to be captured. `moves`:
    those that have an id of their own; they need not be all."""

    captured_minor: int | None = None
    refunded_minor: int | None = None
    held_minor: int | None = None
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReportFields:
    """The fields that a report and the event made from it have alike (`events.Reported`). A new one goes
    here, with a default: events that were stored without it are read with that. Amounts in minor units.
    `code`: the PSP's, or ours. `repeat_is_useless`: the PSP replays its stored response for ever. `tries`:
    claims of the step so far. `call_ms`: from the first byte sent, ms. `next_step`: the step that the
    operation goes on with. `unreached`: the call reached nobody, or a PSP that was not available, and is no
    attempt. `issuer_code`: the card scheme's response code; `issuer_advice`: its advice on retries."""

    operation_id: str
    step: str
    source: str
    psp_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    code: str | None = None
    detail: str | None = None
    hint: str | None = None
    action_url: str | None = None
    repeat_is_useless: bool = False
    tries: int = 0
    call_ms: float | None = None
    next_step: str | None = None
    unreached: bool = False
    issuer_code: str | None = None
    issuer_advice: str | None = None

    def shared(self) -> dict[str, Any]:
        """Returns these fields by name, and none that a subclass adds."""
        return dict(zip(_SHARED, _read_shared(self), strict=True))


_SHARED: Final = tuple(one.name for one in fields(ReportFields))
_read_shared: Final = attrgetter(*_SHARED)


@dataclass(frozen=True, kw_only=True)
class Report(ReportFields):
    """A report of a step by a gateway worker, a webhook or an operator. `balances`: of the whole payment.
    `again_after_s`: the PSP refused for the moment, and may be called again no sooner. `signed_before`: a
    webhook came before that was signed alike, and nobody vouches for this one being another."""

    state: OperationState
    first_try_at: datetime | None = None
    observed_at: datetime
    balances: Balances | None = None
    again_after_s: int | None = None
    signed_before: bool = False

    @property
    def code_text(self) -> str:
        """The code, for a text that an operator reads."""
        return self.code or "no code"


@dataclass(slots=True)
class Operation:
    """`late_approval`: an approval that came when the operation had ended without one. `confirmed`: whether a
    lookup confirmed that a second charge is real; None until then. `duplicate_charge`: its money is given
    back, and is in no sum; so is what gives it back. `external`: done at the PSP's own pages; AegisPay sent
    nothing of it. `may_be_disputed`: a refund that the PSP shows, and that may be what a dispute took.
    `timed`: a void that our clock started. `step`: the one that was sent last; `next_step`: the one that
    follows it, when the customer is back or at once. `unreached`: the tries in a row that reached nobody,
    with those of the attempts before it; `retry_at`: when the next of them is due. `final_requested`: the
    merchant made the capture final, whatever its account captures."""

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
    target_minor: int | None = None
    final: bool = False
    three_ds: bool = False
    duplicate_charge: bool = False
    external: bool = False
    may_be_disputed: bool = False
    timed: bool = False
    owed: bool = False  # given back by AegisPay itself
    final_requested: bool = False
    refused: Report | None = None  # of its last step, while the hold of the earlier ones is being released
    state: OperationState = OperationState.STARTED
    approved_minor: int = 0
    approved_at: datetime | None = None
    psp_id: str | None = None
    code: str | None = None
    detail: str | None = None  # the PSP's words, or ours
    hint: str | None = None  # of the report that the code is of
    call_ms: float | None = None  # from the first byte of the step that was sent last to the PSP's response
    first_try_at: datetime | None = None
    repeat_is_useless: bool = False
    queried: bool = False  # which has closed its claim: no byte of it is sent any more
    cancel_sent: bool = False
    challenged: bool = False
    challenge_open: bool = False  # although AegisPay cancelled it
    rechecked: bool = False  # approved beside a cancel without a response, and looked up once that was over
    queries: int = 0
    last_call_at: datetime | None = None  # when AegisPay last requested a further call of the agent
    last_update_at: datetime | None = None  # of the last call or report, by our clock
    observed_at: datetime | None = None  # of the last report, by the clock of the one who saw it
    open_result_at: datetime | None = None  # likewise, of the last that left its query open
    unknown_since: datetime | None = None
    escalated: bool = False
    next_step: str | None = None
    returned: dict[str, str] | None = None  # by the customer's browser, for the step that was sent last
    unreached: int = 0
    retry_at: datetime | None = None
    late_approval: Report | None = None
    confirming: bool = False
    confirming_since: datetime | None = None
    doubted: bool = False  # a webhook reports that what was approved has failed
    holds: bool = False  # by a step before the one that takes it, at a PSP that releases only on request
    kept: tuple[Move, ...] = ()  # external, reported while the operation had no outcome
    confirmed: bool | None = None

    @property
    def is_charge_attempt(self) -> bool:
        """True for an authorization or a sale."""
        return self.kind in CHARGE_ATTEMPTS

    @property
    def open(self) -> bool:
        """True while the operation has no final outcome."""
        return self.state not in ENDED

    @property
    def was_attempt(self) -> bool:
        """False for an operation that ended without reaching anybody: it counts as no attempt."""
        return self.unreached == 0

    @property
    def to_recheck(self) -> bool:
        """True if the cancel may have been executed after the approval, and have released it."""
        released = self.kind == "authorize" and self.cancel_sent and self.state is S.APPROVED
        return released and not self.rechecked and not self.duplicate_charge

    def challenge_over(self, at: datetime) -> bool:
        """True once the customer's time for a challenge is over."""
        return self.action_until is not None and at >= self.action_until

    def next_follow_up_at(self) -> datetime | None:
        """Returns when the next status query or cancel is due, unless a report comes before."""
        if self.confirming:
            return self._query_at(0)
        if self.to_recheck:
            return (self.last_update_at or self.started_at) + CANCEL_OVER_AFTER
        if not self.open:
            return None
        if self.state is S.UNREACHED and self.retry_at is not None:
            return min(self.retry_at, self.expires_at)
        due = self._query_at(1 if self.state in {S.STARTED, S.UNREACHED} else 0)
        if self.state is S.ACTION_REQUIRED and self.action_until is not None:
            # Once a report came after its end, the queries go on by their schedule.
            if self.challenge_over(self.last_update_at or self.started_at):
                return due
            return self.action_until if self.webhook_only else min(due, self.action_until)
        return None if self.webhook_only else due

    def _query_at(self, first: int) -> datetime:
        gap = QUERY_AFTER[min(first + self.queries, len(QUERY_AFTER) - 1)]
        return (self.last_update_at or self.started_at) + gap

    def escalate_at(self) -> datetime | None:
        """Returns when an operator should look, unless the doubt has ended by then."""
        if self.escalated or self.doubt_since is None:
            return None
        return self.doubt_since + ESCALATE_AFTER

    @property
    def doubt_since(self) -> datetime | None:
        """The time since which nobody knows how the operation ended. None: it is not in doubt."""
        if self.state is S.STARTED:  # no query has a response while the agent is away, or cannot read it
            return self.observed_at or self.started_at
        if self.state is S.PENDING and self.webhook_only:
            return self.last_update_at
        if self.confirming:
            return self.confirming_since
        return self.unknown_since if self.state is S.UNKNOWN else None

    @property
    def webhook_only(self) -> bool:
        """True while only a webhook or the customer can move it."""
        waits = self.state is S.PENDING and self.next_step is None
        return not self.psp.looks_up and (waits or self.state is S.ACTION_REQUIRED)

    def choose_follow_up(self, now: datetime, *, frozen: bool, canceled: bool) -> tuple[How, str]:
        """Returns the same call again while that gives the surest result, else a lookup; and why."""
        # Read from the top. What may undo an approval comes first, then a call that the PSP did not take in,
        # which is sent now or closed, then the release of a hold and the end of what a customer or a later
        # step would complete, and last whether a repeat is surer than a lookup.
        if self.to_recheck:
            return "confirm", "the PSP approved it while AegisPay cancelled it: it may not stand any more"
        if self.confirming:
            return "confirm", "the PSP has to confirm what it reported after the operation had ended"
        if self.state is S.UNREACHED:
            # A query closes the claim: the proof that no byte of it is sent later.
            if canceled or frozen or self.cancel_sent or self.queried:
                return "query", "AegisPay sent no byte of it, and is to send none: it closes the step"
            # After its expiry too: the claim is refused then, and the hold of an earlier step is released.
            return "repeat", "AegisPay reached nobody, or a PSP that was not available: it sends it now"
        if self.refused is not None:
            return "release", "nothing is taken of it any more: the PSP has to release what it holds"
        if self.challenge_open:
            return "cancel", "the PSP still shows the challenge that AegisPay cancelled"
        if self.state is S.PENDING and self.next_step is not None:
            if canceled or self.cancel_sent:
                return "cancel", "AegisPay was to end it before the step that takes money"
            if not frozen:
                return "continue", f"step {self.step} is done, and step {self.next_step} follows it"
        if self.state is S.ACTION_REQUIRED and (self.psp_id is not None or self.next_step is not None):
            if canceled:
                return "cancel", "the merchant cancelled the payment: the PSP has to end the open challenge"
            if self.observed_at is not None and self.challenge_over(self.observed_at):
                return "cancel", "the customer did not come back in time: the PSP has to end the challenge"
            if self.challenge_over(now) and not self.psp.looks_up:
                return "cancel", "the customer's time is over, and this PSP has no status API"
            if self.challenge_over(now):
                reason = "the customer's time is over: the PSP has ended the challenge unless the customer passed it"
                return "query", reason
        how, reason = self._choose_query(now, frozen=frozen)
        if (
            how == "query"
            and self.is_charge_attempt
            and not self.psp.looks_up
            and self.state in {S.STARTED, S.UNKNOWN}
        ):
            return "cancel", f"this PSP has no status API, so AegisPay cancels by its own reference: {reason}"
        return how, reason

    def _choose_query(self, now: datetime, *, frozen: bool) -> tuple[How, str]:
        if self.state in {S.PENDING, S.ACTION_REQUIRED}:
            return "query", f"the PSP reported {self.state}: the call is done, its outcome is not known"
        if frozen:
            return "query", "the payment is frozen: AegisPay may send nothing that moves money"
        if self.cancel_sent or self.queried:
            return "query", "AegisPay has looked it up, and sends nothing again after that"
        if self.repeat_is_useless:
            return "query", "the PSP repeats a stored response that decides nothing"
        if now >= self.expires_at:
            return "query", "the time in which AegisPay may send it is over"
        # This compares our clock, so it only chooses. The claim compares PostgreSQL's, and is refused at the
        # key's end.
        key_from = self.first_try_at or self.started_at
        if now >= key_from + timedelta(seconds=self.psp.key_life_s):
            return "query", "the idempotency key is no longer sure to live at the PSP"
        return "repeat", "the PSP does the same call with the same key once, and repeats its response"

    def takes(self, state: OperationState) -> bool:
        """True if `TRANSITIONS` allows the state to follow the present one."""
        return state in TRANSITIONS[self.state]
