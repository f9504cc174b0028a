"""Messages on `payments.commands` and `gateways.outcomes`: JSON, one message a record; `reply` has the
replies' one.

The record's key is the payment's id as text. No command may carry a card number or a security code; `parsing`
refuses those that do.

Part of the producers' client: it imports nothing else of AegisPay.
"""

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from .balances import KNOWN_AS, Balances
from .cards import Card, StoredCredential
from .fields import (
    ONLY_THESE_NAMES,
    Amount,
    Country,
    Currency,
    Evidence,
    Id,
    IssuerCode,
    Key,
    Message,
    Metadata,
    Method,
    Moment,
    Page,
    PaymentMethod,
    PaymentMethods,
    RequestedAmount,
    Returned,
    StatementText,
    Text,
    Time,
    Token,
)

SENSITIVE: Final = "sensitive_data"
"""The error code for a message that holds a card number or a security code."""

OutcomeKind = Literal[
    "APPROVED",
    "DECLINED_SOFT",
    "DECLINED_HARD",
    "NOT_SENT",
    "UNREACHED",
    "ACTION_REQUIRED",
    "PENDING",
    "UNKNOWN",
    "PROVEN_ABSENT",
    "EXPIRED",
]
DisputeState = Literal["inquiry", "opened", "unclear", "won", "lost", "closed"]
"""The state of a dispute, and the money that the bank takes. `inquiry`: the bank only inquires, and takes
nothing. `opened`: it takes the amount until the end. `unclear`: it has ended, and the PSP does not report
how. `lost`: it keeps the amount. `won`, `closed` (of an inquiry): it takes nothing."""


class CreatePayment(Message):
    """Charges `amount_minor` to a PSP's payment token, captured at once or, with `manual`, authorized only.

    `expires_at`: AegisPay sends no call that moves money later than this.
    """

    type: Literal["create_payment.v1"] = "create_payment.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    idempotency_key: Key
    amount_minor: RequestedAmount = Field(
        description="In the currency's minor unit, an integer without a decimal point: 1099 is 10.99 USD, "
        "500 is 500 JPY."
    )
    currency: Currency
    capture: Literal["automatic", "manual"] = "automatic"
    payment_methods: PaymentMethods | None = Field(
        default=None,
        description="In place of payment_method: one token of the customer's for each PSP that may take the payment, by the "
        "PSP's name, such as stripe, and without that name before the token",
    )
    payment_method: PaymentMethod | None = Field(
        default=None,
        validate_default=True,
        description="A PSP's token, never a card number, behind the PSP's name: stripe:pm_…, adyen:<storedPaymentMethodId>, "
        "paypal:card:<vault id>, paypal:paypal:<vault id>, paypal:paypal (the payer agrees on PayPal's page), "
        "braintree:<nonce or vaulted id>, razorpay:<saved card's token>. Without a name it is one of the PSP of the "
        "merchant's first account. Required unless payment_methods is there.",
    )
    method: Method | None = Field(
        default=None, description="How the customer pays, such as card, wallet or bank. None: card"
    )
    card: Card | None = Field(default=None, description="What is known of the card, for routing")
    stored_credential: StoredCredential | None = None
    customer_id: Id | None = None
    country: Country | None = None
    description: Text | None = None
    statement_text: StatementText | None = Field(
        default=None,
        description="What the customer reads on the card's statement, beside the merchant's name",
    )
    return_page: Page | None = Field(
        default=None, description="The merchant's page for a customer who comes back from a challenge"
    )
    metadata: Metadata = Field(default_factory=dict)
    expires_at: Moment

    @field_validator("payment_method")
    @classmethod
    def _one_of_both(cls, token: str | None, info: ValidationInfo) -> str | None:
        if "payment_methods" not in info.data:
            return token  # it is at fault itself
        if token is None and info.data["payment_methods"] is None:
            raise PydanticKnownError("missing")
        if token is not None and info.data["payment_methods"] is not None:
            raise PydanticCustomError("both_given", "payment_methods is there too")
        return token


class CapturePayment(Message):
    """Captures what was authorized. `final`: releases what is then left."""

    type: Literal["capture_payment.v1"] = "capture_payment.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    amount_minor: RequestedAmount | None = Field(default=None, description="None: all that is left")
    final: bool = False


class VoidPayment(Message):
    """Releases what is authorized and not captured."""

    type: Literal["void_payment.v1"] = "void_payment.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id


class RefundPayment(Message):
    """Refunds what was captured."""

    type: Literal["refund_payment.v1"] = "refund_payment.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    amount_minor: RequestedAmount | None = Field(default=None, description="None: all that is left")
    reason: Text | None = None


class CompleteAction(Message):
    """Reports that the customer is back from a challenge or a redirect, so that the PSP is queried."""

    type: Literal["complete_action.v1"] = "complete_action.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    operation_id: Id | None = Field(default=None, description="None: the newest that sent the customer away")
    returned: dict[Id, Returned] = Field(
        default_factory=dict,
        max_length=5,
        json_schema_extra=ONLY_THESE_NAMES,
        description="What the PSP's page added to the address, as far as its adapter names it",
    )


class CancelPayment(Message):
    """Cancels the payment, so that nothing is taken; refused once anything was captured."""

    type: Literal["cancel_payment.v1"] = "cancel_payment.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id


class ResolvePayment(Message):
    """Records an operator's decision about an operation in doubt, or one whose reports contradict the
    record."""

    type: Literal["resolve_payment.v1"] = "resolve_payment.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    operation_id: Id
    decision: Literal["charged", "not_charged"] = Field(description="Whether the PSP executed the operation")
    amount_minor: RequestedAmount | None = Field(
        default=None,
        description="What the PSP executed, if it is not what was requested; with `charged` only",
    )
    psp_id: Token | None = Field(
        default=None,
        description="The PSP's id of the operation that is meant, if the PSP executed it twice; with `charged`, the id "
        "under which it was executed, if AegisPay knows none: later captures, voids and refunds need it",
    )
    evidence: Evidence
    who: Text


class ResolveDispute(Message):
    """Records an operator's decision on a dispute; a later report of the PSP replaces it."""

    type: Literal["resolve_dispute.v1"] = "resolve_dispute.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    dispute_id: Token
    decision: Literal["opened", "won", "lost", "closed"] = Field(
        description="Whether the dispute takes money: `opened` and `lost` do, `won` and `closed` do not"
    )
    amount_minor: Amount | None = Field(
        default=None,
        description="What the bank took, in the payment's currency; None: as the PSP reported, up to what is left",
    )
    evidence: Evidence
    who: Text


class ReviewPayment(Message):
    """Records a person's decision on a payment that a fraud hook holds."""

    type: Literal["review_payment.v1"] = "review_payment.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    decision: Literal["allow", "deny"] = Field(description="Whether to start the first attempt, or reject it")
    evidence: Evidence
    who: Text


class RetryStatusQuery(Message):
    """Queries the PSP now, ahead of the schedule."""

    type: Literal["retry_status_query.v1"] = "retry_status_query.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    operation_id: Id | None = Field(default=None, description="None: every operation without an outcome")


class Wake(Message):
    """Says that a payment's timer is due. The timers process sends it."""

    type: Literal["wake.v1"] = "wake.v1"
    command_id: UUID
    payment_id: UUID
    due_at: Time


class RetryParked(Message):
    """Retries a parked stream, with all that queued behind it. `aegispay parked retry` sends it."""

    type: Literal["retry_parked.v1"] = "retry_parked.v1"
    command_id: UUID
    payment_id: UUID


class Outcome(Message):
    """The findings about one step of one operation. Amounts are the PSP's, in our minor units."""

    kind: OutcomeKind
    psp_id: Token | None = None
    known_as: tuple[Token, ...] = Field(default=(), description=KNOWN_AS)
    amount_minor: Amount | None = None
    currency: Currency | None = None
    code: str | None = Field(default=None, max_length=100, description="The PSP's code, or ours")
    detail: str | None = Field(default=None, max_length=500)
    issuer_code: IssuerCode | None = Field(
        default=None,
        description="The card scheme's response code of a decline, such as 05, 51 or R1; PayPal's own in its place",
    )
    issuer_advice: IssuerCode | None = Field(
        default=None, description="The card scheme's advice on retries, such as Mastercard's 03"
    )
    hint: Literal["RETRY_WITH_3DS", "FIX_INPUT", "REFRESH_TOKEN", "CONFIG"] | None = None
    action_url: str | None = Field(default=None, max_length=2000)
    repeat_is_useless: bool = Field(
        default=False, description="The PSP replays this response for ever: only a query can tell."
    )
    unreached: bool = Field(
        default=False,
        description="The PSP could not be reached, or was unavailable as a whole and has done nothing, so the next try may "
        "succeed: it is no attempt. UNREACHED: the step stays open for that try; NOT_SENT: it is closed",
    )
    unlisted: bool = Field(
        default=False,
        description="The PSP's status or code stands in no table of the adapter: an operator should add it",
    )
    again_after_s: int | None = Field(
        default=None,
        ge=1,
        description="Refused for the moment: the same request may be sent again after so many seconds",
    )
    next_step: Literal["2", "3", "4"] | None = Field(
        default=None,
        description="The operation goes on with this step: with PENDING at once, with ACTION_REQUIRED when the customer "
        "is back, with UNKNOWN when a query shows that it may: a report of an operation that has ended is out of date",
    )
    balances: Balances | None = Field(
        default=None, description="Of the whole payment, as far as the PSP's object has it"
    )


class RecordOutcome(Message):
    """Reports the outcome of a step. A gateway worker sends it on `gateways.outcomes`, the inbox for a
    webhook.

    `tries` counts the claims for the step so far; `source` is where the outcome comes from: the call, a
    query, the claim's stored result, a webhook, or none if nothing was sent.
    """

    type: Literal["record_outcome.v1"] = "record_outcome.v1"
    command_id: UUID
    payment_id: UUID
    operation_id: Id
    step: Id
    gateway: Id
    account: Id
    outcome: Outcome
    source: Literal["call", "query", "stored", "webhook", "none"]
    tries: Annotated[int, Field(ge=0, le=2**31 - 1)]
    first_try_at: Time | None
    observed_at: Time
    call_ms: float | None = Field(default=None, description="From the first byte sent to the response, ms")
    signed_before: bool = Field(
        default=False,
        description="An earlier webhook has the same signed content: this one has another date, which the signature does "
        "not cover",
    )


class Dispute(Message):
    """A cardholder's dispute as the PSP reports it; the amount is in our minor units."""

    dispute_id: Token
    state: DisputeState
    amount_minor: Annotated[int, Field(strict=True, gt=0, le=2**53)]
    currency: Currency
    reason: str | None = Field(default=None, max_length=500)
    respond_by: Moment | None = Field(default=None, description="Until when the merchant may respond")


class RecordDispute(Message):
    """Reports how a cardholder's dispute of a charge stands. The inbox sends it on `gateways.outcomes`."""

    type: Literal["record_dispute.v1"] = "record_dispute.v1"
    command_id: UUID
    payment_id: UUID
    operation_id: Id
    dispute: Dispute
    reported_at: Time | None = Field(default=None, description="The PSP's clock: webhooks come out of order")
    observed_at: Time
    signed_before: bool = Field(
        default=False,
        description="An earlier webhook has the same signed content: this one has another date, which the signature does "
        "not cover",
    )


MerchantCommand = (
    CapturePayment
    | VoidPayment
    | RefundPayment
    | CompleteAction
    | CancelPayment
    | ResolvePayment
    | ResolveDispute
    | ReviewPayment
    | RetryStatusQuery
)
"""The commands that a merchant sends about a payment that exists."""
AnyCommand = CreatePayment | MerchantCommand | Wake | RetryParked
AnyReport = RecordOutcome | RecordDispute

Command = Annotated[AnyCommand, Field(discriminator="type")]
OutcomeMessage = Annotated[AnyReport, Field(discriminator="type")]


class InvalidMessage(ValueError):
    """A record that is no valid message. It holds no part of the payload but the path of the field at fault,
    and the command's id."""

    def __init__(self, code: str, path: str | None, detail: str, command_id: UUID | None = None) -> None:
        super().__init__(f"{code} at {path or 'the top'}: {detail}")
        self.code = code
        self.path = path
        self.detail = detail
        self.command_id = command_id


def dump(message: Message) -> bytes:
    """Returns a message as the JSON of a record's value."""
    return message.__pydantic_serializer__.to_json(message)
