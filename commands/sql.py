"""Reads named SQL statements from the `.sql` file that belongs to a module.

`sql/outbox.sql` beside `outbox.py` holds what that module sends to PostgreSQL, each statement in this form:

    -- name: page
    -- Events after the cursor, oldest first.
    SELECT …

Only a statement that is put together at run time stands in Python. Invariant: each statement has a name of
its own and a description, and each line before the first one is a comment; else the import of the module
fails.
"""

import re
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"--\s*name:\s*(\S+)\s*")


def statements(module_file: str) -> dict[str, str]:
    """Returns the statements of the module at `module_file`, its `__file__`, by name and in the file's order.

    Lines that hold only a comment are left out: psycopg would take a `%` in one for a placeholder. Raises
    `ValueError` for a file that breaks the form, `OSError` where there is none.
    """
    module = Path(module_file)
    file = module.parent / "sql" / f"{module.stem}.sql"
    found: dict[str, list[str]] = {}
    described: set[str] = set()
    name = None
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if opening := _NAME.fullmatch(line):
            name = opening.group(1)
            if name in found:
                raise ValueError(f"{file}:{number}: a second statement is named {name}")
            found[name] = []
        elif line.lstrip().startswith("--"):
            if name is not None and not found[name] and line.strip("- "):
                described.add(name)
        elif line.strip():
            if name is None:
                raise ValueError(f"{file}:{number}: the statement has no name")
            found[name].append(line.rstrip())
    for each, lines in found.items():
        if each not in described or not lines:
            raise ValueError(f"{file}: {each} needs a description and then a statement")
    return {each: "\n".join(lines) for each, lines in found.items()}
