"""Reads events for the read models, from the topic or the event store."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from aggregates import events
from aggregates.operation import OperationState
from commands import wording
from commands.messages import InvalidMessage
from commands.records import Record
from projections import bodies

_BODIES: dict[str, type[bodies.Body]] = {
    events.Requested.TOPIC: bodies.Requested,
    events.Rejected.TOPIC: bodies.Rejected,
    events.HookDecided.TOPIC: bodies.Noted,
    events.Held.TOPIC: bodies.Held,
    events.Reviewed.TOPIC: bodies.Reviewed,
    events.OperationStarted.TOPIC: bodies.OperationStarted,
    events.OperationFollowUpRequested.TOPIC: bodies.OperationFollowUpRequested,
    events.OperationStatusReported.TOPIC: bodies.Noted,
    events.OperationConfirmed.TOPIC: bodies.Noted,
    events.OperationIdentified.TOPIC: bodies.OperationIdentified,
    events.Contradicted.TOPIC: bodies.Contradicted,
    events.ContradictionSettled.TOPIC: bodies.ContradictionSettled,
    events.DuplicateChargeConfirmed.TOPIC: bodies.DuplicateChargeConfirmed,
    events.Resolved.TOPIC: bodies.Resolved,
    events.RetryScheduled.TOPIC: bodies.RetryScheduled,
    events.AccountAwaited.TOPIC: bodies.AccountAwaited,
    events.AttemptsEnded.TOPIC: bodies.AttemptsEnded,
    events.RetriesEnded.TOPIC: bodies.RetriesEnded,
    events.ExternalMoveRecorded.TOPIC: bodies.ExternalMoveRecorded,
    events.ExternalMoveDeferred.TOPIC: bodies.Noted,
    events.ExternalMoveReversed.TOPIC: bodies.ExternalMoveReversed,
    events.CustomerReturned.TOPIC: bodies.Noted,
    events.CancelRequested.TOPIC: bodies.CancelRequested,
    events.AuthorizationExpiring.TOPIC: bodies.Noted,
    events.AuthorizationLapsed.TOPIC: bodies.Noted,
    events.AuthorizationExpired.TOPIC: bodies.AuthorizationExpired,
    events.Escalated.TOPIC: bodies.Escalated,
    events.DisputeChanged.TOPIC: bodies.DisputeChanged,
    events.DisputeResolved.TOPIC: bodies.DisputeChanged,
}
OUTCOMES: Final[dict[str, OperationState]] = {event.TOPIC: event.state for event in events.OUTCOMES}
"""The state that an operation is in after an event with this topic."""
_BODIES |= dict.fromkeys(OUTCOMES, bodies.OperationReported)
_ADAPTERS: Final[dict[str, TypeAdapter[bodies.Body]]] = {
    topic: TypeAdapter(body) for topic, body in _BODIES.items()
}
_OTHER: Final[TypeAdapter[bodies.Body]] = TypeAdapter(bodies.Other)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a payment; `version` counts from 1, `topic` is the event's type."""

    payment_id: str
    version: int
    topic: str
    body: bodies.Body


def from_store(payment_id: str, version: int, topic: str, state: bytes) -> Event:
    """Reads an event as the event store has it. Raises `InvalidMessage`."""
    return Event(payment_id, version, topic, _body(topic, state))


def from_record(record: Record) -> Event:
    """Reads an event in binary CloudEvents form. Raises `InvalidMessage` for any other record."""
    content = record.content()
    payment_id, version = _ce_id(record.header("ce_id"))
    if record.key != payment_id.encode():
        raise InvalidMessage("key_wrong", None, "the record's key is not the payment's id")
    topic = record.header("ce_type")
    if topic is None:
        raise InvalidMessage("header_missing", "ce_type", "the header ce_type is required")
    if record.value is None:
        raise InvalidMessage("not_json", None, "the record has no value")
    return Event(payment_id, version, topic, _body(topic, content))


def _ce_id(ce_id: str | None) -> tuple[str, int]:
    payment_id, _, version = (ce_id or "").partition("/")
    try:
        if str(UUID(payment_id)) == payment_id and 0 < int(version) < 2**31:
            return payment_id, int(version)
    except ValueError:
        pass
    raise InvalidMessage("header_invalid", "ce_id", "the header ce_id is not <payment id>/<version>")


def _body(topic: str, raw: bytes) -> bodies.Body:
    try:
        return _ADAPTERS.get(topic, _OTHER).validate_json(raw)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        path = ".".join(map(str, first["loc"][:1])) or None
        raise InvalidMessage("event_invalid", path, wording.sentence(first)) from None
