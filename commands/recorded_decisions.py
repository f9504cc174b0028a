"""The router's decisions as a payment's events recorded them, made again by the recorded or another policy.

Invariant: nothing is made up. What the record does not hold, such as the figures of a PSP account of which
nothing was known, stays unknown when the decision is made again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson
from eventsourcing.persistence import StoredEvent

from aggregates.events import (
    AccountAwaited,
    AttemptsEnded,
    HookDecided,
    OperationStarted,
    Rejected,
    RetryScheduled,
)
from aggregates.payment import Payment
from aggregates.routing.choice import Situation, choose
from aggregates.routing.explain import situation_of
from aggregates.routing.facts import PaymentFacts
from aggregates.routing.payment_facts import payment_facts
from aggregates.routing.rules import ReadyPolicy
from commands.stored_events import EventMapper

DECIDED: Final = (OperationStarted, AccountAwaited, RetryScheduled, AttemptsEnded, Rejected)
"""The events that may have a decision."""


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """A decision. `version`: of the event that has it. `operation_id`: what it started; None: it started
    nothing, or not yet. `record`: see `routing.choice.Decision.record`. `hooks`: the verdicts of the routing
    hooks, whose wishes together are the record's hints."""

    version: int
    at: datetime
    operation_id: str | None
    facts: PaymentFacts
    record: Mapping[str, Any]
    hooks: tuple[HookDecided, ...] = ()

    @property
    def policy_version(self) -> int:
        """The version of the policy that was active then; 0: the merchant had none."""
        return int(self.record["policy_version"])

    def again(self, policy: ReadyPolicy) -> Mapping[str, Any]:
        """Returns the record of the same decision, made by `policy`, which is the version that it was made
        by."""
        made: Mapping[str, Any] = _as_stored(choose(self._situation(policy)).record())
        return made

    def under(self, policy: ReadyPolicy, order: Sequence[str]) -> str | None:
        """Returns the account that another policy chooses from what was known then; None: it leaves none.
        `order`: of the settings' accounts, which the record does not have; those it does not name stay as the
        record has them."""
        situation = self._situation(policy)
        places = {name: place for place, name in enumerate(order)}
        candidates = sorted(situation.candidates, key=lambda one: places.get(one.account, len(places)))
        return choose(replace(situation, candidates=candidates)).account

    def _situation(self, policy: ReadyPolicy) -> Situation:
        return situation_of(self.record, self.facts, policy, self.at)


def recorded_decisions(stored: Iterable[StoredEvent]) -> Iterator[RecordedDecision]:
    """Yields the decisions of a payment, oldest first. `stored`: all its events. Raises `UnknownEvent`."""
    mapper, payment = EventMapper(), None
    hooks: tuple[HookDecided, ...] = ()
    for one in stored:
        event = mapper.to_domain_event(one)
        payment = event.mutate(payment)  # type: ignore[attr-defined]
        assert isinstance(payment, Payment)
        if isinstance(event, HookDecided) and event.kind == "routing":
            hooks += (event,)
        if isinstance(event, DECIDED) and event.decision is not None:
            yield RecordedDecision(
                version=one.originator_version,
                at=event.timestamp,
                operation_id=event.operation_id if isinstance(event, OperationStarted) else None,
                facts=payment_facts(payment, int(event.decision["attempt"])),
                record=event.decision,
                hooks=hooks,
            )


def _as_stored(record: Any) -> Any:
    """Tuples are lists in the store, and numbers have JSON's form."""
    return orjson.loads(orjson.dumps(record))
