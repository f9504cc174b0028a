"""Schemas of the API's responses, for the OpenAPI document. The routes write responses from the tables' rows
directly; tests hold both against each other."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from aggregates.operation import Kind, OperationState
from aggregates.status import DisputeState, Ended, Status
from commands.cards import Card
from infra.api import examples
from projections.in_doubt import Age, Reason


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


Exponent = Annotated[
    int | None,
    Field(
        ge=0,
        le=3,
        description="Decimals of the currency: an amount divided by ten to this power is in the main unit. Use this one: "
        "Babel and browsers show HUF, COP and IDR without decimals. null: AegisPay does not know the currency",
    ),
]


class State(_Shape):
    """The state of the API process."""

    state: str = Field(description="live, ready, or what the process waits for")


class Lag(_Shape):
    """The lag of the read model behind the event store."""

    lag_ms: float = Field(
        description="Age of the oldest event that is stored but not shown yet, ms; measured within the last second"
    )


class PaymentLag(Lag):
    """The lag of the read model, in all and for this payment."""

    events_behind: int = Field(description="How many of the payment's stored events this response lacks")
    stale_since: AwareDatetime | None = Field(
        description="Since when an event of this payment is missing altogether, which raises an alarm; null: none is"
    )


class Operation(_Shape):
    """One operation at a PSP: an authorization, sale, capture, void or refund."""

    operation_id: str = Field(description="Also the reference under which the PSP knows it")
    attempt: int = Field(description="Attempts at the same thing are counted; the first is 1")
    kind: Kind
    state: OperationState
    gateway: str
    account: str
    psp_id: str | None
    amount_minor: int = Field(description="The amount requested from the PSP")
    currency: str
    currency_exponent: Exponent
    expected_fee_minor: int | None = Field(
        default=None,
        description="The fee that the PSP is expected to charge if it executes this; null: unknown",
    )
    expected_fee_currency: str | None = Field(
        default=None, description="The fee's currency, which may be another than the payment's"
    )
    approved_minor: int = Field(description="The amount that the PSP executed; 0 unless state is APPROVED")
    approved_at: AwareDatetime | None
    target: str | None = Field(description="The operation that this one captures, voids or refunds")
    final: bool = Field(description="For a capture: the rest of the authorization is released")
    duplicate_charge: bool = Field(
        description="A duplicate charge, or the refund of one: counted in none of the payment's totals"
    )
    may_be_disputed: bool = Field(
        description="A refund seen at the PSP that may be the same money as a dispute: then it counts once"
    )
    code: str | None = Field(description="The code of the PSP's last response, or AegisPay's own")
    detail: str | None = Field(description="The explanation of `code`, by the PSP or by AegisPay")
    queries: int = Field(description="How often the PSP was queried for the outcome")
    in_doubt_since: AwareDatetime | None
    escalated: bool = Field(description="In doubt for 24 h: an operator has to look at it")
    retry_at: AwareDatetime | None = Field(
        description="When the next attempt follows, after one that was not executed"
    )
    action_until: AwareDatetime | None = Field(description="Until when the customer can complete a challenge")
    call_ms: float | None
    started_at: AwareDatetime
    updated_at: AwareDatetime


class Contradiction(_Shape):
    """A report of the PSP, or a dispute, that contradicts the record."""

    operation_id: str
    since: AwareDatetime
    reason: str
    reported: str
    amount_minor: int
    currency: str
    currency_exponent: Exponent
    late_psp_id: str | None = Field(description="The PSP's id of a charge that was reported late")
    second_psp_ids: list[str] = Field(
        description="The PSP's further ids of an operation that it executed more than once, without those that an "
        "operator has decided about"
    )
    dispute_id: str | None = Field(
        description="The dispute, if it is one: it lasts as long as the disputes exceed the record"
    )


class Dispute(_Shape):
    """A dispute, as it was last reported by the PSP or decided by an operator."""

    dispute_id: str
    operation_id: str
    state: DisputeState = Field(
        description="inquiry: the bank inquires, no money is taken, and a refund may settle it. opened: the amount is taken. "
        "unclear: it ended and the PSP does not say how; the amount counts as taken until an operator decides. "
        "lost: the amount is gone. won, closed: no money is taken"
    )
    amount_minor: int
    currency: str
    currency_exponent: Exponent
    reason: str | None
    respond_by: AwareDatetime | None
    reported_at: AwareDatetime = Field(
        description="When the PSP reported it, by its own clock unless that is ahead"
    )
    observed_at: AwareDatetime
    who: str | None = Field(description="The operator who decided it; null: the PSP reported it")


class PaymentSummary(_Shape):
    """A payment in a list."""

    payment_id: UUID
    version: int = Field(description="How many events it has; use it for min_version")
    status: Status
    amount_minor: int = Field(description="In the currency's minor unit: 1099 is 10.99 USD, 500 is 500 JPY")
    currency: str
    currency_exponent: Exponent
    capture: Literal["automatic", "manual"]
    authorized_minor: int
    captured_minor: int
    released_minor: int = Field(description="Authorized, but no longer available to capture")
    refunded_minor: int
    disputed_minor: int = Field(
        description="In disputes that are opened, unclear or lost, beyond the recorded refunds"
    )
    capturable_minor: int = Field(
        description="The most that can be captured now; operations in progress reserve their amounts"
    )
    refundable_minor: int = Field(description="The most that can be refunded now")
    customer_id: str | None
    description: str | None
    statement_text: str | None
    return_page: str | None
    metadata: dict[str, str]
    method: str | None = Field(
        default=None, description="How the customer pays; null: not given, taken for card"
    )
    card: Card | None = Field(default=None, description="What the merchant gave of the card, for routing")
    reason: str | None = Field(description="The code behind the status, the PSP's or AegisPay's own")
    decision: str | None = Field(description="Why the newest attempt was started, postponed or not made")
    action_url: str | None = Field(description="Where to send the customer while status is REQUIRES_ACTION")
    action_until: AwareDatetime | None = Field(description="Until when the customer can act")
    authorization_expires_at: AwareDatetime | None
    authorization_expired: bool
    cancel_requested: bool
    ended: Ended | None = Field(description="Why no further attempt follows")
    held_since: AwareDatetime | None = Field(
        description="Since when a fraud hook holds it for a person's review; null: it is not held"
    )
    frozen: bool = Field(
        description="A report contradicts the record: changes are refused until an operator has looked at it"
    )
    contradictions: list[Contradiction]
    disputes: list[Dispute]
    expires_at: AwareDatetime
    created_at: AwareDatetime
    updated_at: AwareDatetime


class Payment(PaymentSummary):
    """A payment with its operations."""

    country: str | None
    command_id: UUID = Field(description="The command that created the payment")
    correlation_id: str
    operations: list[Operation]
    read_model: PaymentLag

    model_config = ConfigDict(json_schema_extra={"example": examples.PAYMENT})


class PaymentPage(_Shape):
    """A page of a customer's payments."""

    payments: list[PaymentSummary]
    next_cursor: str | None = Field(description="null: this is the last page")
    read_model: Lag

    model_config = ConfigDict(json_schema_extra={"example": examples.PAYMENT_PAGE})


class HeldPayment(_Shape):
    """A payment that waits for a review."""

    payment_id: UUID
    amount_minor: int
    currency: str
    currency_exponent: Exponent
    customer_id: str | None
    reason: str | None = Field(description="The hooks that hold it, with their scores and words")
    held_since: AwareDatetime
    expires_at: AwareDatetime = Field(description="It ends by itself then")


class Reviews(_Shape):
    """A page of a merchant's held payments."""

    reviews: list[HeldPayment]
    next_cursor: str | None = Field(description="null: this is the last page")
    read_model: Lag

    model_config = ConfigDict(json_schema_extra={"example": examples.REVIEWS})


class Event(_Shape):
    """One event of a payment."""

    version: int
    type: str
    time: AwareDatetime
    command_id: UUID = Field(description="The command that caused it")
    correlation_id: str
    data: dict[str, Any] = Field(
        description="The event as stored, with only the last four characters of a payment token"
    )


class History(_Shape):
    """A page of a payment's events."""

    payment_id: UUID
    events: list[Event]
    next_after: int | None = Field(description="`after` for the next page; null: this is the last page")

    model_config = ConfigDict(json_schema_extra={"example": examples.HISTORY})


class Accepted(_Shape):
    """A command that Kafka has; what becomes of it is not known yet."""

    payment_id: UUID
    command_id: UUID
    url: str = Field(
        description="Where the payment can be read once its first event is shown; min_version=1 waits for that"
    )

    model_config = ConfigDict(json_schema_extra={"example": examples.ACCEPTED})


class Decided(Accepted):
    """The result of a change. Fields that are null are not known yet: no reply came in time."""

    operation_id: str | None = Field(
        default=None, description="The operation that the command started, if any"
    )
    operation_state: OperationState | None = Field(default=None, description="The state of that operation")
    code: str | None = Field(
        default=None,
        description="A side effect, e.g. rest_released; otherwise the code of the ended operation, the PSP's or AegisPay's",
    )
    detail: str | None = Field(default=None, description="The explanation of `code`")
    amounts: dict[str, int] | None = Field(
        default=None, description="The amounts that `code` is about, minor units"
    )
    status: Status | None = Field(default=None, description="The payment's status")
    version: int | None = Field(default=None, description="The payment's version; use it for min_version")

    model_config = ConfigDict(json_schema_extra={"example": examples.DECIDED})


class AtRisk(_Shape):
    """The money at risk of one account, currency and age."""

    gateway: str | None = Field(description="null: no operation was started")
    account: str | None
    currency: str | None = Field(description="null, with an amount of 0: the payment itself cannot be read")
    currency_exponent: Exponent
    age: Age
    payments: int
    manual: int = Field(description="How many of these payments an operator has to look at")
    amount_minor: int


class Doubt(_Shape):
    """An operation, or a parked payment, whose money is at risk."""

    payment_id: UUID
    operation_id: str | None
    kind: Kind | None
    gateway: str | None
    account: str | None
    amount_minor: int | None
    currency: str | None
    currency_exponent: Exponent
    since: AwareDatetime
    code: str | None
    detail: str | None
    queries: int = Field(description="How often the PSP was queried for the outcome")
    reason: Reason = Field(
        description="unknown: the PSP has not reported the outcome. contradiction: its reports contradict the record. "
        "parked: the payment could not be read or decided"
    )
    manual: bool = Field(
        description="An operator has to look: time alone does not settle it, or 24 h did not"
    )
    parked: bool
    frozen: bool


class InDoubt(_Shape):
    """A page of a merchant's money at risk."""

    totals: list[AtRisk] = Field(description="The totals, by account, currency and age")
    in_doubt: list[Doubt] = Field(description="Each doubt, the oldest first")
    next_cursor: str | None = Field(description="null: this is the last page")
    read_model: Lag

    model_config = ConfigDict(json_schema_extra={"example": examples.IN_DOUBT})
