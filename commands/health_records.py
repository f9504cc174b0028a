"""Health records on the compacted `gateways.health`, and what `gateways.history` keeps of them. The record's
key is the account.

Invariant: a reader of an older version can use a newer record; it ignores what it does not know.
"""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from aggregates.operation import Kind
from aggregates.routing.health import WINDOW, AccountHealth, Circuit, CircuitState, SegmentHealth
from commands.fields import Id, Moment
from commands.internal_record import InternalRecord
from commands.samples import ErrorKind, Segment

_LEAST: Final = 1e-6

SEGMENTS_READ_MAX: Final = 256
"""The segments that a reader takes: twice what the health worker keeps, which it may pass for a moment after
a rebalance, and some. A record with more is skipped."""
ERRORS_READ_MAX: Final = WINDOW
"""The kinds of errors of one segment that a reader takes: a window has no more."""


def _not_tiny(value: float) -> float:
    """Returns 0 for less than a millionth: PostgreSQL's `real` does not take the smallest of Python's."""
    return 0.0 if value < _LEAST else value


Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""As large as PostgreSQL's `integer`."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False), AfterValidator(_not_tiny)]
Outcomes = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False), AfterValidator(_not_tiny)]
Errors = Annotated[dict[ErrorKind, Count], Field(max_length=ERRORS_READ_MAX)]
Reason = Annotated[str, Field(max_length=300, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""It stands in decisions, and so in events, and in a table: without a bound it would stop both."""


class CircuitRecord(InternalRecord):
    """A circuit. `since`: of this state. `until`: when an open one becomes half-open; None: it is not open.
    `probe_share`: of the payments that may probe a half-open one."""

    state: CircuitState
    since: Moment
    until: Moment | None = None
    reason: Reason
    probe_share: Share = 0.0


class SegmentRecord(InternalRecord):
    """The figures of one segment: the counts, errors, latencies and score of its last 100 transactions.
    `errors`: how often each kind of error occurs among them, the most frequent kinds; the rest as `other`.
    `volume`: transactions in the last hour.
    `per_minute`: in the last 5 minutes. `wins`, `losses`: of the adaptive strategy's arm."""

    approved: Count = 0
    declined: Count = 0
    failed: Count = 0
    unknown: Count = 0
    p50_ms: Milliseconds | None = None
    p95_ms: Milliseconds | None = None
    p99_ms: Milliseconds | None = None
    score: Share = 1.0
    errors: Errors = Field(default_factory=dict)
    volume: Count = 0
    per_minute: Milliseconds = 0.0
    wins: Outcomes = 0.0
    losses: Outcomes = 0.0


class HealthRecord(InternalRecord):
    """What is known of one account at `as_of`. `circuits`: by kind of operation. `segments`: by name, the
    whole account under the empty one."""

    type: Literal["gateway_health.v1"] = "gateway_health.v1"
    gateway: Id
    account: Id
    as_of: Moment
    circuits: dict[Kind, CircuitRecord] = Field(default_factory=dict)
    segments: Annotated[dict[Segment, SegmentRecord], Field(max_length=SEGMENTS_READ_MAX)] = Field(
        default_factory=dict
    )

    def health(self) -> AccountHealth:
        """Returns what a decision sees of the record."""
        return AccountHealth(
            self.account,
            self.as_of,
            {
                kind: Circuit(circuit.state, circuit.since, circuit.reason, circuit.probe_share)
                for kind, circuit in self.circuits.items()
            },
            {
                name: SegmentHealth(
                    approved=segment.approved,
                    declined=segment.declined,
                    failed=segment.failed,
                    unknown=segment.unknown,
                    p50_ms=segment.p50_ms,
                    p95_ms=segment.p95_ms,
                    p99_ms=segment.p99_ms,
                    score=segment.score,
                    wins=segment.wins,
                    losses=segment.losses,
                )
                for name, segment in self.segments.items()
            },
        )


class MinuteFigures(InternalRecord):
    """The transactions of one segment in one minute: counts, latencies (within 1 %), and the kinds of
    errors."""

    approved: Count = 0
    declined: Count = 0
    failed: Count = 0
    unknown: Count = 0
    p50_ms: Milliseconds | None = None
    p95_ms: Milliseconds | None = None
    p99_ms: Milliseconds | None = None
    errors: Errors = Field(default_factory=dict)


class MinuteRecord(InternalRecord):
    """The minute of an account that begins at `minute`. A later record of the same minute replaces an
    earlier one."""

    type: Literal["gateway_minute.v1"] = "gateway_minute.v1"
    gateway: Id
    account: Id
    minute: Moment
    segments: Annotated[dict[Segment, MinuteFigures], Field(max_length=SEGMENTS_READ_MAX)]


class CircuitChange(InternalRecord):
    """A circuit has changed from one state to another at `at`, and why. It may come twice."""

    type: Literal["circuit_changed.v1"] = "circuit_changed.v1"
    gateway: Id
    account: Id
    kind: Kind
    before: CircuitState
    after: CircuitState
    at: Moment
    reason: Reason
