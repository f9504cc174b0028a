"""The `.sql` files: what their form demands, and that no statement lies in one unused."""

import re
from pathlib import Path

import pytest

from commands.sql import statements

ROOT = Path(__file__).parent.parent.parent
FILES = sorted(
    path
    for top in ("commands", "relay", "projections", "gateways", "infra")
    for path in (ROOT / top).rglob("sql/*.sql")
)


def loaded(folder: Path, content: str) -> dict[str, str]:
    (folder / "sql").mkdir()
    (folder / "sql" / "outbox.sql").write_text(content)
    return statements(str(folder / "outbox.py"))


def test_statements_are_read_by_name_and_without_their_comments(tmp_path: Path) -> None:
    content = """-- What the outbox reads.

-- name: page
-- Events after the cursor: 100 % of them.
SELECT *
-- oldest first
FROM events

-- name: cursor
-- The cursor.
SELECT * FROM relay_cursor
"""
    assert loaded(tmp_path, content) == {
        "page": "SELECT *\nFROM events",
        "cursor": "SELECT * FROM relay_cursor",
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("SELECT 1", "no name"),
        ("-- name: one\nSELECT 1", "one needs a description"),
        ("-- name: one\n--\nSELECT 1", "one needs a description"),
        ("-- name: one\nSELECT 1\n-- too late", "one needs a description"),
        ("-- name: one\n-- One.", "then a statement"),
        ("-- name: one\n-- One.\nSELECT 1\n-- name: one\n-- Again.\nSELECT 2", "second statement"),
    ],
)
def test_a_file_that_breaks_the_form_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        loaded(tmp_path, content)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_every_statement_is_used_by_the_module_that_its_file_belongs_to(file: Path) -> None:
    module = file.parent.parent / f"{file.stem}.py"
    used = set(re.findall(r'\["(\w+)"\]', module.read_text()))
    assert statements(str(module)).keys() <= used
