"""The facts of each of the four sources about one payment, in the same terms, so that they can be
compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from aggregates.payment import Payment
from gateways.simulator.core.ledger import Disputed, Fee, Movement, Open
from infra.postgres.unmatched_webhooks import Unmatched

CommandKey = tuple[UUID, str]
"""A command's id and fingerprint: an id may have been sent with several contents."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command on Kafka. `currency`: of a create only. `read`: the command worker has acknowledged it.
    `put_aside`: there is a dead letter about it, or there may have been one that Kafka no longer keeps."""

    command_id: UUID
    type: str
    place: str
    fingerprint: str
    amount_minor: int | None
    currency: str | None
    read: bool
    put_aside: bool


@dataclass(slots=True)
class SentCommands:
    """Everything that Kafka has for one payment. Invariant: nothing is inferred from the order, because
    the records of one payment may lie in several partitions."""

    creates: dict[CommandKey, Command] = field(default_factory=dict)
    commands: dict[CommandKey, Command] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The replayed stream. `broken`: why it cannot be replayed. `contradictions`: why each operation froze
    the payment. `codes`: the latest code of each operation."""

    version: int
    payment: Payment | None = None
    broken: str | None = None
    customer_id: str | None = None
    contradictions: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusals:
    """The commands that were refused."""

    command_ids: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked payment. `places`: where the records are that wait behind it."""

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
    """Everything that the sources have of one payment."""

    requested: SentCommands = field(default_factory=SentCommands)
    recorded: Recorded | None = None
    refused: frozenset[UUID] = frozenset()
    parked: Parked | None = None
    shown: Shown | None = None
    movements: list[Movement] = field(default_factory=list)
    still_open: list[Open] = field(default_factory=list)
    disputed: list[Disputed] = field(default_factory=list)
    fees: list[Fee] = field(default_factory=list)
    unmatched: list[Unmatched] = field(default_factory=list)

    @property
    def create(self) -> Command | None:
        """The create that made the payment: it has the id that the first event names and, of several
        contents under that id, the recorded one. Without a stream that can be replayed, any create. None:
        there is none."""
        payment = self.recorded.payment if self.recorded is not None else None
        creates = list(self.requested.creates.values())
        if payment is not None:
            creates = [one for one in creates if one.command_id == payment.create_command_id]
            creates.sort(key=lambda one: one.fingerprint != payment.fingerprint)
        return creates[0] if creates else None

    @property
    def beside(self) -> list[Command]:
        """All commands except the create that made the payment and its repeats."""
        made = self.create
        others = [
            one for one in self.requested.creates.values() if made and one.fingerprint != made.fingerprint
        ]
        return [*others, *self.requested.commands.values()]


Kind = Literal[
    "double_charges",
    "able_to_charge_later",
    "lost_payments",
    "amount_mismatches",
    "dispute_mismatches",
    "content_mismatches",
    "read_model_mismatches",
    "unrequested_payments",
    "unsettled",
    "in_doubt",
    "duplicate_charges_returned",
    "fee_differences",
]
Doubt = Literal["unknown", "escalated", "frozen", "parked", "duplicate_charge", "dispute", "webhook"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `doubt`: the sort of doubt, where `kind` is in_doubt."""

    kind: Kind
    reason: str
    doubt: Doubt | None = None
