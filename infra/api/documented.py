"""What the OpenAPI document says of requests, headers and errors; the routes read them from the request directly."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel, Field

from commands.messages import CreatePayment
from infra.api import shapes
from infra.api.problems import MEDIA_TYPE, TITLES

# Of every command: made from the credential, the path and the Idempotency-Key.
_OURS: Final = frozenset({"type", "command_id", "payment_id", "merchant_id", "idempotency_key"})


class ProblemDocument(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    code: str = Field(description="For programs; `title` and `detail` are for people")
    detail: str | None = None
    path: str | None = Field(default=None, description="The field, parameter or header at fault")
    amounts: dict[str, int] | None = Field(
        default=None, description="Where a rule about amounts says no: asked for, what stands, what is left"
    )
    payment_status: str | None = Field(default=None, description="Of the payment that the rule is about")
    version: int | None = Field(default=None, description="Of the payment")


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The answers that a route gives beside those that every route with an API key may give."""
    return only_problems("unauthorized", "scope_missing", "request_invalid", "database_unavailable", *codes)


def only_problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """One example for each code."""
    schema = {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}
    found: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, title = TITLES[code]
        example = {"type": f"urn:aegispay:problem:{code}", "title": title, "status": status, "code": code}
        content = {MEDIA_TYPE: {"schema": schema, "examples": {}}}
        answer = found.setdefault(status, {"description": title, "content": content})
        answer["content"][MEDIA_TYPE]["examples"][code] = {"value": example}
    return found


def install(app: FastAPI) -> None:
    """The document with the schema that `problems` refers to, which FastAPI does not collect, and without FastAPI's own
    errors, which are never answered."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        schemas = document["components"]["schemas"]
        schemas[ProblemDocument.__name__] = ProblemDocument.model_json_schema()
        # What FastAPI adds for a parameter; ours may be any text.
        for path in ("/return/{token}", "/webhooks/{gateway}/{account}"):
            for route in document["paths"][path].values():
                route["responses"].pop("422", None)
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


_LOCATION: Final = {"Location": {"description": "The payment's address", "schema": {"type": "string"}}}
_APPLIED: Final = {"Preference-Applied": {"description": "wait=N", "schema": {"type": "string"}}}
CREATED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": shapes.Payment,
        "description": "It had been made before with the same key and content; as it stands now",
        "headers": _LOCATION | _APPLIED,
    },
    201: {"model": shapes.Payment, "description": "Made, and at rest", "headers": _LOCATION | _APPLIED},
    202: {
        "description": "Kafka has the command; with Prefer: wait, the payment was not at rest in time",
        "headers": _LOCATION | _APPLIED,
    },
}
CHANGED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": shapes.Decided,
        "description": "It has ended: `operation_state` says how, executed only where it is APPROVED; where it "
        "started no operation, `status` says how the payment stands",
        "headers": _LOCATION | _APPLIED,
    },
    202: {
        "description": "Taken, and under way; without a status no answer came in time: send it again with the same key",
        "headers": _LOCATION | _APPLIED,
    },
}


def _request_schema(model: type[BaseModel], example: Mapping[str, Any]) -> dict[str, Any]:
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    properties = {
        name: _with(definitions, field) for name, field in schema["properties"].items() if name not in _OURS
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
    """The field with what it refers to in its place."""
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
    _header("X-Correlation-Id", "Comes back, and is in every event, log and PSP call", "checkout-1001"),
    _header("traceparent", "W3C trace context", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
)

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
            "One per payment that is meant: with the same key and content there is one payment, however often it "
            "is sent; with other content the answer is 409",
            "order-1001",
        ),
        _header("Prefer", "wait=N, 1 to 30 s: answer when the payment is at rest (RFC 7240)", "wait=5"),
        *_TRACING,
    ],
}
CREATE["requestBody"]["content"]["application/json"]["schema"]["properties"]["expires_at"]["description"] = (
    "Nothing that moves money is sent later. Default: in one hour"
)


def change(model: type[BaseModel], example: Mapping[str, Any]) -> dict[str, Any]:
    """Of a command about a payment that exists."""
    return {
        "requestBody": _body(model, example),
        "parameters": [
            _key(
                "One per change that is meant: with the same key and content there is one, however often it is sent, "
                "and every answer is the first one's; with other content the answer is 409",
                "order-1001-1",
            ),
            _header("Prefer", "wait=N, 1 to 30 s: answer when it has ended (RFC 7240)", "wait=5"),
            *_TRACING,
        ],
    }
