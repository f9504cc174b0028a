"""What each of the four sources says of one payment, in the same terms, so that they can be held against each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from aggregates.payment import Status


@dataclass(frozen=True, slots=True)
class Asked:
    """The first valid create on Kafka. `read`: the command worker has acknowledged it."""

    place: str
    fingerprint: str
    amount_minor: int
    currency: str
    read: bool


@dataclass(frozen=True, slots=True)
class OperationFacts:
    state: str
    amount_minor: int
    currency: str
    psp_id: str | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """The stream, replayed. `broken`: why it cannot be; the rest is then empty."""

    version: int
    broken: str | None = None
    status: Status = Status.REQUESTED
    merchant_id: str = ""
    customer_id: str | None = None
    fingerprint: str = ""
    amount_minor: int = 0
    currency: str = ""
    captured_minor: int = 0
    frozen: bool = False
    operations: Mapping[str, OperationFacts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parked:
    reason: str


@dataclass(frozen=True, slots=True)
class Shown:
    """The rows of the read models."""

    version: int
    status: str
    merchant_id: str
    customer_id: str | None
    amount_minor: int
    currency: str
    captured_minor: int
    frozen: bool
    stale: bool
    operations: Mapping[str, OperationFacts]


@dataclass(frozen=True, slots=True)
class Charge:
    """Money that the PSP took. `amount_minor` in our minor units; None where the PSP's amount has no whole number."""

    reference: str
    psp_id: str
    amount_minor: int | None
    currency: str


@dataclass(slots=True)
class Facts:
    """All that is known of one payment."""

    asked: Asked | None = None
    recorded: Recorded | None = None
    parked: str | None = None
    shown: Shown | None = None
    charges: list[Charge] = field(default_factory=list)


Kind = Literal[
    "double_charges",
    "lost_payments",
    "amount_mismatches",
    "content_mismatches",
    "read_model_mismatches",
    "unasked_payments",
    "unsettled",
    "in_doubt",
]


@dataclass(frozen=True, slots=True)
class Finding:
    kind: Kind
    why: str
