"""What PayPal's interface says when it refuses. Source: OpenAPI of Orders 2.13 and Payments 2.5."""

import time
from typing import Any, Final

from gateways.simulator import ids
from gateways.simulator.psp import Answer, Refusal, Trouble

_SAID: Final = {
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
_TROUBLES: Final[dict[Trouble, tuple[int, str | None]]] = {
    "unauthorized": (401, None),
    "not_found": (404, "INVALID_RESOURCE_ID"),
    "too_large": (413, None),
    "rate_limited": (429, None),
    "broken": (500, None),
    "unavailable": (503, None),
    "key_in_use": (409, "PREVIOUS_REQUEST_IN_PROGRESS"),
    "key_conflict": (422, "DUPLICATE_REQUEST_ID"),
}
# What PayPal-Mock-Response may ask for that is no issue of a 422.
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


def trouble(what: Trouble) -> Answer:
    return _answer(*_TROUBLES[what])


def unfit(issue: str, *, page: str | None = None) -> Refusal:
    """A 422. `page`: where the payer agrees."""
    return Refusal(_answer(422, issue, page=page))


def invalid(field: str, issue: str = "INVALID_PARAMETER_VALUE") -> Refusal:
    return Refusal(_answer(400, issue, field=field))


def missing() -> Refusal:
    return Refusal(_answer(404, "INVALID_RESOURCE_ID"))


def mocked(issue: str) -> Refusal:
    return Refusal(_answer(_OTHER.get(issue, 422), issue))


def _answer(status: int, issue: str | None, *, field: str | None = None, page: str | None = None) -> Answer:
    name, message = _SAID[status]
    body: dict[str, Any] = {"name": name, "message": message, "debug_id": ids.letters(time.time(), 0).lower()}
    if issue is not None:
        body["details"] = [{"issue": issue} if field is None else {"issue": issue, "field": field}]
    if page is not None:
        body["links"] = [{"rel": "payer-action", "href": page, "method": "GET"}]
    return Answer.json(status, body)
