"""What the simulator's ledger says, by payment."""

from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Final
from uuid import UUID

from aggregates.operation import payment_id_of
from gateways.simulator.ledger import Movement, Open, read_movements, read_open

_NOBODYS: Final = UUID(int=0)


def movements(path: Path) -> Iterator[tuple[UUID, Movement]]:
    """By the payment for which the intent was created; what has none of ours stands under the id of zeros."""
    yield from sorted(((_payment_of(one), one) for one in read_movements(path)), key=itemgetter(0))


def still_open(path: Path) -> Iterator[tuple[UUID, Open]]:
    """As `movements`."""
    yield from sorted(((_payment_of(one), one) for one in read_open(path)), key=itemgetter(0))


def _payment_of(one: Movement | Open) -> UUID:
    for reference in (one.intent_reference, one.reference):
        try:
            return payment_id_of(reference)
        except ValueError:
            continue
    return _NOBODYS
