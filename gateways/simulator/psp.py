"""What a PSP is to the simulator: a declaration, and its dialect. The rest (who goes wrong when, repeats, latency,
outages, the sending of webhooks) is the same for all and not a dialect's business.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

import orjson
from aiohttp import web

from gateways.simulator.accounts import Account
from gateways.simulator.faults import Do, Mishap
from gateways.simulator.rows import Hook, StoredAnswer

if TYPE_CHECKING:
    from gateways.simulator.front import Front

Trouble = Literal[
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
_STEP: Final = re.compile(r"([0-9a-f]{32}-[a-z][0-9]{1,6})-[0-9a-z]")


class Answer(NamedTuple):
    """`about`: the object's id; kept with the key, for `Dialect.replay`."""

    status: int
    body: bytes
    about: str | None = None
    headers: Mapping[str, str] = {}
    content_type: str = JSON

    @classmethod
    def json(cls, status: int, body: Any, about: str | None = None, **headers: str) -> "Answer":
        return cls(status, orjson.dumps(body), about, headers)


@dataclass
class Refusal(Exception):
    """Raised from wherever a call turns out to be refused: nothing is done and nothing is kept under its key."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Keyed:
    """The idempotency key of a request, and what it was sent with. `scope`: within which the key is one, the account
    where empty."""

    key: str
    fingerprint: str
    life_s: float
    scope: str = ""

    @property
    def name(self) -> str:
        return f"{self.scope}/{self.key}" if self.scope else self.key

    @property
    def operation(self) -> str | None:
        """AegisPay's keys are the operation's id and the step, with a dash between."""
        return self.key.rpartition("-")[0] or None


def operation_named(request: web.Request) -> str | None:
    """For which of AegisPay's operations a call is made that has no place in its body to say so."""
    step = _STEP.fullmatch(request.headers.get("X-Request-Id", ""))
    return None if step is None else step[1]


@dataclass(frozen=True, slots=True)
class Turn:
    """Who asks, under which key, when, and what is to go wrong with what is said about it: a dialect has to heed
    `wrong_amount`, `wrong_currency`, `absent` (a search) and `flap` (a read). `origin`: where the PSP's own pages
    begin, for addresses that the customer is sent to."""

    account: Account
    keyed: Keyed | None
    now: float
    origin: str
    do: Do | None = None


Decide = Callable[[Turn], Answer]
"""Does what was asked and says what is answered about it. It runs inside one transaction of the ledger."""


class Plan(NamedTuple):
    """What a call asks for, checked and not yet done. `mishap`: what its token makes go wrong with it; `payment`: what
    all attempts at one payment have in common."""

    decide: Decide
    mishap: Mishap | None = None
    payment: str | None = None


class Signed(NamedTuple):
    body: bytes
    headers: Mapping[str, str]


class Dialect(Protocol):
    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """Of the API, without the PSP's prefix. A handler ends in `front.read` or `front.once`."""
        ...

    def pages(self) -> Sequence[web.AbstractRouteDef]:
        """What anybody may call: the customer at the bank, a certificate. Never hit by a fault or an outage."""
        ...

    def admit(self, request: web.Request) -> Account | None: ...

    def trouble(self, what: Trouble, request: web.Request) -> Answer:
        """In the PSP's words."""
        ...

    def finish(self, request: web.Request, answer: web.StreamResponse, *, replayed: bool) -> None:
        """Adds the headers that every answer has."""
        ...

    def replay(self, keyed: Keyed, stored: StoredAnswer, turn: Turn) -> Answer:
        """What a repeat is answered: `stored` again, or how `stored.about` is now."""
        ...

    def sign(self, hook: Hook, account: Account, now: float, *, forged: bool) -> Signed:
        """What is posted. `forged`: with a signature that is wrong."""
        ...

    def settle(self, now: float) -> None:
        """What goes on by itself and is due. Called often; most times there is nothing."""
        ...


class Entry(NamedTuple):
    value: str
    effect: str


class Group(NamedTuple):
    """Of test values."""

    title: str
    entries: Sequence[Entry]


class Option(NamedTuple):
    """Of an account. `pattern`: a regular expression of the whole value."""

    pattern: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Psp:
    """`version`: of the interface that it speaks. `default`: the account that it has where none are configured.
    `credentials` and `webhooks`: in words."""

    name: str
    title: str
    version: str
    default: Account
    open: "Callable[[Front], Dialect]"
    credentials: str
    webhooks: str
    groups: Sequence[Group]
    options: Mapping[str, Option] = field(default_factory=dict)
    differs: Sequence[str] = ()
