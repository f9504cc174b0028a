"""Recognizes numbers that are written as something other than a card's: times, parcels, articles, orders,
accounts.

Part of the producers' client: it imports only its neighbours.
"""

import re
from typing import Final

from .card_numbers import GROUPS_OF_CARDS, is_made_up

_TIME: Final = re.compile(
    r"(?<![0-9])(?:(?:19|20)\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])[Tt_ .-]{0,3})?"
    r"(?:[01]\d|2[0-3]):[0-5]\d:[0-6]\d(?:[.,]\d{1,9})?(?:[Zz]|[+-](?:0\d|1[0-4]):?[0-5]\d)?(?![0-9]|:[0-9])",
    re.ASCII,
)
# USPS's Intelligent Mail package barcode (Publication 199) as printed: 22 or 26 digits in fours that start
# with 91 to 95, possibly after the destination's postcode. No issuer's number starts so, and its last group
# has two digits.
_PARCEL: Final = re.compile(
    "(?<![0-9])(?<![0-9][ -])(?:420 ?[0-9]{5}(?: ?[0-9]{4})? ?)?"
    "9[1-5][0-9]{2}([ -])[0-9]{4}(?:\\1[0-9]{4}){3,4}\\1[0-9]{2}(?!/?[0-9])"
)
# The older labels of 20 digits look like a card's number behind four digits: only the check digit
# distinguishes them.
_OLD_PARCEL: Final = re.compile(
    "(?<![0-9])(?<![0-9][ -])(?:7[0-9]|9[1-5])[0-9]{2}([ -])[0-9]{4}(?:\\1[0-9]{4}){3}(?!/?[0-9])"
)
_IN_GROUPS: Final = re.compile("[0-9]{4}([ -])[0-9]{4}\\1[0-9]{4}|[0-9]{3}-[0-9]{7}-")
# GS1's element strings (General Specifications, 7.8): in parentheses stands which field begins.
_ARTICLE: Final = re.compile(r"\(0[0-2]\) ?[0-9]{14}")
_FIELD_OF_AN_ARTICLE: Final = re.compile(r"\([0-9]{2,4}\)")
# Amazon's order ids (Selling Partner API, "3-7-7").
_AMAZON: Final = re.compile("(?<![0-9])(?<![0-9][ -])[0-9]{3}-[0-9]{7}-[0-9]{7}(?![0-9]|[ -][0-9])")
# An account and its contract, an order and its position: two numbers.
_TWO_NUMBERS: Final = re.compile("(?<![0-9])(?<![0-9][ ./-])([0-9]{4,}) ?/ ?([0-9]{4,})(?![0-9]|[ ./-][0-9])")
# Digits of the account numbers that are all digits: country, and digits after it (SWIFT's IBAN registry).
_IBAN_DIGITS: Final = {
    **dict.fromkeys(("BE",), 14),
    **dict.fromkeys(("NO",), 13),
    **dict.fromkeys(("DK", "FI", "FO", "GL"), 16),
    **dict.fromkeys(("SI",), 17),
    **dict.fromkeys(("AT", "BA", "EE", "LT", "XK"), 18),
    **dict.fromkeys(("CH", "HR", "LI"), 19),
    **dict.fromkeys(("DE", "ME", "RS"), 20),
    **dict.fromkeys(("AE", "IL", "TL"), 21),
    **dict.fromkeys(("CZ", "ES", "SE", "SK", "TN"), 22),
    **dict.fromkeys(("PT",), 23),
}
_COUNTRY: Final = re.compile(r"(?<![0-9A-Za-z])[A-Za-z]{2}$")


def without_moments(text: str) -> str:
    """Returns the text with an `x` for each time of ISO 8601."""
    return _TIME.sub("x", text)


def without_others(text: str) -> str:
    """Returns the text with an `x` for each parcel and order, and for the name of each field of an
    article."""
    if "(0" in text and _ARTICLE.search(text) is not None:
        text = _FIELD_OF_AN_ARTICLE.sub("x", text)
    if _IN_GROUPS.search(text) is not None:
        text = _OLD_PARCEL.sub(_with_its_check_digit, _PARCEL.sub("x", text))
        text = _AMAZON.sub(_made_up, text)
    return text


def holds_two_numbers(text: str) -> bool:
    """True if a stroke stands between two numbers of four digits or more."""
    return _TWO_NUMBERS.search(text) is not None


def two_numbers_apart(text: str) -> str:
    """Returns the text with an `x` for each stroke between two numbers that are not one card's in its usual
    groups."""
    return _TWO_NUMBERS.sub(_two_numbers, text)


def _with_its_check_digit(found: re.Match[str]) -> str:
    """Keeps the digits if GS1's check digit, which USPS uses too, is wrong."""
    digits = found[0].replace(found[1], "")
    total = sum(map(int, digits[-1::-2])) + 3 * sum(map(int, digits[-2::-2]))
    return found[0] if total % 10 else "x"


def _made_up(found: re.Match[str]) -> str:
    return found[0] if is_made_up(found[0].replace("-", "")) else "x"


def _two_numbers(found: re.Match[str]) -> str:
    one = (len(found[1]), len(found[2])) in GROUPS_OF_CARDS or is_made_up(found[1] + found[2])
    return found[0] if one else f"{found[1]}x{found[2]}"


def is_iban(digits: str, before: str) -> bool:
    """True for an account number of ISO 13616: `before` ends with its country, and the remainder by 97 is
    1."""
    country = _COUNTRY.search(before)
    if country is None or _IBAN_DIGITS.get(country[0].upper()) != len(digits):
        return False
    letters = "".join(str(int(letter, 36)) for letter in country[0])
    return int(digits[2:] + letters + digits[:2]) % 97 == 1
