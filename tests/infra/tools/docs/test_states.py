from aggregates.operation import OperationState
from aggregates.status import Status
from infra.tools.docs import states


def test_every_status_and_every_state_of_an_operation_has_its_meaning_and_its_row():
    rows = [line for line in states.text().splitlines() if line.startswith("| ")]
    for state in (*Status, *OperationState):
        assert any(row.startswith(f"| {state} | ") for row in rows)
