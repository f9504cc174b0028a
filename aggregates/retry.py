"""When and where an attempt follows one that was proven not to have been executed. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

Limit = Literal["full_capture", "no_lookup", "no_void", "refund_of_capture"]
"""`full_capture`: all of an authorization or nothing. `no_lookup`: only a repeat or a webhook tells how a call ended.
`refund_of_capture`: a refund names one capture, and cannot pass it."""


@dataclass(frozen=True, slots=True)
class PspAccount:
    """Where an operation may run, and what its adapter and its contract declare.

    `key_life_s`: how long the PSP remembers an idempotency key; 0 where it has none. `authorization_life_s`: from the
    approval. `multicapture`: an authorization may be captured several times; otherwise the first capture releases the
    rest. `completed_by`: who makes the last call after a challenge. `limits`: what this PSP cannot do.
    """

    gateway: str
    account: str
    key_life_s: int
    authorization_life_s: int
    multicapture: bool
    overcapture_percent: int
    completed_by: Literal["psp", "us"]
    limits: frozenset[Limit] = frozenset()

    @property
    def looks_up(self) -> bool:
        return "no_lookup" not in self.limits

    def token(self, payment_method: str) -> str:
        """As this PSP gets it: without the name of its gateway, which may go before it with a colon."""
        return payment_method.removeprefix(f"{self.gateway}:")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A merchant's. `attempts_max` counts the first one."""

    attempts_max: int = 3
    first_s: float = 1.0
    factor: float = 2.0
    max_s: float = 30.0

    def delay_s(self, attempts: int, jitter: float) -> float:
        """After so many attempts: between half of the back-off and all of it. `jitter` in [0, 1)."""
        return min(self.first_s * self.factor ** (attempts - 1), self.max_s) * (0.5 + jitter / 2)


@dataclass(frozen=True, slots=True)
class Route:
    """A merchant's accounts in the order in which they are tried, none where nothing takes the payment."""

    accounts: tuple[PspAccount, ...]
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def after(self, account: str, tried: Collection[str]) -> PspAccount | None:
        """The next account that was not tried; where all were, the one after `account` in turn."""
        for candidate in self.accounts:
            if candidate.account not in tried:
                return candidate
        names = [candidate.account for candidate in self.accounts]
        if not names:
            return None
        place = names.index(account) + 1 if account in names else 0
        return self.accounts[place % len(names)]

    def named(self, account: str) -> PspAccount | None:
        return next((candidate for candidate in self.accounts if candidate.account == account), None)
