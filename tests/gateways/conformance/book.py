"""What a PSP's case book tells the conformance suite.

Invariant: the list of cases is one for all PSPs. What a PSP cannot have stands in its book as `Without`, with the reason.
A book speaks as its PSP does: from a call that the PSP was sent to the bytes of its answer.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal, cast, get_args

import aiohttp

from commands.messages import Outcome
from gateways.contract import Call, Credentials, Gateway, Hook, HookKeys, HttpAnswer, HttpRequest, Kind
from gateways.simulator.accounts import Account
from gateways.simulator.psp import Psp

Operation = Literal["authorize", "sale", "capture", "capture_part", "void", "refund", "refund_part"]
Result = Literal[
    "APPROVED",
    "ACTION_REQUIRED",
    "PENDING",
    "DECLINED_SOFT",
    "DECLINED_HARD",
    "NOT_SENT",
    "CONFIG",
    "DUPLICATE",
    "UNKNOWN",
]
KeyCase = Literal["replayed", "other_parameters", "still_running"]
Other = Literal["more", "less", "currency", "payment"]
Way = Literal["by_id", "by_reference"]
CancelCase = Literal["ended", "was_approved", "refused"]
Token = Literal["approved", "declined_soft", "declined_hard", "challenged"]

OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
TAKING: Final[tuple[Operation, ...]] = ("authorize", "sale")
RESULTS: Final[tuple[Result, ...]] = get_args(Result)
KEY_CASES: Final[tuple[KeyCase, ...]] = get_args(KeyCase)
OTHERS: Final[tuple[Other, ...]] = get_args(Other)
WAYS: Final[tuple[Way, ...]] = get_args(Way)
CANCEL_CASES: Final[tuple[CancelCase, ...]] = get_args(CancelCase)
TOKENS: Final[tuple[Token, ...]] = get_args(Token)
NEVER_WITHOUT: Final[frozenset[Result]] = frozenset({"NOT_SENT", "CONFIG", "UNKNOWN"})

AMOUNTS: Final = (
    (1099, "USD"),
    (500, "JPY"),
    (5120, "KWD"),
    (5124, "KWD"),
    (1230, "TND"),
    (5, "ISK"),
    (1045, "HUF"),
    (1000, "HUF"),
    (80000, "TWD"),
    (1000, "CLP"),
    (5, "UGX"),
    (1500000, "IDR"),
)
"""In our minor units: 2, 0 and 3 decimals, and the currencies in which the PSPs differ."""

PAYMENT: Final = "0f8fad5bd9cb469fa16570867728950e"
ANOTHER: Final = "7c9e6679c7504405889bdcabfb2d7f13"
PLANTED: Final = "PLANTED"
"""Stands in every secret and token of a book, and may stand nowhere else."""

FULL_MINOR: Final = 1099
PART_MINOR: Final = 400
_SUFFIXES: Final[Mapping[Operation, str]] = {
    "authorize": "a1",
    "sale": "s1",
    "capture": "c2",
    "capture_part": "c2",
    "void": "v2",
    "refund": "r2",
    "refund_part": "r2",
}


@dataclass(frozen=True, slots=True)
class Without:
    why: str


Says = Callable[[Call], HttpAnswer]


@dataclass(frozen=True, slots=True)
class On:
    """What is said at another step than the one that `CaseBook.calls` has; `changes`: of the call. `asked`: it is said to
    a look-up, not to the step itself."""

    says: Says
    changes: Mapping[str, Any]
    asked: bool = False


Cell = Says | On | Without
Shows = Callable[[Call, Sequence[Call]], HttpAnswer]
"""The answer to a look-up of a call, where the PSP has executed these calls, which have the reference that is asked for
or the id."""


Customer = Callable[[aiohttp.ClientSession, str], Awaitable[Mapping[str, str]]]
"""Passes the challenge at this address, and gives what the browser brings back to the shop."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """The PSP's simulator. `account`: with the book's credentials. `tokens`: the payment method that plays it."""

    psp: Psp
    account: Account
    tokens: Mapping[Token, str | Without]
    customer: Customer | Without


Signed = Callable[[Call, datetime], Hook]
"""The webhook that tells that this call was approved, signed at that moment."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """While an endpoint's secret is replaced: `both` are known, then `only_new`."""

    both: HookKeys
    only_new: HookKeys
    signed_with_new: Signed


@dataclass(frozen=True, slots=True)
class Hooks:
    """`keyless`: with which nothing can be verified. `unsigned`: the same webhook without its signature."""

    keys: HookKeys
    signed: Signed
    unsigned: Callable[[Hook], Hook]
    keyless: Sequence[HookKeys]
    exchange: Exchange | Without
    expires: bool | Without


def without_headers(hook: Hook) -> Hook:
    return replace(hook, headers={"content-type": "application/json"})


def hooks(
    signed: Callable[[Call, datetime, str], Hook],
    secret: str,
    new_secret: str,
    *,
    expires: bool | Without,
    options: Mapping[str, str] | None = None,
    unsigned: Callable[[Hook], Hook] = without_headers,
) -> Hooks:
    """Where webhooks are signed with a secret that is shared."""
    keys = HookKeys((secret,), options or {})
    return Hooks(
        keys=keys,
        signed=lambda call, now: signed(call, now, secret),
        unsigned=unsigned,
        keyless=(replace(keys, secrets=()), replace(keys, secrets=("",))),
        exchange=Exchange(
            both=replace(keys, secrets=(new_secret, secret)),
            only_new=replace(keys, secrets=(new_secret,)),
            signed_with_new=lambda call, now: signed(call, now, new_secret),
        ),
        expires=expires,
    )


@dataclass(frozen=True, slots=True)
class CaseBook:
    """`calls`: the step of each operation at which the money moves, as the agent makes it; `before`: the steps ahead of
    it, each with what the PSP says to it. `psp_id`: of the operation with this reference, as an outcome reports it.
    `written`: the amount in a request of an operation's first step. `key_of`: the idempotency key in a request.
    `unseen`: what the answer to the call does not tell from what
    was asked. `keyless`: what may be repeated without a key. `id_at`: what the operation is known by at a step, where that is not its `psp_id`."""

    gateway: Gateway
    credentials: Credentials
    calls: Mapping[Operation, Call | Without]
    says: Mapping[Operation, Mapping[Result, Cell]]
    psp_id: Callable[[str], str]
    amounts: Mapping[tuple[int, str], str | Without]
    written: Callable[[HttpRequest], str]
    key_of: Callable[[HttpRequest], str | None]
    keys: Mapping[Operation, Mapping[KeyCase, Cell] | Without]
    looks: Mapping[Operation, Mapping[Way, Shows | Without] | Without]
    twice: Mapping[Operation, Shows | Without]
    cancels: Mapping[CancelCase, Cell]
    unseen: Mapping[tuple[Operation, Other], Without]
    keyless: Mapping[Operation, Without]
    error_in_200: HttpAnswer
    error_in_200_is: frozenset[Result]
    too_many: HttpAnswer
    error_saying: Callable[[str], HttpAnswer]
    hooks: Hooks | Without
    simulator: Simulated | Without
    before: Mapping[Operation, Sequence[On]] = field(default_factory=dict)
    id_at: Callable[[Call], str | None] | None = None
    sign_in_answer: HttpAnswer | None = None

    def best(self, operation: Operation) -> Cell:
        """How it goes well."""
        says = self.says[operation]
        return says["PENDING"] if isinstance(says["APPROVED"], Without) else says["APPROVED"]

    @property
    def name(self) -> str:
        return self.gateway.facts.name

    def call(self, operation: Operation) -> Call:
        call = self.calls[operation]
        assert isinstance(call, Call)
        return call

    def first(self, operation: Operation) -> Call:
        """Its first step."""
        before = self.before.get(operation)
        return replace(self.call(operation), **before[0].changes) if before else self.call(operation)

    def case(self, operation: Operation, cell: Cell) -> tuple[Call, HttpAnswer]:
        """The call that it is an answer to, and the answer."""
        assert not isinstance(cell, Without)
        if isinstance(cell, On):
            call = replace(self.call(operation), **cell.changes)
            return call, cell.says(call)
        return self.call(operation), cell(self.call(operation))

    def other_answer(self, operation: Operation, what: Other) -> tuple[Call, HttpAnswer]:
        """The call as it is asked, and an answer that goes well, about another thing."""
        cell = self.best(operation)
        assert not isinstance(cell, Without)
        says, changes = (cell.says, cell.changes) if isinstance(cell, On) else (cell, {})
        asked = replace(self.call(operation), **changes)
        return asked, says(self.other(asked, what))

    def read(self, operation: Operation, about: Callable[[Call], Call]) -> tuple[Call, Outcome | None]:
        """The call that `about` makes of the operation's, and what is known of it when it has gone well: from its answer,
        or from a look-up where the answer cannot say it."""
        ways = self.looks[operation]
        shows = ways["by_reference"] if not isinstance(ways, Without) else ways
        cell = self.best(operation)
        if isinstance(self.says[operation]["APPROVED"], Without) and not isinstance(shows, Without):
            call = about(replace(self.call(operation), psp_id=None))
            return call, self.gateway.found(call, shows(call, [call]))
        assert not isinstance(cell, Without)
        says, changes = (cell.says, cell.changes) if isinstance(cell, On) else (cell, {})
        call = about(replace(self.call(operation), **changes))
        return call, self.gateway.outcome(call, says(call))

    def other(self, call: Call, what: Other) -> Call:
        """The call that an answer about another thing would be the answer to."""
        match what:
            case "more":
                return of_money(call, call.amount_minor + 100, call.currency)
            case "less":
                return of_money(call, call.amount_minor - 10, call.currency)
            case "currency":
                return replace(call, currency="EUR")
            case "payment":
                return self.another(call)

    def another(self, call: Call) -> Call:
        """The same operation of another payment."""
        target = call.target_reference and call.target_reference.replace(PAYMENT, ANOTHER)
        another = replace(
            call,
            reference=call.reference.replace(PAYMENT, ANOTHER),
            target_reference=target,
            target_psp_id=self.psp_id(target) if target else None,
        )
        if call.psp_id is None:
            return another
        known = self.psp_id(another.reference) if self.id_at is None else self.id_at(another)
        return replace(another, psp_id=known)


def calls(payment_method: str, psp_id: Callable[[str], str], **more: Any) -> dict[Operation, Call]:
    """Each operation's call, of one step; what a capture or void acts on is authorized, what a refund gives back sold."""
    return {operation: _call(operation, payment_method, psp_id, **more) for operation in OPERATIONS}


def _call(operation: Operation, payment_method: str, psp_id: Callable[[str], str], **more: Any) -> Call:
    taking = operation in TAKING
    target = None if taking else f"{PAYMENT}-{'s1' if operation.startswith('refund') else 'a1'}"
    return Call(
        **{
            "reference": f"{PAYMENT}-{_SUFFIXES[operation]}",
            "step": "1",
            "kind": kind_of(operation),
            "amount_minor": PART_MINOR if operation.endswith("_part") else FULL_MINOR,
            "currency": "USD",
            "payment_method": payment_method,
            "description": "Order 7",
            "statement_text": None,
            "three_ds": False,
            "stored_credential": None,
            "target_reference": target,
            "target_psp_id": None if target is None else psp_id(target),
            "target_minor": None if target is None else FULL_MINOR,
            "final": operation.startswith("capture"),
            "multicapture": False,
            "overcapture": False,
            "return_url": "https://shop.example/back" if taking else None,
            "psp_id": None,
            **more,
        }
    )


def kind_of(operation: Operation) -> Kind:
    return cast("Kind", operation.partition("_")[0])


def of_money(call: Call, minor: int, currency: str) -> Call:
    """The same call about another sum; what it acts on is as large."""
    target_minor = None if call.target_minor is None else call.target_minor + minor - call.amount_minor
    return replace(call, amount_minor=minor, currency=currency, target_minor=target_minor)


def result_of(outcome: Outcome) -> Result:
    if outcome.kind == "NOT_SENT" and outcome.hint == "CONFIG":
        return "CONFIG"
    if outcome.kind == "UNKNOWN" and outcome.repeat_is_useless:
        return "DUPLICATE"
    assert outcome.kind not in {"EXPIRED", "PROVEN_ABSENT"}, outcome
    return cast("Result", outcome.kind)
