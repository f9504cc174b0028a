"""What travels on `payments.commands`, `gateways.outcomes` and `payments.replies`: JSON, one message a record.

The record's key is the payment's id as text. Nothing here imports the rest of AegisPay: the producers' client
is cut from this file. No message may carry a card number or a security code; `parse` refuses those that do.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid5

import orjson
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

MESSAGE_BYTES_MAX: Final = 64 * 1024
_PAYMENTS: Final = UUID("6f9c2d0e-6f1b-5c0e-9d8a-3f2b7a514e11")

Id = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
Key = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]
Token = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9._:|/+=-]+$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Amount = Annotated[int, Field(strict=True, ge=-(2**53), le=2**53)]
# Of this century: PostgreSQL and Python disagree about the years at the ends.
Moment = Annotated[
    AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2100, 1, 1, tzinfo=UTC))
]

OutcomeKind = Literal[
    "APPROVED",
    "DECLINED_SOFT",
    "DECLINED_HARD",
    "NOT_SENT",
    "ACTION_REQUIRED",
    "PENDING",
    "UNKNOWN",
    "PROVEN_ABSENT",
    "EXPIRED",
]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CreatePayment(_Message):
    """Take `amount_minor` from a PSP's payment token, captured at once.

    `expires_at`: no call that moves money is sent later than this.
    """

    type: Literal["create_payment.v1"] = "create_payment.v1"
    command_id: UUID
    payment_id: UUID
    merchant_id: Id
    idempotency_key: Key
    amount_minor: Amount = Field(
        description="In the currency's minor unit: 1099 is 10.99 USD, 500 is 500 JPY."
    )
    currency: Currency
    payment_method: Token = Field(description="A PSP's token. Never a card number.")
    customer_id: Id | None = None
    country: Country | None = None
    description: Text | None = None
    metadata: dict[Id, Text] = Field(default_factory=dict, max_length=20)
    expires_at: Moment


class Wake(_Message):
    """A payment's timer is due. Sent by the timers process."""

    type: Literal["wake.v1"] = "wake.v1"
    command_id: UUID
    payment_id: UUID
    due_at: AwareDatetime


class RetryParked(_Message):
    """Try a parked stream again, with all that queued behind it. Sent by `aegispay parked retry`."""

    type: Literal["retry_parked.v1"] = "retry_parked.v1"
    command_id: UUID
    payment_id: UUID


class Outcome(_Message):
    """What is known of one step of one operation. Amounts are what the PSP says, in our minor units."""

    kind: OutcomeKind
    psp_id: Token | None = None
    amount_minor: Amount | None = None
    currency: Currency | None = None
    code: str | None = Field(default=None, max_length=100, description="The PSP's code, or ours")
    detail: str | None = Field(default=None, max_length=500)
    hint: Literal["RETRY_WITH_3DS", "FIX_INPUT", "REFRESH_TOKEN", "CONFIG"] | None = None
    action_url: str | None = Field(default=None, max_length=2000)
    repeat_is_useless: bool = Field(
        default=False, description="The PSP replays this answer for ever: only a query can tell."
    )


class RecordOutcome(_Message):
    """A gateway worker reports. Sent on `gateways.outcomes`.

    `tries` counts the claims for the step so far; `source` is where the outcome comes from: the call, a query,
    the claim's stored answer, or none where nothing was sent.
    """

    type: Literal["record_outcome.v1"] = "record_outcome.v1"
    command_id: UUID
    payment_id: UUID
    operation_id: Id
    step: Id
    gateway: Id
    account: Id
    outcome: Outcome
    source: Literal["call", "query", "stored", "none"]
    tries: Annotated[int, Field(ge=0, le=2**31 - 1)]
    first_try_at: AwareDatetime | None
    observed_at: AwareDatetime
    call_ms: float | None = Field(
        default=None, description="Time of the PSP's answer, from the first byte sent, ms"
    )


Command = Annotated[CreatePayment | Wake | RetryParked, Field(discriminator="type")]


class Reply(_Message):
    """On `payments.replies`, to the one who sent `command_id`.

    `answer`: the command was decided; a repeat of the command gets the same result again, beside the present
    state. `update`: the payment that this command created has come to rest in another status since.
    """

    type: Literal["reply.v1"] = "reply.v1"
    kind: Literal["answer", "update"]
    command_id: UUID
    payment_id: UUID | None
    result: Literal["accepted", "refused"]
    code: str | None = Field(default=None, description="Why it was refused, e.g. idempotency_mismatch")
    detail: str | None = None
    path: str | None = Field(default=None, description="The field at fault, dotted")
    status: str | None = Field(default=None, description="The payment's status when this was sent")
    version: int | None = Field(default=None, description="The payment's version when this was sent")
    correlation_id: str | None = None


class InvalidMessage(ValueError):
    """A record that is no valid message. Holds no part of the payload but the path of the field at fault."""

    def __init__(self, code: str, path: str | None, detail: str, command_id: UUID | None = None) -> None:
        super().__init__(f"{code} at {path or 'the top'}: {detail}")
        self.code = code
        self.path = path
        self.detail = detail
        self.command_id = command_id

    @property
    def sensitive(self) -> bool:
        """The payload may hold a card number: not even its hash may be kept."""
        return self.code == "sensitive_data"


def payment_id(merchant_id: str, idempotency_key: str) -> UUID:
    """The id that this key of this merchant always gives: uuid5 over the JSON array of both, without spaces."""
    return uuid5(_PAYMENTS, orjson.dumps([merchant_id, idempotency_key]).decode())


def fingerprint(command: CreatePayment) -> str:
    """Of what was asked for: the whole depth, but not when it expires nor which command asked. Hex SHA-256."""
    content = command.model_dump(mode="json", exclude={"type", "command_id", "expires_at"})
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def dump(message: _Message) -> bytes:
    return message.__pydantic_serializer__.to_json(message)


@cache
def _adapter(topic: Literal["commands", "outcomes", "replies"]) -> TypeAdapter[Any]:
    kinds: dict[str, Any] = {"commands": Command, "outcomes": RecordOutcome, "replies": Reply}
    return TypeAdapter(kinds[topic])


def parse_command(raw: bytes) -> CreatePayment | Wake | RetryParked:
    """Raises `InvalidMessage`."""
    message: CreatePayment | Wake | RetryParked = _parse(raw, "commands")
    return message


def parse_outcome(raw: bytes) -> RecordOutcome:
    """Raises `InvalidMessage`."""
    message: RecordOutcome = _parse(raw, "outcomes")
    return message


def parse_reply(raw: bytes) -> Reply:
    """Raises `InvalidMessage`."""
    message: Reply = _parse(raw, "replies")
    return message


def _parse(raw: bytes, topic: Literal["commands", "outcomes", "replies"]) -> Any:
    if len(raw) > MESSAGE_BYTES_MAX:
        raise InvalidMessage("message_too_large", None, f"a message has at most {MESSAGE_BYTES_MAX} bytes")
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise InvalidMessage("not_json", None, "the record's value is not JSON in UTF-8") from None
    if not isinstance(content, dict):
        raise InvalidMessage("not_an_object", None, "the record's value is not a JSON object")
    command_id = _command_id(content)
    # Outcomes come from our own gateway workers, which scrub what a PSP says; refusing one would lose it.
    if topic == "commands" and (path := sensitive_path(content)) is not None:
        detail = "looks like a card number or a security code: send a PSP's token instead"
        raise InvalidMessage("sensitive_data", path, detail, command_id)
    try:
        return _adapter(topic).validate_json(raw)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidMessage(*_explain(first["type"], first["loc"]), command_id) from None


def _command_id(content: dict[str, Any]) -> UUID | None:
    try:
        return UUID(content["command_id"])
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


_CODES: Final = {
    "missing": ("field_missing", "this field is required"),
    "extra_forbidden": ("field_unknown", "there is no such field"),
    "union_tag_invalid": ("type_unknown", "no message has this type and version"),
    "union_tag_not_found": ("type_missing", "the field type is required"),
}


def _explain(kind: str, loc: tuple[int | str, ...]) -> tuple[str, str, str]:
    # Pydantic puts the union's tag in front of the field's own path.
    path = ".".join(_printable(str(part)) for part in loc if not re.fullmatch(r"[a-z_]+\.v\d+", str(part)))
    code, detail = _CODES.get(kind, ("field_invalid", f"not valid here ({kind})"))
    return code, path or "type", detail


def _printable(name: str) -> str:
    """A field's name, unless it was made to smuggle something: then only that it was there."""
    plain = not holds_pan(name)
    return (
        name
        if plain and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,40}|\[key\]|\d{1,3}", name)
        else "(unprintable)"
    )


_SECURITY_CODE_NAMES: Final = frozenset(
    {"cvv", "cvc", "cvv2", "cvc2", "cid", "csc", "securitycode", "cardnumber", "pan"}
)
# Digits with one or two separators between them; not colons, which would join a date and its time.
_DIGIT_RUN: Final = re.compile(r"(\+?)(?<![0-9])([0-9](?:[ ,._/\u2013\u2014-]{0,2}[0-9]){12,})")
_TELEPHONE_DIGITS_MAX: Final = 15  # E.164, and it opens with a plus
# UUIDs and digests: a run of digits in them says nothing, and is there in one of a hundred.
_HEXADECIMAL: Final = re.compile(
    r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b(?=[0-9]*[a-f])[0-9a-f]{32,128}\b", re.IGNORECASE
)
# Issuers' prefixes by the length of their card numbers (ISO/IEC 7812; the schemes' public ranges).
_SIXTEEN: Final = r"4|5[0-8]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|220[0-4]|35(?:2[89]|[3-8])|6"  # Visa, Mastercard, Mir, JCB, others
_ISSUERS: Final = {
    13: re.compile("4"),
    14: re.compile(r"3(?:0[0-5]|[689])"),
    15: re.compile("3[47]"),
    16: re.compile(_SIXTEEN),
    **{length: re.compile("4|5[06-8]|6") for length in (17, 18, 19)},
}
# Ids that we make ourselves: hexadecimal, so that a run of digits in them says nothing.
_OUR_IDS: Final = frozenset({"command_id", "payment_id", "operation_id"})
_OUR_ID: Final = re.compile(r"[0-9a-fA-F-]{32,36}(-[a-z]\d{1,3})?")


def sensitive_path(content: dict[str, Any]) -> str | None:
    """Where the first card number or security code stands, dotted, or None."""
    for path, name, value in _leaves(content):
        if name.lower().replace("_", "").replace("-", "") in _SECURITY_CODE_NAMES or holds_pan(name):
            return ".".join(map(_printable, path))
        if path[-1] in _OUR_IDS and isinstance(value, str) and _OUR_ID.fullmatch(value):
            continue
        if holds_pan(str(value)):
            return ".".join(map(_printable, path))
    return None


def _leaves(root: Any) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    # No recursion: a record may be nested deeper than Python's stack is.
    pending: list[tuple[tuple[str, ...], Any]] = [((), root)]
    while pending:
        path, node = pending.pop()
        match node:
            case dict():
                yield from (((*path, name), name, "") for name in node)
                pending.extend(((*path, name), node[name]) for name in reversed(node))
            case list():
                pending.extend(((*path, str(place)), node[place]) for place in reversed(range(len(node))))
            case str() | int() | float():
                if path:
                    yield path, "", node


def holds_pan(text: str) -> bool:
    """Whether a card number stands in it: by its issuer's prefix, its length and its check digit."""
    if len(text) < 13:
        return False
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    for plus, run in _DIGIT_RUN.findall(_HEXADECIMAL.sub(" x ", text)):
        digits = re.sub(r"\D", "", run)
        if not (plus and len(digits) <= _TELEPHONE_DIGITS_MAX) and _run_holds_pan(digits):
            return True
    return False


def _run_holds_pan(digits: str) -> bool:
    """As a whole, or, in the lengths that nearly all cards have, inside a longer run: a security code may follow."""
    if _is_pan(digits):
        return True
    windows = (
        digits[start : start + length] for length in (15, 16) for start in range(len(digits) - length + 1)
    )
    return any(map(_is_pan, windows))


def _is_pan(digits: str) -> bool:
    issuer = _ISSUERS.get(len(digits))
    return issuer is not None and issuer.match(digits) is not None and _luhn(digits)


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0
