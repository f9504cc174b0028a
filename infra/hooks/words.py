"""Makes a hook's words fit to be stored, published and logged: bounded, printable, without a card number and
without a payment's token."""

from collections.abc import Iterable
from typing import Final

from commands.card_data import holds_card_data
from commands.hooks import TEXT_MAX

WITHHELD: Final = "(withheld: the hook's words hold a card number or a token)"
_TOKEN_MIN: Final = 6  # a shorter one is a word that may stand anywhere


def fit(text: str | None, tokens: Iterable[str]) -> str | None:
    """Returns the words, or `WITHHELD`; None: there are none. `tokens`: with or without the PSP's name."""
    if not text:
        return None
    quoted = (token.rpartition(":")[2] for token in tokens)
    if holds_card_data(text) or any(len(one) >= _TOKEN_MIN and one in text for one in quoted):
        return WITHHELD
    return "".join(one if one.isprintable() else " " for one in text).strip()[:TEXT_MAX] or None
