from aggregates.operation import OperationState
from aggregates.status import Status
from infra import states


def test_the_page_in_the_tree_is_what_the_tables_say():
    assert states.FILE.read_text() == states.text()


def test_every_status_and_every_state_of_an_operation_has_its_meaning_and_its_row():
    rows = [line for line in states.text().splitlines() if line.startswith("| ")]
    for state in (*Status, *OperationState):
        assert any(row.startswith(f"| {state} | ") for row in rows)
