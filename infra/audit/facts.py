"""What each of the four sources says of one payment, in the same terms, so that they can be held against each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from aggregates.payment import Payment
from gateways.simulator.ledger import Movement, Open


@dataclass(frozen=True, slots=True)
class Create:
    """The first valid one on Kafka. `read`: the command worker has acknowledged it."""

    place: str
    fingerprint: str
    amount_minor: int
    currency: str
    read: bool


@dataclass(frozen=True, slots=True)
class Command:
    """A merchant's, the first with its id; also a create with other content than the first. `put_aside`: there is a
    dead letter about it, or there may have been one that Kafka no longer keeps."""

    command_id: UUID
    type: str
    place: str
    fingerprint: str
    amount_minor: int | None
    read: bool
    put_aside: bool


@dataclass(slots=True)
class Asked:
    """All that Kafka has for one payment."""

    create: Create | None = None
    commands: dict[UUID, Command] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The stream, replayed; `broken`: why it cannot be. `contradictions`: why each operation froze the payment;
    `codes`: what was said last of each operation."""

    version: int
    payment: Payment | None = None
    broken: str | None = None
    customer_id: str | None = None
    contradictions: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusals:
    """Of which commands."""

    command_ids: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Parked:
    """`places`: of the records that wait behind it."""

    reason: str
    places: frozenset[str]


@dataclass(frozen=True, slots=True)
class Shown:
    """The rows of the read models: the payment's columns, and those of its operations by their ids."""

    version: int
    stale: bool
    columns: Mapping[str, Any]
    operations: Mapping[str, Mapping[str, Any]]


@dataclass(slots=True)
class Facts:
    """All that is known of one payment."""

    asked: Asked = field(default_factory=Asked)
    recorded: Recorded | None = None
    refused: frozenset[UUID] = frozenset()
    parked: Parked | None = None
    shown: Shown | None = None
    movements: list[Movement] = field(default_factory=list)
    still_open: list[Open] = field(default_factory=list)


Kind = Literal[
    "double_charges",
    "able_to_charge_later",
    "lost_payments",
    "amount_mismatches",
    "content_mismatches",
    "read_model_mismatches",
    "unasked_payments",
    "unsettled",
    "in_doubt",
    "extra_charges_returned",
]
Doubt = Literal["unknown", "manual_queue", "frozen", "parked", "extra_charge"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`doubt`: what sort of doubt it is, where `kind` is in_doubt."""

    kind: Kind
    why: str
    doubt: Doubt | None = None
