"""Chooses when and where an attempt follows one that was proven not executed. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from aggregates.routing.accounts import PspAccount
from aggregates.routing.retries import RetryPolicy


@dataclass(frozen=True, slots=True)
class Route:
    """A merchant's accounts in the order in which they are tried, none where nothing takes the payment.
    `none_because`: the reason why there is none, in words for the merchant. `excluded`: why an account takes
    no attempt of this payment, by its name."""

    accounts: tuple[PspAccount, ...]
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    none_because: str = "the merchant has no PSP account that takes this payment"
    excluded: Mapping[str, str] = field(default_factory=dict, compare=False)

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
