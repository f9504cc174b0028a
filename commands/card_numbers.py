"""Decides by its digits whether a number is a card's: an issuer's prefix for its length, and the check digit
of ISO/IEC 7812-1.

Part of the producers' client: it imports nothing else of AegisPay.
"""

import re
from typing import Final

DIGITS_MIN: Final = 12
DIGITS_MAX: Final = 19
USUAL_MAX: Final = 16

# Issuers' prefixes by the length of their numbers: the schemes' ranges as credit-card-type 10.3 (npm) and
# creditcard-identifier 2.3 (PyPI, its list of issued BINs) have them. A number of these is a card's wherever
# it stands. With 17 to 19 digits only ranges that are issued in that length: all of Visa would take one
# random id of 19 digits in 90 for a card, and hardly any such cards exist.
_DINERS: Final = r"3(?:0[0-5]|095|[689])"
_JCB: Final = r"35(?:2[89]|[3-8])"
_LONG: Final = "6[237]|81[1-7]|220[0-4]|5018|5020|5038|506[01]|507[89]|5893"
_LONG_OF_19: Final = "6011|64[4-9]|65|6000|9704"  # Discover and Napas issue 16 and 19, nothing between
ALONE: Final = {
    14: re.compile(_DINERS),
    15: re.compile("3[47]"),
    16: re.compile(
        rf"[456]|22(?:2[1-9]|[3-9])|2[3-6]|27(?:[01]|20)|220[0-5]|{_JCB}|{_DINERS}|8[12]|8600|9682|9704|9792|98[69]"
    ),
    **{length: re.compile(_LONG) for length in (17, 18)},
    19: re.compile(f"{_LONG}|{_LONG_OF_19}"),
}
# Every published range. A number of these is a card's only with a second sign: a name or a word beside it,
# the groups it is written in, or digits that somebody made up for a test.
ISSUED: Final = {
    12: re.compile("[56]|493698"),
    13: re.compile("[456]"),
    14: re.compile(rf"[456]|81|{_DINERS}"),
    15: re.compile("1|20[14]|21[34]|3[47]|[456]|81"),
    16: re.compile("1946|[3456]"),
    **{length: re.compile(r"1946|[456]|220[0-4]|3|8[126]|9704") for length in (17, 18, 19)},
}
GROUPS_OF_CARDS: Final = frozenset({(4, 3, 3, 3), (4, 4, 5), (4, 6, 5), (4, 6, 4), (6, 13), (8, 11)})
_FOUR_TIMES: Final = re.compile(r"(\d)\1{3}")
_DOUBLED: Final = str.maketrans("0123456789", "0246813579")


def is_issued(digits: str, ranges: dict[int, re.Pattern[str]]) -> bool:
    """True if one of `ranges`, which are patterns of prefixes by a number's length, has the number."""
    prefixes = ranges.get(len(digits))
    return prefixes is not None and prefixes.match(digits) is not None


def is_card_number(digits: str) -> bool:
    """True for a number of any published range: for callers that know from elsewhere that a card is meant."""
    return (is_issued(digits, ALONE) or is_issued(digits, ISSUED)) and passes_check_digit(digits)


def is_made_up(digits: str) -> bool:
    """True if few digits differ or one stands four times over, as in test numbers and one random number in
    50."""
    return len(set(digits)) <= (6 if len(digits) >= 15 else 5) or _FOUR_TIMES.search(digits) is not None


def is_in_groups_of_a_card(groups: list[str]) -> bool:
    """True if the digits are grouped as issuers print them: in fours, or as `GROUPS_OF_CARDS` lists."""
    sizes = tuple(map(len, groups))
    by_four = len(sizes) > 3 and set(sizes[:-1]) == {4} and sizes[-1] <= 4
    return by_four or sizes in GROUPS_OF_CARDS


def passes_check_digit(digits: str) -> bool:
    """True for a number whose last digit is right by the Luhn formula (ISO/IEC 7812-1, annex B)."""
    return (sum(map(int, digits[-1::-2])) + sum(map(int, digits[-2::-2].translate(_DOUBLED)))) % 10 == 0
