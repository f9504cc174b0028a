"""Generates docs/openapi.json from the API's routes."""

from pathlib import Path
from typing import Final

import orjson

from infra.api.app import build

FILE: Final = Path(__file__).parents[3] / "docs" / "openapi.json"


def text() -> str:
    """Returns the document as indented JSON with a newline at its end."""
    return orjson.dumps(build().openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
