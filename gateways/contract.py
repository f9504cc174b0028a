"""A PSP's adapter: facts, and pure functions between an operation and the PSP's HTTP dialect. It does no I/O.

Invariant: an adapter never raises for what a PSP sends: what it does not understand is UNKNOWN. A decline is
only what the PSP's documents call one; a timeout never is.

An operation goes in steps. Each has a key of its own, and is sent only after the outcome of the step before
named it as `next_step`: with PENDING at once, with ACTION_REQUIRED when the customer has come back. What such
an outcome names (the PSP's id) is an event before the next step is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Protocol, runtime_checkable

from aggregates.operation import CHARGE_ATTEMPTS, Kind
from commands.messages import Outcome
from commands.notices import Notice

DEADLINE_S: Final = 10.0
"""Seconds from before a call is sent to the last byte of its response."""

FIRST_BYTE_WITHIN_S: Final = 5.0
"""Seconds from before the claim to the first byte; later than that nothing is written."""

CALLS_MAX: Final = 100
"""Calls in flight at once with one credential, where its account sets no other number."""

RESPONSE_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """The way in which the call uses a kept payment method. `store`: keep it for later. `reuse`: it was kept
    before. `initiator`: who begins this payment."""

    use: Literal["store", "reuse"]
    initiator: Literal["customer", "merchant"]
    customer_token: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """One step of one operation, in our terms. Amounts are in minor units of `currency`; `reference` is the
    operation's id, which the PSP stores.

    A capture, void or refund has a target: the authorization or sale that it acts on. `target_reference` is
    its id at ours, `target_psp_id` at the PSP; None: not known. `target_minor`: what was approved of it;
    for a refund of an authorization, what was captured. `amount_minor` of a void: all that is left to
    release.

    `returned`: the parameters that the customer's browser brought back from a challenge. Nothing proves
    them.
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
    target_minor: int | None = None
    returned: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_charge_attempt(self) -> bool:
        """True for an attempt at the payment itself, which holds or takes the customer's money."""
        return self.kind in CHARGE_ATTEMPTS

    @property
    def key(self) -> str:
        """The idempotency key at the PSP: one for each step, the same for every repeat."""
        return f"{self.reference}-{self.step}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account's access to its PSP. `options`: those that the adapter's `Facts.options` name.
    `access_token`: of the last sign-in, empty where the PSP wants none. `calls_max`: calls in flight at
    once."""

    base_url: str
    secret: str = field(repr=False)
    options: Mapping[str, str] = field(default_factory=dict)
    access_token: str = field(default="", repr=False)
    calls_max: int = CALLS_MAX


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it is written to the PSP. `path` follows the account's `base_url`, and has the query.
    Neither headers nor body are logged."""

    method: Literal["GET", "POST"]
    path: str  # with its query
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole response of the PSP, or of a proxy in between."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Facts:
    """The abilities and the behaviour of a PSP. The router and the handlers read them before anything starts,
    and docs/gateways.md prints them.

    `currencies`: those in which an amount can be written, by upper-case code. `switched`: those of them
    that an account takes only where its option of this name is `true`. `partial_capture`: less than was
    authorized can be captured. `multicapture`: an account may be allowed several captures. `refunds_of`:
    what a refund names, the payment or one of its captures. `disputes_show_as_refunds`: a lookup shows
    what a dispute took among the refunds.

    `looks_up`: the PSP has a status API. Without one only a repeat or a webhook shows what became of an
    operation, so webhooks are believed without a query. `key_life_s`: the longest life of a step's key, in
    seconds. `authorization_life_s`: seconds from the approval until the PSP releases what was not
    captured. `final_call_by`: who makes the last call after a challenge. `returned`: the parameters that
    the PSP adds to the address on which the customer comes back, and that a step needs. `logs_in`: its
    webhooks may carry a user and a password as well. `token_prefixes`: what may stand before a colon in a
    token of the PSP's own.

    For readers only: `payment_method`, what its token is; `credential`, what the account's secret is;
    `signed_by`, what its webhooks are signed with; `options`, further settings of an account, by name, of
    which `required` have to be there.
    """

    name: str
    title: str
    documents: str  # the version of the interface, as the PSP calls it
    kinds: frozenset[Kind]
    currencies: frozenset[str]
    partial_capture: bool
    multicapture: bool
    refunds_of: Literal["payment", "capture"]
    disputes_show_as_refunds: bool
    looks_up: bool
    key_life_s: int
    authorization_life_s: int
    final_call_by: Literal["psp", "us"]
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
    switched: Mapping[str, str] = field(default_factory=dict)
    token_prefixes: frozenset[str] = frozenset()
    logs_in: bool = False

    def off(self, currency: str, options: Mapping[str, str]) -> str | None:
        """The option that an account with these `options` has to switch on before it takes the currency.
        None: it takes it."""
        option = self.switched.get(currency)
        return option if option is not None and options.get(option) != "true" else None


class Gateway(Protocol):
    """A PSP's adapter. All its methods are pure, and none raises for what a PSP sends."""

    @property
    def facts(self) -> Facts:
        """The PSP's declaration, the same at each call."""
        ...

    def key_life_s(self, call: Call, credentials: Credentials) -> int:
        """Seconds within which a repeat of this step gets its stored response and is not executed again. 0:
        the step has no key, so that it is sent once, and then only looked up."""
        ...

    def moves_money(self, call: Call) -> bool:
        """True where this step can hold or take money. One that cannot is proven absent by closing its
        claim."""
        ...

    def steps_we_send(self, call: Call) -> tuple[str, ...]:
        """The later steps of an authorization or a sale without which nothing is taken, and that only we can
        send: closing their claims cancels it. Empty: the PSP completes it by itself, so that it has to be
        cancelled by `cancel`."""
        ...

    def absence_delay_s(self, call: Call) -> float | None:
        """Seconds after the end of the call from which a "not found" proves that nothing was done. None: it
        never does."""
        ...

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """The request of the step; NOT_SENT for what the PSP's interface cannot express. A repeat has the
        same bytes."""
        ...

    def outcome(self, call: Call, response: HttpResponse) -> Outcome:
        """The outcome of the step, read from the response to its request."""
        ...

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """The query for the operation, by the PSP's id where it is known, else by our reference. UNKNOWN:
        neither would find it."""
        ...

    def found(self, call: Call, response: HttpResponse) -> Outcome | None:
        """The outcome of the step, read from the response to its query. None: nothing is there that was
        executed, or will be by itself."""
        ...

    def cancel(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """The request that ends an authorization or a sale that awaits its customer or cannot be queried.
        UNKNOWN: the PSP has no name for it."""
        ...

    def cancelled(self, call: Call, response: HttpResponse) -> Outcome:
        """The state of the operation, read from the response to its cancel: EXPIRED once the PSP has ended
        it, its own end where that came first, else UNKNOWN, since a refused cancel proves nothing."""
        ...

    def read_webhook(
        self, webhook: "Webhook", keys: "WebhookKeys", now: datetime
    ) -> "tuple[Notice, ...] | WebhookRefused":
        """Verifies a webhook on its raw bytes, in constant time, and reads its events. Only signed fields
        decide anything. An event about neither an operation nor a dispute is a notice with neither. Never
        raises."""
        ...


@runtime_checkable
class SignsIn(Protocol):
    """An adapter whose PSP wants an access token. One is fetched when a call needs it, kept for its life, and
    fetched once more where a call is refused with 401."""

    def sign_in(self, credentials: Credentials) -> HttpRequest:
        """The request for an access token."""
        ...

    def signed_in(self, response: HttpResponse) -> "Access | None":
        """The token in the response. None: the PSP refuses it, or it cannot be read."""
        ...


@runtime_checkable
class ChecksAddress(Protocol):
    """An adapter whose PSP checks the webhooks' address with a GET before it sends anything there."""

    def webhook_challenge(self, query: Mapping[str, str], keys: "WebhookKeys") -> str | None:
        """The body of the response that the PSP expects. None: the query is no check of this PSP's."""
        ...


@runtime_checkable
class SignsWithCertificate(Protocol):
    """An adapter whose PSP signs its webhooks with a certificate, not with a shared secret."""

    def certificate_url(self, webhook: "Webhook", options: Mapping[str, str]) -> str | None:
        """The address of the certificate that the webhook names as the one it was signed with. None: it names
        none, or one that the PSP's certificates do not come from. `options`: of the account."""
        ...


@runtime_checkable
class NamesIssuer(Protocol):
    """An adapter whose PSP may serve a webhook's certificate without the one that signed it."""

    def issuer_url(self, certificate: bytes, options: Mapping[str, str], now: datetime) -> str | None:
        """The address of the issuer's certificate, as the certificate in PEM names it. None: it is not
        needed, or the address is not one that such certificates come from."""
        ...


@runtime_checkable
class Confirms(Protocol):
    """An adapter whose PSP's signature does not prove the whole body of a webhook. What would change a
    payment is read at the PSP before it is believed, and that copy is what counts."""

    def transmission(self, webhook: "Webhook") -> str | None:
        """The signed id of this delivery, which has one body. None: it has none, and is refused."""
        ...

    def changes(self, notice: Notice) -> bool:
        """True where the notice would change a payment or alert an operator, so that it has to be
        confirmed."""
        ...

    def confirm(self, notice: Notice, credentials: Credentials) -> HttpRequest:
        """The request that reads the event at the PSP."""
        ...

    def confirmed(self, notice: Notice, response: HttpResponse) -> Notice | None:
        """The notice in the PSP's own copy of the event. None: the PSP shows no event of this id."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """An access token, and the seconds for which it is valid."""

    token: str = field(repr=False)
    life_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as it was received. Names of headers in lower case."""

    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WebhookKeys:
    """The keys that a webhook is verified with. `secrets`: one, or two while they are exchanged. `options`:
    of the account. `certificate`: the PEM at `certificate_url`, with the rest of its chain. `logins`: each
    `user:password` that the PSP may send as well (RFC 7617); empty: it sends none."""

    secrets: tuple[str, ...] = field(repr=False)
    options: Mapping[str, str]
    certificate: bytes | None = None
    logins: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class WebhookRefused:
    """A webhook that is not believed, and the reason. `stale`: rightly signed, but older than the PSP's
    tolerance. `second_body`: another body came under its transmission id."""

    reason: Literal["unsigned", "forged", "stale", "malformed", "certificate", "second_body"]
