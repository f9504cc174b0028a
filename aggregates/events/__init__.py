"""Events of a payment, one file for each subject. They are a storage format: a field that has been stored
stays. `record` only records, since it runs again at every replay.
"""

from typing import Final

from eventsourcing.utils import register_topic

from aggregates.events.attempts import AccountAwaited, AttemptsEnded, RetriesEnded, RetryScheduled
from aggregates.events.authorization import AuthorizationExpired, AuthorizationExpiring, AuthorizationLapsed
from aggregates.events.contradictions import Contradicted, ContradictionSettled
from aggregates.events.disputes import DisputeChanged, DisputeResolved
from aggregates.events.event import Created, Event
from aggregates.events.external_moves import ExternalMoveDeferred, ExternalMoveRecorded, ExternalMoveReversed
from aggregates.events.hooks import Held, HookDecided, Reviewed
from aggregates.events.merchant import CancelRequested, CustomerReturned, Rejected, Requested
from aggregates.events.outcomes import (
    OperationActionRequired,
    OperationApproved,
    OperationConfirmed,
    OperationDeclinedHard,
    OperationDeclinedSoft,
    OperationExpired,
    OperationIdentified,
    OperationNotSent,
    OperationPending,
    OperationProvenAbsent,
    OperationStatusReported,
    OperationUnknown,
    OperationUnreached,
    OutcomeReported,
    Reported,
)
from aggregates.events.requests import OperationFollowUpRequested, OperationStarted, Request
from aggregates.events.resolution import DuplicateChargeConfirmed, Escalated, Resolved

OUTCOMES: Final[tuple[type[OutcomeReported], ...]] = (
    OperationApproved,
    OperationDeclinedSoft,
    OperationDeclinedHard,
    OperationNotSent,
    OperationUnreached,
    OperationActionRequired,
    OperationPending,
    OperationUnknown,
    OperationProvenAbsent,
    OperationExpired,
)

_EVENTS: Final[tuple[type[Event], ...]] = (
    Requested,
    Rejected,
    HookDecided,
    Held,
    Reviewed,
    OperationStarted,
    OperationFollowUpRequested,
    *OUTCOMES,
    OperationStatusReported,
    OperationConfirmed,
    OperationIdentified,
    Contradicted,
    ContradictionSettled,
    DuplicateChargeConfirmed,
    Resolved,
    RetryScheduled,
    AccountAwaited,
    AttemptsEnded,
    RetriesEnded,
    CustomerReturned,
    CancelRequested,
    AuthorizationExpiring,
    AuthorizationLapsed,
    AuthorizationExpired,
    ExternalMoveRecorded,
    ExternalMoveDeferred,
    ExternalMoveReversed,
    Escalated,
    DisputeChanged,
    DisputeResolved,
)
EVENTS: Final = {event.TOPIC: event for event in _EVENTS}
"""Every event that may stand in the store, by its stored topic."""
for _topic, _event in EVENTS.items():
    register_topic(_topic, _event)

REQUEST_TOPICS: Final = frozenset({OperationStarted.TOPIC, OperationFollowUpRequested.TOPIC})
"""Events that are also requests to the gateway they name."""

__all__ = [
    "EVENTS",
    "OUTCOMES",
    "REQUEST_TOPICS",
    "AccountAwaited",
    "AttemptsEnded",
    "AuthorizationExpired",
    "AuthorizationExpiring",
    "AuthorizationLapsed",
    "CancelRequested",
    "Contradicted",
    "ContradictionSettled",
    "Created",
    "CustomerReturned",
    "DisputeChanged",
    "DisputeResolved",
    "DuplicateChargeConfirmed",
    "Escalated",
    "Event",
    "ExternalMoveDeferred",
    "ExternalMoveRecorded",
    "ExternalMoveReversed",
    "Held",
    "HookDecided",
    "OperationActionRequired",
    "OperationApproved",
    "OperationConfirmed",
    "OperationDeclinedHard",
    "OperationDeclinedSoft",
    "OperationExpired",
    "OperationFollowUpRequested",
    "OperationIdentified",
    "OperationNotSent",
    "OperationPending",
    "OperationProvenAbsent",
    "OperationStarted",
    "OperationStatusReported",
    "OperationUnknown",
    "OperationUnreached",
    "OutcomeReported",
    "Rejected",
    "Reported",
    "Request",
    "Requested",
    "Resolved",
    "RetriesEnded",
    "RetryScheduled",
    "Reviewed",
]
