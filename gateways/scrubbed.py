"""What a PSP says, made fit to be stored. Invariant: no card number, no secret, no control character, bounded.

A text that is only for reading is masked. An id, a code or an address is kept whole or not at all.
"""

import re
from typing import Final

_TEXT_MAX: Final = 400
_SEARCHED_MAX: Final = 4 * _TEXT_MAX
_CARD: Final = re.compile(r"[0-9](?:[ ._/-]{0,2}[0-9]){12,}")
_SECRET: Final = re.compile(
    r"\b(?:sk|rk|pk|whsec)_[^\s'\"]+|\w*_secret_\w+|\b(?:bearer|basic)\s+[^\s'\"]+",
    re.IGNORECASE,
)
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_ADDRESS: Final = re.compile(r"https?://[\x21-\x7e]{1,1980}")


def text(said: object) -> str | None:
    """At most 400 characters."""
    if not isinstance(said, str):
        return None
    # A megabyte need not be searched; and where it is cut, no part of a card number may be left.
    head = said if len(said) <= _SEARCHED_MAX else said[:_SEARCHED_MAX].rstrip("0123456789 ._/-")
    printable = "".join(c if c.isprintable() else " " for c in masked(head)).strip()
    return printable[:_TEXT_MAX] or None


def masked(said: str) -> str:
    """The whole of it: for the eyes of a person, not for a log."""
    return _CARD.sub("[digits]", _SECRET.sub("[secret]", said))


def identifier(said: object) -> str | None:
    return _whole(said, _ID)


def code(said: object) -> str | None:
    return _whole(said, _CODE)


def address(said: object) -> str | None:
    """Of a page for the shopper. It may hold a secret of the PSP's that is made for the shopper."""
    return _whole(said, _ADDRESS)


def _whole(said: object, shape: re.Pattern[str]) -> str | None:
    if not isinstance(said, str) or not shape.fullmatch(said) or _CARD.search(said):
        return None
    return said
