"""Samples on `gateways.samples`: what became of each call to a PSP, from the gateway agents to the health
worker. The record's key is the account.

Invariant: an unknown outcome is `unknown`, and neither `declined` nor `failed`; an issuer's decline is never
`failed`.
"""

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field

from aggregates.operation import Kind
from commands.fields import Id
from commands.internal_record import InternalRecord

OutcomeClass = Literal["approved", "declined", "failed", "unknown", "pending"]
"""`approved`: the PSP did what it was asked for. `declined`: the issuer or the PSP refused it. `failed`:
nothing was done, for a technical reason. `unknown`: nobody knows what became of the call. `pending`: the PSP
has responded as it should, and the operation goes on: it counts for the circuit, and for nothing else."""

SAMPLES_MAX: Final = 200
"""The samples of one batch."""
ERROR_KIND_LENGTH: Final = 64
LATENCY_MS_MAX: Final = 3_600_000.0

ErrorKind = Annotated[str, Field(pattern=rf"^[A-Za-z0-9_.:-]{{1,{ERROR_KIND_LENGTH}}}$")]
Segment = Annotated[str, Field(max_length=64, pattern=r"^([A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,3})?$")]
"""The narrowest segment's name, such as `sale/card/EUR/eea`; empty: not known."""


class Sample(InternalRecord):
    """What became of one call. `latency_ms`: from the first byte to the whole response, or to the end of the
    wait for it; of what a webhook ended, that of our last call before it; None: none was measured. `error`:
    the code of what did not succeed, ours or the PSP's. `at`: when the agent knew. `probe`: the payment was
    let through a half-open circuit. `late`: the operation may be counted as unknown, and this is what a
    repeat or a status query found out since."""

    kind: Kind
    segment: Segment = ""
    outcome: OutcomeClass
    latency_ms: Annotated[float, Field(ge=0, le=LATENCY_MS_MAX, allow_inf_nan=False)] | None = None
    error: ErrorKind | None = None
    at: AwareDatetime
    probe: bool = False
    late: Literal["repeat", "query"] | None = None


class SampleBatch(InternalRecord):
    """Some samples of one account, in the order in which the agent knew them."""

    type: Literal["samples.v1"] = "samples.v1"
    gateway: Id
    account: Id
    samples: Annotated[tuple[Sample, ...], Field(min_length=1, max_length=SAMPLES_MAX)]
