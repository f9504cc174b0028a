"""docs/openapi.json, from the routes. `python -m infra.api.openapi` writes it, `--check` fails where it has drifted."""

import sys
from pathlib import Path
from typing import Final

import orjson

from infra.api.app import build

_FILE: Final = Path(__file__).parents[2] / "docs" / "openapi.json"


def document() -> bytes:
    return orjson.dumps(build().openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def main() -> None:
    if "--check" not in sys.argv[1:]:
        _FILE.write_bytes(document())
    elif not _FILE.exists() or _FILE.read_bytes() != document():
        sys.exit(f"{_FILE.name} is not what the routes say: run python -m infra.api.openapi")


if __name__ == "__main__":
    main()
