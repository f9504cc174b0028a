"""PayPal's error objects. Source: OpenAPI of Orders 2.13 and Payments 2.5."""

import time
from typing import Any, Final

from gateways.simulator.core import ids
from gateways.simulator.core.psp import ErrorKind, Refusal, Response

_TEXTS: Final = {
    400: ("INVALID_REQUEST", "Request is not well-formed, syntactically incorrect, or violates schema."),
    401: (
        "AUTHENTICATION_FAILURE",
        "Authentication failed due to missing authorization header, or invalid authentication credentials.",
    ),
    403: ("NOT_AUTHORIZED", "Authorization failed due to insufficient permissions."),
    404: ("RESOURCE_NOT_FOUND", "The specified resource does not exist."),
    409: ("RESOURCE_CONFLICT", "The server has detected a conflict while processing this request."),
    413: ("REQUEST_ENTITY_TOO_LARGE", "The request is too large."),
    422: (
        "UNPROCESSABLE_ENTITY",
        "The requested action could not be performed, semantically incorrect, or failed business validation.",
    ),
    429: ("RATE_LIMIT_REACHED", "Too many requests. Blocked due to rate limiting."),
    500: ("INTERNAL_SERVER_ERROR", "An internal server error occurred."),
    503: ("SERVICE_UNAVAILABLE", "Service Unavailable."),
}
_ERRORS: Final[dict[ErrorKind, tuple[int, str | None]]] = {
    "unauthorized": (401, None),
    "not_found": (404, "INVALID_RESOURCE_ID"),
    "too_large": (413, None),
    "rate_limited": (429, None),
    "broken": (500, None),
    "unavailable": (503, None),
    "key_in_use": (409, "PREVIOUS_REQUEST_IN_PROGRESS"),
    "key_conflict": (422, "DUPLICATE_REQUEST_ID"),
}
# The statuses of those codes of PayPal-Mock-Response that are not issues of a 422.
_OTHER: Final = {
    "INTERNAL_SERVER_ERROR": 500,
    "SERVICE_UNAVAILABLE": 503,
    "RATE_LIMIT_REACHED": 429,
    "PERMISSION_DENIED": 403,
    "CONSENT_NEEDED": 403,
    "INVALID_RESOURCE_ID": 404,
    "INVALID_ACCOUNT_STATUS": 401,
    "PREVIOUS_REQUEST_IN_PROGRESS": 409,
    "MALFORMED_REQUEST_JSON": 400,
}


def error_response(kind: ErrorKind) -> Response:
    """The error that the front responds with."""
    return _response(*_ERRORS[kind])


def unfit(issue: str, *, page: str | None = None) -> Refusal:
    """A 422 with this issue. `page`: where the payer agrees, as a link."""
    return Refusal(_response(422, issue, page=page))


def invalid(field: str, issue: str = "INVALID_PARAMETER_VALUE") -> Refusal:
    """A 400 about this field (a JSON pointer, or a header's name)."""
    return Refusal(_response(400, issue, field=field))


def missing() -> Refusal:
    """A 404: the account has no such resource."""
    return Refusal(_response(404, "INVALID_RESOURCE_ID"))


def mocked(issue: str) -> Refusal:
    """The error that `PayPal-Mock-Response` requests; 422 where the issue has no other status."""
    return Refusal(_response(_OTHER.get(issue, 422), issue))


def _response(
    status: int, issue: str | None, *, field: str | None = None, page: str | None = None
) -> Response:
    name, message = _TEXTS[status]
    body: dict[str, Any] = {"name": name, "message": message, "debug_id": ids.letters(time.time(), 0).lower()}
    if issue is not None:
        body["details"] = [{"issue": issue} if field is None else {"issue": issue, "field": field}]
    if page is not None:
        body["links"] = [{"rel": "payer-action", "href": page, "method": "GET"}]
    return Response.json(status, body)
