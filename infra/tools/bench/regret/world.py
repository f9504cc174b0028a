"""A payment world: five PSPs of which one fails, one browns out and two drift, a dead one that joins, and
answers that come late.

Everything is drawn before the strategies play, so that all meet the same customers: a uniform number decides
a payment, and a PSP approves it if the number lies below its rate at that time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final, Protocol

import numpy as np

from infra.tools.bench.regret.problems import Floats

PAYMENTS: Final = 10_000
GAP_S: Final = 1.0  # one payment a second, on average
ANSWER_S: Final = (0.2, 30.0)
WARM_UP: Final = 50
"""Outcomes of each PSP, but the new one, that every strategy starts with."""


@dataclass(frozen=True, slots=True)
class Psp:
    """A PSP. `rate`: of the payments that it approves. `answer_s`: the median. `fee`: a share of the
    amount."""

    name: str
    rate: float
    answer_s: float
    fee: float


@dataclass(frozen=True, slots=True)
class Event:
    """What happens to a PSP between two shares of the payments: its rate goes from one value to the other, in
    a line. `answer_s`: the median meanwhile."""

    what: str
    psp: str
    since: float
    until: float
    first: float
    last: float
    answer_s: float | None = None


PSPS: Final = (
    Psp("A", 0.97, 1.5, 0.016),
    Psp("B", 0.95, 1.0, 0.014),
    Psp("C", 0.92, 0.8, 0.012),
    Psp("D", 0.89, 2.0, 0.013),
    Psp("E", 0.85, 0.6, 0.010),
    Psp("new", 0.0, 0.5, 0.008),
)
JOINS: Final = {"new": 0.8}
# Each trouble hits the PSP that is the best at that time, or the one that a strategy has fled to.
EVENTS: Final = (
    Event("outage", "A", 0.2, 0.25, 0.0, 0.0, answer_s=15.0),
    Event("brown-out", "B", 0.35, 0.45, 0.75, 0.75, answer_s=5.0),
    Event("drift", "A", 0.55, 0.7, 0.97, 0.92),
    Event("drift", "C", 0.55, 0.7, 0.92, 0.98),
    Event("after the drift", "A", 0.7, 1.0, 0.92, 0.92),
    Event("after the drift", "C", 0.7, 1.0, 0.98, 0.98),
)
PHASES: Final = (
    ("quiet", 0.0, 0.2),
    ("outage of A", 0.2, 0.25),
    ("after the outage", 0.25, 0.35),
    ("brown-out of B", 0.35, 0.45),
    ("quiet again", 0.45, 0.55),
    ("drift of A and C", 0.55, 0.8),
    ("a dead PSP joins", 0.8, 1.0),
)


class Strategy(Protocol):
    """Chooses a PSP for each payment, and hears the answers when they come."""

    def choose(self, payment: int, open_to: list[str], uniform: float) -> str:
        """Returns one of the PSPs that are open to the payment."""

    def learn(self, psp: str, answer_s: float, *, approved: bool) -> None:
        """Takes an answer."""


@dataclass(frozen=True, slots=True)
class World:
    """One run's draws. `rates` and `answers_s`: payment by PSP; `customers`, `uniforms`: one number a
    payment."""

    at_s: Floats
    rates: Floats
    answers_s: Floats
    customers: Floats
    uniforms: Floats
    warm_up: Floats = field(repr=False)


def world(seed: int, payments: int = PAYMENTS) -> World:
    """Returns the draws of a run."""
    chance = np.random.default_rng(seed)
    shares = np.arange(payments) / payments
    rates = np.tile(np.array([psp.rate for psp in PSPS]), (payments, 1))
    medians = np.tile(np.array([psp.answer_s for psp in PSPS]), (payments, 1))
    names = [psp.name for psp in PSPS]
    for event in EVENTS:
        during = (shares >= event.since) & (shares < event.until)
        done = (shares[during] - event.since) / (event.until - event.since)
        column = names.index(event.psp)
        rates[during, column] = event.first + done * (event.last - event.first)
        if event.answer_s is not None:
            medians[during, column] = event.answer_s
    return World(
        at_s=np.cumsum(chance.exponential(GAP_S, payments)),
        rates=rates,
        answers_s=np.clip(medians * chance.lognormal(0.0, 0.7, medians.shape), *ANSWER_S),
        customers=chance.random(payments),
        uniforms=chance.random(payments),
        warm_up=chance.random((WARM_UP, len(PSPS))),
    )


def choices(strategy: Strategy, drawn: World) -> Iterator[int]:
    """Yields the column of the PSP that the strategy chooses for each payment; answers reach it in time."""
    names = [psp.name for psp in PSPS]
    for row in drawn.warm_up:
        for psp, uniform in zip(PSPS, row, strict=True):
            if psp.name not in JOINS:
                strategy.learn(psp.name, psp.answer_s, approved=bool(uniform < psp.rate))
    late: list[tuple[float, int, str, float, bool]] = []
    payments = len(drawn.at_s)
    for payment, at_s in enumerate(drawn.at_s.tolist()):
        while late and late[0][0] <= at_s:
            _, _, psp_name, answer_s, approved = heappop(late)
            strategy.learn(psp_name, answer_s, approved=approved)
        open_to = [name for name in names if JOINS.get(name, 0) <= payment / payments]
        chosen = strategy.choose(payment, open_to, float(drawn.uniforms[payment]))
        column = names.index(chosen)
        answer_s = float(drawn.answers_s[payment, column])
        approves = bool(drawn.customers[payment] < drawn.rates[payment, column])
        heappush(late, (at_s + answer_s, payment, chosen, answer_s, approves))
        yield column


def lost(drawn: World, columns: list[int]) -> Floats:
    """Returns, for each payment, by how much the chosen rate lay below the best one."""
    return np.asarray(drawn.rates.max(axis=1) - drawn.rates[np.arange(len(columns)), columns])
