"""Chooses when and where an attempt follows one that was proven not executed. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Literal

Limit = Literal["disputes_show_as_refunds", "full_capture", "no_lookup", "no_void", "refund_of_capture"]
"""`disputes_show_as_refunds`: a lookup shows what a dispute took among the refunds. `full_capture`: all of an
authorization or nothing. `no_lookup`: only a repeat or a webhook reports how a call ended.
`refund_of_capture`: a refund names one capture, and cannot pass it."""


@dataclass(frozen=True, slots=True)
class PspAccount:
    """An account at which an operation may run, with what its adapter and its contract declare.

    `key_life_s`: how long the PSP remembers an idempotency key; 0 where it has none. `authorization_life_s`:
    from the approval. `multicapture`: an authorization may be captured several times; otherwise the first
    capture releases the rest. `final_call_by`: who makes the last call after a challenge. `limits`: what this
    PSP cannot do.
    """

    gateway: str
    account: str
    key_life_s: int
    authorization_life_s: int
    multicapture: bool
    overcapture_percent: int
    final_call_by: Literal["psp", "us"]
    limits: frozenset[Limit] = frozenset()

    @property
    def looks_up(self) -> bool:
        """True if the PSP has a status API, so that AegisPay can query an operation."""
        return "no_lookup" not in self.limits

    def token(self, payment_method: str) -> str:
        """Returns the token that this PSP gets: without its gateway's name, which may precede it with a
        colon."""
        return payment_method.removeprefix(f"{self.gateway}:")


_DOUBLINGS_MAX: Final = 64  # beyond every bound, and within what a float can hold


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A merchant's back-off. `attempts_max` counts the first attempt."""

    attempts_max: int = 3
    first_s: float = 1.0
    factor: float = 2.0
    max_s: float = 30.0

    def delay_s(self, attempts: int, jitter: float) -> float:
        """Returns the delay after so many attempts: between half of the back-off and all of it. `jitter` in
        [0, 1)."""
        grown = self.first_s * self.factor ** min(attempts - 1, _DOUBLINGS_MAX)
        return min(grown, self.max_s) * (0.5 + jitter / 2)


_FOR_NOW_MAX_S: Final = 4 * 3600.0


def for_now_delay_s(again_after_s: int, attempts: int, jitter: float) -> float:
    """Returns the delay after this many attempts that the PSP refused for the moment: never shorter than it
    demanded."""
    grown = again_after_s * 2.0 ** min(attempts - 1, _DOUBLINGS_MAX)
    return min(grown, max(_FOR_NOW_MAX_S, float(again_after_s))) * (1 + jitter / 4)


_UNREACHED: Final = RetryPolicy(first_s=1.0, factor=2.0, max_s=30.0)
_WAITED_PER_GAP: Final = 120  # 30 s after an hour


def unreached_delay_s(tries: int, waited_s: float, jitter: float, *, customer_waits: bool) -> float:
    """Returns the delay after this many tries in a row that reached nobody. At most 30 s while a customer
    waits; a capture, a void or a refund may wait for days, and its gaps grow with the time that it has
    waited."""
    delay_s = _UNREACHED.delay_s(tries, jitter)
    return delay_s if customer_waits else max(delay_s, waited_s / _WAITED_PER_GAP * (0.5 + jitter / 2))


@dataclass(frozen=True, slots=True)
class Route:
    """A merchant's accounts in the order in which they are tried, none where nothing takes the payment.
    `none_because`: the reason why there is none, in words for the merchant."""

    accounts: tuple[PspAccount, ...]
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    none_because: str = "the merchant has no PSP account that takes this payment"

    def after(self, account: str, tried: Collection[str]) -> PspAccount | None:
        """Returns the next account that was not tried; where all were, the one after `account` in turn."""
        for candidate in self.accounts:
            if candidate.account not in tried:
                return candidate
        names = [candidate.account for candidate in self.accounts]
        if not names:
            return None
        place = names.index(account) + 1 if account in names else 0
        return self.accounts[place % len(names)]

    def named(self, account: str) -> PspAccount | None:
        """Returns the account of this name. None: the merchant does not have it any more."""
        return next((candidate for candidate in self.accounts if candidate.account == account), None)
