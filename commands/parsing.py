"""Parses the bytes of a record as a message, or names the field at fault and the reason.

Invariant: no refusal quotes a value, and a command with a card number or a security code is never parsed.

Part of the producers' client: it imports nothing else of AegisPay.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, Literal, get_args
from uuid import UUID

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from . import wording
from .card_data import holds_card_data, printable, sensitive_path
from .fields import Message
from .messages import SENSITIVE, AnyCommand, AnyReport, Command, InvalidMessage, OutcomeMessage
from .reply import Reply

MESSAGE_BYTES_MAX: Final = 64 * 1024

_Topic = Literal["commands", "outcomes", "replies"]
_KINDS: Final[Mapping[_Topic, tuple[type[Message], ...]]] = {
    "commands": get_args(AnyCommand),
    "outcomes": get_args(AnyReport),
    "replies": (Reply,),
}
_TAG: Final = re.compile(r"[a-z_]+\.v\d+")


@cache
def _adapter(topic: _Topic) -> TypeAdapter[Any]:
    kinds: dict[str, Any] = {"commands": Command, "outcomes": OutcomeMessage, "replies": Reply}
    return TypeAdapter(kinds[topic])


def parse_command(raw: bytes) -> AnyCommand:
    """Parses a record of `payments.commands`. Raises `InvalidMessage`, of card data too (code
    `SENSITIVE`)."""
    message: AnyCommand = _parse(raw, "commands")
    return message


def parse_outcome(raw: bytes) -> AnyReport:
    """Parses a record of `gateways.outcomes`. Raises `InvalidMessage`."""
    message: AnyReport = _parse(raw, "outcomes")
    return message


def parse_reply(raw: bytes) -> Reply:
    """Parses a record of `payments.replies`. Raises `InvalidMessage`, of a reply of a later version too."""
    message: Reply = _parse(raw, "replies")
    return message


def _parse(raw: bytes, topic: _Topic) -> Any:
    if len(raw) > MESSAGE_BYTES_MAX:
        raise InvalidMessage("message_too_large", None, f"a message has at most {MESSAGE_BYTES_MAX} bytes")
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        text = f"the record's value is not JSON in UTF-8: look at line {error.lineno}, column {error.colno}"
        raise InvalidMessage("not_json", None, text) from None
    if not isinstance(content, dict):
        raise InvalidMessage("not_an_object", None, "the record's value is not a JSON object, { … }")
    command_id = _command_id(content)
    # Outcomes come from our own gateway workers, which redact what a PSP sends; refusing one would lose it.
    if topic == "commands" and (path := sensitive_path(content)) is not None:
        detail = "looks like a card number or a security code: send a PSP's token instead"
        # The reply quotes the id, and hexadecimal digits can be a card number.
        spelled = (str(content.get("command_id")), str(command_id))
        raise InvalidMessage(
            SENSITIVE, path, detail, None if any(map(holds_card_data, spelled)) else command_id
        )
    try:
        return _adapter(topic).validate_json(raw)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        raise InvalidMessage(*_explain(first, topic), command_id) from None


def _command_id(content: dict[str, Any]) -> UUID | None:
    try:
        return UUID(content["command_id"])
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def _explain(error: ErrorDetails, topic: _Topic) -> tuple[str, str, str]:
    """Returns the refusal's code, the path of the field at fault, and the detail in words."""
    kind, loc = error["type"], error["loc"]
    # Pydantic puts the union's tag in front of the field's own path.
    path = ".".join(printable(str(part)) for part in loc if not _TAG.fullmatch(str(part))) or "type"
    match kind:
        case "missing":
            return "field_missing", path, wording.REQUIRED
        case "extra_forbidden":
            names = _fields(topic, str(loc[0])) if len(loc) == 2 else ()
            return "field_unknown", path, wording.no_such_field(loc[-1], names)
        case "union_tag_not_found":
            return "type_missing", path, f"{wording.REQUIRED}, e.g. create_payment.v1"
        case "union_tag_invalid":
            return "type_unknown", path, f"no message has this type and version; there are {_types(topic)}"
        case _:
            return "field_invalid", path, wording.sentence(error)


def _fields(topic: _Topic, tag: str) -> Iterable[str]:
    return next((kind.model_fields for kind in _KINDS[topic] if kind.model_fields["type"].default == tag), ())


def _types(topic: _Topic) -> str:
    return ", ".join(kind.model_fields["type"].default for kind in _KINDS[topic])
