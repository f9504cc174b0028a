"""Events of a merchant's routing policy. They are a storage format: a field that has been stored stays.
`record` only records, since it runs again at every replay.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Final

from eventsourcing.domain import Aggregate
from eventsourcing.utils import register_topic

if TYPE_CHECKING:
    from aggregates.routing_policy import PolicyState


class PolicyEvent(Aggregate.Event):
    """The base of every event. `who`: changed the policy; `reason`: why, in that person's words."""

    TOPIC: ClassVar[str] = "routing_policy.event"
    who: str
    reason: str

    def apply(self, policy: "PolicyState") -> None:
        """Records the event. The library calls it, at each replay too."""
        self.record(policy)

    def record(self, policy: "PolicyState") -> None:
        """Changes the policy's state by the event's own fields. It must not check a rule: it runs at each
        replay."""
        raise NotImplementedError


class PolicyCreated(PolicyEvent, Aggregate.Created):
    """Base of the first event of a policy."""

    TOPIC: ClassVar[str] = "routing_policy.created"


class Opened(PolicyCreated):
    """The merchant has a policy from now on; the first draft follows."""

    TOPIC: ClassVar[str] = "routing_policy.opened.v1"
    merchant_id: str

    def record(self, policy: "PolicyState") -> None:
        """Names the merchant."""
        policy.merchant_id = self.merchant_id


class Drafted(PolicyEvent):
    """A new version, which nothing is routed by yet. `document`: the policy as it was written."""

    TOPIC: ClassVar[str] = "routing_policy.drafted.v1"
    number: int
    document: dict[str, Any]

    def record(self, policy: "PolicyState") -> None:
        """Adds the version."""
        policy.add(self.number, self.document, self.who, self.reason, self.timestamp)


class Activated(PolicyEvent):
    """The version routes the merchant's payments from now on."""

    TOPIC: ClassVar[str] = "routing_policy.activated.v1"
    number: int

    def record(self, policy: "PolicyState") -> None:
        """Makes it the active one."""
        policy.make_active(self.number, self.who, self.reason, self.timestamp)


class RolledBack(PolicyEvent):
    """A version that was active before is active again."""

    TOPIC: ClassVar[str] = "routing_policy.rolled_back.v1"
    number: int

    def record(self, policy: "PolicyState") -> None:
        """Makes it the active one."""
        policy.make_active(self.number, self.who, self.reason, self.timestamp)


class ArmStopped(PolicyEvent):
    """The arm gets no customers any more, in any version that has the experiment."""

    TOPIC: ClassVar[str] = "routing_policy.arm_stopped.v1"
    experiment: str
    arm: str

    def record(self, policy: "PolicyState") -> None:
        """Adds it to the stopped arms."""
        policy.stop(self.experiment, self.arm)


_EVENTS: Final[tuple[type[PolicyEvent], ...]] = (Opened, Drafted, Activated, RolledBack, ArmStopped)
POLICY_EVENTS: Final = {event.TOPIC: event for event in _EVENTS}
"""Every event that may stand in the table `policy_events`, by its stored topic."""
for _topic, _event in POLICY_EVENTS.items():
    register_topic(_topic, _event)
