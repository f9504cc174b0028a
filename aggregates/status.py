"""A payment's sums and its status, computed from its operations. Pure, and shared by the aggregate and the
read models.

Invariant: an amount stands in one sum only, and what is under way reserves its amount.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from aggregates.operation import CHARGE_ATTEMPTS, ENDED, NOT_EXECUTED, Kind, OperationState


class Status(StrEnum):
    """The status of a payment; `TRANSITIONS` lists what may follow what."""

    REQUESTED = "REQUESTED"
    REJECTED = "REJECTED"
    IN_REVIEW = "IN_REVIEW"
    PROCESSING = "PROCESSING"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    IN_DOUBT = "IN_DOUBT"
    AUTHORIZED = "AUTHORIZED"
    PARTIALLY_CAPTURED = "PARTIALLY_CAPTURED"
    CAPTURED = "CAPTURED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"
    FAILED = "FAILED"
    DISPUTED = "DISPUTED"


T = Status
SETTLED: Final = frozenset(Status) - {T.REQUESTED, T.PROCESSING, T.IN_DOUBT}
"""The statuses in which no outcome is awaited: what follows is up to the merchant, who may have to review it,
the customer, an authorization's end, or news of the PSP such as a dispute."""

ANNOUNCED: Final = SETTLED | {T.IN_DOUBT}
"""The statuses that an update on `payments.replies` tells the creator of a payment."""

_TAKEN: Final = frozenset({T.PARTIALLY_CAPTURED, T.CAPTURED, T.PARTIALLY_REFUNDED, T.REFUNDED, T.DISPUTED})
_OVER: Final = frozenset({T.VOIDED, T.EXPIRED, T.FAILED})

TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    # VOIDED: cancelled while it waited for an account.
    T.REQUESTED: frozenset({T.REJECTED, T.IN_REVIEW, T.PROCESSING, T.VOIDED}),
    T.REJECTED: frozenset(),
    # REQUESTED: allowed while no account can take it.
    T.IN_REVIEW: frozenset({T.REJECTED, T.REQUESTED, T.PROCESSING, T.VOIDED, T.EXPIRED}),
    # DISPUTED: a dispute may outrun our own response.
    T.PROCESSING: frozenset({T.REQUIRES_ACTION, T.IN_DOUBT, T.AUTHORIZED, T.CAPTURED, T.DISPUTED, *_OVER}),
    T.REQUIRES_ACTION: frozenset({T.PROCESSING, T.IN_DOUBT, T.AUTHORIZED, T.CAPTURED, T.DISPUTED, *_OVER}),
    # Whatever was in doubt, the rest of the payment stands as it stood before.
    T.IN_DOUBT: frozenset({T.PROCESSING, T.REQUIRES_ACTION, T.AUTHORIZED, *_TAKEN, *_OVER}),
    T.AUTHORIZED: frozenset({T.IN_DOUBT, T.PARTIALLY_CAPTURED, T.CAPTURED, T.DISPUTED, T.VOIDED, T.EXPIRED}),
    T.PARTIALLY_CAPTURED: frozenset({T.IN_DOUBT, T.CAPTURED, T.PARTIALLY_REFUNDED, T.REFUNDED, T.DISPUTED}),
    T.CAPTURED: frozenset({T.IN_DOUBT, T.PARTIALLY_REFUNDED, T.REFUNDED, T.DISPUTED}),
    # A later capture turns a full refund into a partial one.
    T.PARTIALLY_REFUNDED: frozenset({T.IN_DOUBT, T.REFUNDED, T.DISPUTED}),
    T.REFUNDED: frozenset({T.IN_DOUBT, T.PARTIALLY_REFUNDED, T.DISPUTED}),
    T.VOIDED: frozenset({T.IN_DOUBT}),
    T.EXPIRED: frozenset({T.IN_DOUBT}),
    T.FAILED: frozenset({T.IN_DOUBT}),
    T.DISPUTED: frozenset({T.IN_DOUBT, T.PARTIALLY_CAPTURED, T.CAPTURED, T.PARTIALLY_REFUNDED, T.REFUNDED}),
}
"""The statuses that a command, a report or a timer may lead to. IN_DOUBT of a payment that had ended: giving
back a duplicate charge."""

_GIVEN_BACK: Final = frozenset({T.PARTIALLY_REFUNDED, T.REFUNDED})

_NOT_TAKEN: Final = frozenset({T.AUTHORIZED, T.VOIDED, T.EXPIRED})

BY_EXTERNAL_MOVE: Final[dict[Status, frozenset[Status]]] = {
    status: TRANSITIONS[status] | _TAKEN | (_NOT_TAKEN if status in _TAKEN else frozenset())
    for status in (
        T.PROCESSING,
        T.REQUIRES_ACTION,
        T.IN_DOUBT,
        T.AUTHORIZED,
        T.VOIDED,
        T.EXPIRED,
        *sorted(_TAKEN),
    )
}
"""The statuses that an external move may lead to besides: one response may show money captured and given
back, a released hold may be captured all the same, which freezes the payment, and what was captured may fail
since."""

BY_OPERATOR: Final[dict[Status, frozenset[Status]]] = {
    **{
        status: TRANSITIONS[status] | {T.AUTHORIZED, *_TAKEN - _GIVEN_BACK, *_OVER}
        for status in (T.PROCESSING, T.REQUIRES_ACTION, T.IN_DOUBT, T.AUTHORIZED, *sorted(_OVER))
    },
    **{
        status: TRANSITIONS[status] | {T.AUTHORIZED, *_TAKEN, *_OVER}
        for status in (T.PARTIALLY_CAPTURED, T.CAPTURED, T.DISPUTED)
    },
    # Money that was given back had been taken: no decision undoes that.
    **{status: TRANSITIONS[status] | _TAKEN for status in sorted(_GIVEN_BACK)},
}
"""The statuses that an operator's decision about an operation in doubt, or a contradiction, may lead to
besides."""


@dataclass(frozen=True, slots=True)
class OperationAmounts:
    """An operation, as far as sums and status are concerned. `may_be_disputed`: an external refund, which may
    be what a dispute took."""

    kind: Kind
    state: OperationState
    requested_minor: int
    approved_minor: int  # 0 unless it was approved
    final: bool
    duplicate_charge: bool
    may_be_disputed: bool


Ended = Literal["failed", "expired", "canceled"]
DisputeState = Literal["inquiry", "opened", "unclear", "won", "lost", "closed"]
"""The same as `commands.messages.DisputeState`, which imports nothing from here: the producers' client is cut
from it."""

TAKES: Final[frozenset[DisputeState]] = frozenset({"opened", "unclear", "lost"})
"""The amount of a dispute in one of these cannot be refunded. An inquiry takes nothing: a refund may be its
cure."""


@dataclass(frozen=True, slots=True)
class Flags:
    """The facts that the operations alone do not show. `ended`: why no further attempt follows.
    `disputed_minor`: what disputes take of the payment; `disputed_duplicate_minor`: of duplicate charges.
    `retrying`: what waits for its next attempt, by kind, reserves its amount as well."""

    rejected: bool = False
    held: bool = False  # nothing starts before a person has decided
    ended: Ended | None = None
    authorization_expired: bool = False
    disputed_minor: int = 0
    disputed_duplicate_minor: int = 0
    disputed_abroad: bool = False  # in another currency, which never enters a sum of ours
    retrying: tuple[tuple[Kind, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """A payment's sums, in minor units of its currency. `capturing`, `refunding`: under way. `released`:
    authorized, and no longer to be captured. `disputed`: beyond what is recorded as refunded."""

    authorized: int = 0
    captured: int = 0
    released: int = 0
    refunded: int = 0
    disputed: int = 0
    capturing: int = 0
    refunding: int = 0
    voiding: bool = False
    disputed_abroad: bool = False

    @property
    def dispute_contradicts(self) -> str | None:
        """The reason why the disputed amount cannot be true beside what was captured and given back; None: it
        can. While it stands, the payment is frozen."""
        if self.disputed_abroad:
            return "disputed in another currency than it was paid in"
        given_back = self.refunded + self.refunding
        if not self.disputed or self.disputed + given_back <= self.captured:
            return None
        return f"disputed {self.disputed}, of {self.captured} captured and {given_back} refunded or being refunded"

    @property
    def capturable(self) -> int:
        """The most that a capture may request now; 0 while a void is under way."""
        return 0 if self.voiding else self._left

    @property
    def reserved(self) -> int:
        """The amount that operations under way reserve: a void reserves all that is left."""
        return self.capturing + self.refunding + (self._left if self.voiding else 0)

    @property
    def _left(self) -> int:
        return max(self.authorized - self.captured - self.released - self.capturing, 0)

    @property
    def refundable(self) -> int:
        """The most that a refund may request now."""
        return max(self.captured - self.refunded - self.refunding - self.disputed, 0)


def totals(parts: Iterable[OperationAmounts], flags: Flags) -> Totals:
    """Returns the sums of a payment's operations. Duplicate charges, and what gives them back, are in
    none."""
    parts = tuple(parts)
    authorized = captured = refunded = capturing = refunding = 0
    closed = flags.authorization_expired
    voiding = False
    for part in parts:
        if part.duplicate_charge:
            continue
        under_way = part.requested_minor if part.state not in ENDED else 0
        approved = part.approved_minor
        match part.kind:
            case "authorize":
                authorized += approved
            case "sale":
                authorized += approved
                captured += approved
            case "capture":
                captured += approved
                capturing += under_way
                closed |= part.final and part.state is OperationState.APPROVED
            case "void":
                voiding |= part.state not in ENDED
                closed |= part.state is OperationState.APPROVED
            case "refund":
                refunded += approved
                refunding += under_way
    for kind, waiting in flags.retrying:
        capturing += waiting if kind == "capture" else 0
        refunding += waiting if kind == "refund" else 0
        voiding |= kind == "void"
    return Totals(
        authorized=authorized,
        captured=captured,
        released=max(authorized - captured, 0) if closed else 0,
        refunded=refunded,
        disputed=_disputed(parts, flags, refunded + refunding, captured),
        disputed_abroad=flags.disputed_abroad,
        capturing=capturing,
        refunding=refunding,
        voiding=voiding,
    )


def _disputed(parts: Iterable[OperationAmounts], flags: Flags, given_back: int, captured: int) -> int:
    """Returns what disputes took beyond what is recorded as refunded. What the PSP shows as refunded
    externally, and may be what a dispute took, is that only as far as both cannot be true: the merchant may
    have refunded it during the dispute. Duplicate charges are in no sum; only what was taken of them
    besides being given back counts."""
    left = same = 0
    for part in parts:
        same += part.approved_minor if part.may_be_disputed else 0
        if part.duplicate_charge and part.kind in CHARGE_ATTEMPTS:
            left += part.approved_minor
        elif part.duplicate_charge and part.state not in NOT_EXECUTED:
            left -= part.requested_minor
    more = max(flags.disputed_minor + given_back - captured, 0)
    own = flags.disputed_minor - min(flags.disputed_minor, more, same)
    return own + max(flags.disputed_duplicate_minor - max(left, 0), 0)


def status(parts: Iterable[OperationAmounts], flags: Flags) -> Status:
    """Returns the status that follows from the operations; one in doubt puts the whole payment in doubt."""
    if flags.rejected:
        return Status.REJECTED
    parts = tuple(parts)
    if any(part.state is OperationState.UNKNOWN for part in parts):
        return Status.IN_DOUBT
    total = totals(parts, flags)
    if total.captured:
        return _taken(total)
    if total.authorized:
        # An operation under way may still take, or release, what it was sent for before the end.
        if flags.authorization_expired and not total.capturing and not total.voiding:
            return Status.EXPIRED
        return Status.VOIDED if any(_approved(part, "void") for part in parts) else Status.AUTHORIZED
    match flags.ended:
        case "failed":
            return Status.FAILED
        case "expired":
            return Status.EXPIRED
        case "canceled":
            return Status.VOIDED
    if any(part.state is OperationState.ACTION_REQUIRED for part in parts):
        return Status.REQUIRES_ACTION
    if parts:
        return Status.PROCESSING
    return Status.IN_REVIEW if flags.held else Status.REQUESTED


def _taken(total: Totals) -> Status:
    if total.disputed:
        return Status.DISPUTED
    if total.refunded:
        return Status.REFUNDED if total.refunded >= total.captured else Status.PARTIALLY_REFUNDED
    return Status.PARTIALLY_CAPTURED if total.captured < total.authorized else Status.CAPTURED


def _approved(part: OperationAmounts, kind: Kind) -> bool:
    return part.kind == kind and part.state is OperationState.APPROVED and not part.duplicate_charge
