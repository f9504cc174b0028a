"""The base of records between our own processes, which may be of two versions at once."""

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from commands import wording
from commands.card_data import printable
from commands.messages import InvalidMessage


class InternalRecord(BaseModel):
    """A part of such a record: immutable. A field that this version does not know is ignored, so that a newer
    process may add one."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def dump(self) -> bytes:
        """Returns it as the JSON of a record's value."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def read(cls, raw: bytes) -> Self:
        """Reads a record's value. Raises `InvalidMessage`, which quotes no value."""
        try:
            return cls.model_validate_json(raw)
        except ValidationError as invalid:
            first = invalid.errors(include_url=False, include_input=False)[0]
            path = ".".join(printable(str(part)) for part in first["loc"])
            raise InvalidMessage("field_invalid", path or None, wording.sentence(first)) from None
