"""Protocols of what the decider needs from outside, and the rows that it reads and writes. The decider calls
them, so it owns these interfaces."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from aggregates.fees import FeeBook
from aggregates.money import Money
from aggregates.payment import Payment
from aggregates.routing.budgets import DeclinedAttempt
from aggregates.routing.route import Route
from commands.records import Record


class Accounts(Protocol):
    """The merchants' accounts at PSPs."""

    @property
    def fees(self) -> FeeBook:
        """The price lists of all accounts."""
        ...

    def for_payment(
        self,
        merchant_id: str,
        currency: str,
        payment_method: str | None,
        payment_methods: Mapping[str, str] | None,
    ) -> Route:
        """Returns the accounts at PSPs that take this currency and this token, or one of these, and how often
        to try them."""
        ...

    def stray_name(self, payment_methods: Mapping[str, str]) -> str | None:
        """Returns what is wrong with tokens of which one is under a name that no PSP has, or has a PSP's name
        before it. None: they are fine."""
        ...

    def stray_prefix(self, merchant_id: str, payment_method: str) -> str | None:
        """Returns what to write instead of a token whose prefix before the colon names no PSP. None: it is
        fine."""
        ...


class Fingerprints(Protocol):
    """The marks by which a card is known again from a PSP's token of it."""

    def of(
        self, merchant_id: str, payment_method: str | None, payment_methods: Mapping[str, str] | None
    ) -> tuple[bytes, ...]:
        """Returns the mark of each token: keyed hashes, from which no token follows."""
        ...


@dataclass(frozen=True, slots=True)
class Card:
    """A payment's card and amount, as far as the limits on retries are concerned."""

    fingerprints: tuple[bytes, ...]
    amount: Money


@dataclass(frozen=True, slots=True)
class Decline:
    """A declined attempt, under one of its card's fingerprints."""

    fingerprint: bytes
    payment_id: UUID
    attempt: DeclinedAttempt


@dataclass(frozen=True, slots=True)
class Timer:
    """The next wake-up of a payment at `version`. `wake_at`: None if it needs none."""

    payment_id: UUID
    version: int
    wake_at: datetime | None


@dataclass(frozen=True, slots=True)
class GatewayId:
    """Finds the operation that a PSP's webhook names by the PSP's own id."""

    account: str
    psp_id: str
    payment_id: UUID
    operation_id: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A command that the rules refused: it writes no event, so a repeat gets this reply."""

    payment_id: UUID
    command_id: UUID
    fingerprint: str
    reply: bytes  # as JSON


@dataclass(frozen=True, slots=True)
class Loaded:
    """A payment's stream as loaded. `payment`: None if there is no stream. `broken`: why it cannot be read.
    `refusals`: by command id, of the commands that were loaded with it. `declined`: of its card, where
    that was loaded."""

    payment: Payment | None = None
    broken: str | None = None
    parked: bool = False
    refusals: Mapping[UUID, Refusal] = field(default_factory=dict)
    declined: tuple[DeclinedAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Parking:
    """A stream that is put aside until an operator retries it; its records queue behind it."""

    payment_id: UUID
    reason: str


@dataclass(slots=True)
class Writes:
    """All that a batch changes, in one transaction or not at all. `unparked`: with the number of records
    decided."""

    payments: list[Payment] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    gateway_ids: list[GatewayId] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    declines: list[Decline] = field(default_factory=list)
    parked: list[Parking] = field(default_factory=list)
    queued: list[tuple[UUID, Record]] = field(default_factory=list)
    unparked: list[tuple[UUID, int]] = field(default_factory=list)

    def add(self, other: "Writes") -> None:
        """Appends another's writes: those of other payments."""
        self.payments += other.payments
        self.timers += other.timers
        self.gateway_ids += other.gateway_ids
        self.refusals += other.refusals
        self.declines += other.declines
        self.parked += other.parked
        self.queued += other.queued
        self.unparked += other.unparked


class Conflict(Exception):
    """Another writer has saved one of these streams since it was loaded; nothing of the batch was saved."""


class Store(Protocol):
    """The event store, and the rows that are written with its events."""

    def load(
        self, payment_ids: Collection[UUID], command_ids: Collection[UUID], cards: Mapping[UUID, Card] = ...
    ) -> Mapping[UUID, Loaded]:
        """Loads each stream, with those refusals of `command_ids` that belong to it, and the declines of
        `cards`."""
        ...

    def declined(self, cards: Mapping[UUID, Card]) -> Mapping[UUID, Sequence[DeclinedAttempt]]:
        """Returns the declines of each payment's card, for its amount, and those for any amount that forbid
        every later attempt."""
        ...

    def queue_of(self, payment_id: UUID) -> Sequence[Record]:
        """Returns the records that wait behind a parked stream, oldest first."""
        ...

    def save(self, writes: Writes) -> None:
        """Commits all writes in one transaction. Raises `Conflict`."""
        ...
