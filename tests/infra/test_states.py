from aggregates.status import Status
from infra import states


def test_the_page_in_the_tree_is_what_the_tables_say():
    assert states.FILE.read_text() == states.text()


def test_every_status_has_its_meaning_and_its_row():
    for status in Status:
        assert f"| {status} | " in states.text()
