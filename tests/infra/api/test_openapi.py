import orjson
import pytest

from infra.api import openapi, shapes
from infra.api.problems import TITLES
from tests.infra.api.test_creates import BODY


def test_the_document_in_the_repository_is_what_the_routes_say():
    assert openapi._FILE.read_bytes() == openapi.document()


@pytest.mark.parametrize(
    "shape",
    [shapes.Payment, shapes.PaymentPage, shapes.History, shapes.Accepted, shapes.Decided, shapes.InDoubt],
)
def test_every_example_fits_its_own_schema(shape):
    example = shape.model_config["json_schema_extra"]["example"]

    shape.model_validate(example)


def test_a_request_is_described_by_what_the_worker_accepts():
    document = orjson.loads(openapi.document())
    create = document["paths"]["/v1/payments"]["post"]
    schema = create["requestBody"]["content"]["application/json"]["schema"]

    assert schema["properties"].keys() == {*BODY, "expires_at"}
    assert sorted(schema["required"]) == ["amount_minor", "currency", "payment_method"]
    assert {"Idempotency-Key", "Prefer"} <= {one["name"] for one in create["parameters"]}


def test_every_problem_that_a_route_names_is_in_the_table():
    document = orjson.loads(openapi.document())

    named = {
        code
        for path in document["paths"].values()
        for route in path.values()
        for answer in route["responses"].values()
        for code in answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }

    assert {"payment_not_found", "idempotency_mismatch", "kafka_unavailable"} <= named <= TITLES.keys()


def test_no_route_documents_an_error_that_is_no_problem_document():
    document = orjson.loads(openapi.document())

    for path, routes in document["paths"].items():
        for route in routes.values():
            errors = [answer for status, answer in route["responses"].items() if status >= "400"]
            media_type = "text/html" if path.startswith("/return/") else "application/problem+json"
            assert path == "/ready" or all(answer["content"].keys() == {media_type} for answer in errors)
