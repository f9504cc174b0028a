"""A shop's traffic, derived from a seed: the same seed gives the same orders, customers, amounts and arrival
times.

An order's payment token determines how it ends, which only the simulator knows: see docs/simulator.md.
"""

import random
import string
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from aggregates.money import exponent

Ends = Literal["CAPTURED", "FAILED"]


@dataclass(frozen=True, slots=True)
class Order:
    """An order. `arrives_s` counts from the first order's arrival; `ends`: the status to which the token
    leads eventually."""

    arrives_s: float
    idempotency_key: str
    customer_id: str
    country: str
    amount_minor: int
    currency: str
    payment_method: str
    description: str
    ends: Ends

    @property
    def token(self) -> str:
        """The token as it is sent: each order has a card of its own, so that no card is declined so often
        that its scheme forbids to try it again."""
        own = self.payment_method.startswith("pm_")  # Stripe's simulator takes what follows for a card's name
        return f"{self.payment_method}__{self.idempotency_key}" if own else self.payment_method

    @property
    def content(self) -> dict[str, Any]:
        """The fields of its create, except the key."""
        return {
            "amount_minor": self.amount_minor,
            "currency": self.currency,
            "payment_method": self.token,
            "customer_id": self.customer_id,
            "country": self.country,
            "description": self.description,
        }


@dataclass(frozen=True, slots=True)
class _Market:
    country: str
    currency: str
    weight: int
    euro: float  # what a euro costs there, roughly


_MARKETS: Final = (
    _Market("DE", "EUR", 24, 1.0),
    _Market("FR", "EUR", 12, 1.0),
    _Market("US", "USD", 26, 1.1),
    _Market("GB", "GBP", 13, 0.85),
    _Market("JP", "JPY", 8, 160),
    _Market("KR", "KRW", 5, 1500),
    _Market("SE", "SEK", 3, 11),
    _Market("BR", "BRL", 2, 6),
    _Market("IN", "INR", 2, 90),
    _Market("CL", "CLP", 1, 1000),
    _Market("KW", "KWD", 2, 0.33),
    _Market("BH", "BHD", 1, 0.4),
    _Market("JO", "JOD", 1, 0.78),
)

# Declined for good: one call each. After a soft decline others follow, and figures would no longer compare.
_CALM: Final[tuple[tuple[str, int, Ends], ...]] = (
    ("pm_card_visa", 94, "CAPTURED"),
    ("pm_card_visa_chargeDeclinedLostCard", 3, "FAILED"),
    ("pm_card_visa_chargeDeclinedStolenCard", 3, "FAILED"),
)
_ROUGH: Final[tuple[tuple[str, int, Ends], ...]] = (
    ("pm_card_visa", 84, "CAPTURED"),
    ("pm_card_visa_chargeDeclined", 4, "FAILED"),
    ("pm_card_visa_chargeDeclinedInsufficientFunds", 4, "FAILED"),
    ("pm_sim_slow", 3, "CAPTURED"),
    ("pm_sim_lost", 3, "CAPTURED"),
    ("pm_sim_500_once", 2, "CAPTURED"),
)
_GOODS: Final = (
    "running shoes",
    "a rain coat",
    "coffee, 1 kg",
    "headphones",
    "a desk lamp",
    "two books",
    "a toy train",
)


def run_name() -> str:
    """Returns a name for a run that starts now, in letters: a long run of digits in a key may look like a
    card number and is refused."""
    number, letters = time.time_ns() // 1_000_000, ""
    while number:
        number, place = divmod(number, 26)
        letters = string.ascii_lowercase[place] + letters
    return letters


def orders(
    *, seed: int, count: int, rate: float, run: str, conditions: Literal["calm", "rough"] = "rough"
) -> Iterator[Order]:
    """Yields orders at `rate` per second on average, as a Poisson process. `run` enters the idempotency
    keys: another run of the same seed makes other payments. `calm`: approvals and declines; `rough`: slow
    and lost responses and errors too."""
    chance = random.Random(seed)  # noqa: S311 (it makes up orders, not secrets)
    customers = max(3, count // 3)
    methods = _CALM if conditions == "calm" else _ROUGH
    arrives_s = 0.0
    for number in range(count):
        (market,) = chance.choices(_MARKETS, [market.weight for market in _MARKETS])
        ((method, _, ends),) = chance.choices(methods, [weight for _, weight, _ in methods])
        # A few customers buy often, most buy once.
        customer = int(customers * chance.random() ** 2)
        yield Order(
            arrives_s=arrives_s,
            idempotency_key=f"{run}-{number:06d}",
            customer_id=f"customer-{customer:05d}",
            country=market.country,
            amount_minor=_price(chance, market),
            currency=market.currency,
            payment_method=method,
            description=chance.choice(_GOODS),
            ends=ends,
        )
        arrives_s += chance.expovariate(rate)


def _price(chance: random.Random, market: _Market) -> int:
    """Draws a price in minor units, as price tags look: 24.99, 3,980 yen, 7.950 dinar (its last digit is 0:
    cards take no other)."""
    euros = min(chance.lognormvariate(3.4, 0.8), 900.0) + 2.0
    match exponent(market.currency):
        case 0:
            return max(100, round(euros * market.euro / 10) * 10)
        case 3:
            return max(500, round(euros * market.euro * 20) * 50)
        case _:
            whole = max(1, round(euros * market.euro))
            return whole * 100 - chance.choice((0, 1, 1, 5, 10))
