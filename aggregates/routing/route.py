"""All that decides where a merchant's payment may go, except the payment itself. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aggregates.fees import FeeBook
from aggregates.routing.accounts import PspAccount
from aggregates.routing.choice import Decision, Situation, choose
from aggregates.routing.facts import Candidate, Exclusion, Hints, PaymentFacts
from aggregates.routing.health import Health
from aggregates.routing.retries import RetryPolicy
from aggregates.routing.rules import NO_POLICY, ReadyPolicy


@dataclass(frozen=True, slots=True)
class Route:
    """The accounts that can take a payment, in the order of the settings, and what ranks them.

    `none_because`: why there is none, in words for the merchant. `excluded`: why each other account of the
    merchant cannot take it, by its name; `codes`: the code of that reason, where it is not `declared`.
    `shares`: see `choice.Situation`.
    """

    accounts: tuple[PspAccount, ...]
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    none_because: str = "the merchant has no PSP account that takes this payment"
    excluded: Mapping[str, str] = field(default_factory=dict, compare=False)
    policy: ReadyPolicy = NO_POLICY
    health: Health = field(default_factory=Health)
    shares: Mapping[str, float] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict, compare=False)

    def decide(
        self,
        facts: PaymentFacts,
        tried: Sequence[str],
        now: datetime,
        fees: FeeBook,
        hints: Hints,
        *,
        refused: Mapping[str, str],
    ) -> Decision:
        """Chooses the account of the next attempt. `tried`: the accounts of the attempts so far, oldest
        first. `refused`: those that refused this payment for good, each with the reason."""
        return choose(
            Situation(
                facts=facts,
                candidates=[
                    Candidate(one.account, fees.expected(one.account, facts, now))
                    for one in self.accounts
                    if one.account not in refused
                ],
                now=now,
                excluded=[
                    Exclusion(name, self.codes.get(name, "declared"), why)
                    for name, why in self.excluded.items()
                    if name not in refused
                ]
                + [Exclusion(name, "refused", why) for name, why in refused.items()],
                tried=tried,
                policy=self.policy,
                health=self.health,
                hints=hints,
                shares=self.shares,
            )
        )

    def named(self, account: str) -> PspAccount | None:
        """Returns the account of this name. None: the merchant does not have it any more."""
        return next((candidate for candidate in self.accounts if candidate.account == account), None)
