"""Every error of the API: RFC 9457 problem documents, each with a code that programs can rely on."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from psycopg import OperationalError
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from commands.messages import InvalidMessage

MEDIA_TYPE: Final = "application/problem+json"

TITLES: Final = {
    "not_json": (400, "The body is not JSON"),
    "not_an_object": (400, "The body is not a JSON object"),
    "webhook_unreadable": (400, "The webhook cannot be read"),
    "idempotency_key_missing": (400, "The header Idempotency-Key is required"),
    "cursor_invalid": (400, "The cursor was not made here"),
    "unauthorized": (401, "No valid API key"),
    "webhook_refused": (401, "The webhook is not taken"),
    "scope_missing": (403, "The API key may not do this"),
    "payment_not_found": (404, "No such payment"),
    "not_found": (404, "No such resource"),
    "method_not_allowed": (405, "The resource does not take this method"),
    "body_too_slow": (408, "The body did not arrive in time"),
    "already_canceled": (409, "The payment was cancelled before"),
    "already_captured": (409, "The payment was captured, or is being captured"),
    "asked_just_now": (409, "The PSP was asked a moment ago"),
    "attempt_in_flight": (409, "Another attempt may still charge"),
    "authorization_expired": (409, "The authorization has ended"),
    "capture_in_flight": (409, "A capture is under way"),
    "idempotency_mismatch": (409, "The idempotency key was used before, for something else"),
    "no_action_required": (409, "The customer was sent nowhere"),
    "not_asked_yet": (409, "The PSP was not looked up yet"),
    "not_authorized": (409, "The payment is not authorized"),
    "not_in_doubt": (409, "The operation is not in doubt"),
    "nothing_captured": (409, "Nothing was captured"),
    "nothing_in_doubt": (409, "Nothing waits for its outcome"),
    "nothing_to_cancel": (409, "Nothing is under way"),
    "nothing_to_capture": (409, "Nothing is left to capture"),
    "nothing_to_void": (409, "Nothing is left to void"),
    "operation_in_use": (409, "Another operation rests on this one"),
    "operation_unknown": (409, "The payment has no such operation"),
    "payment_frozen": (409, "A person has to look at the payment first"),
    "returned_too_often": (409, "The customer was said to be back too often"),
    "still_to_be_given_back": (409, "What was promised back still stands"),
    "version_not_reached": (409, "The payment is not at this version yet"),
    "void_in_flight": (409, "A void is under way"),
    "message_too_large": (413, "The body is too large"),
    "media_type": (415, "The body has to be application/json"),
    "amount_not_possible": (422, "The operation cannot have been executed for this amount"),
    "capture_exceeds_authorization": (422, "More than can be captured"),
    "refund_exceeds_captured": (422, "More than can be refunded"),
    "sensitive_data": (422, "The request holds a card number or a security code"),
    "request_invalid": (422, "The request is not valid"),
    "internal_error": (500, "A fault of ours"),
    "kafka_unavailable": (503, "Nothing can be asked of payments at the moment"),
    "certificate_unavailable": (503, "The webhook cannot be verified at the moment"),
    "database_unavailable": (503, "Payments cannot be read at the moment"),
}
"""Codes with a status of their own. Any other, e.g. field_missing or amount_not_positive, is 422."""


class Problem(Exception):
    """Ends a request. `detail` is for people and holds nothing that the request brought."""

    def __init__(
        self,
        code: str,
        detail: str | None,
        *,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.path = path
        self.headers = headers
        self.more = more

    @classmethod
    def of(cls, invalid: InvalidMessage) -> "Problem":
        path = "Idempotency-Key" if invalid.path == "idempotency_key" else invalid.path
        return cls(invalid.code, invalid.detail, path=path)

    def response(self) -> Response:
        status, title = TITLES.get(self.code, TITLES["request_invalid"])
        content = {
            "type": f"urn:aegispay:problem:{self.code}",
            "title": title,
            "status": status,
            "code": self.code,
            "detail": self.detail,
            "path": self.path,
            **self.more,
        }
        shown = {name: value for name, value in content.items() if value is not None}
        return Response(orjson.dumps(shown), status, self.headers, MEDIA_TYPE)


def payment_not_found() -> Problem:
    """The same for a payment that nobody has and for one that another merchant has."""
    return Problem("payment_not_found", "there is no such payment")


def install(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        codes = {404: "not_found", 405: "method_not_allowed", 413: "message_too_large"}
        code = codes.get(
            error.status_code, "request_invalid" if error.status_code < 500 else "internal_error"
        )
        return Problem(code, HTTPStatus(error.status_code).phrase, headers=error.headers).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        path = str(first["loc"][-1])
        return Problem("request_invalid", f"not valid here ({first['type']})", path=path).response()

    @app.exception_handler(OperationalError)
    @app.exception_handler(PoolTimeout)
    async def database(_: Request, error: Exception) -> Response:
        detail = "the database does not answer; nothing was lost"
        return Problem("database_unavailable", detail, headers={"Retry-After": "2"}).response()

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> Response:
        return Problem("internal_error", "it was logged with the request's correlation id").response()
