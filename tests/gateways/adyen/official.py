"""Adyen's own descriptions of its interface, where they are at hand."""

import os
from functools import cache
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

FILES = {"checkout": "adyen-checkout-v72.json", "webhooks": "adyen-webhooks-v1.json"}
_ROOT = Path(__file__).parents[3]


@cache
def description(name: Literal["checkout", "webhooks"]) -> Any:
    folder = Path(os.environ.get("AEGISPAY_SPECS", _ROOT.parent / "shared" / "specs"))
    path = folder / FILES[name]
    if not path.is_file():
        pytest.skip(f"{path} is absent: nothing is checked against Adyen's official description")
    return orjson.loads(path.read_bytes())


def errors(name: Literal["checkout", "webhooks"], schema: str, body: Any) -> list[str]:
    return [f"{one.json_path}: {one.message}" for one in _validator(name, schema).iter_errors(body)]


@cache
def _validator(name: Literal["checkout", "webhooks"], schema: str) -> Draft202012Validator:
    resource = Resource(contents=description(name), specification=DRAFT202012)
    registry = Registry().with_resource("urn:adyen", resource)
    return Draft202012Validator({"$ref": f"urn:adyen#/components/schemas/{schema}"}, registry=registry)
