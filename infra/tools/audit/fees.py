"""Compares what each operation was expected to cost with what the PSP kept of it, by the simulator's ledger.

Invariant: a difference is reported and is no fault. The expected fee is a forecast from the merchant's own
price list and from what was known of the card; no promise about the payment's money depends on it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aggregates.operation import OperationState
from gateways.simulator.core.ledger import Fee
from infra.tools.audit.facts import Facts, Finding
from infra.tools.audit.units import major_units, written

Amounts = dict[str, Decimal]
"""By currency, in its own unit."""


def no_amounts() -> Amounts:
    """Returns amounts that are 0 in every currency."""
    return defaultdict(Decimal)


def _add(to: Amounts, more: Mapping[str, Decimal]) -> None:
    for code, amount in more.items():
        to[code] += amount


@dataclass(frozen=True, slots=True)
class Compared:
    """An operation that was executed. `expected`: by currency, None where no price list states it. `kept`:
    by currency, in the currency's own unit."""

    operation_id: str
    expected: Mapping[str, Decimal] | None
    kept: Mapping[str, Decimal]

    @property
    def differs(self) -> bool:
        """True if the PSP kept something else than was expected."""
        if self.expected is None:
            return False
        return any(
            self.kept.get(code, 0) != self.expected.get(code, 0) for code in {*self.kept, *self.expected}
        )


def compared(facts: Facts) -> tuple[list[Compared], list[Fee]]:
    """Returns the payment's executed operations, and the fees that belong to none of them: of disputes, of
    what others did at the PSP, of what is in doubt."""
    payment = facts.recorded.payment if facts.recorded is not None else None
    executed = [] if payment is None else payment.operations.values()
    names = [o.id for o in executed if o.state is OperationState.APPROVED and not o.external]
    kept: dict[str, Amounts] = {name: no_amounts() for name in names}
    besides = []
    for fee in facts.fees:
        if fee.kind != "disputed" and fee.reference in kept:
            kept[fee.reference][fee.currency] += fee.amount
        else:
            besides.append(fee)
    expected = {} if payment is None else payment.expected_fees
    found = []
    for name in names:
        fee_of = expected.get(name)
        forecast = None if fee_of is None else {fee_of.currency: major_units(fee_of.minor, fee_of.currency)}
        found.append(Compared(name, forecast, kept[name]))
    return found, besides


def judge(facts: Facts) -> Iterator[Finding]:
    """Yields each operation of which the PSP kept something else than was expected."""
    for one in compared(facts)[0]:
        if one.differs and one.expected is not None:
            text = f"{one.operation_id} was expected to cost {_listed(one.expected)}, and the PSP kept {_listed(one.kept)}"
            yield Finding("fee_differences", text)


def _listed(amounts: Mapping[str, Decimal]) -> str:
    return " and ".join(written(amount, code) for code, amount in sorted(amounts.items())) or "nothing"


@dataclass(slots=True)
class FeeTotals:
    """The fees of all payments, in each currency's own unit. `expected`, `kept`: of the operations whose fee
    was expected. `kept_besides`: of all others, and of disputes. `unknown`: the executed operations whose fee
    no price list states."""

    expected: Amounts = field(default_factory=no_amounts)
    kept: Amounts = field(default_factory=no_amounts)
    kept_besides: Amounts = field(default_factory=no_amounts)
    operations: int = 0
    unknown: int = 0

    def add(self, facts: Facts) -> None:
        """Adds a payment."""
        operations, besides = compared(facts)
        for one in operations:
            if one.expected is None:
                self.unknown += 1
                _add(self.kept_besides, one.kept)
            else:
                self.operations += 1
                _add(self.expected, one.expected)
                _add(self.kept, one.kept)
        for fee in besides:
            self.kept_besides[fee.currency] += fee.amount

    def lines(self) -> Iterator[str]:
        """Yields a line for each currency in which anything was expected or kept."""
        for code in sorted({*self.expected, *self.kept, *self.kept_besides}):
            expected, kept, besides = self.expected[code], self.kept[code], self.kept_besides[code]
            also = f"; besides, the PSPs kept {written(besides, code)}" if besides else ""
            yield (
                f"fees expected {written(expected, code)}, kept {written(kept, code)}, "
                f"difference {written(kept - expected, code)}{also}"
            )

    def as_json(self) -> dict[str, Any]:
        """Returns the totals by currency, as decimals in text, and the counts of operations."""
        codes = sorted({*self.expected, *self.kept, *self.kept_besides})
        return {
            "operations": self.operations,
            "unknown": self.unknown,
            "currencies": {
                code: {
                    "expected": _text(self.expected[code], code),
                    "kept": _text(self.kept[code], code),
                    "difference": _text(self.kept[code] - self.expected[code], code),
                    "kept_besides": _text(self.kept_besides[code], code),
                }
                for code in codes
            },
        }


def _text(amount: Decimal, code: str) -> str:
    return written(amount, code).removesuffix(f" {code}")
