"""The orders of a run, and what became of each: made up from the seed."""

import asyncio
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from uuid import UUID

from commands.messages import payment_id
from infra.shop import Order, orders
from infra.target import MERCHANT

ONE_IN_BY_HTTP: Final = 10
_CALM: Final = frozenset(
    {"pm_card_visa", "pm_card_visa_chargeDeclined", "pm_card_visa_chargeDeclinedInsufficientFunds"}
)
_STORM: Final = (
    "pm_sim_slow",
    "pm_sim_timeout",
    "pm_sim_lost",
    "pm_sim_garbage",
    "pm_sim_wrong_amount",
    "pm_sim_wrong_currency",
    "pm_sim_500_once",
    "pm_sim_reset_before",
)
_STORM_SHARE: Final = 0.15
Course = Literal[
    "sale", "capture", "capture a part and release the rest", "release", "refund", "refund two parts"
]
COURSES: Final[dict[Course, int]] = {
    "sale": 70,
    "capture": 8,
    "capture a part and release the rest": 6,
    "release": 4,
    "refund": 6,
    "refund two parts": 6,
}
"""With their weights."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Of a command after the payment's first rest."""

    what: str
    code: str


@dataclass(slots=True)
class Sale:
    """Times are monotonic. `calm`: the PSP would answer it at once. `course`: what the shop does with it."""

    order: Order
    by_http: bool
    course: Course
    due_s: float
    taken_s: float | None = None
    settled_s: float | None = None
    shown_s: float | None = None
    ended: str | None = None
    tries: int = 0
    refused: list[Refusal] = field(default_factory=list)
    at_rest: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def manual(self) -> bool:
        """Authorized first."""
        return self.course.startswith(("capture", "release"))

    @property
    def as_its_token_says(self) -> bool:
        ends = "AUTHORIZED" if self.manual and self.order.ends == "CAPTURED" else self.order.ends
        return self.ended is None or self.ended == ends

    @property
    def name(self) -> UUID:
        return payment_id(MERCHANT, self.order.idempotency_key)

    @property
    def went_well(self) -> bool:
        """Its payment took or held the money, so the rest of its course can be done."""
        return self.ended in {"AUTHORIZED", "CAPTURED"}

    @property
    def calm(self) -> bool:
        return self.order.payment_method in _CALM


def shop_of(
    seed: int, count: int, rate: float, weather: Literal["calm", "rough", "storm"], run: str
) -> list[Order]:
    """`storm`: `rough`, and more of what a PSP may do to us."""
    made = orders(
        seed=seed, count=count, rate=rate, run=run, weather="calm" if weather == "calm" else "rough"
    )
    return list(_storm(made, random.Random(seed)) if weather == "storm" else made)  # noqa: S311  # no secrets


def _storm(made: Iterable[Order], chance: random.Random) -> Iterator[Order]:
    for order in made:
        stormy = chance.random() < _STORM_SHARE
        yield replace(order, payment_method=chance.choice(_STORM), ends="CAPTURED") if stormy else order
