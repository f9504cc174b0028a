"""Describes requests, headers and errors for OpenAPI; the routes themselves read the request directly."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel, Field

from commands.messages import CreatePayment
from infra.api import schemas
from infra.api.auth import WHO_MAX
from infra.api.policy_schemas import PolicyFault, PolicyFinding, document_schemas
from infra.api.problems import MEDIA_TYPE, TITLES

# Fields of a command that follow from the API key, the path and the Idempotency-Key.
_OURS: Final = frozenset({"type", "command_id", "payment_id", "merchant_id", "idempotency_key"})


class ProblemDocument(BaseModel):
    """An error, as RFC 9457 defines it."""

    type: str
    title: str
    status: int
    code: str = Field(description="For programs; `title` and `detail` are for people")
    detail: str | None = None
    path: str | None = Field(default=None, description="The field, parameter or header at fault")
    amounts: dict[str, int] | None = Field(
        default=None, description="Where an amount is refused: minor units requested, recorded and left"
    )
    payment_status: str | None = Field(
        default=None, description="Status of the payment that the refusal is about"
    )
    version: int | None = Field(default=None, description="Version of that payment")
    faults: list[PolicyFault] | None = Field(
        default=None, description="Where a routing policy cannot be read: all that is wrong in its document"
    )
    findings: list[PolicyFinding] | None = Field(
        default=None, description="Where a routing policy is not activated: what the lint found"
    )


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Describes a route's errors: these, and those that every route with an API key has."""
    return only_problems("unauthorized", "scope_missing", "request_invalid", "database_unavailable", *codes)


def only_problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Describes a route's errors, with one example for each code."""
    schema = {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}
    found: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, title = TITLES[code]
        example = {"type": f"urn:aegispay:problem:{code}", "title": title, "status": status, "code": code}
        content = {MEDIA_TYPE: {"schema": schema, "examples": {}}}
        response = found.setdefault(status, {"description": title, "content": content})
        response["content"][MEDIA_TYPE]["examples"][code] = {"value": example}
    return found


_SERVERS: Final = (
    {"url": "/", "description": "The server that serves this document"},
    {"url": "http://127.0.0.1:8000", "description": "The API process with its default settings"},
)


def install(app: FastAPI) -> None:
    """Adds what FastAPI's document lacks, and removes FastAPI's own errors, which no route returns."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = made()
        document["info"]["license"] = {"name": "MIT", "identifier": "MIT"}
        document["servers"] = list(_SERVERS)
        named = document["components"]["schemas"]
        problem = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        named |= problem.pop("$defs")
        named[ProblemDocument.__name__] = problem
        named |= document_schemas()
        for unused in ("HTTPValidationError", "ValidationError"):
            named.pop(unused, None)
        _restore_nulls(named)
        for path, routes in document["paths"].items():
            for route in routes.values():
                _name_request(route, named)
                if not path.startswith("/v1/"):
                    route["security"] = []
                    # FastAPI adds a 422 for a path parameter; these may be any text.
                    route["responses"].pop("422", None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _restore_nulls(named: dict[str, Any]) -> None:
    """Adds the nulls that FastAPI drops from examples, which then lack required fields, and those of nullable
    fields that an example does not name."""
    for name, schema in named.items():
        shape = getattr(schemas, name, None)
        if "example" in schema and shape is not None:
            example = shape.model_config["json_schema_extra"]["example"]
            schema["example"] = {
                field: example.get(field)
                for field, content in schema["properties"].items()
                if field in example or {"type": "null"} in content.get("anyOf", ())
            }


def _name_request(route: dict[str, Any], named: dict[str, Any]) -> None:
    """Moves a request's schema among the components, so that generated types get its name."""
    for content in route.get("requestBody", {}).get("content", {}).values():
        if (title := content["schema"].get("title")) is not None:
            named[title] = content["schema"]
            content["schema"] = {"$ref": f"#/components/schemas/{title}"}
            for field in named[title].get("properties", {}).values():
                _name_alternatives(field, named)


def _name_alternatives(field: dict[str, Any], named: dict[str, Any]) -> None:
    """Does the same for an object in a field, since oapi-codegen makes it a Go struct without a name."""
    for place, one in enumerate(field.get("anyOf", ())):
        if "properties" in one:
            named[one["title"]] = one
            field["anyOf"][place] = {"$ref": f"#/components/schemas/{one['title']}"}


_LOCATION: Final = {"Location": {"description": "The payment's address", "schema": {"type": "string"}}}
_APPLIED: Final = {"Preference-Applied": {"description": "wait=N", "schema": {"type": "string"}}}
NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "If-None-Match names the ETag of the payment as it is now"}
}
CREATED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": schemas.Payment,
        "description": "An earlier request with the same key and content created the payment; its state now",
        "headers": _LOCATION | _APPLIED,
    },
    201: {
        "model": schemas.Payment,
        "description": "Created; it has settled, or is in doubt",
        "headers": _LOCATION | _APPLIED,
    },
    202: {
        "description": "The command is accepted; with Prefer: wait, the payment was neither settled nor in doubt in time",
        "headers": _LOCATION | _APPLIED,
    },
}
CHANGED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": schemas.Decided,
        "description": "Ended: `operation_state` has the result, executed only where it is APPROVED; a change that "
        "started no operation has its result in the payment's `status`",
        "headers": _LOCATION | _APPLIED,
    },
    202: {
        "description": "Accepted, and in progress; without a `status` it was not decided in time: send it again with the same key",
        "headers": _LOCATION | _APPLIED,
    },
}


def closing(model: type[BaseModel], example: Mapping[str, Any]) -> dict[str, Any]:
    """Describes a closing's request: no Idempotency-Key, since a repeat returns the first record."""
    return {"requestBody": _body(model, example), "parameters": list(_TRACING)}


def _request_schema(model: type[BaseModel], example: Mapping[str, Any]) -> dict[str, Any]:
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    properties = {
        name: _with(definitions, field) for name, field in schema["properties"].items() if name not in _OURS
    }
    if "who" in properties:
        properties["who"] |= {
            "maxLength": WHO_MAX,
            "description": "The operator's name; the API key's id is added to it",
        }
    required = [name for name in schema.get("required", []) if name not in {*_OURS, "expires_at"}]
    return {
        "type": "object",
        "title": model.__name__,
        "description": schema["description"],
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
        "example": dict(example),
    }


def _with(definitions: Mapping[str, Any], field: Any) -> Any:
    """Returns the field with each `$ref` replaced by its definition."""
    if isinstance(field, dict):
        if isinstance(name := field.get("$ref"), str):
            return definitions[name.rpartition("/")[2]]
        return {key: _with(definitions, value) for key, value in field.items()}
    return [_with(definitions, one) for one in field] if isinstance(field, list) else field


def _body(model: type[BaseModel], example: Mapping[str, Any]) -> dict[str, Any]:
    schema = _request_schema(model, example)
    return {"required": "required" in schema, "content": {"application/json": {"schema": schema}}}


def _header(name: str, description: str, example: str, **more: Any) -> dict[str, Any]:
    schema = {"type": "string", **more}
    return {
        "name": name,
        "in": "header",
        "required": name == "Idempotency-Key",
        "description": description,
        "schema": schema,
        "example": example,
    }


def _key(description: str, example: str) -> dict[str, Any]:
    return _header(
        "Idempotency-Key", description, example, minLength=1, maxLength=128, pattern=r"^[\x21-\x7e]+$"
    )


_TRACING: Final = (
    _header(
        "X-Correlation-Id",
        "Returned in the response, and kept in every event, log line and PSP call. AegisPay makes one in place of "
        "one that is longer, holds other characters or a card number",
        "checkout-1001",
        maxLength=200,
        pattern=r"^[\x21-\x7e]+$",
    ),
    _header("traceparent", "W3C trace context", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
)

CONDITIONAL: Final[dict[str, Any]] = {
    "parameters": [
        _header("If-None-Match", "The ETag of an earlier response: 304 if nothing changed", 'W/"3.0"')
    ]
}

CREATE: Final[dict[str, Any]] = {
    "requestBody": _body(
        CreatePayment,
        {
            "amount_minor": 1099,
            "currency": "EUR",
            "payment_method": "pm_card_visa",
            "customer_id": "customer-7",
            "country": "DE",
            "description": "Order 1001",
            "metadata": {"order": "1001"},
        },
    ),
    "parameters": [
        _key(
            "One key per payment: the same key and content make one payment, however often they are sent. With other "
            "content the response is 409 once the first request is decided, which takes milliseconds; before that, a "
            "request without Prefer: wait may get 202, and its url shows the first payment",
            "order-1001",
        ),
        _header(
            "Prefer",
            "wait=N, 1 to 30 s: respond once the payment has settled or is in doubt (RFC 7240)",
            "wait=5",
        ),
        *_TRACING,
    ],
}
CREATE["requestBody"]["content"]["application/json"]["schema"]["properties"]["expires_at"]["description"] = (
    "No call that moves money is sent after this time. Default: in one hour"
)


def change(model: type[BaseModel], example: Mapping[str, Any]) -> dict[str, Any]:
    """Describes the request of a command about an existing payment."""
    return {
        "requestBody": _body(model, example),
        "parameters": [
            _key(
                "One key per change: the same key and content make one change, however often they are sent, and every "
                "response is that of the first request. With other content the response is 409",
                "order-1001-1",
            ),
            _header("Prefer", "wait=N, 1 to 30 s: respond once the change has ended (RFC 7240)", "wait=5"),
            *_TRACING,
        ],
    }
