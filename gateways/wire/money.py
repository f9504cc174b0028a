"""Amounts between our minor units and a PSP's notation. Invariant: nothing is rounded.

A PSP writes an amount either as an integer of its own smallest unit (`IntegerAmounts`) or as a decimal text
(`decimal_text`, `from_decimal_text`). Which currencies it takes stands in each adapter's `amounts` module.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from aggregates import money
from gateways.contract import Call

# Up to here a reader of JSON that has only doubles still distinguishes every two amounts.
MINOR_MAX: Final = 2**53
"""The largest amount that an `Outcome` holds, in minor units."""

# Bounded, since it may come from a webhook: twelve digits before the point, and none of our currencies has
# more than three behind it.
_DECIMAL: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,3}))?")


class NotExpressible(ValueError):
    """The PSP's interface has no way to write this amount, or this currency."""

    def __init__(
        self, code: Literal["amount_not_expressible", "currency_not_supported"], detail: str
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class IntegerAmounts:
    """The integers in which the PSP called `title` writes amounts.

    `decimals`: of each currency that the PSP takes, by upper-case code. They may differ from ISO 4217's,
    which our minor units have. `multiples`: the step between two amounts of a currency, 1 where it is not
    named. `least` and `largest`: the bounds of a currency, both in the PSP's units, where `largest_of_all`
    and 1 do not hold.
    """

    title: str
    decimals: Mapping[str, int]
    multiples: Mapping[str, int] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)
    largest: Mapping[str, int] = field(default_factory=dict)
    largest_of_all: int = MINOR_MAX

    def to_wire(self, amount_minor: int, currency: str) -> int:
        """The PSP's integer for an amount of ours. Raises `NotExpressible`."""
        if currency not in self.decimals:
            raise NotExpressible("currency_not_supported", f"{self.title} takes no payment in {currency}")
        up, down = self._ratio(currency)
        # A PSP may count in fewer decimals than ISO 4217 does. What it cannot write exactly is refused, never
        # rounded: a sum that differs by a unit would freeze the payment as an approval of other money.
        wire, lost = divmod(amount_minor * up, down)
        multiple, least = self.multiples.get(currency, 1), self.least.get(currency, 1)
        largest = self.largest.get(currency, self.largest_of_all)
        if lost or not least <= wire <= largest or wire % multiple:
            bounds = f"multiples of {multiple} from {least} to {largest} in {currency}"
            detail = f"{self.title} takes {bounds}, counted with {self.decimals[currency]} decimals"
            raise NotExpressible("amount_not_expressible", detail)
        return wire

    def from_wire(self, wire: int, currency: str) -> int | None:
        """Our minor units for the PSP's integer. None: it is no whole number of them, too large for an
        outcome, or in a currency that the PSP does not take."""
        if currency not in self.decimals:
            return None
        up, down = self._ratio(currency)
        minor, lost = divmod(wire * down, up)
        return None if lost or abs(minor) > MINOR_MAX else minor

    def sent(self, call: Call) -> int | None:
        """The integer that the call's request has. None: the amount cannot be written, so nothing was
        sent."""
        try:
            return self.to_wire(call.amount_minor, call.currency)
        except NotExpressible:
            return None

    def _ratio(self, currency: str) -> tuple[int, int]:
        """Returns the factor and the divisor that turn our minor units into the PSP's."""
        theirs, ours = self.decimals[currency], money.exponent(currency)
        return 10 ** max(theirs - ours, 0), 10 ** max(ours - theirs, 0)


def decimal_text(amount_minor: int, currency: str) -> str:
    """Our minor units as a decimal text with the currency's decimals in ISO 4217: `10.99`, `500`, `5.120`."""
    decimals = money.exponent(currency)
    whole, part = divmod(amount_minor, 10**decimals)
    return f"{whole}.{part:0{decimals}d}" if decimals else str(whole)


def from_decimal_text(value: object, currency: str, *, decimals_max: int) -> int | None:
    """Our minor units for a decimal text of at most 12 digits and `decimals_max` decimals. None: it is no
    such text, or no whole number of minor units. Raises KeyError for a currency that is none of ours."""
    written = _DECIMAL.fullmatch(value) if isinstance(value, str) else None
    if written is None:
        return None
    whole, part = written[1], written[2] or ""
    decimals = money.exponent(currency)
    # Zeros behind the currency's decimals change nothing: 10.990 is EUR 10.99. Anything else there is no
    # whole minor unit.
    if len(part) > decimals_max or part[decimals:].strip("0"):
        return None
    return int(whole + part[:decimals].ljust(decimals, "0"))
