"""Prints a verdict: every number, and for each that is not zero the payments behind it."""

from typing import Final

from rich.console import Console
from rich.table import Table

from infra.tools.audit.facts import Doubt, Kind
from infra.tools.audit.verify import NO_FAULTS, Verdict

_LISTED_MAX: Final = 10
_MEANS: Final[dict[Kind, str]] = {
    "double_charges": "charged more than once, or more than was agreed",
    "able_to_charge_later": "ended here, and the PSP may still do it",
    "lost_payments": "taken, but not carried out as recorded",
    "amount_mismatches": "amounts differ between the sources",
    "dispute_mismatches": "the PSP took another amount by disputes than is recorded",
    "content_mismatches": "recorded with other content than requested",
    "read_model_mismatches": "the read models say something else",
    "unrequested_payments": "recorded, but not requested",
    "unsettled": "still in flight",
    "in_doubt": "in doubt: the PSP is being queried, or an operator has to look (no fault)",
    "duplicate_charges_returned": "charged twice, found and refunded, or lost to a dispute (no fault)",
    "fee_differences": "the PSP kept another fee than was expected (no fault)",
}
_FAULTS: Final = frozenset(text for kind, text in _MEANS.items() if kind not in NO_FAULTS)
_DOUBTS: Final[dict[Doubt, str]] = {
    "unknown": "outcome unknown",
    "escalated": "outcome unknown for a day, an operator has to look",
    "frozen": "frozen, reports contradict the record",
    "parked": "parked, cannot be decided",
    "duplicate_charge": "duplicate charge, being refunded",
    "dispute": "a dispute that ended, the PSP does not say how",
    "webhook": "a webhook that names the payment and could not be used",
}


def show(verdict: Verdict, console: Console) -> None:
    """Prints the verdict, as a table on a terminal."""
    numbers: list[tuple[str, int]] = [
        ("payments requested", verdict.payments),
        *((f"  {status}", count) for status, count in sorted(verdict.by_status.items())),
        *((f"commands {kind}", count) for kind, count in sorted(verdict.commands.items())),
        *((f"{kind} at the PSP, times", count) for kind, count in sorted(verdict.movements.items())),
        *((_MEANS[kind], len(payments)) for kind, payments in verdict.found.items()),
        *((f"  {_DOUBTS[doubt]}", count) for doubt, count in sorted(verdict.doubts.items())),
    ]
    if console.is_terminal:
        table = Table(show_header=False, box=None)
        table.add_column()
        table.add_column(justify="right")
        for name, count in numbers:
            table.add_row(name, str(count), style="red" if count and name in _FAULTS else None)
        console.print(table)
    else:
        for name, count in numbers:
            console.print(f"{name}: {count}", highlight=False)
    for line in verdict.fees.lines():
        console.print(line, highlight=False)
    for kind, payments in verdict.found.items():
        for payment_id, reasons in list(payments.items())[:_LISTED_MAX]:
            console.print(f"{kind}: {payment_id}: {'; '.join(reasons)}", highlight=False, soft_wrap=True)
        if len(payments) > _LISTED_MAX:
            console.print(f"{kind}: and {len(payments) - _LISTED_MAX} more: --json lists them all")
    if verdict.settled_s is None:
        console.print("Something was still in flight when the time was up: give it more with --settle.")
    console.print(
        "Verdict: clean" if verdict.ok else "Verdict: NOT CLEAN", style="green" if verdict.ok else "red"
    )
