"""How the simulator reads AegisPay's references: by a pattern of its own, since it imports no rule."""

from uuid import uuid4

import pytest

from aggregates.operation import KINDS, Kind, operation_id
from gateways.simulator.core.psp import is_sale, operation_of


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("ordinal", [1, 999_999])
def test_every_operation_of_aegispays_is_read_from_its_key(kind: Kind, ordinal: int):
    operation = operation_id(uuid4(), kind, ordinal)

    assert operation_of(f"{operation}-1") == operation
    assert is_sale(operation) is (kind == "sale")


@pytest.mark.parametrize("rest", ["b1", "s", "s1234567", "s1x", "S1"])
def test_what_is_no_operation_of_aegispays_names_none(rest: str):
    reference = f"{uuid4().hex}-{rest}"

    assert operation_of(f"{reference}-1") is None
    assert not is_sale(reference)
