"""The base of the messages, and the types of their fields, with their bounds and patterns.

Part of the producers' client: it imports nothing else of AegisPay.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticKnownError


class Message(BaseModel):
    """Base of every message and its parts: immutable, and without fields that it does not name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Id = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
Key = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]
Token = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9._:|/+=-]+$")]
# Behind the PSP's name something has to follow: the PSP gets the token without it.
PaymentMethod = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9._:|/+=-]*[A-Za-z0-9._|/+=-]$"),
]
Method = Annotated[str, StringConstraints(max_length=32, pattern=r"^[a-z][a-z0-9_]*$")]
TEXT_MAX: Final = 255
"""The characters of a `Text`."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_MAX, pattern=r"^[^\x00-\x1f\x7f]+$")]
ONLY_THESE_NAMES: Final[dict[str, Any]] = {"additionalProperties": False}
PaymentMethods = Annotated[
    dict[Id, PaymentMethod], Field(min_length=1, max_length=20, json_schema_extra=ONLY_THESE_NAMES)
]
Metadata = Annotated[dict[Id, Text], Field(max_length=20, json_schema_extra=ONLY_THESE_NAMES)]
IssuerCode = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,4}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
StatementText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=22, pattern=r"^[A-Za-z0-9 .,_+-]*[A-Za-z][A-Za-z0-9 .,_+-]*$"),
]
Page = Annotated[
    str,
    StringConstraints(
        max_length=500,
        pattern=r"^(https://|http://(127\.0\.0\.1|localhost)[:/])[A-Za-z0-9.:_~/?&=%#+,;@!-]+$",
    ),
]
Returned = Annotated[str, StringConstraints(max_length=8000, pattern=r"^[\x20-\x7e]*$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Evidence = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00-\x08\x7f]+$")]
Amount = Annotated[int, Field(strict=True, ge=-(2**53), le=2**53)]
# The rules refuse less than 1 with a code of their own. 1099.0 is an integer to JSON Schema, and not to us.
RequestedAmount = Annotated[
    Amount, Field(json_schema_extra={"minimum": 1}, description="An integer without a decimal point.")
]
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


def _not_a_number(value: object) -> object:
    """Refuses a number, which pydantic would take for seconds or milliseconds."""
    if isinstance(value, int | float) or (isinstance(value, str) and not _DATE.match(value)):
        raise PydanticKnownError("datetime_type")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_not_a_number)]
# Limited to this century: PostgreSQL and Python disagree about the years at the ends.
Moment = Annotated[
    AwareDatetime,
    Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2100, 1, 1, tzinfo=UTC)),
    BeforeValidator(_not_a_number),
]
