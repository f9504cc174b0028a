"""PayPal's own descriptions of its interfaces, where they are at hand."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import orjson
import pytest
from openapi_schema_validator import OAS30ReadValidator, OAS30WriteValidator

FOLDER: Final = Path(
    os.environ.get("AEGISPAY_SPECS") or Path(__file__).resolve().parents[4] / "shared" / "specs"
)
Document = Literal["checkout-orders-v2", "payments-v2", "webhooks-v1"]


@cache
def document(name: Document) -> dict[str, Any]:
    file = FOLDER / f"paypal-{name}.json"
    if not file.is_file():
        pytest.skip(f"{file} is not there: PayPal's own description was not compared with")
    sent: dict[str, Any] = orjson.loads(file.read_bytes())
    return sent


def complaints(name: Document, path: str, method: str, status: int | None, body: Any) -> list[str]:
    """About a request's body (`status` None), or a response's."""
    operation = document(name)["paths"][path][method.lower()]
    if status is None:
        content = operation["requestBody"]["content"]["application/json"]["schema"]
        return _errors(name, OAS30WriteValidator, content, body)
    described = operation["responses"].get(str(status))
    assert described is not None, f"{method} {path} is not described with {status}"
    content = _resolved(name, described).get("content", {}).get("application/json", {}).get("schema")
    return [] if content is None else _errors(name, OAS30ReadValidator, content, body)


def _errors(name: Document, kind: Any, schema: Any, body: Any) -> list[str]:
    whole = {"allOf": [schema], "components": document(name)["components"]}
    found = kind(whole).iter_errors(body)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in found]


def _resolved(name: Document, described: Any) -> Any:
    if "$ref" not in described:
        return described
    node: Any = document(name)
    for part in described["$ref"].removeprefix("#/").split("/"):
        node = node[part]
    return node


def issues(name: Document, schemas: Iterator[str] | list[str]) -> set[str]:
    """Of the errors that these schemas describe."""
    found: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(issue := node.get("issue"), dict):
                found.update(issue.get("enum", []))
            for inner in node.values():
                walk(inner)
        elif isinstance(node, list):
            for inner in node:
                walk(inner)

    for schema in schemas:
        walk(document(name)["components"]["schemas"][schema])
    return found
