"""Ids and fingerprints. Invariant: a producer and AegisPay compute the same ones from a command's content.

Part of the producers' client: it imports nothing else of AegisPay.
"""

import hashlib
import re
from typing import Final
from uuid import UUID, uuid5

import orjson

from .card_data import sensitive_path
from .messages import SENSITIVE, AnyCommand, InvalidMessage

_PAYMENTS: Final = UUID("6f9c2d0e-6f1b-5c0e-9d8a-3f2b7a514e11")


def payment_id(merchant_id: str, idempotency_key: str) -> UUID:
    """Returns the id that this key of this merchant always gives: uuid5 over the JSON array of both, without
    spaces."""
    return uuid5(_PAYMENTS, orjson.dumps([merchant_id, idempotency_key]).decode())


def command_id(merchant_id: str, payment: UUID, key: str, kind: str) -> UUID:
    """Returns the id that this key always gives to a command of this kind about this payment, by which a
    repeat is recognized. `kind`: the command's `type` without its version. Raises `InvalidMessage`."""
    if not re.fullmatch(r"[\x21-\x7e]{1,128}", key):
        text = "1 to 128 printable characters without spaces"
        raise InvalidMessage("field_invalid", "idempotency_key", text)
    # The hash of a card number would give the number away.
    if sensitive_path({"idempotency_key": key}) is not None:
        raise InvalidMessage(SENSITIVE, "idempotency_key", "looks like a card number")
    return uuid5(_PAYMENTS, orjson.dumps([merchant_id, str(payment), key, kind]).decode())


_LEFT_OUT: Final = {"command_id", "expires_at"}
_ADDED_LATER: Final = ("payment_methods", "method", "card")
"""Fields that a release added: where one is absent the command's fingerprint is what it was before, so that a
repeat after the upgrade is recognized. A new field goes here."""


def fingerprint(command: AnyCommand) -> str:
    """Hex SHA-256 of the full request without expires_at and command_id, nor what is absent of the fields
    that were added later."""
    absent = {name for name in _ADDED_LATER if getattr(command, name, None) is None}
    content = command.model_dump(mode="json", exclude=_LEFT_OUT | absent)
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
