from typing import get_args

from aggregates import status
from commands.messages import DisputeState


def test_a_dispute_has_the_same_states_on_the_wire_as_in_the_aggregate():
    assert get_args(DisputeState) == get_args(status.DisputeState)
