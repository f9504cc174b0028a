"""The amounts that a bank has taken by disputes, from the ledger."""

from decimal import Decimal
from pathlib import Path

from gateways.simulator.core.ledger import read_disputes


def taken(ledger_file: Path) -> dict[str, Decimal]:
    return {one.dispute_id: one.taken for one in read_disputes(ledger_file)}
