"""Reads what moved at a simulated PSP: its captures, and amounts in AegisPay's minor units."""

from pathlib import Path

from gateways.simulator.core.ledger import Movement, read_movements
from infra.tools.audit.units import major_units


def captures(ledger_file: Path) -> list[Movement]:
    """The money that was taken: one movement for each sale and each capture."""
    return [one for one in read_movements(ledger_file) if one.kind == "captured"]


def minor(one: Movement) -> int:
    """The movement's amount in AegisPay's minor units; the ledger writes amounts as people do."""
    return int(one.amount / major_units(1, one.currency))
