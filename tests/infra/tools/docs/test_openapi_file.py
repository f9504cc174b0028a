import re

import orjson
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from infra.api import schemas
from infra.api.problems import TITLES
from infra.tools.docs import openapi_file
from tests.infra.api.test_creates import BODY


def test_every_example_of_the_document_fits_the_schema_beside_it():
    named = orjson.loads(openapi_file.text())["components"]["schemas"]
    registry = Registry().with_resource(
        "urn:openapi", DRAFT202012.create_resource({"components": {"schemas": named}})
    )

    checked = [name for name, schema in named.items() if "example" in schema]
    for name in checked:
        Draft202012Validator(
            {"$ref": f"urn:openapi#/components/schemas/{name}"},
            registry=registry,
            format_checker=FormatChecker(),
        ).validate(named[name]["example"])

    assert {"Payment", "PaymentPage", "InDoubt", "History", "CreatePayment", "ResolvePayment"} <= {*checked}


def test_names_that_generated_clients_get_are_words():
    document = orjson.loads(openapi_file.text())
    names = {route["operationId"] for path in document["paths"].values() for route in path.values()}

    assert {"createPayment", "getPayment", "capturePayment", "refundPayment", "listInDoubt"} <= names
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name) for name in names)
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", name) for name in document["components"]["schemas"])


def test_every_object_with_fields_is_a_schema_with_a_name():
    named = orjson.loads(openapi_file.text())["components"]["schemas"]

    def inner(part):
        for one in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            yield one
            yield from inner(one)

    without = [
        name
        for name, schema in named.items()
        for part in inner({key: value for key, value in schema.items() if key != "example"})
        if isinstance(part, dict) and part.get("type") == "object" and "properties" in part
    ]
    assert without == []
    assert named["StoredCredential"]["required"] == ["use", "initiator"]


def test_what_a_request_may_not_hold_is_in_its_schema():
    named = orjson.loads(openapi_file.text())["components"]["schemas"]

    assert named["CreatePayment"]["properties"]["amount_minor"]["minimum"] == 1
    assert named["CreatePayment"]["properties"]["metadata"]["additionalProperties"] is False
    assert named["CompleteAction"]["properties"]["returned"]["additionalProperties"] is False
    assert named["ResolvePayment"]["properties"]["who"]["maxLength"] == 228


@pytest.mark.parametrize(
    "shape",
    [
        schemas.Payment,
        schemas.PaymentPage,
        schemas.History,
        schemas.Accepted,
        schemas.Decided,
        schemas.InDoubt,
    ],
)
def test_every_example_fits_its_own_schema(shape):
    example = shape.model_config["json_schema_extra"]["example"]

    shape.model_validate(example)


def test_a_request_is_described_by_what_the_worker_accepts():
    document = orjson.loads(openapi_file.text())
    create = document["paths"]["/v1/payments"]["post"]
    name = create["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][name]

    assert name == "CreatePayment"
    assert schema["properties"].keys() == {*BODY, "payment_methods", "expires_at"}
    assert sorted(schema["required"]) == ["amount_minor", "currency"]
    assert {"Idempotency-Key", "Prefer"} <= {one["name"] for one in create["parameters"]}


def test_every_problem_that_a_route_names_is_in_the_table():
    document = orjson.loads(openapi_file.text())

    named = {
        code
        for path in document["paths"].values()
        for route in path.values()
        for response in route["responses"].values()
        for code in response.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }

    assert {"payment_not_found", "idempotency_mismatch", "kafka_unavailable"} <= named <= TITLES.keys()


def test_no_route_documents_an_error_that_is_no_problem_document():
    document = orjson.loads(openapi_file.text())

    for path, routes in document["paths"].items():
        for route in routes.values():
            errors = [response for status, response in route["responses"].items() if status >= "400"]
            media_type = "text/html" if path.startswith("/return/") else "application/problem+json"
            assert path == "/ready" or all(response["content"].keys() == {media_type} for response in errors)


def test_a_policy_fits_its_schema_and_what_no_policy_may_hold_does_not():
    named = orjson.loads(openapi_file.text())["components"]["schemas"]
    registry = Registry().with_resource(
        "urn:openapi", DRAFT202012.create_resource({"components": {"schemas": named}})
    )
    validator = Draft202012Validator(
        {"$ref": "urn:openapi#/components/schemas/PolicyDocument"}, registry=registry
    )
    night = {"time": {"since": "22:00", "until": "06:00:00"}, "country": ["DE"]}
    arms = {"a": {"share": 1, "strategy": {"kind": "weighted", "weights": {"sim-eu": 3}}}}
    rule = {"id": "night", "when": night, "then": {"strategy": {"kind": "cost"}}}
    experiment = {"kind": "experiment", "id": "x", "control": "a", "arms": arms | {"b": {"share": 0}}}

    validator.validate({"rules": [rule], "strategy": experiment, "residency": {"IN": ["razorpay-in"]}})

    for wrong in (
        {"rule": []},
        {"rules": [rule | {"priority": True}]},
        {"strategy": {"kind": "magic"}},
        {"strategy": {"kind": "weighted", "weights": {"sim eu": 1}}},
        {"strategy": {"kind": "weighted", "weights": {"sim-eu": "0.1"}}},
        {"residency": {"Germany": ["a"]}},
    ):
        assert not validator.is_valid(wrong), wrong
