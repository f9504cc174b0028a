"""A PSP's text, made fit to be stored. Invariant: no card number, no secret, no token and no control
character stays in it, and its length is bounded.

A text that is only for reading is masked. An id, a code or an address is kept whole or not at all.
"""

import re
from dataclasses import replace
from typing import Final

from commands.card_data import holds_card_data
from commands.messages import Outcome
from gateways.contract import Call, Credentials, HttpResponse

_TEXT_MAX: Final = 400
_SEARCHED_MAX: Final = 4 * _TEXT_MAX
_QUOTED_MIN: Final = 6  # a shorter secret or token is a word that may stand anywhere
_CARD: Final = re.compile(r"[0-9](?:[ ._/-]{0,2}[0-9]){12,}")
_SECRET: Final = re.compile(
    r"\b(?:sk|rk|pk|whsec)_[^\s'\"]+|\w*_secret_\w+|\b(?:bearer|basic)\s+[^\s'\"]+",
    re.IGNORECASE,
)
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_ISSUER_CODE: Final = re.compile(r"[A-Z0-9]{1,4}")
_ADDRESS: Final = re.compile(r"https?://[\x21-\x7e]{1,1980}")


def text(value: object) -> str | None:
    """Masks a text and cuts it to 400 characters. None: it is no text, or nothing is left."""
    if not isinstance(value, str):
        return None
    # A megabyte need not be searched; and where it is cut, no part of a card number may be left.
    head = value if len(value) <= _SEARCHED_MAX else value[:_SEARCHED_MAX].rstrip("0123456789 ._/-")
    printable = "".join(c if c.isprintable() else " " for c in masked(head)).strip()
    return printable[:_TEXT_MAX] or None


def joined(separator: str, *parts: str | None) -> str | None:
    """Joins the parts that there are, masked and cut as `text` does."""
    return text(separator.join(part for part in parts if part))


def masked(value: str) -> str:
    """Masks a text of any length, for an operator's eyes and not for a log."""
    text = _CARD.sub("[digits]", _SECRET.sub("[secret]", value))
    # A number that only the deeper search recognizes cannot be cut out: none of the text is kept.
    return "[digits]" if holds_card_data(text) else text


def identifier(value: object) -> str | None:
    """The value where it is an id of at most 255 letters, digits, hyphens and underscores without a card
    number."""
    return _whole(value, _ID)


def code(value: object) -> str | None:
    """The value where it is a code of at most 100 letters, digits, dots, hyphens and underscores without a
    card number."""
    return _whole(value, _CODE)


def issuer_code(value: object) -> str | None:
    """The value where it is a card scheme's code: up to 4 capital letters and digits."""
    return _whole(value, _ISSUER_CODE)


def address(value: object) -> str | None:
    """The value where it is the web address of a page for the customer. It may hold a secret of the PSP's
    that is made for the customer."""
    return _whole(value, _ADDRESS)


def without_secrets(response: HttpResponse, credentials: Credentials) -> HttpResponse:
    """Replaces our secret and our access token where the PSP quotes them."""
    secrets = [
        one.encode() for one in (credentials.secret, credentials.access_token) if len(one) >= _QUOTED_MIN
    ]
    body = response.body
    for secret in secrets:
        body = body.replace(secret, b"[secret]")
    return response if body is response.body else replace(response, body=body)


def without_tokens(outcome: Outcome, call: Call) -> Outcome:
    """Replaces the customer's tokens, and what the browser brought back, where the outcome's detail quotes
    them."""
    stored = call.stored_credential
    tokens = [call.payment_method, stored and stored.customer_token, *call.returned.values()]
    detail = outcome.detail or ""
    for token in sorted({one for one in tokens if one and len(one) >= _QUOTED_MIN}, key=len, reverse=True):
        detail = detail.replace(token, "[token]")
        # A long text was cut, perhaps in the middle of a token.
        starts = range(len(token) - 1, _QUOTED_MIN - 1, -1)
        cut = next((length for length in starts if detail.endswith(token[:length])), 0)
        detail = detail[: len(detail) - cut]
    if detail == (outcome.detail or ""):
        return outcome
    return outcome.model_copy(update={"detail": detail or None})


def _whole(value: object, shape: re.Pattern[str]) -> str | None:
    if (
        not isinstance(value, str)
        or not shape.fullmatch(value)
        or _CARD.search(value)
        or holds_card_data(value)
    ):
        return None
    return value
