"""Where a card number or a security code stands in a message. Invariant: nothing found here is quoted anywhere.

Nothing here imports the rest of AegisPay: the producers' client is cut from this file too.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

_SECURITY_CODE_NAMES: Final = frozenset(
    {"cvv", "cvc", "cvv2", "cvc2", "cid", "csc", "securitycode", "cardnumber", "pan"}
)
# Digits with one or two separators between them; not colons, which would join a date and its time.
_DIGIT_RUN: Final = re.compile(r"(\+?)(?<![0-9])([0-9](?:[ ,._/\u2013\u2014-]{0,2}[0-9]){12,})")
_TELEPHONE_DIGITS_MAX: Final = 15  # E.164, and it opens with a plus
# UUIDs and digests: a run of digits in them says nothing, and is there in one of a hundred.
_HEXADECIMAL: Final = re.compile(
    r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b(?=[0-9]*[a-f])[0-9a-f]{32,128}\b", re.IGNORECASE
)
# Issuers' prefixes by the length of their card numbers (ISO/IEC 7812; the schemes' public ranges).
_SIXTEEN: Final = r"4|5[0-8]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|220[0-4]|35(?:2[89]|[3-8])|6"  # Visa, Mastercard, Mir, JCB, others
_ISSUERS: Final = {
    13: re.compile("4"),
    14: re.compile(r"3(?:0[0-5]|[689])"),
    15: re.compile("3[47]"),
    16: re.compile(_SIXTEEN),
    **{length: re.compile("4|5[06-8]|6") for length in (17, 18, 19)},
}
# Ids that we make ourselves: hexadecimal, so that a run of digits in them says nothing.
_OUR_IDS: Final = frozenset({"command_id", "payment_id", "operation_id"})
_OUR_ID: Final = re.compile(r"[0-9a-fA-F-]{32,36}(-[a-z]\d{1,3})?")


def sensitive_path(content: dict[str, Any]) -> str | None:
    """Where the first card number or security code stands, dotted, or None."""
    for path, name, value in _leaves(content):
        if name.lower().replace("_", "").replace("-", "") in _SECURITY_CODE_NAMES or holds_pan(name):
            return ".".join(map(printable, path))
        if path[-1] in _OUR_IDS and isinstance(value, str) and _OUR_ID.fullmatch(value):
            continue
        if holds_pan(str(value)):
            return ".".join(map(printable, path))
    return None


def _leaves(root: Any) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    # No recursion: a record may be nested deeper than Python's stack is.
    pending: list[tuple[tuple[str, ...], Any]] = [((), root)]
    while pending:
        path, node = pending.pop()
        match node:
            case dict():
                yield from (((*path, name), name, "") for name in node)
                pending.extend(((*path, name), node[name]) for name in reversed(node))
            case list():
                pending.extend(((*path, str(place)), node[place]) for place in reversed(range(len(node))))
            case str() | int() | float():
                if path:
                    yield path, "", node


def holds_pan(text: str) -> bool:
    """Whether a card number stands in it: by its issuer's prefix, its length and its check digit."""
    if len(text) < 13:
        return False
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    for plus, run in _DIGIT_RUN.findall(_HEXADECIMAL.sub(" x ", text)):
        digits = re.sub(r"\D", "", run)
        if not (plus and len(digits) <= _TELEPHONE_DIGITS_MAX) and _run_holds_pan(digits):
            return True
    return False


def _run_holds_pan(digits: str) -> bool:
    """As a whole, or, in the lengths that nearly all cards have, inside a longer run: a security code may follow."""
    if _is_pan(digits):
        return True
    windows = (
        digits[start : start + length] for length in (15, 16) for start in range(len(digits) - length + 1)
    )
    return any(map(_is_pan, windows))


def _is_pan(digits: str) -> bool:
    issuer = _ISSUERS.get(len(digits))
    return issuer is not None and issuer.match(digits) is not None and _luhn(digits)


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def printable(name: str) -> str:
    """A field's name, unless it was made to smuggle something: then only that it was there."""
    plain = not holds_pan(name)
    return (
        name
        if plain and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,40}|\[key\]|\d{1,3}", name)
        else "(unprintable)"
    )
