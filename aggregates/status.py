"""What a payment's operations add up to: its sums and its status. Pure, and shared by the aggregate and the read models.

Invariant: an amount stands in one sum only, and what is under way reserves its amount.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from aggregates.operation import ENDED, Kind, OperationState


class Status(StrEnum):
    REQUESTED = "REQUESTED"
    REJECTED = "REJECTED"
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
RESTING: Final = frozenset(Status) - {T.REQUESTED, T.PROCESSING}

_TAKEN: Final = frozenset({T.PARTIALLY_CAPTURED, T.CAPTURED, T.PARTIALLY_REFUNDED, T.REFUNDED, T.DISPUTED})
_OVER: Final = frozenset({T.VOIDED, T.EXPIRED, T.FAILED})

TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    T.REQUESTED: frozenset({T.REJECTED, T.PROCESSING}),
    T.REJECTED: frozenset(),
    # DISPUTED: a dispute may outrun our own answer.
    T.PROCESSING: frozenset({T.REQUIRES_ACTION, T.IN_DOUBT, T.AUTHORIZED, T.CAPTURED, T.DISPUTED, *_OVER}),
    T.REQUIRES_ACTION: frozenset({T.PROCESSING, T.IN_DOUBT, T.AUTHORIZED, T.CAPTURED, T.DISPUTED, *_OVER}),
    # Whatever was in doubt, the rest of the payment stands as it stood before.
    T.IN_DOUBT: frozenset({T.PROCESSING, T.REQUIRES_ACTION, T.AUTHORIZED, *_TAKEN, *_OVER}),
    T.AUTHORIZED: frozenset({T.IN_DOUBT, T.PARTIALLY_CAPTURED, T.CAPTURED, T.DISPUTED, T.VOIDED, T.EXPIRED}),
    T.PARTIALLY_CAPTURED: frozenset({T.IN_DOUBT, T.CAPTURED, T.PARTIALLY_REFUNDED, T.REFUNDED, T.DISPUTED}),
    T.CAPTURED: frozenset({T.IN_DOUBT, T.PARTIALLY_REFUNDED, T.REFUNDED, T.DISPUTED}),
    # A further capture makes a refund of all a refund of a part.
    T.PARTIALLY_REFUNDED: frozenset({T.IN_DOUBT, T.REFUNDED, T.DISPUTED}),
    T.REFUNDED: frozenset({T.IN_DOUBT, T.PARTIALLY_REFUNDED, T.DISPUTED}),
    T.VOIDED: frozenset({T.IN_DOUBT}),
    T.EXPIRED: frozenset({T.IN_DOUBT}),
    T.FAILED: frozenset({T.IN_DOUBT}),
    T.DISPUTED: frozenset({T.IN_DOUBT, T.PARTIALLY_CAPTURED, T.CAPTURED, T.PARTIALLY_REFUNDED, T.REFUNDED}),
}
"""What a command, a report or a timer may lead to. IN_DOUBT of a payment that had ended: giving back an extra charge."""

_GIVEN_BACK: Final = frozenset({T.PARTIALLY_REFUNDED, T.REFUNDED})

BY_PERSON: Final[dict[Status, frozenset[Status]]] = {
    **{
        status: TRANSITIONS[status] | {T.AUTHORIZED, *_TAKEN - _GIVEN_BACK, *_OVER}
        for status in (T.PROCESSING, T.REQUIRES_ACTION, T.IN_DOUBT, T.AUTHORIZED, *sorted(_OVER))
    },
    **{
        status: TRANSITIONS[status] | {T.AUTHORIZED, *_TAKEN, *_OVER}
        for status in (T.PARTIALLY_CAPTURED, T.CAPTURED, T.DISPUTED)
    },
    # What was given back had been taken: no word undoes that.
    **{status: TRANSITIONS[status] | _TAKEN for status in sorted(_GIVEN_BACK)},
}
"""What a person's decision about an operation in doubt, or about a contradiction, may lead to besides."""


@dataclass(frozen=True, slots=True)
class Part:
    """An operation, as far as sums and status are concerned."""

    kind: Kind
    state: OperationState
    asked_minor: int
    approved_minor: int  # 0 unless it was approved
    final: bool
    extra: bool


Ended = Literal["failed", "expired", "canceled"]


@dataclass(frozen=True, slots=True)
class Marks:
    """What the operations alone do not say. `ended`: why no further attempt follows. `retrying`: what waits for its
    next attempt, by kind, reserves its amount as well."""

    rejected: bool = False
    ended: Ended | None = None
    authorization_expired: bool = False
    disputed_minor: int = 0
    retrying: tuple[tuple[Kind, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Sums:
    """In the payment's currency, minor units. `capturing`, `refunding`: under way. `released`: authorized, and no
    longer to be captured."""

    authorized: int = 0
    captured: int = 0
    released: int = 0
    refunded: int = 0
    disputed: int = 0
    capturing: int = 0
    refunding: int = 0
    voiding: bool = False

    @property
    def capturable(self) -> int:
        return 0 if self.voiding else self._left

    @property
    def reserved(self) -> int:
        """By what is under way: a void reserves all that is left."""
        return self.capturing + self.refunding + (self._left if self.voiding else 0)

    @property
    def _left(self) -> int:
        return max(self.authorized - self.captured - self.released - self.capturing, 0)

    @property
    def refundable(self) -> int:
        return max(self.captured - self.refunded - self.refunding - self.disputed, 0)


def sums(parts: Iterable[Part], marks: Marks) -> Sums:
    authorized = captured = refunded = capturing = refunding = 0
    closed = marks.authorization_expired
    voiding = False
    for part in parts:
        if part.extra:
            continue
        under_way = part.asked_minor if part.state not in ENDED else 0
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
    for kind, waiting in marks.retrying:
        capturing += waiting if kind == "capture" else 0
        refunding += waiting if kind == "refund" else 0
        voiding |= kind == "void"
    return Sums(
        authorized=authorized,
        captured=captured,
        released=max(authorized - captured, 0) if closed else 0,
        refunded=refunded,
        disputed=marks.disputed_minor,
        capturing=capturing,
        refunding=refunding,
        voiding=voiding,
    )


def status(parts: Iterable[Part], marks: Marks) -> Status:
    if marks.rejected:
        return Status.REJECTED
    parts = tuple(parts)
    if any(part.state is OperationState.UNKNOWN for part in parts):
        return Status.IN_DOUBT
    total = sums(parts, marks)
    if total.captured:
        return _taken(total)
    if total.authorized:
        if any(_approved(part, "void") for part in parts):
            return Status.VOIDED
        # What is under way may still take, or release, what it was sent for before the end.
        over = marks.authorization_expired and not total.capturing and not total.voiding
        return Status.EXPIRED if over else Status.AUTHORIZED
    match marks.ended:
        case "failed":
            return Status.FAILED
        case "expired":
            return Status.EXPIRED
        case "canceled":
            return Status.VOIDED
    if any(part.state is OperationState.ACTION_REQUIRED for part in parts):
        return Status.REQUIRES_ACTION
    return Status.PROCESSING if parts else Status.REQUESTED


def _taken(total: Sums) -> Status:
    if total.disputed:
        return Status.DISPUTED
    if total.refunded:
        return Status.REFUNDED if total.refunded >= total.captured else Status.PARTIALLY_REFUNDED
    return Status.PARTIALLY_CAPTURED if total.captured < total.authorized else Status.CAPTURED


def _approved(part: Part, kind: Kind) -> bool:
    return part.kind == kind and part.state is OperationState.APPROVED and not part.extra
