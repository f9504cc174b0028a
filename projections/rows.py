"""The rows of `payments` and `operations`, and the totals of a payment's operations. Pure.

A field of a row is a column of its table: its name and SQL type are derived from here (columns.py). The marks
say what a batch does with it. `Kept`: read and never changed after the first event. `InMemory`: no column.
Neither: written whenever the row changes. The fields of `NewPayment` and `NewOperation` are written once and
never read back.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Final, TypedDict, TypeVar

from pydantic import AwareDatetime

from aggregates.operation import CHARGE_ATTEMPTS, Kind, OperationState
from aggregates.status import TAKES, Ended, Flags, OperationAmounts, Status, status, totals
from projections.bodies import PassedOn

T = TypeVar("T")
KEPT: Final = "kept"
IN_MEMORY: Final = "in memory"
UUID_AS_TEXT: Final = "uuid as text"
Kept = Annotated[T, KEPT]
InMemory = Annotated[T, IN_MEMORY]
UuidText = Annotated[str, UUID_AS_TEXT]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPayment(PassedOn):
    """Fields of a payment's first event that the read model only passes on."""

    created_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class NewOperation:
    """Fields of an operation's first event that the read model only passes on. `target`: the operation that
    this one captures, voids or refunds. `expected_fee_minor`: what the PSP is expected to charge for it, None
    where that is unknown."""

    merchant_id: str
    ordinal: int
    attempt: int
    gateway: str
    account: str
    target: str | None
    started_at: datetime
    expected_fee_minor: int | None = None
    expected_fee_currency: str | None = None


class Contradiction(TypedDict):
    """A report or a dispute that cannot be true beside the record. `operation_id` may name none of the
    payment's operations; `dispute_id` is None for a report. `second_psp_ids`: of an operation that the PSP
    executed more than once, without those that an operator decided about. Times are ISO text, amounts in
    minor units."""

    operation_id: str
    since: str
    reason: str
    reported: str
    amount_minor: int
    currency: str
    late_psp_id: str | None
    second_psp_ids: list[str]
    dispute_id: str | None


class Dispute(TypedDict):
    """A dispute as it was last reported or decided. Times are ISO text, amounts in minor units. `who`: the
    operator who decided it; None: the PSP reported it."""

    dispute_id: str
    operation_id: str
    state: str
    amount_minor: int
    currency: str
    reason: str | None
    respond_by: str | None
    reported_at: str
    observed_at: str
    who: str | None


@dataclass(slots=True)
class OperationRow:
    """One operation. `new` is None once the row is stored. `call_ms`: duration of the last call, ms.

    `experiment_id` and the next three: of the first attempt of a payment in an experiment; None for any
    other. `cost_ppm`: what its payment was expected to cost, in millionths of the amount; None: unknown.
    """

    operation_id: Kept[str]
    payment_id: Kept[UuidText]
    kind: Kept[Kind]
    amount_minor: Kept[int]
    currency: Kept[str]
    final: Kept[bool]
    updated_at: datetime
    action_until: Kept[datetime | None] = None
    authorization_life_s: Kept[int] = 0
    state: OperationState = OperationState.STARTED
    psp_id: str | None = None
    approved_minor: int = 0
    approved_at: datetime | None = None
    duplicate_charge: bool = False
    may_be_disputed: bool = False
    code: str | None = None
    detail: str | None = None
    queries: int = 0
    in_doubt_since: datetime | None = None
    escalated: bool = False
    retry_at: datetime | None = None
    call_ms: float | None = None
    experiment_id: Kept[str | None] = None
    experiment_definition: Kept[str | None] = None
    policy_version: Kept[int | None] = None
    arm: Kept[str | None] = None
    cost_ppm: Kept[int | None] = None
    new: InMemory[NewOperation | None] = None


@dataclass(slots=True)
class PaymentRow:
    """One payment. `new` is None once the row is stored. `touched`: operations changed since it was read."""

    payment_id: Kept[UuidText]
    merchant_id: Kept[str] = ""
    amount_minor: Kept[int] = 0
    currency: Kept[str] = ""
    version: int = 0
    stale_since: datetime | None = None
    status: str = Status.REQUESTED
    authorized_minor: int = 0
    captured_minor: int = 0
    released_minor: int = 0
    refunded_minor: int = 0
    disputed_minor: int = 0
    capturable_minor: int = 0
    refundable_minor: int = 0
    reason: str | None = None
    decision: str | None = None
    action_url: str | None = None
    action_until: datetime | None = None
    authorization_expires_at: datetime | None = None
    authorization_expired: bool = False
    cancel_requested: bool = False
    ended: Ended | None = None
    held_since: datetime | None = None
    frozen: bool = False
    contradictions: list[Contradiction] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)
    gateway: str | None = None
    updated_at: datetime | None = None
    new: InMemory[NewPayment | None] = None
    operations: InMemory[dict[str, OperationRow]] = field(default_factory=dict)
    touched: InMemory[set[str]] = field(default_factory=set)


def settle(payment: PaymentRow) -> None:
    """Sets the totals, the status and the contradictions to what the aggregate has after the same events."""
    operations = payment.operations.values()
    amounts = [
        OperationAmounts(
            o.kind, o.state, o.amount_minor, o.approved_minor, o.final, o.duplicate_charge, o.may_be_disputed
        )
        for o in operations
    ]
    taking = [dispute for dispute in payment.disputes if dispute["state"] in TAKES]
    same_currency = [one for one in taking if one["currency"] == payment.currency]
    duplicates = {operation.operation_id for operation in operations if operation.duplicate_charge}
    of_duplicates = sum(one["amount_minor"] for one in same_currency if one["operation_id"] in duplicates)
    flags = Flags(
        rejected=payment.status == Status.REJECTED,
        held=payment.held_since is not None,
        ended=payment.ended,
        authorization_expired=payment.authorization_expired,
        disputed_minor=sum(one["amount_minor"] for one in same_currency) - of_duplicates,
        disputed_duplicate_minor=of_duplicates,
        disputed_abroad=len(same_currency) < len(taking),
        retrying=tuple(
            (o.kind, o.amount_minor) for o in operations if o.retry_at is not None and not o.duplicate_charge
        ),
    )
    total = totals(amounts, flags)
    payment.status = status(amounts, flags)
    payment.authorized_minor = total.authorized
    payment.captured_minor = total.captured
    payment.released_minor = total.released
    payment.refunded_minor = total.refunded
    payment.disputed_minor = total.disputed
    payment.capturable_minor = total.capturable
    payment.refundable_minor = total.refundable
    payment.contradictions = _contradictions(payment, total.dispute_contradicts)
    payment.frozen = bool(payment.contradictions)
    payment.authorization_expires_at = _authorization_until(payment)


def _contradictions(payment: PaymentRow, disputed: str | None) -> list[Contradiction]:
    """Returns those of operations, and one for the latest dispute while disputes contradict the totals."""
    others = [one for one in payment.contradictions if one["dispute_id"] is None]
    if disputed is None:
        return others
    dispute = next(one for one in reversed(payment.disputes) if one["state"] in TAKES)
    new: Contradiction = {
        "operation_id": dispute["operation_id"],
        "since": dispute["observed_at"],
        "reason": disputed,
        "reported": f"dispute {dispute['state']}",
        "amount_minor": dispute["amount_minor"],
        "currency": dispute["currency"],
        "late_psp_id": None,
        "second_psp_ids": [],
        "dispute_id": dispute["dispute_id"],
    }
    return [*others, new]


def _authorization_until(payment: PaymentRow) -> datetime | None:
    """Returns when the approved authorization ends at the PSP; None: there is none, or it was a sale."""
    for operation in payment.operations.values():
        if (
            operation.kind in CHARGE_ATTEMPTS
            and operation.state is OperationState.APPROVED
            and not operation.duplicate_charge
        ):
            if operation.kind == "sale" or operation.approved_at is None:
                return None
            return operation.approved_at + timedelta(seconds=operation.authorization_life_s)
    return None
