"""What the answers look like, for the OpenAPI document; the routes write them from the tables' rows directly."""

from typing import Any, Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from aggregates.operation import Kind, OperationState
from aggregates.status import Ended, Status
from projections.in_doubt import Age, Because

PAYMENT_ID: Final = "2c0a1d5e-8f3b-5a57-9f2e-6a1b7c3d4e5f"
OPERATION_ID: Final = "2c0a1d5e8f3b5a579f2e6a1b7c3d4e5f-s1"
_COMMAND_ID: Final = "8c5d1f3e-2b7a-4c69-8e0d-1a2b3c4d5e6f"
_NOW: Final = "2026-03-01T12:00:00.123456+00:00"
_LATER: Final = "2026-03-01T12:00:00.201811+00:00"


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Lag(_Shape):
    lag_ms: float = Field(
        description="How long the oldest event that is stored but not shown has waited; at most 1 s old"
    )


class PaymentLag(Lag):
    events_behind: int = Field(description="Of this payment's stored events, how many are not in this answer")
    stale_since: AwareDatetime | None = Field(
        description="Since when an event of this payment is missing altogether: an alarm of the operator's"
    )


class Operation(_Shape):
    operation_id: str = Field(description="The reference that the PSP has")
    attempt: int = Field(description="Of the same thing: the first is 1")
    kind: Kind
    state: OperationState
    gateway: str
    account: str
    psp_id: str | None
    amount_minor: int = Field(description="Asked of the PSP")
    currency: str
    approved_minor: int = Field(description="What the PSP did of it; 0 unless it is APPROVED")
    approved_at: AwareDatetime | None
    target: str | None = Field(description="The operation that it captures, voids or refunds")
    final: bool = Field(description="Of a capture: what is left is released")
    extra: bool = Field(description="An extra charge, or what gives it back: in none of the payment's sums")
    code: str | None
    asked: int = Field(description="How often the PSP was asked how it ended")
    in_doubt_since: AwareDatetime | None
    person_asked: bool = Field(
        description="In doubt for 24 h: it stands in the queue of those that a person looks at"
    )
    retry_at: AwareDatetime | None = Field(
        description="It was not executed, and its next attempt follows then"
    )
    action_until: AwareDatetime | None = Field(description="Until when the customer may complete a challenge")
    call_ms: float | None
    started_at: AwareDatetime
    updated_at: AwareDatetime


class Contradiction(_Shape):
    """A report of the PSP that cannot be true beside what is recorded."""

    operation_id: str
    since: AwareDatetime
    why: str
    reported: str
    amount_minor: int
    currency: str
    late_psp_id: str | None = Field(description="Of a charge that came late")


class Dispute(_Shape):
    dispute_id: str
    operation_id: str
    state: Literal["opened", "won", "lost"]
    amount_minor: int
    currency: str
    reason: str | None
    respond_by: AwareDatetime | None
    observed_at: AwareDatetime


class _Summary(_Shape):
    payment_id: UUID
    version: int = Field(description="Of its events; for min_version")
    status: Status
    amount_minor: int = Field(description="In the currency's minor unit: 1099 is 10.99 USD, 500 is 500 JPY")
    currency: str
    capture: Literal["automatic", "manual"]
    authorized_minor: int
    captured_minor: int
    released_minor: int = Field(description="Authorized, and no longer to be captured")
    refunded_minor: int
    disputed_minor: int = Field(description="In disputes that are open or lost")
    capturable_minor: int = Field(
        description="What a capture may ask for now; what is under way reserves its amount"
    )
    refundable_minor: int = Field(description="What a refund may ask for now")
    customer_id: str | None
    description: str | None
    statement_text: str | None
    return_page: str | None
    metadata: dict[str, str]
    reason: str | None = Field(description="The code behind the status, ours or the PSP's")
    decision: str | None = Field(description="Why the newest attempt was started, put off or not made")
    action_url: str | None = Field(description="Where the payer has to go, while status is REQUIRES_ACTION")
    action_until: AwareDatetime | None = Field(description="Until when")
    authorization_expires_at: AwareDatetime | None
    authorization_expired: bool
    cancel_requested: bool
    ended: Ended | None = Field(description="Why no further attempt follows")
    frozen: bool = Field(description="A report of the PSP contradicts what is recorded: a person looks at it")
    contradictions: list[Contradiction]
    disputes: list[Dispute]
    expires_at: AwareDatetime
    created_at: AwareDatetime
    updated_at: AwareDatetime


_SUMMARY: Final[dict[str, Any]] = {
    "payment_id": PAYMENT_ID,
    "version": 3,
    "status": "CAPTURED",
    "amount_minor": 1099,
    "currency": "EUR",
    "capture": "automatic",
    "authorized_minor": 1099,
    "captured_minor": 1099,
    "released_minor": 0,
    "refunded_minor": 0,
    "disputed_minor": 0,
    "capturable_minor": 0,
    "refundable_minor": 1099,
    "customer_id": "customer-7",
    "description": "Order 1001",
    "statement_text": None,
    "return_page": None,
    "metadata": {"order": "1001"},
    "reason": None,
    "decision": "first attempt: the merchant's first PSP account",
    "action_url": None,
    "action_until": None,
    "authorization_expires_at": None,
    "authorization_expired": False,
    "cancel_requested": False,
    "ended": None,
    "frozen": False,
    "contradictions": [],
    "disputes": [],
    "expires_at": "2026-03-01T13:00:00+00:00",
    "created_at": _NOW,
    "updated_at": _LATER,
}
_OPERATION: Final[dict[str, Any]] = {
    "operation_id": OPERATION_ID,
    "attempt": 1,
    "kind": "sale",
    "state": "APPROVED",
    "gateway": "stripe",
    "account": "acct_eu",
    "psp_id": "pi_3N",
    "amount_minor": 1099,
    "currency": "EUR",
    "approved_minor": 1099,
    "approved_at": _LATER,
    "target": None,
    "final": False,
    "extra": False,
    "code": None,
    "asked": 0,
    "in_doubt_since": None,
    "person_asked": False,
    "retry_at": None,
    "action_until": None,
    "call_ms": 41.7,
    "started_at": _NOW,
    "updated_at": _LATER,
}
_PAYMENT: Final[dict[str, Any]] = _SUMMARY | {
    "country": "DE",
    "command_id": _COMMAND_ID,
    "correlation_id": "checkout-1001",
    "operations": [_OPERATION],
    "read_model": {"events_behind": 0, "lag_ms": 0.0, "stale_since": None},
}


class Payment(_Summary):
    country: str | None
    command_id: UUID = Field(description="Of the command that made it")
    correlation_id: str
    operations: list[Operation]
    read_model: PaymentLag

    model_config = ConfigDict(json_schema_extra={"example": _PAYMENT})


class PaymentPage(_Shape):
    payments: list[_Summary]
    next_cursor: str | None = Field(description="None: this was the last page")
    read_model: Lag

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"payments": [_SUMMARY], "next_cursor": None, "read_model": {"lag_ms": 0.0}}
        }
    )


class Event(_Shape):
    version: int
    type: str
    time: AwareDatetime
    command_id: UUID = Field(description="What caused it")
    correlation_id: str
    data: dict[str, Any] = Field(description="As stored; of a payment token only the last four characters")


class History(_Shape):
    payment_id: UUID
    events: list[Event]
    next_after: int | None = Field(description="`after` of the next page; None: this was the last one")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "payment_id": PAYMENT_ID,
                "events": [
                    {
                        "version": 3,
                        "type": "operation.approved.v1",
                        "time": _LATER,
                        "command_id": _COMMAND_ID,
                        "correlation_id": "checkout-1001",
                        "data": {"operation_id": OPERATION_ID, "psp_id": "pi_3N"},
                    }
                ],
                "next_after": None,
            }
        }
    )


class Accepted(_Shape):
    payment_id: UUID
    command_id: UUID
    url: str = Field(
        description="Where the payment can be read, once its first event is there: min_version=1 waits"
    )

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "payment_id": PAYMENT_ID,
                "command_id": _COMMAND_ID,
                "url": f"/v1/payments/{PAYMENT_ID}",
            }
        }
    )


class Decided(Accepted):
    """What is null is not known yet: no answer came in time."""

    operation_id: str | None = Field(default=None, description="What the command started, if anything")
    operation_state: OperationState | None = Field(default=None, description="How that stands")
    status: Status | None = Field(default=None, description="The payment's")
    version: int | None = Field(default=None, description="The payment's; for min_version")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "payment_id": PAYMENT_ID,
                "command_id": _COMMAND_ID,
                "url": f"/v1/payments/{PAYMENT_ID}",
                "operation_id": "2c0a1d5e8f3b5a579f2e6a1b7c3d4e5f-r2",
                "operation_state": "STARTED",
                "status": "CAPTURED",
                "version": 4,
            }
        }
    )


class AtRisk(_Shape):
    gateway: str | None = Field(description="None: no operation was started")
    account: str | None
    currency: str | None = Field(description="None, and an amount of 0: the payment itself cannot be read")
    age: Age
    payments: int
    manual: int = Field(description="Of these, payments that a person has to look at")
    amount_minor: int


class Doubt(_Shape):
    payment_id: UUID
    operation_id: str | None
    kind: Kind | None
    gateway: str | None
    account: str | None
    amount_minor: int | None
    currency: str | None
    since: AwareDatetime
    code: str | None
    detail: str | None
    asked: int = Field(description="How often the PSP was asked how it ended")
    because: Because = Field(
        description="unknown: the PSP has not told how it ended. contradiction: its reports contradict the record. "
        "parked: the payment could not be read or decided"
    )
    manual: bool = Field(
        description="A person has to look: it is no question of time, or 24 h were not enough"
    )
    parked: bool
    frozen: bool


class InDoubt(_Shape):
    board: list[AtRisk] = Field(description="All of it, by account, currency and age")
    in_doubt: list[Doubt] = Field(description="One by one, the oldest first")
    next_cursor: str | None = Field(description="None: this was the last page")
    read_model: Lag

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "board": [
                    {
                        "gateway": "stripe",
                        "account": "acct_eu",
                        "currency": "EUR",
                        "age": "under_5_min",
                        "payments": 1,
                        "manual": 0,
                        "amount_minor": 1099,
                    }
                ],
                "in_doubt": [
                    {
                        "payment_id": PAYMENT_ID,
                        "operation_id": OPERATION_ID,
                        "kind": "sale",
                        "gateway": "stripe",
                        "account": "acct_eu",
                        "amount_minor": 1099,
                        "currency": "EUR",
                        "since": _NOW,
                        "code": "timeout",
                        "detail": None,
                        "asked": 1,
                        "because": "unknown",
                        "manual": False,
                        "parked": False,
                        "frozen": False,
                    }
                ],
                "next_cursor": None,
                "read_model": {"lag_ms": 0.0},
            }
        }
    )
