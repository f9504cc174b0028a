"""What deciding needs from outside. The owner of these interfaces is the one who calls them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from aggregates.payment import Payment
from aggregates.retry import Route
from commands.records import Record


class Accounts(Protocol):
    def for_payment(self, merchant_id: str, currency: str, payment_method: str) -> Route:
        """Where the merchant's attempts may run, and how often: at the PSPs that take this currency and this token."""
        ...


@dataclass(frozen=True, slots=True)
class Timer:
    payment_id: UUID
    version: int
    wake_at: datetime | None


@dataclass(frozen=True, slots=True)
class GatewayId:
    account: str
    psp_id: str
    payment_id: UUID
    operation_id: str


@dataclass(frozen=True, slots=True)
class Refusal:
    payment_id: UUID
    command_id: UUID
    fingerprint: str
    answer: bytes  # the reply, as JSON


@dataclass(frozen=True, slots=True)
class Loaded:
    """A stream as it stands: `payment` is None where there is none; `broken` says why it cannot be read. `refusals`:
    of those commands that were asked for with it, by command id."""

    payment: Payment | None = None
    broken: str | None = None
    parked: bool = False
    refusals: Mapping[UUID, Refusal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parking:
    """A stream that is put aside, with the records that wait behind it."""

    payment_id: UUID
    reason: str


@dataclass(slots=True)
class Writes:
    """All that a batch changes, in one transaction or not at all."""

    payments: list[Payment] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    gateway_ids: list[GatewayId] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    parked: list[Parking] = field(default_factory=list)
    queued: list[tuple[UUID, Record]] = field(default_factory=list)
    unparked: list[tuple[UUID, int]] = field(default_factory=list)  # with how many records were decided

    def add(self, other: "Writes") -> None:
        self.payments += other.payments
        self.timers += other.timers
        self.gateway_ids += other.gateway_ids
        self.refusals += other.refusals
        self.parked += other.parked
        self.queued += other.queued
        self.unparked += other.unparked


class Conflict(Exception):
    """Another writer has saved one of these streams since it was loaded. Nothing of the batch was saved."""


class Store(Protocol):
    def load(self, payment_ids: Collection[UUID], command_ids: Collection[UUID]) -> Mapping[UUID, Loaded]:
        """With the refusals of these commands."""
        ...

    def queue_of(self, payment_id: UUID) -> Sequence[Record]:
        """What waits behind a parked stream, in order."""
        ...

    def save(self, writes: Writes) -> None:
        """Raises `Conflict`."""
        ...
