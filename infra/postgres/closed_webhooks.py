"""Closes unmatched webhooks about which an operator has decided that nothing is left to do.

Invariant: the first closing of a webhook stands, and is kept when the webhook itself is deleted.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from commands import wording
from commands.card_data import printable, sensitive_path
from commands.fields import Evidence, Text
from commands.messages import SENSITIVE, InvalidMessage
from commands.sql import statements

_CLOSE: Final = statements(__file__)["close"]


class CloseWebhook(BaseModel):
    """An operator's statement that nothing is left to do about a webhook that could not be used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhook_id: int = Field(strict=True, ge=1, le=2**63 - 1, description="As `aegispay doubt list` shows it")
    reason: Text = Field(description="What the webhook reported, and what was done about it")
    evidence: Evidence = Field(description="What that rests on: the PSP's record, a ticket")
    who: Text


@dataclass(frozen=True, slots=True)
class Closing:
    """A closing as it is stored. `payment_id`: the payment that the webhook names; None: it names none."""

    webhook_id: int
    payment_id: UUID | None
    account: str
    event_id: str
    who: str
    reason: str
    evidence: str
    closed_at: datetime


def read(content: dict[str, Any]) -> CloseWebhook:
    """Reads a request from its JSON object. Raises `InvalidMessage`."""
    if (path := sensitive_path(content)) is not None:
        detail = "looks like a card number or a security code: leave it out"
        raise InvalidMessage(SENSITIVE, path, detail)
    try:
        return CloseWebhook.model_validate(content)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        path = printable(str(first["loc"][0]))
        match first["type"]:
            case "missing":
                code, detail = "field_missing", wording.REQUIRED
            case "extra_forbidden":
                code, detail = "field_unknown", wording.no_such_field(path, CloseWebhook.model_fields)
            case _:
                code, detail = "field_invalid", wording.sentence(first)
        raise InvalidMessage(code, path, detail) from None


async def close(conn: psycopg.AsyncConnection, closing: CloseWebhook, about: UUID | None) -> Closing | None:
    """Closes a webhook and returns its first closing, whoever made it.

    None: no webhook of this id needs an operator, or it does not name the payment `about` (None: any
    payment).
    """
    async with conn.cursor(row_factory=class_row(Closing)) as cursor:
        await cursor.execute(_CLOSE, closing.model_dump() | {"about": about})
        return await cursor.fetchone()
