"""A PSP as the simulator sees it: a declaration, and its dialect. The rest (faults, repeats, latency,
outages, the sending of webhooks) is the same for all and not a dialect's business.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

import orjson
from aiohttp import web

from gateways.simulator.core.accounts import Account
from gateways.simulator.core.faults import Do, Fault
from gateways.simulator.core.fees import PriceList
from gateways.simulator.core.rows import StoredResult, Webhook

if TYPE_CHECKING:
    from gateways.simulator.core.front import Front

ErrorKind = Literal[
    "unauthorized",  # 401
    "not_found",  # no such path
    "too_large",  # 413
    "rate_limited",  # 429
    "broken",  # 500
    "unavailable",  # 503
    "key_in_use",  # the first call with this key is still running
    "key_conflict",  # the key was used with something else
]

JSON: Final = "application/json"
PREFIX: Final = web.AppKey("prefix", str)
"""The prefix of all paths of an interface: empty at a PSP's own port."""
SETTLES_AFTER_S: Final = 2.0
"""The delay of what does not end at once: a pending refund, a settlement, each stage of a dispute."""
OPERATION: Final = r"[acrsv][0-9]{1,6}"
"""The pattern of an operation within its payment: its kind's letter and its ordinal. It is that of
`aggregates.operation.OPERATION_ID`, which the simulator does not import."""
_SALE: Final = re.compile(rf"[0-9a-f]{{32}}-(?=s){OPERATION}")
_STEP: Final = re.compile(rf"([0-9a-f]{{32}}-{OPERATION})-[0-9a-z]")


class Response(NamedTuple):
    """A response in the PSP's words, not sent yet. `about`: the object's id; it is stored with the key, for
    `Dialect.replay`."""

    status: int
    body: bytes
    about: str | None = None
    headers: Mapping[str, str] = {}
    content_type: str = JSON

    def to_aiohttp(self) -> web.Response:
        """A response of aiohttp that has not been sent."""
        return web.Response(
            status=self.status, body=self.body, headers=self.headers, content_type=self.content_type
        )

    @classmethod
    def json(cls, status: int, body: Any, about: str | None = None, **headers: str) -> "Response":
        """A response whose body is this value as JSON."""
        return cls(status, orjson.dumps(body), about, headers)


@dataclass
class Refusal(Exception):
    """Raised wherever a call turns out to be refused: nothing is done, and nothing is stored under its
    key."""

    response: Response


@dataclass(frozen=True, slots=True)
class Keyed:
    """The idempotency key of a request, and what it was sent with. `scope`: within which the key is unique;
    empty: the account. `life_s`: how long the PSP remembers it."""

    key: str
    fingerprint: str
    life_s: float
    scope: str = ""

    @property
    def name(self) -> str:
        """The key within its account."""
        return f"{self.scope}/{self.key}" if self.scope else self.key

    @property
    def operation(self) -> str | None:
        """The operation of AegisPay's that the key names, else None."""
        return operation_of(self.key)


def operation_of(key: str) -> str | None:
    """The operation that a key of AegisPay's names: the key is the operation's id, a dash and the step. None:
    another client's key."""
    step = _STEP.fullmatch(key)
    return None if step is None else step[1]


def is_sale(reference: str) -> bool:
    """True for a reference of AegisPay's that names a sale."""
    return _SALE.fullmatch(reference) is not None


def payment_of(reference: str | None) -> str | None:
    """The payment's part of one of AegisPay's references: the same for all attempts at it. None without
    one."""
    return (reference or "").partition("-")[0] or None


def path_of(request: web.Request) -> str:
    """The request's path at the PSP, whichever port it came to."""
    return request.path.removeprefix(request.app[PREFIX])


def operation_named(request: web.Request) -> str | None:
    """The operation that the header `X-Request-Id` names, for a call whose body has no place for it; else
    None."""
    return operation_of(request.headers.get("X-Request-Id", ""))


@dataclass(frozen=True, slots=True)
class Turn:
    """The account that calls, its key, the moment (Unix seconds), and the fault that the response has to
    show: a dialect applies `wrong_amount`, `wrong_currency`, `absent` (a search) and `flap` (a read).
    `origin`: where the PSP's own pages begin, for addresses that the customer is sent to."""

    account: Account
    keyed: Keyed | None
    now: float
    origin: str
    do: Do | None = None


Decide = Callable[[Turn], Response]
"""Does what a call requests, and returns the response. It runs inside one transaction of the ledger."""


class Plan(NamedTuple):
    """A call that was checked and not yet done. `fault`: the one that its token chooses; `payment`: what all
    attempts at one payment have in common, as `payment_of`. None: this call has neither."""

    decide: Decide
    fault: Fault | None = None
    payment: str | None = None


class DashboardAction(NamedTuple):
    """An action in the PSP's own dashboard, with none of AegisPay's ids on it. `reference`: of the payment,
    the authorization or sale. `minor`: in the PSP's smallest unit; None: all that is left."""

    do: Literal["capture", "cancel", "refund"]
    reference: str
    minor: int | None = None
    reason: str | None = None


class Signed(NamedTuple):
    """A webhook's body and headers as they are posted."""

    body: bytes
    headers: Mapping[str, str]


class Dialect(Protocol):
    """The dialect of one PSP: it reads requests, writes objects and errors, repeats responses and signs
    webhooks."""

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """The routes of the API, without the PSP's prefix. A handler ends in `front.read` or `front.once`."""
        ...

    def pages(self) -> Sequence[web.AbstractRouteDef]:
        """The routes that anybody may call: the customer at the bank, a certificate. Neither faults nor
        outages hit them."""
        ...

    def admit(self, request: web.Request) -> Account | None: ...

    def error_response(self, kind: ErrorKind, request: web.Request) -> Response:
        """The error in the PSP's words."""
        ...

    def finish(self, request: web.Request, response: web.StreamResponse, *, replayed: bool) -> None:
        """Adds the headers that every response has."""
        ...

    def replay(self, keyed: Keyed, stored: StoredResult, turn: Turn) -> Response:
        """The response to a repeat: `stored` again, or the present state of `stored.about`."""
        ...

    def dashboard(self, action: DashboardAction, turn: Turn) -> None:
        """Does what a colleague did in the PSP's dashboard. Raises `Refusal` where the dashboard would not
        offer it. `turn` has no key."""
        ...

    def sign(self, webhook: Webhook, account: Account, now: float, *, forged: bool) -> Signed:
        """The webhook as it is posted at `now` (Unix seconds). `forged`: with a wrong signature."""
        ...

    def settle(self, now: float) -> None:
        """Does what goes on by itself and is due at `now` (Unix seconds). The server calls it often, and
        mostly nothing is due."""
        ...


class Entry(NamedTuple):
    """A test value, and its effect."""

    value: str
    effect: str


class Group(NamedTuple):
    """Test values of one kind."""

    title: str
    entries: Sequence[Entry]


class Option(NamedTuple):
    """An option of an account. `pattern`: a regular expression of the whole value."""

    pattern: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Psp:
    """The declaration of a PSP. `version`: of the interface that it speaks. `default`: the account that it
    has where none are configured. `credentials` and `webhooks`: in words, for the page. `hosts`: where
    clients in test mode look for it. `differs`: how it differs from the real PSP, in sentences. `fees`: what
    it keeps of an account that has no prices of its own; None: nothing."""

    name: str
    title: str
    version: str
    default: Account
    open: "Callable[[Front], Dialect]"
    credentials: str
    webhooks: str
    groups: Sequence[Group]
    hosts: Sequence[str] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    differs: Sequence[str] = ()
    fees: PriceList | None = None
