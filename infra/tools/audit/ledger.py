"""Reads the simulator's ledger, by payment."""

from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Final
from uuid import UUID

from aggregates.operation import payment_id_of
from gateways.simulator.core.ledger import (
    Disputed,
    Fee,
    Movement,
    Open,
    read_disputes,
    read_fees,
    read_movements,
    read_open,
)

_NOBODYS: Final = UUID(int=0)


def _payment_of(one: Movement | Open | Fee) -> UUID:
    return _named(one.intent_reference, one.reference)


def movements(path: Path) -> Iterator[tuple[UUID, Movement]]:
    """Yields movements by the payment for which the intent was created; those of no payment of ours come
    under the zero id."""
    yield from sorted(((_payment_of(one), one) for one in read_movements(path)), key=itemgetter(0))


def still_open(path: Path) -> Iterator[tuple[UUID, Open]]:
    """Yields what the PSP may still execute, by payment as `movements` does."""
    yield from sorted(((_payment_of(one), one) for one in read_open(path)), key=itemgetter(0))


def disputes(path: Path) -> Iterator[tuple[UUID, Disputed]]:
    """Yields the disputes in the order of the payments whose operations are disputed."""
    yield from sorted(((_named(one.reference), one) for one in read_disputes(path)), key=itemgetter(0))


def fees(path: Path) -> Iterator[tuple[UUID, Fee]]:
    """Yields what the PSPs kept, by payment as `movements` does."""
    yield from sorted(((_payment_of(one), one) for one in read_fees(path)), key=itemgetter(0))


def _named(*references: str) -> UUID:
    for reference in references:
        try:
            return payment_id_of(reference)
        except ValueError:
            continue
    return _NOBODYS
