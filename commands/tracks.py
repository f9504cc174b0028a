"""Finds the content of a card's magnetic stripe or chip, in hexadecimal: digits that end with a card's
number, and the mark that follows it.

Part of the producers' client: it imports only its neighbours.
"""

import re
from typing import Final

from .card_numbers import DIGITS_MAX, DIGITS_MIN, is_card_number

_MONTH_OF_ANY_YEAR: Final = "[0-9]{2}(?:0[1-9]|1[0-2])"
# ISO/IEC 7813, track 2, and EMV's equivalent of it: the number, a separator, YYMM. Before the number a length
# may stand (ISO 8583, field 35) or a tag and a length (EMV, tag 57). An equals sign stands in texts too: then
# the service code.
_TRACK_2: Final = re.compile(
    rf"(?<![0-9])([0-9]{{{DIGITS_MIN},}})(?:[Dd]{_MONTH_OF_ANY_YEAR}|={_MONTH_OF_ANY_YEAR}[0-9]{{3}})"
)
# Track 1 begins with its format, B.
_TRACK_1: Final = re.compile(rf"[Bb]([0-9]{{{DIGITS_MIN},{DIGITS_MAX}}})\^")
# EMV's tag 5A: the number's length in bytes, the number, and F up to a whole byte.
_TAG_5A: Final = re.compile("5[Aa]0([6-9Aa])(?=([0-9]{11,19}[0-9Ff]))")
_SIGN: Final = re.compile(r"[0-9][Dd=^]|5[Aa]0")
# Hexadecimal as long as a digest, with 12 digits or more at its start or end: a number and what stands beside
# it.
_WORD: Final = re.compile(
    rf"(?<![0-9A-Za-z])(?=[0-9]*[A-Fa-f])[0-9A-Fa-f]{{{DIGITS_MIN + 16},}}(?![0-9A-Za-z])"
)
_ENDS: Final = re.compile(f"^[0-9]{{{DIGITS_MIN},}}|(?<![0-9])[0-9]{{{DIGITS_MIN},}}$")


def holds_a_track(text: str) -> bool:
    """True if the text holds a card's number as the stripe or the chip has it."""
    if _SIGN.search(text) is None:
        return False
    if any(_ends_as_a_card(found[1]) for found in _TRACK_2.finditer(text)):
        return True
    if any(is_card_number(found[1]) for found in _TRACK_1.finditer(text)):
        return True
    return any(is_card_number(_of_its_length(found)) for found in _TAG_5A.finditer(text))


def begins_or_ends_as_a_card(text: str) -> bool:
    """True if hexadecimal of 28 characters or more starts or ends with a card's number, as one digest in
    2,000 does."""
    for word in _WORD.findall(text):
        for digits in _ENDS.findall(word):
            if word.startswith(digits) and any(map(is_card_number, _heads(digits))):
                return True
            if word.endswith(digits) and _ends_as_a_card(digits):
                return True
    return False


def _of_its_length(found: re.Match[str]) -> str:
    field = found[2][: 2 * int(found[1], 16)].rstrip("Ff")
    return field if field.isdigit() else ""


def _ends_as_a_card(digits: str) -> bool:
    return any(is_card_number(digits[-count:]) for count in _counts(digits))


def _heads(digits: str) -> list[str]:
    return [digits[:count] for count in _counts(digits)]


def _counts(digits: str) -> range:
    return range(DIGITS_MIN, min(DIGITS_MAX, len(digits)) + 1)
