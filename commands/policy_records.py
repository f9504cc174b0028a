"""The records of the topic `routing.policies`: the active routing policy of each merchant.

Invariant: of two records of one merchant the one with the greater `change` holds, whichever came last.
"""

from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from aggregates.routing.policy import Name, Policy
from commands.fields import Id, Moment

WHO_MAX: Final = 400
"""The characters of `who`: longer words are cut off."""
_ARMS_MAX: Final = 1000
_Number = Annotated[int, Field(ge=1, le=2**31 - 1)]


class PolicyRecord(BaseModel):
    """Tells the command workers which policy routes a merchant's payments. The record's key is the merchant's
    id, and the last record of a key holds all of it."""

    # A worker of the release before goes on while the relay is already of the next one: a field that it does
    # not know is passed over here, and a document that it cannot read is an error.
    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["routing_policy.v1"] = "routing_policy.v1"
    merchant_id: Id
    version: _Number = Field(description="The number of the active document")
    change: _Number = Field(
        description="Grows with each change to the merchant's policy. A record that is sent again, after a crash of "
        "ours, has the same one: drop a record whose `change` is lower than that of one you have seen",
    )
    document: Policy = Field(description="The policy, without what it leaves at its default")
    stopped_arms: dict[Name, Annotated[list[Name], Field(max_length=_ARMS_MAX)]] = Field(
        default_factory=dict, description="By experiment: the arms that get no payments any more"
    )
    activated_at: Moment
    who: str = Field(
        max_length=WHO_MAX,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]*$",
        description="Who activated this version, or returned to it",
    )

    @field_serializer("document")
    def _without_defaults(self, document: Policy) -> dict[str, Any]:
        # A policy's parts tell what was written from what was left out: a null that is sent would be read as
        # written.
        return document.document()


class _Changed(Protocol):
    @property
    def change(self) -> int: ...


def replaces(read: _Changed, held: _Changed) -> bool:
    """True unless what was read was sent by a relay that another had overtaken."""
    return read.change >= held.change


def key(merchant_id: str) -> bytes:
    """Returns the key of a merchant's record."""
    return merchant_id.encode()


def dump(record: PolicyRecord) -> bytes:
    """Returns the record's value on the topic."""
    return record.model_dump_json().encode()


def read(value: bytes) -> PolicyRecord:
    """Reads a record's value. Raises pydantic's `ValidationError` for one that this release cannot read."""
    return PolicyRecord.model_validate_json(value)
