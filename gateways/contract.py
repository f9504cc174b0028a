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
class StoredCredential:
    """`store`: keep the payment method for later. `reuse`: it was kept; by whom the payment is begun this time."""

    use: Literal["store", "reuse"]
    initiator: Literal["customer", "merchant"]
    customer_token: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """One step of one operation. `reference` is the operation's id, which the PSP stores.

    A capture, void or refund has a target: the authorize or sale that it acts on, `target_reference`, which the PSP
    calls `target_psp_id`. `amount_minor` of a void is all that is left to release.
    """

    reference: str
    step: str
    kind: Literal["authorize", "sale", "capture", "void", "refund"]
    amount_minor: int
    currency: str
    payment_method: str
    description: str | None
    statement_text: str | None
    three_ds: bool  # demanded
    stored_credential: StoredCredential | None
    target_reference: str | None
    target_psp_id: str | None
    final: bool  # of a capture: the rest of the authorization is released
    multicapture: bool  # the account may capture an authorization several times
    overcapture: bool  # the account may capture more than was authorized
    return_url: str | None  # where the PSP sends the customer back after a challenge
    psp_id: str | None  # the PSP's own id of this operation, where it is known
    first_try_at: datetime | None = None

    @property
    def key(self) -> str:
        """The idempotency key at the PSP: one per step, the same for every repeat."""
        return f"{self.reference}-{self.step}"


@dataclass(frozen=True, slots=True)
class Credentials:
    base_url: str
    secret: str = field(repr=False)


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
    def authorization_life_s(self) -> int:
        """From its approval, after which what was not captured is released by the PSP."""
        ...

    @property
    def completed_by(self) -> Literal["psp", "us"]:
        """Who makes the last call after a challenge. The PSP: it has to be told that the challenge is over."""
        ...

    def absence_delay_s(self, call: Call) -> float | None:
        """A "not found" that was asked later than this after the call's end is proof; None: it never is."""
        ...

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """The call, or NOT_SENT for what the PSP's interface cannot express. A repeat gives the same bytes."""
        ...

    def outcome(self, call: Call, answer: HttpAnswer) -> Outcome: ...

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """By the PSP's id where it is known, else by our reference; UNKNOWN where neither would find it."""
        ...

    def found(self, call: Call, answer: HttpAnswer) -> Outcome | None:
        """What the look-up says; None is a definite "nothing there that was, or will be by itself, executed"."""
        ...

    def cancel(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """Ends an authorize or a sale that waits for its customer; UNKNOWN where it cannot be named to the PSP."""
        ...

    def cancelled(self, call: Call, answer: HttpAnswer) -> Outcome:
        """How the operation stands: EXPIRED once the PSP has ended it, its own end where that came first, else
        UNKNOWN, for a refused cancel proves nothing."""
        ...
