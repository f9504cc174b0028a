"""What a PSP's adapter is: facts, and pure functions between an operation and the PSP's HTTP dialect. It does no I/O.

An adapter never raises for what a PSP sends: what it does not understand is UNKNOWN. A decline is only what the
PSP's documents call one; a timeout never is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Protocol

from commands.messages import Outcome

DEADLINE_S: Final = 10.0
"""A call's whole life, from before it is sent to the last byte of its answer."""

FIRST_BYTE_WITHIN_S: Final = 5.0
"""From before the claim to the first byte; later than that nothing is written."""

ANSWER_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """One step of one operation. `reference` is the operation's id, which the PSP stores."""

    reference: str
    step: str
    kind: Literal["sale"]
    amount_minor: int
    currency: str
    payment_method: str
    description: str | None
    psp_id: str | None
    first_try_at: datetime | None = None

    @property
    def key(self) -> str:
        """The idempotency key at the PSP: one per step, the same for every repeat."""
        return f"{self.reference}-{self.step}"


@dataclass(frozen=True, slots=True)
class Credentials:
    base_url: str
    secret: str = field(repr=False)
    return_url: str | None = None
    """Where the PSP sends the shopper back after a challenge; without it some PSPs give no address to send them to."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    method: Literal["GET", "POST"]
    path: str  # with its query
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes = field(repr=False)


class Gateway(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def key_life_s(self) -> int:
        """How long a repeat of a step is answered, not done again; 0: the PSP has no keys, so a repeat only asks."""
        ...

    @property
    def absence_delay_s(self) -> float:
        """A "not found" that was asked later than this after the call's end is proof."""
        ...

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """The call, or NOT_SENT for what the PSP's interface cannot express."""
        ...

    def outcome(self, call: Call, answer: HttpAnswer) -> Outcome: ...

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest:
        """By the PSP's id where it is known, else by our reference."""
        ...

    def found(self, call: Call, answer: HttpAnswer) -> Outcome | None:
        """What the look-up says; None is a definite "nothing there that was, or will be by itself, executed"."""
        ...
