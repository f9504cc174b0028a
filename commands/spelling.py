"""Reads digits however they are written: in other scripts, in the escapes of URLs, JSON, C and HTML, between
tags, as base64 or in hexadecimal.

Part of the producers' client: it imports nothing else of AegisPay.
"""

import binascii
import html
import re
import unicodedata
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

_ESCAPED_AT_MOST: Final = 3  # times over
_BASE64_MIN: Final = 16
_DIGITS_MIN: Final = 12  # each with the code 3_ in hexadecimal
_ESCAPE: Final = re.compile(
    r"\\u([0-9A-Fa-f]{4})|\\u\{([0-9A-Fa-f]{1,6})\}|\\x([0-9A-Fa-f]{2})|\\([0-3][0-7]{2})|\\[nrtfv]"
)
_TAG: Final = re.compile("<[^<>]{0,200}>")
# Nine characters from a space to `?`, of which digits are ten, at the start of a group of three.
_BASE64: Final = re.compile("(?:[I-P][CDSTijyz][AEIMQUYcgkosw048][g-z0-9+/_-]){3}")
_BASE64_TOKEN: Final = re.compile(f"[A-Za-z0-9+/_-]{{{_BASE64_MIN},}}")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_ASCII_CODES: Final = re.compile("(?:[23][0-9A-Fa-f][ ,:-]?){12,}+")
_SHORT_BASE64: Final = re.compile("[MNO][A-Za-z0-9]{3}(?:[MNO][A-Za-z]={0,2})?")
_NO_HEXADECIMAL: Final = re.compile("[^0-9A-Fa-f]+")
_HANGUL_FILLERS: Final = frozenset(
    {"\u115f", "\u1160"}
)  # letters to Unicode, and blank; the others decompose to these


def is_plain(text: str) -> bool:
    """True if there is only one way to read the text: no escapes, tags, other scripts, base64 or
    hexadecimal."""
    return (
        text.isascii()
        and not ("%" in text or "\\" in text or "&" in text or "<" in text)
        and (len(text) < _BASE64_MIN or _BASE64.search(text) is None)
        and (text.count("3") < _DIGITS_MIN or _ASCII_CODES.search(text) is None)
    )


def unescaped(text: str) -> list[str]:
    """Returns the text, and what its escapes stand for, once for each level of escaping (three at most)."""
    found = [text]
    if not ("%" in text or "\\" in text or "&" in text):
        return found
    for _ in range(_ESCAPED_AT_MOST):
        unescaped = html.unescape(_paired(_ESCAPE.sub(_character, unquote(text))))
        if unescaped == text:
            break
        text = unescaped
        found.append(text)
    return found


def readings(text: str) -> list[str]:
    """Returns the text, and what its escapes, tags and codes stand for."""
    found = unescaped(text)
    text = found[-1]
    if "<" in text:
        found.append(_TAG.sub(" ", text))
    for token in _BASE64_TOKEN.findall(text) if _BASE64.search(text) else ():
        found += (_decoded(token[offset:]) for offset in range(4))
    for codes in _ASCII_CODES.findall(text):
        raw = _NO_HEXADECIMAL.sub("", codes)
        found.append(binascii.a2b_hex(raw[: len(raw) // 2 * 2]).decode("ascii"))
    return found


def short_reading(text: str) -> str:
    """Returns what a text of four to eight characters stands for if it is digits in base64; empty: it is
    not."""
    return _decoded(text.rstrip("=")) if _SHORT_BASE64.fullmatch(text) else ""


def _character(escape: re.Match[str]) -> str:
    hexadecimal = escape[1] or escape[2] or escape[3]
    if hexadecimal is None and escape[4] is None:
        return " "
    point = int(hexadecimal, 16) if hexadecimal else int(escape[4], 8)
    return chr(point) if point < 0x110000 else " "


def _paired(text: str) -> str:
    """Joins surrogates: JSON writes a character above U+FFFF as two escapes."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decoded(token: str) -> str:
    whole = token[: len(token) - (len(token) % 4 == 1)].translate(_URL_SAFE)
    return binascii.a2b_base64(whole + "=" * (-len(whole) % 4)).decode("utf-8", "replace")


class _Plain:
    """A table for `str.translate`: digits by their value in ASCII; other letters `x`; what is neither, a
    space."""

    @staticmethod
    @lru_cache(maxsize=4096)
    def _of(point: int) -> str:
        character = chr(point)
        value = unicodedata.numeric(character, -1.0)
        if value in range(10):
            return str(int(value))
        # A modifier letter stands between digits as a stroke does: the Arabic kashida, the Japanese sound
        # mark.
        if not character.isalnum() or character in _HANGUL_FILLERS or unicodedata.category(character) == "Lm":
            return " "
        return "x"

    def __getitem__(self, point: int) -> str:
        if point < 0x80:
            raise LookupError
        return self._of(point)


_TO_PLAIN: Final = _Plain()


def plain(text: str) -> str:
    """Returns the text in ASCII: digits by their value, other letters as `x`, anything else as a space."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text).translate(_TO_PLAIN)


def lettered(text: str) -> str:
    """Returns the text in lower case, its letters without accents and its digits in ASCII."""
    if text.isascii():
        return text.lower()
    return "".join(map(_letter, unicodedata.normalize("NFKD", text))).lower()


@lru_cache(maxsize=4096)
def _letter(character: str) -> str:
    if unicodedata.combining(character):
        return ""
    if character.isdigit():
        return str(unicodedata.digit(character))
    return character if character.isascii() or character.isalnum() else " "
