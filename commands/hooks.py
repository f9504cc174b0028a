"""The contract of hooks: functions of an operator's that AegisPay calls, and what is registered of each.

    from commands.hooks import Allow, Deny, FraudCheck, NewPayment

    def check(payment: NewPayment) -> Allow | Deny:
        return Deny("over the limit") if payment.amount_minor > 100_000 else Allow()

    hook = FraudCheck(name="limit", run=check)

A function may be `async`: then it runs in the process's event loop and must not block it. Any other runs in a
thread. Amounts are in the currency's minor unit, times aware and in UTC, and scores from 0.0 to 1.0, the
higher the riskier. docs/hooks.md has an example of each kind.
"""

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, Literal
from uuid import UUID

from aggregates.hooks import FailureMode
from commands.card_data import holds_card_data

WITHIN_S_MAX: Final = 10.0
"""The longest time limit of a hook, s."""
TEXT_MAX: Final = 400
"""The characters that are kept of a hook's words."""
ACCOUNTS_MAX: Final = 20
"""The accounts of each of a routing hook's lists."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPayment:
    """A payment that was requested and is not decided yet.

    `payment_method`: a PSP's token; `payment_methods`: in its place, a token for each PSP by its name.
    `method`: such as card; None: card. `card_bin`: the first digits of the card; `card_country` its issuer's,
    `country` the customer's, both ISO 3166-1 alpha-2.
    """

    payment_id: UUID
    merchant_id: str
    idempotency_key: str
    amount_minor: int
    currency: str
    capture: Literal["automatic", "manual"]
    payment_method: str | None = field(repr=False)
    payment_methods: Mapping[str, str] = field(repr=False)
    method: str | None
    card_bin: str | None
    card_country: str | None
    card_scheme: str | None
    card_funding: str | None
    customer_id: str | None
    country: str | None
    description: str | None
    metadata: Mapping[str, str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Accept:
    """The payment, or the operation, may go on."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The payment is rejected, or the operation not sent. `code`: for programs, such as shop_closed;
    `detail`: for people."""

    code: str
    detail: str

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code):
            raise ValueError("code: up to 60 lower-case letters, digits and _, such as shop_closed")
        _check_text("detail", self.detail)


@dataclass(frozen=True, slots=True)
class Allow:
    """The fraud check has nothing against the payment."""

    score: float | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        _check_score(self.score, self.reason)


@dataclass(frozen=True, slots=True)
class Deny:
    """The payment is rejected as `denied_by_fraud_check`, with `reason`, which the merchant sees."""

    reason: str
    score: float | None = None

    def __post_init__(self) -> None:
        _check_score(self.score, self.reason)


@dataclass(frozen=True, slots=True)
class Review:
    """The payment is held until a person allows or denies it, or until it expires."""

    reason: str
    score: float | None = None

    def __post_init__(self) -> None:
        _check_score(self.score, self.reason)


@dataclass(frozen=True, slots=True)
class Accounts:
    """The PSP accounts, by their names in the accounts file, to which all attempts of a payment may go.
    `only`: no other takes it; empty: any may. `never`: these do not. `prefer`: these come first. Each is a
    tuple or a list of 20 names at most."""

    only: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    prefer: tuple[str, ...] = ()
    reason: str | None = None

    def __post_init__(self) -> None:
        for name in ("only", "never", "prefer"):
            # A tuple of what was checked: a list could be changed after this.
            object.__setattr__(self, name, _accounts(name, getattr(self, name)))
        _check_score(None, self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A call to a PSP. `payment_method`: the token that goes to it. `target_operation_id`: the operation that
    it captures, voids or refunds."""

    payment_id: UUID
    operation_id: str
    kind: Literal["authorize", "sale", "capture", "void", "refund"]
    amount_minor: int
    currency: str
    gateway: str
    account: str
    payment_method: str = field(repr=False)
    target_operation_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationOutcome:
    """The outcome of a call. `outcome`: such as APPROVED or UNKNOWN (docs/states.md). `source`: the call, a
    query, the stored result of an earlier one, or none if nothing was sent. `call_ms`: from the first byte to
    the response."""

    outcome: str
    code: str | None
    detail: str | None
    psp_id: str | None
    amount_minor: int | None
    source: str
    call_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedEvent:
    """An event of a payment, as docs/asyncapi.yaml describes it. `id`: the same in each repeat.
    `version`: counts the payment's events from 1."""

    id: str
    type: str
    payment_id: UUID
    version: int
    correlation_id: str | None
    data: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Base of what is registered of a hook. Hooks of a kind run by `order`, then by name, each for at most
    `within_s` seconds."""

    KIND: ClassVar[str]
    name: str
    order: int = 100
    within_s: float = 0.5

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError("name: up to 40 lower-case letters, digits, - and _, such as velocity")
        if not 0 < self.within_s <= WITHIN_S_MAX:
            raise ValueError(f"within_s: above 0 and at most {WITHIN_S_MAX:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreValidation(Hook):
    """Refuses payments before anything else is decided. `on_failure`: where it fails or is late, `open` lets
    the payment go on, and `closed` rejects it as `hook_failed`."""

    KIND: ClassVar[str] = "pre_validation"
    run: Callable[[NewPayment], Accept | Refuse | Awaitable[Accept | Refuse]]
    on_failure: FailureMode


@dataclass(frozen=True, slots=True, kw_only=True)
class FraudCheck(Hook):
    """Allows, denies or holds a payment."""

    KIND: ClassVar[str] = "fraud"
    run: Callable[[NewPayment], Allow | Deny | Review | Awaitable[Allow | Deny | Review]]
    on_failure: FailureMode = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing(Hook):
    """Chooses among the merchant's accounts for all attempts of a payment. `on_failure`: `open` routes
    without its wishes, `closed` rejects the payment."""

    KIND: ClassVar[str] = "routing"
    run: Callable[[NewPayment], Accounts | Awaitable[Accounts]]
    on_failure: FailureMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle(Hook):
    """Is called before each operation is sent for the first time, and after each outcome. `on_failure`: of
    `before`; `closed`: the operation is not sent, and tried again later until its time is over. `after` only
    observes: nothing waits for it."""

    KIND: ClassVar[str] = "lifecycle"
    before: Callable[[Operation], Accept | Refuse | Awaitable[Accept | Refuse]] | None = None
    after: Callable[[Operation, OperationOutcome], Awaitable[None] | None] | None = None
    on_failure: FailureMode

    def __post_init__(self) -> None:
        # `super()` without arguments finds no class here: dataclass(slots=True) has replaced this one.
        Hook.__post_init__(self)
        if self.before is None and self.after is None:
            raise ValueError("a lifecycle hook has before, after or both")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener(Hook):
    """Receives every event of every payment, at least once, in order for each payment. After `tries` failures
    of one event, `open` writes a dead letter and goes on, and `closed` ends the process, which then reads the
    event again."""

    KIND: ClassVar[str] = "listener"
    run: Callable[[PublishedEvent], Awaitable[None] | None]
    on_failure: FailureMode
    tries: int = 5
    within_s: float = 5.0

    def __post_init__(self) -> None:
        Hook.__post_init__(self)
        if not 1 <= self.tries <= 20:
            raise ValueError("tries: from 1 to 20")


AnyHook = PreValidation | FraudCheck | Routing | Lifecycle | Listener


def _accounts(name: str, given: object) -> tuple[str, ...]:
    """Returns the names. Raises TypeError or ValueError, without a word of what was given."""
    # A text would be taken letter by letter: "sim-us" is no account s.
    if not isinstance(given, tuple | list):
        raise TypeError(f'{name}: a tuple of names, such as ("stripe-eu",)')
    names = tuple(given)
    if len(names) > ACCOUNTS_MAX:
        raise ValueError(f"{name}: at most {ACCOUNTS_MAX} names")
    for one in names:
        if not isinstance(one, str):
            raise TypeError(f"{name}: names are texts")
        if not _ACCOUNT.fullmatch(one) or holds_card_data(one):
            raise ValueError(f"{name}: holds what is no name of a PSP account")
    return names


def _check_text(name: str, text: str | None) -> None:
    if text is not None and not isinstance(text, str):
        raise TypeError(f"{name}: a text")


def _check_score(score: float | None, reason: str | None) -> None:
    _check_text("reason", reason)
    if score is None:
        return
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise TypeError("score: a number from 0.0 to 1.0")
    if not math.isfinite(score) or not 0 <= score <= 1:
        raise ValueError("score: from 0.0 to 1.0")
