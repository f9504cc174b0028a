import re
from itertools import groupby
from pathlib import Path

import pytest

from infra.tools.docs import architecture
from tests.support.environment import Environment

ROOT = Path(__file__).parents[4]
_GRANTED = """
SELECT r.rolname, n.nspname = %(read)s, c.relname, has_any_column_privilege(r.oid, c.oid, 'SELECT'),
    has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE') OR has_table_privilege(r.oid, c.oid, 'DELETE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_roles r
WHERE n.nspname IN (%(schema)s, %(read)s) AND c.relkind IN ('r', 'p', 'v') AND r.rolname = ANY (%(roles)s)
"""
_CALLED = """
SELECT r.rolname, pg_get_functiondef(f.oid)
FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace, pg_roles r
WHERE n.nspname = %(schema)s AND f.prosecdef AND has_function_privilege(r.oid, f.oid, 'EXECUTE')
    AND r.rolname = ANY (%(roles)s)
"""


@pytest.mark.stack
def test_the_tables_are_those_that_postgresql_lets_each_role_read_and_write(environment: Environment):
    roles = [*architecture.roles().values()]
    reads: dict[str, set[str]] = {role: set() for role in roles}
    writes: dict[str, set[str]] = {role: set() for role in roles}
    names = {"schema": environment.schema, "read": f"{environment.schema}_read", "roles": roles}
    with environment.connect("admin") as connection:
        granted = sorted(connection.execute(_GRANTED, names))
        called = connection.execute(_CALLED, names).fetchall()
    for (role, on_read_side), group in groupby(granted, lambda row: row[:2]):
        rows = [*group]
        for right, column in ((reads, 3), (writes, 4)):
            tables = {row[2] for row in rows if row[column]}
            right[role] |= {architecture.READ_MODELS} if on_read_side and len(tables) == len(rows) else tables
    for role, text in called:
        done = re.findall(
            rf"(INSERT INTO|UPDATE|DELETE FROM|FROM|JOIN) {environment.schema}(?:_read)?\.(\w+)", text
        )
        for verb, table in done:
            (reads if verb in {"FROM", "JOIN"} else writes)[role].add(table)

    shown_reads, shown_writes = architecture.rights()

    for role in roles:
        of_all = architecture.OF_EVERY_PROCESS
        assert set(shown_writes[role]) == writes[role]
        assert set(shown_reads[role]) - writes[role] == reads[role] - writes[role] - of_all


def test_what_a_function_does_with_its_owners_rights_is_done_by_who_may_call_it():
    reads, writes = architecture.rights()

    assert "webhook_closings" in writes["aegispay_api"]
    assert "webhook_deliveries" in writes["aegispay_inbox"]
    assert "payments" in reads["aegispay_inbox"]


def test_the_page_has_a_row_for_each_process_and_a_place_in_the_picture_for_each_topic():
    page = architecture.text()
    rows = {
        cells[1]: cells[2:]
        for line in page.splitlines()
        if len(cells := [cell.strip() for cell in line.split("|")]) == 7
    }

    assert rows.keys() >= architecture.roles().keys()
    assert rows["timers"][:2] == ["`payments.commands`, `dead.letters`", "`payments.commands`"]
    assert rows["read_models"][3] == "read models"
    assert "payments_commands --> timers" in page


def test_every_folder_of_the_repository_has_a_row():
    """`.venv` and the like are none of the repository's: those begin with a dot, or Git ignores them."""
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    folders = {one.name for one in ROOT.iterdir() if one.is_dir() and not one.name.startswith(".")}

    for folder in folders - ignored:
        assert f"| `{folder}/" in architecture.text(), folder
