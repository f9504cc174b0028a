import ast
import json
from pathlib import Path

import pytest

from infra.api.problems import TITLES, Problem

_AGGREGATES = Path(__file__).parents[3] / "aggregates"


def test_every_refusal_of_a_payment_has_a_title_of_its_own():
    refused = {
        node.args[0].value
        for file in _AGGREGATES.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "Refused"
        and isinstance(node.args[0], ast.Constant)
    }

    assert refused
    assert refused - TITLES.keys() == set()


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("void_not_available", "The PSP cannot void an authorization: it releases the hold itself"),
        ("partial_capture_not_available", "The PSP captures the whole authorized amount or nothing"),
        ("field_missing", "The request is not valid"),
    ],
)
def test_a_limit_of_the_psp_is_reported_as_such(code, title):
    shown = json.loads(bytes(Problem(code, None).response().body))

    assert shown == {
        "type": f"urn:aegispay:problem:{code}",
        "title": title,
        "status": 422,
        "code": code,
    }
