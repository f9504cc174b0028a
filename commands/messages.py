"""What travels on `payments.commands`, `gateways.outcomes` and `payments.replies`: JSON, one message a record.

The record's key is the payment's id as text. Nothing here imports the rest of AegisPay: the producers' client
is cut from this file. No message may carry a card number or a security code; `parse` refuses those that do.
"""

import hashlib
import re
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid5

import orjson
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from .sensitive import printable, sensitive_path

MESSAGE_BYTES_MAX: Final = 64 * 1024
_PAYMENTS: Final = UUID("6f9c2d0e-6f1b-5c0e-9d8a-3f2b7a514e11")

Id = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
Key = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]
Token = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9._:|/+=-]+$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
StatementText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=22, pattern=r"^[A-Za-z0-9 .,_+-]*[A-Za-z][A-Za-z0-9 .,_+-]*$"),
]
Page = Annotated[
    str,
    StringConstraints(
        max_length=500,
        pattern=r"^(https://|http://(127\.0\.0\.1|localhost)[:/])[A-Za-z0-9.:_~/?&=%#+,;@!-]+$",
    ),
]
Returned = Annotated[str, StringConstraints(max_length=8000, pattern=r"^[\x20-\x7e]*$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Amount = Annotated[int, Field(strict=True, ge=-(2**53), le=2**53)]
# Of this century: PostgreSQL and Python disagree about the years at the ends.
Moment = Annotated[
    AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2100, 1, 1, tzinfo=UTC))
]

OutcomeKind = Literal[
    "APPROVED",
    "DECLINED_SOFT",
    "DECLINED_HARD",
    "NOT_SENT",
    "ACTION_REQUIRED",
    "PENDING",
    "UNKNOWN",
    "PROVEN_ABSENT",
    "EXPIRED",
]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredCredential(_Message):
    """For a card that is, or was, kept for later payments."""

    use: Literal["store", "reuse"]
    initiator: Literal["customer", "merchant"]
    customer_token: Token | None = Field(default=None, description="The customer's id at the PSP")


class CreatePayment(_Message):
    """Take `amount_minor` from a PSP's payment token, captured at once or, with `manual`, authorized only.

    `expires_at`: no call that moves money is sent later than this.
    """

    type: Literal["create_payment.v1"] = "create_payment.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    idempotency_key: Key
    amount_minor: Amount = Field(
        description="In the currency's minor unit: 1099 is 10.99 USD, 500 is 500 JPY."
    )
    currency: Currency
    capture: Literal["automatic", "manual"] = "automatic"
    payment_method: Token = Field(description="A PSP's token. Never a card number.")
    stored_credential: StoredCredential | None = None
    customer_id: Id | None = None
    country: Country | None = None
    description: Text | None = None
    statement_text: StatementText | None = Field(
        default=None, description="What the customer reads on the card's statement, beside the shop's name"
    )
    return_page: Page | None = Field(
        default=None, description="The shop's page for a customer who comes back from a challenge"
    )
    metadata: dict[Id, Text] = Field(default_factory=dict, max_length=20)
    expires_at: Moment


class CapturePayment(_Message):
    """Capture what was authorized. `final`: what is left after it is released."""

    type: Literal["capture_payment.v1"] = "capture_payment.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    amount_minor: Amount | None = Field(default=None, description="None: all that is left")
    final: bool = False


class VoidPayment(_Message):
    """Release what is authorized and not captured."""

    type: Literal["void_payment.v1"] = "void_payment.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id


class RefundPayment(_Message):
    """Give back what was captured."""

    type: Literal["refund_payment.v1"] = "refund_payment.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    amount_minor: Amount | None = Field(default=None, description="None: all that is left")
    reason: Text | None = None


class CompleteAction(_Message):
    """The customer came back from a challenge or a redirect."""

    type: Literal["complete_action.v1"] = "complete_action.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    operation_id: Id | None = Field(default=None, description="None: the newest that sent the customer away")
    returned: dict[Id, Returned] = Field(
        default_factory=dict,
        max_length=5,
        description="What the PSP's page added to the address, as far as its adapter names it",
    )


class CancelPayment(_Message):
    """Nothing is to be taken: refused once something was captured."""

    type: Literal["cancel_payment.v1"] = "cancel_payment.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id


class ResolvePayment(_Message):
    """A person's decision about an operation in doubt, or one whose reports contradict the record."""

    type: Literal["resolve_payment.v1"] = "resolve_payment.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    operation_id: Id
    decision: Literal["charged", "not_charged"] = Field(
        description="Whether the operation was executed at the PSP"
    )
    amount_minor: Amount | None = Field(
        default=None, description="What the PSP executed, where it is not what was asked for"
    )
    evidence: Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00-\x08\x7f]+$")]
    who: Text


class RetryStatusQuery(_Message):
    """Ask the PSP now, without waiting for the schedule."""

    type: Literal["retry_status_query.v1"] = "retry_status_query.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    operation_id: Id | None = Field(default=None, description="None: every operation without an outcome")


class Wake(_Message):
    """A payment's timer is due. Sent by the timers process."""

    type: Literal["wake.v1"] = "wake.v1"
    command_id: UUID
    payment_id: UUID
    due_at: AwareDatetime


class RetryParked(_Message):
    """Try a parked stream again, with all that queued behind it. Sent by `aegispay parked retry`."""

    type: Literal["retry_parked.v1"] = "retry_parked.v1"
    command_id: UUID
    payment_id: UUID


class Outcome(_Message):
    """What is known of one step of one operation. Amounts are what the PSP says, in our minor units."""

    kind: OutcomeKind
    psp_id: Token | None = None
    amount_minor: Amount | None = None
    currency: Currency | None = None
    code: str | None = Field(default=None, max_length=100, description="The PSP's code, or ours")
    detail: str | None = Field(default=None, max_length=500)
    hint: Literal["RETRY_WITH_3DS", "FIX_INPUT", "REFRESH_TOKEN", "CONFIG"] | None = None
    action_url: str | None = Field(default=None, max_length=2000)
    repeat_is_useless: bool = Field(
        default=False, description="The PSP replays this answer for ever: only a query can tell."
    )
    unlisted: bool = Field(
        default=False,
        description="The PSP's status or code stands in no table of the adapter: a person should add it",
    )
    next_step: Literal["2", "3", "4"] | None = Field(
        default=None,
        description="The operation goes on with this step: with PENDING at once, with ACTION_REQUIRED when the customer "
        "is back",
    )


class RecordOutcome(_Message):
    """A gateway worker reports. Sent on `gateways.outcomes`.

    `tries` counts the claims for the step so far; `source` is where the outcome comes from: the call, a query,
    the claim's stored answer, a webhook, or none where nothing was sent.
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
    first_try_at: AwareDatetime | None
    observed_at: AwareDatetime
    call_ms: float | None = Field(
        default=None, description="Time of the PSP's answer, from the first byte sent, ms"
    )


class RecordDispute(_Message):
    """The PSP says that the cardholder disputes a charge. Sent on `gateways.outcomes`."""

    type: Literal["record_dispute.v1"] = "record_dispute.v1"
    command_id: UUID
    payment_id: UUID
    operation_id: Id
    dispute_id: Token
    state: Literal["opened", "won", "lost"]
    amount_minor: Annotated[int, Field(strict=True, gt=0, le=2**53)]
    currency: Currency
    reason: str | None = Field(default=None, max_length=100)
    respond_by: AwareDatetime | None = None
    observed_at: AwareDatetime


MerchantCommand = (
    CapturePayment
    | VoidPayment
    | RefundPayment
    | CompleteAction
    | CancelPayment
    | ResolvePayment
    | RetryStatusQuery
)
"""What a merchant asks of a payment that exists."""
AnyCommand = CreatePayment | MerchantCommand | Wake | RetryParked
AnyReport = RecordOutcome | RecordDispute

Command = Annotated[AnyCommand, Field(discriminator="type")]
OutcomeMessage = Annotated[AnyReport, Field(discriminator="type")]


class Reply(_Message):
    """On `payments.replies`, to the one who sent `command_id`.

    `answer`: the command was decided; a repeat of the command gets the same result again, beside the present
    state. `update`: the payment that this command created has come to rest in another status since, or the operation
    that it started has ended.
    """

    type: Literal["reply.v1"] = "reply.v1"
    kind: Literal["answer", "update"]
    command_id: UUID
    payment_id: UUID | None
    result: Literal["accepted", "refused"]
    code: str | None = Field(default=None, description="Why it was refused, e.g. idempotency_mismatch")
    detail: str | None = None
    path: str | None = Field(default=None, description="The field at fault, dotted")
    amounts: dict[str, int] | None = Field(
        default=None, description="Of a refusal, minor units: what was asked for, what stands, what is left"
    )
    operation_id: str | None = Field(default=None, description="What the command started, if anything")
    operation_state: str | None = Field(default=None, description="How that stands")
    status: str | None = Field(default=None, description="The payment's status when this was sent")
    version: int | None = Field(default=None, description="The payment's version when this was sent")
    correlation_id: str | None = None
    fingerprint: str | None = Field(
        default=None,
        description="Of what was asked for, where a command about a payment is answered: two with one command_id "
        "and other content have each an answer",
    )


class InvalidMessage(ValueError):
    """A record that is no valid message. Holds no part of the payload but the path of the field at fault."""

    def __init__(self, code: str, path: str | None, detail: str, command_id: UUID | None = None) -> None:
        super().__init__(f"{code} at {path or 'the top'}: {detail}")
        self.code = code
        self.path = path
        self.detail = detail
        self.command_id = command_id

    @property
    def sensitive(self) -> bool:
        """The payload may hold a card number: not even its hash may be kept."""
        return self.code == "sensitive_data"


def payment_id(merchant_id: str, idempotency_key: str) -> UUID:
    """The id that this key of this merchant always gives: uuid5 over the JSON array of both, without spaces."""
    return uuid5(_PAYMENTS, orjson.dumps([merchant_id, idempotency_key]).decode())


def command_id(merchant_id: str, payment: UUID, key: str, kind: str) -> UUID:
    """The id that this key always gives to a command of this kind (`type` without its version) about this payment:
    a repeat has the same one, and is known by it. Raises `InvalidMessage`."""
    if not re.fullmatch(r"[\x21-\x7e]{1,128}", key):
        text = "1 to 128 printable characters without spaces"
        raise InvalidMessage("field_invalid", "idempotency_key", text)
    # A hash of it would give it away.
    if sensitive_path({"idempotency_key": key}) is not None:
        raise InvalidMessage("sensitive_data", "idempotency_key", "looks like a card number")
    return uuid5(_PAYMENTS, orjson.dumps([merchant_id, str(payment), key, kind]).decode())


def fingerprint(command: CreatePayment | MerchantCommand) -> str:
    """Of what was asked for: the whole depth, but not when it expires nor which command asked. Hex SHA-256."""
    content = command.model_dump(mode="json", exclude={"command_id", "expires_at"})
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def dump(message: _Message) -> bytes:
    return message.__pydantic_serializer__.to_json(message)


@cache
def _adapter(topic: Literal["commands", "outcomes", "replies"]) -> TypeAdapter[Any]:
    kinds: dict[str, Any] = {"commands": Command, "outcomes": OutcomeMessage, "replies": Reply}
    return TypeAdapter(kinds[topic])


def parse_command(raw: bytes) -> AnyCommand:
    """Raises `InvalidMessage`."""
    message: AnyCommand = _parse(raw, "commands")
    return message


def parse_outcome(raw: bytes) -> AnyReport:
    """Raises `InvalidMessage`."""
    message: AnyReport = _parse(raw, "outcomes")
    return message


def parse_reply(raw: bytes) -> Reply:
    """Raises `InvalidMessage`."""
    message: Reply = _parse(raw, "replies")
    return message


def _parse(raw: bytes, topic: Literal["commands", "outcomes", "replies"]) -> Any:
    if len(raw) > MESSAGE_BYTES_MAX:
        raise InvalidMessage("message_too_large", None, f"a message has at most {MESSAGE_BYTES_MAX} bytes")
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise InvalidMessage("not_json", None, "the record's value is not JSON in UTF-8") from None
    if not isinstance(content, dict):
        raise InvalidMessage("not_an_object", None, "the record's value is not a JSON object")
    command_id = _command_id(content)
    # Outcomes come from our own gateway workers, which scrub what a PSP says; refusing one would lose it.
    if topic == "commands" and (path := sensitive_path(content)) is not None:
        detail = "looks like a card number or a security code: send a PSP's token instead"
        raise InvalidMessage("sensitive_data", path, detail, command_id)
    try:
        return _adapter(topic).validate_json(raw)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidMessage(*_explain(first["type"], first["loc"]), command_id) from None


def _command_id(content: dict[str, Any]) -> UUID | None:
    try:
        return UUID(content["command_id"])
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


_CODES: Final = {
    "missing": ("field_missing", "this field is required"),
    "extra_forbidden": ("field_unknown", "there is no such field"),
    "union_tag_invalid": ("type_unknown", "no message has this type and version"),
    "union_tag_not_found": ("type_missing", "the field type is required"),
}


def _explain(kind: str, loc: tuple[int | str, ...]) -> tuple[str, str, str]:
    # Pydantic puts the union's tag in front of the field's own path.
    path = ".".join(printable(str(part)) for part in loc if not re.fullmatch(r"[a-z_]+\.v\d+", str(part)))
    code, detail = _CODES.get(kind, ("field_invalid", f"not valid here ({kind})"))
    return code, path or "type", detail
