"""Describes the requests and documents of routing policies for OpenAPI."""

from typing import Any, Final

from commands.fields import TEXT_MAX
from infra.api import openapi
from infra.api.auth import WHO_MAX
from infra.api.policy_schemas import DOCUMENT as _DOCUMENT
from infra.api.policy_schemas import ChangePolicy

RACES: Final = ("policy_changed", "precondition_failed")
"""The problems of two who change a policy at once."""
REFUSALS: Final = (
    "not_json",
    "media_type",
    "message_too_large",
    "sensitive_data",
    "policy_version_unknown",
    "policy_has_errors",
    "policy_outdated",
    *RACES,
)
"""The problems of both ways to another active version."""

_ETAG: Final = {
    "ETag": {"description": "Changes with each change of the policy", "schema": {"type": "string"}}
}
DOCUMENT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The document",
        "content": {"application/json": {"schema": _DOCUMENT}, "application/yaml": {"schema": _DOCUMENT}},
        "headers": _ETAG,
    }
}
NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {
    304: {
        "description": "If-None-Match names the ETag of the policy as it is now, in the form that is wanted"
    }
}
CONDITIONAL: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "description": "The ETag of an earlier response: 304 if nothing changed",
            "schema": {"type": "string"},
            "example": '"7"',
        }
    ]
}
_IF_MATCH: Final[dict[str, Any]] = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of the state that the change is meant for: 412 if it is another by now. Without it the change "
    "is made to whatever is there",
    "schema": {"type": "string"},
    "example": '"7"',
}


def _query(name: str, description: str, example: str, length_max: int) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1, "maxLength": length_max},
        "example": example,
    }


DRAFT: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _DOCUMENT}, "application/yaml": {"schema": _DOCUMENT}},
    },
    "parameters": [
        _query("who", "The name of who changes it; the API key's id is added to it", "Kim", WHO_MAX),
        _query("reason", "Why", "the new contract", TEXT_MAX),
        _IF_MATCH,
    ],
}
CHANGE: Final[dict[str, Any]] = {
    "requestBody": openapi.closing(ChangePolicy, {"who": "Kim", "reason": "the new contract"})["requestBody"],
    "parameters": [_IF_MATCH],
}
