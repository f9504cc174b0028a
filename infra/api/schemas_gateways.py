"""Schemas of the responses about PSP accounts, for the OpenAPI document."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from aggregates.operation import Kind
from aggregates.routing.health import CircuitState

Rate = Annotated[float | None, Field(ge=0, le=1)]
Milliseconds = Annotated[float | None, Field(ge=0)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GatewayFigures(_Shape):
    """The last 100 transactions at an account, or of one of its segments."""

    transactions: int = Field(description="100 at most")
    approved: int
    declined: int = Field(description="By the issuer or the PSP")
    failed: int = Field(description="For a technical reason, without effect")
    unknown: int = Field(description="Nobody knows yet: a status query or a webhook will tell")
    approval_rate: Rate = Field(
        description="The approved share of those that were approved or declined; null: there are none. The "
        "strategy `success` judges by another one, which counts the failed too"
    )
    error_rate: Rate = Field(description="The share that failed; declines are none")
    unknown_rate: Rate
    p50_ms: Milliseconds
    p95_ms: Milliseconds
    p99_ms: Milliseconds
    score: float = Field(ge=0, le=1, description="docs/routing.md has the formula")
    errors: dict[str, int] = Field(description="How often each kind of error occurs among them")
    volume: int = Field(description="Transactions in the last hour")
    per_minute: float = Field(description="In the last 5 minutes")
    wins: float = Field(description="What the adaptive strategy holds for true since the last change")
    losses: float


class GatewaySegment(GatewayFigures):
    """The last 100 transactions of a segment: operation, method, currency and region."""

    segment: str = Field(examples=["sale/card/EUR/eea"])


class GatewayCircuit(_Shape):
    """The circuit of one kind of operation at an account."""

    kind: Kind
    state: CircuitState
    since: AwareDatetime
    until: AwareDatetime | None = Field(description="When an open one becomes half-open")
    reason: str
    probe_share: float = Field(ge=0, le=1, description="Of the payments that may probe a half-open one")


class Gateway(_Shape):
    """A PSP account of the merchant and its health."""

    account: str
    gateway: str
    health: Literal["known", "stale", "unknown"] = Field(
        description="stale: older than 30 s, which routing takes for no information"
    )
    as_of: AwareDatetime | None
    circuits: list[GatewayCircuit]
    figures: GatewayFigures | None = Field(description="Of the whole account; null: there was no call")
    segments: list[GatewaySegment]


class Gateways(_Shape):
    """The PSP accounts of the merchant, in the order of the settings."""

    gateways: list[Gateway]


class GatewayMinute(_Shape):
    """The transactions in one minute. Latencies are estimates, within 1 % of the ranks."""

    minute: AwareDatetime = Field(description="When it begins")
    approved: int
    declined: int
    failed: int
    unknown: int
    p50_ms: Milliseconds
    p95_ms: Milliseconds
    p99_ms: Milliseconds
    errors: dict[str, int]


class CircuitChanged(_Shape):
    """A change of a circuit and its reason."""

    at: AwareDatetime
    kind: Kind
    before: CircuitState
    after: CircuitState
    reason: str


class GatewayHistory(_Shape):
    """A page of the history of an account, the newest first."""

    account: str
    segment: str
    minutes: list[GatewayMinute]
    circuit_changes: list[CircuitChanged] = Field(
        description="In the time that the minutes span; on the last page, all before"
    )
    next_before: AwareDatetime | None = Field(description="`before` of the next page; null: this is the last")
