"""An event as the read models take it in, from the topic or from the store alike: only the fields that they use.

An event type that is not known here is `Other`: it moves a payment's version and nothing else.
"""

from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field, TypeAdapter, ValidationError

from aggregates import events
from aggregates.operation import Kind, OperationState
from aggregates.status import Ended
from commands.messages import InvalidMessage
from commands.records import Record

# PostgreSQL's text and jsonb cannot hold NUL, which JSON can.
Text = Annotated[str, AfterValidator(lambda text: text.replace("\0", "\N{REPLACEMENT CHARACTER}"))]
BigInt = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
SmallInt = Annotated[int, Field(strict=True, ge=0, lt=2**31)]


@dataclass(frozen=True, slots=True)
class Requested:
    timestamp: AwareDatetime
    command_id: UUID
    correlation_id: Text
    merchant_id: Text
    amount_minor: BigInt
    currency: Text
    capture: Text
    customer_id: Text | None
    country: Text | None
    description: Text | None
    statement_text: Text | None
    return_page: Text | None
    metadata: dict[Text, Text]
    expires_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class Rejected:
    timestamp: AwareDatetime
    code: Text
    detail: Text


@dataclass(frozen=True, slots=True)
class OperationStarted:
    timestamp: AwareDatetime
    operation_id: Text
    kind: Kind
    ordinal: SmallInt
    attempt: SmallInt
    gateway: Text
    account: Text
    amount_minor: BigInt
    currency: Text
    target_operation_id: Text | None
    final: bool
    extra: bool
    retry_of: Text | None
    action_until: AwareDatetime | None
    authorization_life_s: SmallInt
    because: Text


@dataclass(frozen=True, slots=True)
class OperationAsked:
    timestamp: AwareDatetime
    operation_id: Text
    ask: SmallInt
    how: Text


@dataclass(frozen=True, slots=True)
class OperationReported:
    """Any of the operation's outcomes; which one is the event's topic: see `OUTCOMES`."""

    timestamp: AwareDatetime
    operation_id: Text
    psp_id: Text | None
    amount_minor: BigInt | None
    code: Text | None
    action_url: Text | None
    observed_at: AwareDatetime
    call_ms: float | None


@dataclass(frozen=True, slots=True)
class Contradicted:
    timestamp: AwareDatetime
    operation_id: Text
    psp_id: Text | None
    amount_minor: BigInt | None
    currency: Text | None
    reported: Text
    why: Text
    late_charge: bool


@dataclass(frozen=True, slots=True)
class ExtraChargeConfirmed:
    timestamp: AwareDatetime
    operation_id: Text
    psp_id: Text | None
    amount_minor: BigInt


@dataclass(frozen=True, slots=True)
class Resolved:
    timestamp: AwareDatetime
    operation_id: Text
    decision: Text
    amount_minor: BigInt
    approved_at: AwareDatetime | None


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    timestamp: AwareDatetime
    operation_id: Text
    retry_at: AwareDatetime
    because: Text


@dataclass(frozen=True, slots=True)
class AttemptsEnded:
    timestamp: AwareDatetime
    ended: Ended
    because: Text


@dataclass(frozen=True, slots=True)
class CancelRequested:
    timestamp: AwareDatetime


@dataclass(frozen=True, slots=True)
class AuthorizationExpired:
    timestamp: AwareDatetime
    because: Text


@dataclass(frozen=True, slots=True)
class NeedsPerson:
    timestamp: AwareDatetime
    operation_id: Text


@dataclass(frozen=True, slots=True)
class DisputeChanged:
    timestamp: AwareDatetime
    dispute_id: Text
    operation_id: Text
    state: Text
    amount_minor: BigInt
    currency: Text
    reason: Text | None
    respond_by: AwareDatetime | None
    observed_at: AwareDatetime
    contradicts: Text | None


@dataclass(frozen=True, slots=True)
class Noted:
    """It stands in the history and changes no row."""

    timestamp: AwareDatetime


@dataclass(frozen=True, slots=True)
class Other:
    timestamp: AwareDatetime


Body = (
    Requested
    | Rejected
    | OperationStarted
    | OperationAsked
    | OperationReported
    | Contradicted
    | ExtraChargeConfirmed
    | Resolved
    | RetryScheduled
    | AttemptsEnded
    | CancelRequested
    | AuthorizationExpired
    | NeedsPerson
    | DisputeChanged
    | Noted
    | Other
)

_BODIES: dict[str, type[Body]] = {
    events.Requested.TOPIC: Requested,
    events.Rejected.TOPIC: Rejected,
    events.OperationStarted.TOPIC: OperationStarted,
    events.OperationAsked.TOPIC: OperationAsked,
    events.OperationConfirmed.TOPIC: Noted,
    events.Contradicted.TOPIC: Contradicted,
    events.ExtraChargeConfirmed.TOPIC: ExtraChargeConfirmed,
    events.Resolved.TOPIC: Resolved,
    events.RetryScheduled.TOPIC: RetryScheduled,
    events.AttemptsEnded.TOPIC: AttemptsEnded,
    events.RetriesEnded.TOPIC: Noted,
    events.CustomerReturned.TOPIC: Noted,
    events.CancelRequested.TOPIC: CancelRequested,
    events.AuthorizationExpiring.TOPIC: Noted,
    events.AuthorizationExpired.TOPIC: AuthorizationExpired,
    events.NeedsPerson.TOPIC: NeedsPerson,
    events.DisputeChanged.TOPIC: DisputeChanged,
}
OUTCOMES: Final[dict[str, OperationState]] = {event.TOPIC: event.state for event in events.OUTCOMES}
"""The state that an operation is in after an event with this topic."""
_BODIES |= dict.fromkeys(OUTCOMES, OperationReported)
_ADAPTERS: Final[dict[str, TypeAdapter[Body]]] = {topic: TypeAdapter(body) for topic, body in _BODIES.items()}
_OTHER: Final[TypeAdapter[Body]] = TypeAdapter(Other)


@dataclass(frozen=True, slots=True)
class Event:
    payment_id: str
    version: int
    topic: str
    body: Body


def from_store(payment_id: str, version: int, topic: str, state: bytes) -> Event:
    """Raises `InvalidMessage`."""
    return Event(payment_id, version, topic, _body(topic, state))


def from_record(record: Record) -> Event:
    """Raises `InvalidMessage` for what is not one of our events, in binary CloudEvents form."""
    payment_id, version = _ce_id(record.header("ce_id"))
    if record.key != payment_id.encode():
        raise InvalidMessage("key_wrong", None, "the record's key is not the payment's id")
    topic = record.header("ce_type")
    if topic is None:
        raise InvalidMessage("header_missing", "ce_type", "the header ce_type is required")
    if record.value is None:
        raise InvalidMessage("not_json", None, "the record has no value")
    return Event(payment_id, version, topic, _body(topic, record.value))


def _ce_id(ce_id: str | None) -> tuple[str, int]:
    payment_id, _, version = (ce_id or "").partition("/")
    try:
        if str(UUID(payment_id)) == payment_id and 0 < int(version) < 2**31:
            return payment_id, int(version)
    except ValueError:
        pass
    raise InvalidMessage("header_invalid", "ce_id", "the header ce_id is not <payment id>/<version>")


def _body(topic: str, raw: bytes) -> Body:
    try:
        return _ADAPTERS.get(topic, _OTHER).validate_json(raw)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(map(str, first["loc"][:1])) or None
        raise InvalidMessage("event_invalid", path, f"not valid here ({first['type']})") from None
