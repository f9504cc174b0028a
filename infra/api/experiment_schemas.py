"""Schemas of the route about experiments, for the OpenAPI document."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Difference(_Shape):
    """An arm minus the control. The interval holds at every look; all arms' together miss the truth in at
    most 5 % of experiments."""

    estimate: float
    lower: float
    upper: float


class SampleRatio(_Shape):
    """Whether the customers are divided as the shares say."""

    sound: bool = Field(description="If not, no figure can be trusted, and there is no winner")
    evidence: float = Field(
        description="For another division than the declared one: 100 and more is not sound"
    )


class ExperimentArmReport(_Shape):
    """The first attempts of the payments of one arm."""

    arm: str
    share: float = Field(description="Of the customers, in [0, 1]")
    stopped: bool = Field(description="By its guardrail or by a person: it gets no payments")
    assigned: int
    customers: int = Field(description="A payment without a customer counts as one of its own")
    approved: int
    declined: int
    failed: int = Field(description="For a technical reason. They count as not approved")
    pending: int = Field(description="Nobody knows yet how they ended. They are in no rate")
    approval_rate: float | None = Field(description="In [0, 1]; null: no payment has an outcome")
    approval_difference: Difference | None = Field(description="As a share; null: this arm is the control")
    cost_ppm: float | None = Field(
        description="The mean expected fee of approved payments, in millionths of the amount; null: no fee is known"
    )
    cost_difference_ppm: Difference | None = Field(
        description="null: this arm is the control, or fewer than 100 customers of either have a known fee"
    )
    latency_ms: float | None = Field(description="The mean duration of the last call, ms")


class ExperimentReport(_Shape):
    """What an experiment shows by now."""

    experiment_id: str
    policy_version: int = Field(description="The newest version that has it; only its division is counted")
    running: bool = Field(description="That version is the active one")
    control: str
    metric: Literal["approval", "cost"] = Field(description="What the winner is decided on")
    guardrail: float = Field(
        description="An arm is stopped when its approval rate is surely lower by more, as a share"
    )
    outcome: Literal["winner", "none_yet", "ratio_broken"]
    winner: str | None
    words: str = Field(description="The verdict for a person")
    sample_ratio: SampleRatio
    counted_before: int = Field(description="Payments under other arms or shares: they are in no figure")
    arms: list[ExperimentArmReport]
