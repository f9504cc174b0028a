"""The orders of a chaos run, derived from the seed, and what became of each."""

import asyncio
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from uuid import UUID

from commands.ids import payment_id
from infra.tools.local.target import MERCHANT
from infra.tools.traffic.orders import Order, orders

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
"""The courses of an order with their weights."""


@dataclass(frozen=True, slots=True)
class RefusedChange:
    """A refused command, after the payment first settled."""

    what: str
    code: str


@dataclass(slots=True)
class Sale:
    """An order and what became of it. Times are monotonic seconds. `calm`: the PSP would respond at once.
    `course`: what the shop does after the sale."""

    order: Order
    by_http: bool
    course: Course
    due_s: float
    taken_s: float | None = None
    settled_s: float | None = None
    shown_s: float | None = None
    ended: str | None = None
    tries: int = 0
    refused: list[RefusedChange] = field(default_factory=list)
    at_rest: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def manual(self) -> bool:
        """True if the order is authorized first and captured later."""
        return self.course.startswith(("capture", "release"))

    @property
    def as_its_token_says(self) -> bool:
        """True if it has not ended yet, or ended as its payment token determines."""
        ends = "AUTHORIZED" if self.manual and self.order.ends == "CAPTURED" else self.order.ends
        return self.ended is None or self.ended == ends

    @property
    def name(self) -> UUID:
        """The payment's id."""
        return payment_id(MERCHANT, self.order.idempotency_key)

    @property
    def went_well(self) -> bool:
        """True if its payment took or held the money, so that the rest of its course can be done."""
        return self.ended in {"AUTHORIZED", "CAPTURED"}

    @property
    def calm(self) -> bool:
        """True if its payment token makes the PSP respond at once."""
        return self.order.payment_method in _CALM


def shop_of(
    seed: int, count: int, rate: float, conditions: Literal["calm", "rough", "storm"], run: str
) -> list[Order]:
    """Returns the orders of a run. `storm` is `rough` with further faults of a PSP."""
    made = orders(
        seed=seed, count=count, rate=rate, run=run, conditions="calm" if conditions == "calm" else "rough"
    )
    return list(_storm(made, random.Random(seed)) if conditions == "storm" else made)  # noqa: S311  # no secrets


def _storm(made: Iterable[Order], chance: random.Random) -> Iterator[Order]:
    for order in made:
        stormy = chance.random() < _STORM_SHARE
        yield replace(order, payment_method=chance.choice(_STORM), ends="CAPTURED") if stormy else order
