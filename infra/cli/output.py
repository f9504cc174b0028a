"""What a command says: as JSON for scripts, or for the person at the terminal."""

import sys
from pathlib import Path

import orjson


def write_json(content: object, file: str = "-") -> None:
    """To `file`, or to standard output."""
    raw = orjson.dumps(content, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if file == "-":
        sys.stdout.write(raw.decode())
    else:
        Path(file).write_bytes(raw)
