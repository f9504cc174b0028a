"""Writes the generated documents, or compares them with the tree.

python -m infra.tools.docs            # writes each of them
python -m infra.tools.docs --check    # exit code 1 where a file of the tree differs, with the files' names
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from infra.tools.docs import architecture, asyncapi, gateways, openapi_file, states


class Document(NamedTuple):
    """A file of the tree and the function that generates its text."""

    file: Path
    text: Callable[[], str]


DOCUMENTS: Final = tuple(
    Document(module.FILE, module.text) for module in (architecture, asyncapi, openapi_file, states, gateways)
)


def outdated(documents: Sequence[Document]) -> list[Path]:
    """Returns the files that are missing or differ from what their source generates."""
    return [file for file, text in documents if not file.exists() or file.read_text() != text()]


def write(documents: Sequence[Document]) -> None:
    """Writes each file anew."""
    for file, text in documents:
        file.write_text(text())


def main() -> None:
    """Ends the process with exit code 1 where `--check` finds an outdated file."""
    if "--check" not in sys.argv[1:]:
        write(DOCUMENTS)
    elif files := outdated(DOCUMENTS):
        names = ", ".join(f"docs/{file.name}" for file in files)
        sys.exit(f"Not what its source generates: {names}. Run `make docs` and commit the result")


if __name__ == "__main__":
    main()
