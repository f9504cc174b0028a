"""What the answers look like, for the OpenAPI document; the routes write them from the tables' rows directly."""

from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from aggregates.operation import OperationState
from aggregates.payment import Status
from commands.messages import CreatePayment
from infra.api.problems import MEDIA_TYPE, TITLES

PAYMENT_ID: Final = "2c0a1d5e-8f3b-5a57-9f2e-6a1b7c3d4e5f"
_COMMAND_ID: Final = "8c5d1f3e-2b7a-4c69-8e0d-1a2b3c4d5e6f"
_NOW: Final = "2026-03-01T12:00:00.123456+00:00"
_LATER: Final = "2026-03-01T12:00:00.201811+00:00"


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Lag(_Shape):
    lag_ms: float = Field(
        description="How long the oldest event that is stored but not shown has waited; at most 1 s old"
    )


class PaymentLag(Lag):
    events_behind: int = Field(description="Of this payment's stored events, how many are not in this answer")
    stale_since: AwareDatetime | None = Field(
        description="Since when an event of this payment is missing altogether: an alarm of the operator's"
    )


class Operation(_Shape):
    operation_id: str = Field(description="The reference that the PSP has")
    kind: str
    state: OperationState
    gateway: str
    account: str
    psp_id: str | None
    amount_minor: int
    currency: str
    code: str | None
    asked: int = Field(description="How often the PSP was asked how it ended")
    call_ms: float | None
    started_at: AwareDatetime
    updated_at: AwareDatetime


class _Summary(_Shape):
    payment_id: UUID
    version: int = Field(description="Of its events; for min_version")
    status: Status
    amount_minor: int = Field(description="In the currency's minor unit: 1099 is 10.99 USD, 500 is 500 JPY")
    currency: str
    captured_minor: int
    customer_id: str | None
    description: str | None
    metadata: dict[str, str]
    reason: str | None = Field(description="The code behind the status, ours or the PSP's")
    action_url: str | None = Field(description="Where the payer has to go, while status is REQUIRES_ACTION")
    frozen: bool = Field(description="A report of the PSP contradicts what is recorded: a person looks at it")
    expires_at: AwareDatetime
    created_at: AwareDatetime
    updated_at: AwareDatetime


_SUMMARY: Final[dict[str, Any]] = {
    "payment_id": PAYMENT_ID,
    "version": 3,
    "status": "CAPTURED",
    "amount_minor": 1099,
    "currency": "EUR",
    "captured_minor": 1099,
    "customer_id": "customer-7",
    "description": "Order 1001",
    "metadata": {"order": "1001"},
    "reason": None,
    "action_url": None,
    "frozen": False,
    "expires_at": "2026-03-01T13:00:00+00:00",
    "created_at": _NOW,
    "updated_at": _LATER,
}
_PAYMENT: Final[dict[str, Any]] = _SUMMARY | {
    "country": "DE",
    "command_id": _COMMAND_ID,
    "correlation_id": "checkout-1001",
    "operations": [
        {
            "operation_id": "2c0a1d5e8f3b5a579f2e6a1b7c3d4e5f-s1",
            "kind": "sale",
            "state": "APPROVED",
            "gateway": "stripe",
            "account": "acct_eu",
            "psp_id": "pi_3N",
            "amount_minor": 1099,
            "currency": "EUR",
            "code": None,
            "asked": 0,
            "call_ms": 41.7,
            "started_at": _NOW,
            "updated_at": _LATER,
        }
    ],
    "read_model": {"events_behind": 0, "lag_ms": 0.0, "stale_since": None},
}


class Payment(_Summary):
    country: str | None
    command_id: UUID = Field(description="Of the command that made it")
    correlation_id: str
    operations: list[Operation]
    read_model: PaymentLag

    model_config = ConfigDict(json_schema_extra={"example": _PAYMENT})


class PaymentPage(_Shape):
    payments: list[_Summary]
    next_cursor: str | None = Field(description="None: this was the last page")
    read_model: Lag

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"payments": [_SUMMARY], "next_cursor": None, "read_model": {"lag_ms": 0.0}}
        }
    )


class Event(_Shape):
    version: int
    type: str
    time: AwareDatetime
    command_id: UUID = Field(description="What caused it")
    correlation_id: str
    data: dict[str, Any] = Field(description="As stored; of a payment token only the last four characters")


class History(_Shape):
    payment_id: UUID
    events: list[Event]
    next_after: int | None = Field(description="`after` of the next page; None: this was the last one")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "payment_id": PAYMENT_ID,
                "events": [
                    {
                        "version": 3,
                        "type": "operation.approved.v1",
                        "time": _LATER,
                        "command_id": _COMMAND_ID,
                        "correlation_id": "checkout-1001",
                        "data": {"operation_id": "2c0a1d5e8f3b5a579f2e6a1b7c3d4e5f-s1", "psp_id": "pi_3N"},
                    }
                ],
                "next_after": None,
            }
        }
    )


class Accepted(_Shape):
    payment_id: UUID
    command_id: UUID
    url: str = Field(
        description="Where the payment can be read, once its first event is there: min_version=1 waits"
    )

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "payment_id": PAYMENT_ID,
                "command_id": _COMMAND_ID,
                "url": f"/v1/payments/{PAYMENT_ID}",
            }
        }
    )


class ProblemDocument(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    code: str = Field(description="For programs; `title` and `detail` are for people")
    detail: str | None = None
    path: str | None = Field(default=None, description="The field, parameter or header at fault")


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The answers that a route gives beside those that every route may give, one example for each code."""
    schema = ProblemDocument.model_json_schema()
    found: dict[int | str, dict[str, Any]] = {}
    for code in ("unauthorized", "scope_missing", "request_invalid", "database_unavailable", *codes):
        status, title = TITLES[code]
        example = {"type": f"urn:aegispay:problem:{code}", "title": title, "status": status, "code": code}
        content = {MEDIA_TYPE: {"schema": schema, "examples": {}}}
        answer = found.setdefault(status, {"description": title, "content": content})
        answer["content"][MEDIA_TYPE]["examples"][code] = {"value": example}
    return found


_LOCATION: Final = {"Location": {"description": "The payment's address", "schema": {"type": "string"}}}
_APPLIED: Final = {"Preference-Applied": {"description": "wait=N", "schema": {"type": "string"}}}
CREATED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": Payment,
        "description": "It had been made before with the same key and content; as it stands now",
        "headers": _LOCATION | _APPLIED,
    },
    201: {"model": Payment, "description": "Made, and at rest", "headers": _LOCATION | _APPLIED},
    202: {
        "description": "Kafka has the command; with Prefer: wait, the payment was not at rest in time",
        "headers": _LOCATION | _APPLIED,
    },
}


def _request_schema() -> dict[str, Any]:
    schema = CreatePayment.model_json_schema()
    ours = {"type", "command_id", "payment_id", "merchant_id", "idempotency_key"}
    properties = {name: field for name, field in schema["properties"].items() if name not in ours}
    properties["expires_at"]["description"] = "Nothing that moves money is sent later. Default: in one hour"
    required = [name for name in schema["required"] if name not in {*ours, "expires_at"}]
    example = {
        "amount_minor": 1099,
        "currency": "EUR",
        "payment_method": "pm_card_visa",
        "customer_id": "customer-7",
        "country": "DE",
        "description": "Order 1001",
        "metadata": {"order": "1001"},
    }
    return {
        "type": "object",
        "title": "CreatePayment",
        "description": "Take a payment from a PSP's payment token, captured at once.",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        "example": example,
    }


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


CREATE: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _request_schema()}}},
    "parameters": [
        _header(
            "Idempotency-Key",
            "One per payment that is meant: with the same key and content there is one payment, however often it "
            "is sent; with other content the answer is 409",
            "order-1001",
            minLength=1,
            maxLength=128,
            pattern=r"^[\x21-\x7e]+$",
        ),
        _header("Prefer", "wait=N, 1 to 30 s: answer when the payment is at rest (RFC 7240)", "wait=5"),
        _header("X-Correlation-Id", "Comes back, and is in every event, log and PSP call", "checkout-1001"),
        _header(
            "traceparent",
            "W3C trace context",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ],
}
