"""The strategies that meet the payment world: those of a policy, ranked by the product's own code, and two to
compare with."""

from collections import deque
from collections.abc import Callable
from typing import Final
from uuid import UUID

import numpy as np

from aggregates.routing import policy
from aggregates.routing.adaptive import Arm, observe
from aggregates.routing.facts import PaymentFacts
from aggregates.routing.health import WINDOW, SegmentHealth
from aggregates.routing.strategies import Ranked, rank
from infra.tools.bench.regret.world import PSPS, Strategy, World

_AMOUNT_MINOR: Final = 10_000
_FACTS: Final = PaymentFacts(
    payment_id=UUID(int=0),
    merchant_id="m",
    kind="sale",
    amount_minor=_AMOUNT_MINOR,
    currency="EUR",
)


class OfPolicy:
    """A strategy of a policy. It sees each PSP's last transactions and its arm, as health publishes them."""

    def __init__(self, strategy: policy.Strategy, drawn: World) -> None:
        self._strategy = strategy
        self._last: dict[str, deque[tuple[float, bool]]] = {psp.name: deque(maxlen=WINDOW) for psp in PSPS}
        self._arms = {psp.name: Arm() for psp in PSPS}
        self._fees = {psp.name: round(psp.fee * _AMOUNT_MINOR) for psp in PSPS}
        self._known = {psp.name: Ranked(psp.name, self._fees[psp.name]) for psp in PSPS}

    def choose(self, payment: int, open_to: list[str], uniform: float) -> str:
        """Returns the PSP at which the propensities, added up, pass the uniform number."""
        ranking = rank(self._strategy, [self._known[name] for name in open_to], _FACTS, {})
        passed = 0.0
        for name, share in zip(ranking.order, ranking.propensities, strict=True):
            passed += share
            if uniform < passed:
                return name
        return ranking.order[0]

    def learn(self, psp: str, answer_s: float, *, approved: bool) -> None:
        """Takes an answer into the PSP's health."""
        last, arm = self._last[psp], observe(self._arms[psp], success=approved)
        last.append((answer_s, approved))
        self._arms[psp] = arm
        approvals = sum(one for _, one in last)
        answers_s = sorted(one for one, _ in last)
        health = SegmentHealth(
            approved=approvals,
            declined=len(last) - approvals,
            p95_ms=1000 * answers_s[int(0.95 * (len(last) - 1))],
            wins=arm.wins,
            losses=arm.losses,
        )
        self._known[psp] = Ranked(psp, self._fees[psp], "sale", health)


class BestFixed:
    """The one PSP that is the best over the whole run, known beforehand: no strategy can know it."""

    def __init__(self, drawn: World) -> None:
        self._name = PSPS[int(np.argmax(drawn.rates.mean(axis=0)))].name

    def choose(self, payment: int, open_to: list[str], uniform: float) -> str:
        """Returns the one PSP."""
        return self._name

    def learn(self, psp: str, answer_s: float, *, approved: bool) -> None:
        """Needs no answer."""


def adaptive(drawn: World) -> OfPolicy:
    """Returns the adaptive strategy as a policy has it by default."""
    return OfPolicy(policy.Adaptive(kind="adaptive"), drawn)


def metrics(drawn: World) -> OfPolicy:
    """Returns the metrics-based strategy as a policy has it by default: 0.6, 0.3 and 0.1."""
    return OfPolicy(policy.Metrics(kind="metrics"), drawn)


def metrics_without_exploration(drawn: World) -> OfPolicy:
    """Returns the same without the payments that go anywhere."""
    return OfPolicy(policy.Metrics(kind="metrics", explore=0.0), drawn)


def success(drawn: World) -> OfPolicy:
    """Returns the strategy that goes by the success rate's lower bound alone."""
    return OfPolicy(policy.Success(kind="success"), drawn)


def round_robin(drawn: World) -> "RoundRobin":
    """Returns one PSP after the other."""
    return RoundRobin()


class RoundRobin:
    """One PSP after the other."""

    def choose(self, payment: int, open_to: list[str], uniform: float) -> str:
        """Returns the next in turn."""
        return open_to[payment % len(open_to)]

    def learn(self, psp: str, answer_s: float, *, approved: bool) -> None:
        """Needs no answer."""


STRATEGIES: Final[dict[str, Callable[[World], Strategy]]] = {
    "adaptive": adaptive,
    "metrics": metrics,
    "metrics, explore 0": metrics_without_exploration,
    "success": success,
    "best fixed": BestFixed,
    "round_robin": round_robin,
}
