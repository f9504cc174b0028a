"""Ids of what the simulator makes: letters only, since an id must never hold a run of digits that looks like
a card number, and in the order of time, so that the ledger's indexes grow at their end.
"""

import os
from typing import Final

_LETTERS: Final = bytes((b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" * 5)[:256])
_CAPITALS: Final = bytes((b"ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 10)[:256])
_DIGITS_AS_LETTERS: Final = str.maketrans("0123456789", "ABCDEFGHIJ")


def letters(now: float, chance: int = 14) -> str:
    """Returns 14 letters from the time, and `chance` random ones."""
    return _moment(now) + os.urandom(chance).translate(_LETTERS).decode()


def capitals(now: float, chance: int = 6) -> str:
    """The same in capital letters alone."""
    return _moment(now) + os.urandom(chance).translate(_CAPITALS).decode()


def _moment(now: float) -> str:
    return f"{int(now * 1000):014d}".translate(_DIGITS_AS_LETTERS)
