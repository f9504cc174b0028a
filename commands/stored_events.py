"""Reads and writes events as the tables of events hold them: the event's own fields as a JSON object, under
its class's TOPIC."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from eventsourcing.domain import Aggregate, DomainEventProtocol
from eventsourcing.persistence import Mapper, StoredEvent, Transcoder

from aggregates.events import EVENTS
from aggregates.payment import Payment
from aggregates.policy_events import POLICY_EVENTS
from aggregates.routing_policy import RoutingPolicy


class UnknownEvent(ValueError):
    """Raised when no registered class has the stored topic. A row never makes us import anything."""


class _Json(Transcoder):
    def encode(self, obj: Any) -> bytes:
        return orjson.dumps(obj)

    def decode(self, data: bytes) -> Any:
        return orjson.loads(data)


class EventMapper(Mapper[UUID]):
    """Maps the events of one kind of aggregate. The relay puts a payment's on Kafka unchanged."""

    def __init__(
        self,
        events: Mapping[str, type[DomainEventProtocol[UUID]]] = EVENTS,
        aggregate_topic: str = Payment.TOPIC,
    ) -> None:
        """`events`: by their topics. `aggregate_topic`: of the aggregate that they belong to."""
        super().__init__(_Json())
        self._events = events
        self._aggregate_topic = aggregate_topic

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Writes an event as JSON, under its class's TOPIC."""
        state = dict(vars(domain_event))
        originator_id, version = state.pop("originator_id"), state.pop("originator_version")
        state.pop("originator_topic", None)
        topic = type(domain_event).TOPIC  # type: ignore[attr-defined]
        return StoredEvent(originator_id, version, topic, orjson.dumps(state))

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Reads a stored event. Raises `UnknownEvent` for a topic that no class of this release has."""
        kind = self._events.get(stored_event.topic)
        if kind is None:
            raise UnknownEvent(f"no event of this release is stored as {stored_event.topic}")
        state = orjson.loads(stored_event.state)
        state["timestamp"] = datetime.fromisoformat(state["timestamp"])
        state["originator_id"] = stored_event.originator_id
        state["originator_version"] = stored_event.originator_version
        if issubclass(kind, Aggregate.Created):
            state["originator_topic"] = self._aggregate_topic
        # The library's own mapper makes events so (eventsourcing 9.5.6): a stored fact is not validated
        # again, and a rule that is tightened later leaves old streams readable.
        event = object.__new__(kind)
        event.__dict__.update(state)
        return event


POLICY_MAPPER = EventMapper(POLICY_EVENTS, RoutingPolicy.TOPIC)
"""Maps the events of routing policies."""


def replayed(stored: Iterable[StoredEvent], *, gaps: bool = False) -> RoutingPolicy:
    """Returns a routing policy as its events, one at least, left it. `gaps`: events may be missing, but not
    the first. Raises `UnknownEvent`."""
    policy: RoutingPolicy | None = None
    for one in stored:
        if gaps and policy is not None:
            # The library takes none but the next event.
            policy.version = one.originator_version - 1
        policy = POLICY_MAPPER.to_domain_event(one).mutate(policy)  # type: ignore[attr-defined]
    assert policy is not None, "a stream has an event"
    return policy
