"""Builds the API's errors: RFC 9457 problem documents, each with a code that programs can rely on."""

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
from starlette.routing import Match
from starlette.types import Scope

from commands import wording
from commands.messages import InvalidMessage

MEDIA_TYPE: Final = "application/problem+json"
_METHODS: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")

TITLES: Final = {
    "not_json": (400, "The body is not JSON"),
    "not_an_object": (400, "The body is not a JSON object"),
    "webhook_unreadable": (400, "The webhook cannot be read"),
    "idempotency_key_missing": (400, "The header Idempotency-Key is required"),
    "idempotency_key_repeated": (400, "The header Idempotency-Key may be sent only once"),
    "not_yaml": (400, "The body is not YAML"),
    "cursor_invalid": (400, "The cursor is not valid"),
    "unauthorized": (401, "No valid API key"),
    "webhook_refused": (401, "The webhook is not accepted"),
    "scope_missing": (403, "The API key lacks a scope"),
    "payment_not_found": (404, "No such payment"),
    "account_not_found": (404, "No such PSP account"),
    "not_found": (404, "No such resource"),
    "experiment_not_found": (404, "The routing policy has no such experiment"),
    "policy_version_unknown": (404, "The routing policy has no such version"),
    "webhook_unknown": (404, "No such webhook awaits an operator"),
    "method_not_allowed": (405, "The resource does not support this method"),
    "body_too_slow": (408, "The body did not arrive in time"),
    "head_too_slow": (408, "The head of the request did not arrive in time"),
    "already_canceled": (409, "The payment is already cancelled"),
    "already_captured": (409, "The payment was captured, or is being captured"),
    "queried_just_now": (409, "The PSP was called, or reported, a moment ago"),
    "webhook_only": (409, "Only a webhook or the customer can settle the operation"),
    "attempt_in_flight": (409, "Another attempt may still charge the customer"),
    "authorization_expired": (409, "The authorization has ended"),
    "capture_in_flight": (409, "A capture is in progress"),
    "dispute_unknown": (409, "The payment has no such dispute"),
    "idempotency_mismatch": (409, "The idempotency key was used before with other content"),
    "no_action_required": (409, "The payment awaits no customer action"),
    "not_queried_yet": (409, "The PSP was not queried yet"),
    "not_authorized": (409, "The payment is not authorized"),
    "not_held": (409, "The payment is not held for review"),
    "not_in_doubt": (409, "The operation is not in doubt"),
    "nothing_captured": (409, "Nothing was captured"),
    "nothing_in_doubt": (409, "No operation is in doubt"),
    "nothing_to_cancel": (409, "There is nothing to cancel"),
    "nothing_to_capture": (409, "Nothing is left to capture"),
    "nothing_to_void": (409, "Nothing is left to void"),
    "operation_in_use": (409, "Another operation depends on this one"),
    "operation_unknown": (409, "The payment has no such operation"),
    "payment_frozen": (409, "The payment is frozen until an operator has looked at it"),
    "returned_too_often": (409, "The customer was reported back too often"),
    "review_too_late": (409, "The payment's time ended before it was reviewed"),
    "still_to_be_given_back": (409, "A refund that is owed has not been made yet"),
    "executed_twice": (
        409,
        "The PSP executed the operation twice: name the PSP's id that the decision is about",
    ),
    "arm_is_control": (409, "The control of an experiment cannot be stopped"),
    "experiment_unknown": (409, "The active routing policy has no such experiment and arm"),
    "policy_changed": (409, "Somebody else is changing the routing policy"),
    "policy_never_active": (409, "This version of the routing policy was never active"),
    "policy_not_newest": (409, "A newer version of the routing policy was drafted"),
    "policy_outdated": (409, "This version of the routing policy cannot be used any more"),
    "policy_versions_max": (409, "The routing policy has as many versions as it may have"),
    "version_not_reached": (409, "The payment has not reached this version yet"),
    "void_in_flight": (409, "A void is in progress"),
    "precondition_failed": (412, "The routing policy was changed since"),
    "message_too_large": (413, "The body is too large"),
    "media_type": (415, "The body has to be application/json"),
    "policy_media_type": (415, "The body has to be application/json or application/yaml"),
    "amount_missing": (422, "The decision needs an amount"),
    "amount_not_possible": (422, "The amount is not possible"),
    "capture_exceeds_authorization": (422, "The amount exceeds what can be captured"),
    "refund_exceeds_captured": (422, "The amount exceeds what can be refunded"),
    "partial_capture_not_available": (422, "The PSP captures the whole authorized amount or nothing"),
    "void_not_available": (422, "The PSP cannot void an authorization: it releases the hold itself"),
    "denied_by_fraud_check": (422, "The fraud check denied the payment"),
    "hook_failed": (422, "A check of the payment could not be made"),
    "policy_has_errors": (422, "The routing policy has errors"),
    "gateway_unknown": (422, "The payment token names no PSP"),
    "sensitive_data": (422, "The request contains a card number or a security code"),
    "request_invalid": (422, "The request is not valid"),
    "head_too_large": (431, "The head of the request is too large"),
    "internal_error": (500, "Internal error"),
    "kafka_unavailable": (503, "Commands cannot be taken at the moment"),
    "connections_exhausted": (503, "Too many connections"),
    "certificate_unavailable": (503, "The webhook cannot be verified at the moment"),
    "accounts_unknown": (503, "The API does not know the PSP accounts"),
    "database_unavailable": (503, "Payments cannot be read at the moment"),
}
"""HTTP status and title of each code. Any other code, e.g. field_missing or amount_not_positive, is a 422."""


class Problem(Exception):
    """Ends a request with a problem document. `detail` is for people and repeats nothing of the request."""

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
        """Translates a message's fault; a fault of `idempotency_key` is one of the header."""
        path = "Idempotency-Key" if invalid.path == "idempotency_key" else invalid.path
        return cls(invalid.code, invalid.detail, path=path)

    def response(self) -> Response:
        """Builds the document, without the fields that are None."""
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
    """Returns one and the same problem for a payment that does not exist and for one of another merchant."""
    return Problem("payment_not_found", "there is no such payment")


def _allowed_methods(request: Request) -> str:
    """Lists the methods of all routes with this path, for `Allow`; Starlette lists those of the first."""
    found = {method for method in _METHODS if _is_taken({**request.scope, "method": method})}
    return ", ".join(sorted(found | ({"HEAD"} if "GET" in found else set())))


def _is_taken(scope: Scope) -> bool:
    routes = scope["app"].routes
    return any(route.matches(scope)[0] is Match.FULL for route in routes)


def install(app: FastAPI) -> None:
    """Adds the handlers that turn every error of a route into a problem document."""

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        codes = {404: "not_found", 405: "method_not_allowed", 413: "message_too_large"}
        code = codes.get(
            error.status_code, "request_invalid" if error.status_code < 500 else "internal_error"
        )
        headers = {"Allow": _allowed_methods(request)} if error.status_code == 405 else error.headers
        return Problem(code, HTTPStatus(error.status_code).phrase, headers=headers).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        path = str(first["loc"][-1])
        return Problem("request_invalid", wording.sentence(first), path=path).response()

    @app.exception_handler(OperationalError)
    @app.exception_handler(PoolTimeout)
    async def database(_: Request, error: Exception) -> Response:
        detail = "the database does not respond; nothing was lost"
        return Problem("database_unavailable", detail, headers={"Retry-After": "2"}).response()

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> Response:
        return Problem("internal_error", "the error was logged with the request's correlation id").response()
