"""The bodies of events, as the read models read them: only the fields that they use."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field

from aggregates.operation import Kind
from aggregates.status import Ended

# PostgreSQL's text and jsonb cannot hold NUL, which JSON can.
Text = Annotated[str, AfterValidator(lambda text: text.replace("\0", "\N{REPLACEMENT CHARACTER}"))]
BigInt = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
SmallInt = Annotated[int, Field(strict=True, ge=0, lt=2**31)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOn:
    """Fields of a payment's first event that go to its row as they are, and that no later event reads. A new
    one goes here, with a default, which events that were stored without it are read with."""

    customer_id: Text | None
    capture: Text
    country: Text | None
    description: Text | None
    statement_text: Text | None
    return_page: Text | None
    metadata: dict[Text, Text]
    command_id: UUID
    correlation_id: Text
    expires_at: AwareDatetime
    method: Text | None = None
    card: dict[Text, Text | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested(PassedOn):
    """The payment's first event."""

    timestamp: AwareDatetime
    merchant_id: Text
    amount_minor: BigInt
    currency: Text


@dataclass(frozen=True, slots=True)
class Rejected:
    """AegisPay refused the payment: nothing was sent to a PSP."""

    timestamp: AwareDatetime
    code: Text
    detail: Text


@dataclass(frozen=True, slots=True)
class Held:
    """A fraud hook holds the payment until a person decides."""

    timestamp: AwareDatetime
    reason: Text


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A person decided on a held payment."""

    timestamp: AwareDatetime


@dataclass(frozen=True, slots=True)
class ExperimentArm:
    """The arm that a payment was assigned to. `serves`: another one, since its own was stopped."""

    id: Text
    definition: Text
    arm: Text
    serves: Text | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that was considered. `fee_minor`: what the whole payment was expected to cost there, in its
    currency; None: unknown."""

    account: Text
    fee_minor: BigInt | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """How the router chose the account."""

    policy_version: SmallInt = 0
    accounts: tuple[Candidate, ...] = ()
    experiment: ExperimentArm | None = None


@dataclass(frozen=True, slots=True)
class OperationStarted:
    """An operation began. `action_until`: the end of the time that a customer has for a challenge."""

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
    duplicate_charge: bool
    retry_of: Text | None
    action_until: AwareDatetime | None
    authorization_life_s: SmallInt
    reason: Text
    expected_fee_minor: BigInt | None = None
    expected_fee_currency: Text | None = None
    decision: Choice | None = None


@dataclass(frozen=True, slots=True)
class ExternalMoveRecorded:
    """Someone else moved money of the payment at the PSP, in its dashboard say."""

    timestamp: AwareDatetime
    operation_id: Text
    kind: Kind
    ordinal: SmallInt
    target_operation_id: Text
    gateway: Text
    account: Text
    amount_minor: BigInt
    currency: Text
    psp_id: Text | None
    final: bool
    may_be_disputed: bool
    observed_at: AwareDatetime
    reason: Text


@dataclass(frozen=True, slots=True)
class ExternalMoveReversed:
    """The PSP took back an external move; `left_minor` of it still stands."""

    timestamp: AwareDatetime
    operation_id: Text
    left_minor: BigInt
    reason: Text


@dataclass(frozen=True, slots=True)
class OperationFollowUpRequested:
    """The PSP is sent a query, a repeat, a cancellation or the next step (`how`); `follow_up` counts them."""

    timestamp: AwareDatetime
    operation_id: Text
    follow_up: SmallInt
    how: Text


@dataclass(frozen=True, slots=True)
class OperationReported:
    """Any outcome of an operation; `OUTCOMES` has the state for its topic. `call_ms`: duration, ms."""

    timestamp: AwareDatetime
    operation_id: Text
    psp_id: Text | None
    amount_minor: BigInt | None
    code: Text | None
    detail: Text | None
    action_url: Text | None
    observed_at: AwareDatetime
    call_ms: float | None


@dataclass(frozen=True, slots=True)
class Contradicted:
    """A report contradicts the record. `late_approval`: of a charge taken as absent. `until`: see
    aggregates.contradiction.Until; named: `psp_id` is a second execution."""

    timestamp: AwareDatetime
    operation_id: Text
    psp_id: Text | None
    amount_minor: BigInt | None
    currency: Text | None
    reported: Text
    reason: Text
    late_approval: bool
    until: Text | None = None


@dataclass(frozen=True, slots=True)
class ContradictionSettled:
    """A later report ended a contradiction. `open_reason`: why the operation is contradicted all the same."""

    timestamp: AwareDatetime
    operation_id: Text
    open_reason: Text | None


@dataclass(frozen=True, slots=True)
class DuplicateChargeConfirmed:
    """The PSP charged the customer twice for the payment: this operation is the second charge."""

    timestamp: AwareDatetime
    operation_id: Text
    psp_id: Text | None
    amount_minor: BigInt


@dataclass(frozen=True, slots=True)
class Resolved:
    """An operator decided how an operation ended. `other_psp_id`: of a second execution."""

    timestamp: AwareDatetime
    operation_id: Text
    decision: Text
    amount_minor: BigInt
    approved_at: AwareDatetime | None
    other_psp_id: Text | None = None
    open_reason: Text | None = None
    psp_id: Text | None = None


@dataclass(frozen=True, slots=True)
class OperationIdentified:
    """The PSP named the id of an operation that an operator resolved without one."""

    timestamp: AwareDatetime
    operation_id: Text
    psp_id: Text


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """The operation was not executed and its next attempt follows at `retry_at`."""

    timestamp: AwareDatetime
    operation_id: Text
    retry_at: AwareDatetime
    reason: Text


@dataclass(frozen=True, slots=True)
class AccountAwaited:
    """No account can take the payment for now."""

    timestamp: AwareDatetime
    reason: Text


@dataclass(frozen=True, slots=True)
class AttemptsEnded:
    """No further attempt to charge follows."""

    timestamp: AwareDatetime
    ended: Ended
    reason: Text


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The merchant cancelled the payment; what is under way may still end otherwise."""

    timestamp: AwareDatetime


@dataclass(frozen=True, slots=True)
class AuthorizationExpired:
    """The authorization ended at the PSP before it was captured."""

    timestamp: AwareDatetime
    reason: Text


@dataclass(frozen=True, slots=True)
class Escalated:
    """An operation has been in doubt for so long that an operator has to look."""

    timestamp: AwareDatetime
    operation_id: Text
    since: AwareDatetime


@dataclass(frozen=True, slots=True)
class DisputeChanged:
    """The PSP reported a dispute's state, or an operator decided it. `who`: the operator; None: the PSP."""

    timestamp: AwareDatetime
    dispute_id: Text
    operation_id: Text
    state: Text
    amount_minor: BigInt
    currency: Text
    reason: Text | None
    respond_by: AwareDatetime | None
    reported_at: AwareDatetime
    observed_at: AwareDatetime
    who: Text | None = None


@dataclass(frozen=True, slots=True)
class RetriesEnded:
    """The retry that an operation waited for does not happen."""

    timestamp: AwareDatetime
    operation_id: Text


@dataclass(frozen=True, slots=True)
class Noted:
    """An event that is shown in the history and changes no row."""

    timestamp: AwareDatetime


@dataclass(frozen=True, slots=True)
class Other:
    """An event of a type that a newer release writes."""

    timestamp: AwareDatetime


Body = (
    Requested
    | Rejected
    | Held
    | Reviewed
    | OperationStarted
    | ExternalMoveRecorded
    | ExternalMoveReversed
    | OperationFollowUpRequested
    | OperationReported
    | Contradicted
    | ContradictionSettled
    | DuplicateChargeConfirmed
    | Resolved
    | OperationIdentified
    | RetryScheduled
    | AccountAwaited
    | AttemptsEnded
    | CancelRequested
    | AuthorizationExpired
    | Escalated
    | DisputeChanged
    | RetriesEnded
    | Noted
    | Other
)
