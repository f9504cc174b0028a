"""The rows of `payments` and `operations`, and what the second adds up to in the first. Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypedDict
from uuid import UUID

from aggregates.operation import TAKING, Kind, OperationState
from aggregates.status import Ended, Marks, Part, Status, status, sums


@dataclass(slots=True)
class OperationRow:
    operation_id: str
    payment_id: str
    kind: Kind
    amount_minor: int
    currency: str
    final: bool
    action_until: datetime | None
    authorization_life_s: int
    state: OperationState
    psp_id: str | None
    approved_minor: int
    approved_at: datetime | None
    extra: bool
    code: str | None
    asked: int
    in_doubt_since: datetime | None
    person_asked: bool
    retry_at: datetime | None
    call_ms: float | None
    updated_at: datetime
    new: "NewOperation | None" = None


@dataclass(slots=True)
class NewOperation:
    """What its first event says and nothing here depends on: in hand only until it is written."""

    merchant_id: str
    ordinal: int
    attempt: int
    gateway: str
    account: str
    target: str | None
    started_at: datetime


class Contradiction(TypedDict):
    """Of one operation, which may be none of the payment's. Times are ISO text."""

    operation_id: str
    since: str
    why: str
    reported: str
    amount_minor: int
    currency: str
    late_psp_id: str | None


class Dispute(TypedDict):
    dispute_id: str
    operation_id: str
    state: str
    amount_minor: int
    currency: str
    reason: str | None
    respond_by: str | None
    observed_at: str


@dataclass(slots=True)
class PaymentRow:
    """`touched`: the operations that have changed since the row was read."""

    payment_id: str
    merchant_id: str = ""
    amount_minor: int = 0
    currency: str = ""
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
    frozen: bool = False
    contradictions: list[Contradiction] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)
    gateway: str | None = None
    updated_at: datetime | None = None
    new: "NewPayment | None" = None
    operations: dict[str, OperationRow] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)


@dataclass(slots=True)
class NewPayment:
    """What its first event says and nothing here depends on: in hand only until it is written."""

    customer_id: str | None
    capture: str
    country: str | None
    description: str | None
    statement_text: str | None
    return_page: str | None
    metadata: dict[str, str]
    command_id: UUID
    correlation_id: str
    expires_at: datetime
    created_at: datetime


def settle(payment: PaymentRow) -> None:
    """Sums, status and frozen, as the aggregate has them after the same events."""
    operations = payment.operations.values()
    parts = [Part(o.kind, o.state, o.amount_minor, o.approved_minor, o.final, o.extra) for o in operations]
    marks = Marks(
        rejected=payment.status == Status.REJECTED,
        ended=payment.ended,
        authorization_expired=payment.authorization_expired,
        disputed_minor=sum(d["amount_minor"] for d in payment.disputes if _counts(d, payment)),
        retrying=tuple(
            (o.kind, o.amount_minor) for o in operations if o.retry_at is not None and not o.extra
        ),
    )
    total = sums(parts, marks)
    payment.status = status(parts, marks)
    payment.authorized_minor = total.authorized
    payment.captured_minor = total.captured
    payment.released_minor = total.released
    payment.refunded_minor = total.refunded
    payment.disputed_minor = total.disputed
    payment.capturable_minor = total.capturable
    payment.refundable_minor = total.refundable
    payment.frozen = bool(payment.contradictions)
    payment.authorization_expires_at = _authorization_until(payment)


def _counts(dispute: Dispute, payment: PaymentRow) -> bool:
    return dispute["state"] != "won" and dispute["currency"] == payment.currency


def _authorization_until(payment: PaymentRow) -> datetime | None:
    for operation in payment.operations.values():
        if operation.kind in TAKING and operation.state is OperationState.APPROVED and not operation.extra:
            if operation.kind == "sale" or operation.approved_at is None:
                return None
            return operation.approved_at + timedelta(seconds=operation.authorization_life_s)
    return None
