"""What a PSP's adapter is: facts, and pure functions between an operation and the PSP's HTTP dialect. It does no I/O.

An adapter never raises for what a PSP sends: what it does not understand is UNKNOWN. A decline is only what the
PSP's documents call one; a timeout never is.

An operation goes in steps. Each has a key of its own, and is sent only after the outcome of the one before named it as
`next_step`: with PENDING at once, with ACTION_REQUIRED when the customer has come back. What such an outcome learnt
(the PSP's id) is an event before the next step is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Protocol, runtime_checkable

from commands.messages import Outcome

Kind = Literal["authorize", "sale", "capture", "void", "refund"]

FIRST_STEP: Final = "1"
CANCEL_STEP: Final = "x"
"""Ends at the PSP what waits for its customer. It moves no money."""

DEADLINE_S: Final = 10.0
"""A call's whole life, from before it is sent to the last byte of its answer."""

FIRST_BYTE_WITHIN_S: Final = 5.0
"""From before the claim to the first byte; later than that nothing is written."""

CALLS_MAX: Final = 100
"""In flight at once with one credential, where its account says no other number."""

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
    calls `target_psp_id` and of which `target_minor` was approved. `amount_minor` of a void is all that is left to
    release. `returned`: what the customer's browser brought back from a challenge; nothing in it is proven.
    """

    reference: str
    step: str
    kind: Kind
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
    target_minor: int | None = None
    returned: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> str:
        """The idempotency key at the PSP: one per step, the same for every repeat."""
        return f"{self.reference}-{self.step}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """`options`: of the account, those that the adapter's `Facts.options` name. `access_token`: of the last sign-in.
    `calls_max`: in flight at once."""

    base_url: str
    secret: str = field(repr=False)
    options: Mapping[str, str] = field(default_factory=dict)
    access_token: str = field(default="", repr=False)
    calls_max: int = CALLS_MAX


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


@dataclass(frozen=True, slots=True)
class Facts:
    """What the PSP can do and how it behaves: read by the router and the handlers before anything starts, and printed
    in docs/gateways.md.

    `currencies`: in which an amount can be written, by upper-case code. `partial_capture`: less than was authorized.
    `multicapture`: an account may be allowed several. `refunds_of`: what a refund names, the payment or one of its
    captures. `looks_up`: whether an operation without an answer can be asked for; if not, only a repeat or a webhook
    can tell, so webhooks are taken at their word. `key_life_s`: the longest of any step. `authorization_life_s`: from
    its approval, after which what was not captured is released by the PSP. `completed_by`: who makes the last call
    after a challenge. `returned`: the parameters that the PSP adds to the address on which the customer comes back, and
    that a step needs.

    In words: `payment_method`, what its token is; `credential`, what the account's secret is; `signed_by`, what its
    webhooks are signed with; `options`, further settings of an account, by name, of which `required` have to be there.
    """

    name: str
    title: str
    documents: str  # the version of the interface, as the PSP calls it
    kinds: frozenset[Kind]
    currencies: frozenset[str]
    partial_capture: bool
    multicapture: bool
    refunds_of: Literal["payment", "capture"]
    looks_up: bool
    key_life_s: int
    authorization_life_s: int
    completed_by: Literal["psp", "us"]
    challenge: str  # 3-D Secure and redirects, in words
    idempotency: str  # in words, for the table
    lookup: str
    webhook: str
    only_by_webhook: str
    payment_method: str
    credential: str
    signed_by: str
    options: Mapping[str, str] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    returned: tuple[str, ...] = ()


class Gateway(Protocol):
    @property
    def facts(self) -> Facts: ...

    def key_life_s(self, call: Call, credentials: Credentials) -> int:
        """How long a repeat of this step is answered, not done again; 0: it has no key, so a repeat only asks."""
        ...

    def moves_money(self, call: Call) -> bool:
        """Whether this step can hold or take money. One that cannot is proven absent by closing its claim."""
        ...

    def our_steps(self, call: Call) -> tuple[str, ...]:
        """Of an authorize or a sale that waits for its customer: the steps without which nothing is taken, and that
        only we can send. Closing their claims ends it. Empty: the PSP completes it, and has to be told by `cancel`."""
        ...

    def absence_delay_s(self, call: Call) -> float | None:
        """A "not found" that was asked later than this after the call's end is proof; None: it never is."""
        ...

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """The step, or NOT_SENT for what the PSP's interface cannot express. A repeat gives the same bytes."""
        ...

    def outcome(self, call: Call, answer: HttpAnswer) -> Outcome: ...

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """By the PSP's id where it is known, else by our reference; UNKNOWN where neither would find it."""
        ...

    def found(self, call: Call, answer: HttpAnswer) -> Outcome | None:
        """What the look-up says; None is a definite "nothing there that was, or will be by itself, executed"."""
        ...

    def cancel(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """Ends an authorize or a sale that waits for its customer, or that cannot be asked for; UNKNOWN where it
        cannot be named to the PSP."""
        ...

    def cancelled(self, call: Call, answer: HttpAnswer) -> Outcome:
        """How the operation stands: EXPIRED once the PSP has ended it, its own end where that came first, else
        UNKNOWN, for a refused cancel proves nothing."""
        ...

    def certificate_url(self, hook: "Hook", options: Mapping[str, str]) -> str | None:
        """Where the certificate is that the webhook says it was signed with; None: it is signed by a shared secret,
        or names no address that the PSP's certificates come from. `options`: of the account."""
        ...

    def read_hook(self, hook: "Hook", keys: "HookKeys", now: datetime) -> "tuple[Notice, ...] | HookRefused":
        """Verified on the raw bytes, in constant time, then read. Never raises. An event that says nothing of an
        operation or a dispute is a notice with neither. Only what is signed decides anything."""
        ...

    def hook_challenge(self, query: Mapping[str, str], keys: "HookKeys") -> str | None:
        """The body of the answer to the PSP's own check of the address, a GET; None: this PSP makes none."""
        ...


@runtime_checkable
class SignsIn(Protocol):
    """An adapter whose PSP wants an access token. It is fetched when a call needs one, kept for its life, and
    fetched once more where a call is answered with 401."""

    def sign_in(self, credentials: Credentials) -> HttpRequest: ...

    def signed_in(self, answer: HttpAnswer) -> "Access | None":
        """None: refused, or not readable."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    token: str = field(repr=False)
    life_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Hook:
    """What came to the webhooks' door, as it came. Names of headers in lower case."""

    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HookKeys:
    """`secrets`: one, or two while they are exchanged. `certificate`: PEM, of the hook's `certificate_url`; with the
    rest of its chain."""

    secrets: tuple[str, ...] = field(repr=False)
    options: Mapping[str, str]
    certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class HookRefused:
    """`stale`: rightly signed, and older than the PSP's tolerance."""

    why: Literal["unsigned", "forged", "stale", "malformed", "certificate"]


@dataclass(frozen=True, slots=True)
class DisputeNotice:
    dispute_id: str
    state: Literal["opened", "won", "lost"]
    amount_minor: int
    currency: str
    reason: str | None
    respond_by: datetime | None


@dataclass(frozen=True, slots=True)
class Notice:
    """One event of a webhook. `event_id`: what its repeats have in common, within the account. The payment is found by
    `reference`, the id of our operation, or by `psp_id`, as `Outcome.psp_id` was, or would be, reported.

    `outcome`: what it says of that operation; an UNKNOWN one says only that there are news, which are then asked for.
    An outcome or a dispute without a way to its payment is an alarm.
    """

    event_id: str
    event_type: str
    reference: str | None = None
    psp_id: str | None = None
    outcome: Outcome | None = None
    dispute: DisputeNotice | None = None
    at: datetime | None = None  # by the PSP's clock
