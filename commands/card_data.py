"""Finds card numbers and security codes in a message. Invariant: nothing found here is quoted anywhere.

A card number is 12 to 19 digits by itself that start with an issuer's prefix for that length and pass the
check digit of ISO/IEC 7812-1. "By itself": a run of digits that ends before and after it, whatever else
stands beside it. The digits may be of any script, in groups with a few characters between them that are
neither digits nor letters, and written in the ways that `spelling.py` reads. docs/adr/0023 lists what is
found and what is wrongly taken for a card.

Part of the producers' client: it imports only its neighbours.
"""

import re
from functools import lru_cache
from typing import Any, Final

from .card_numbers import (
    ALONE,
    DIGITS_MAX,
    DIGITS_MIN,
    ISSUED,
    USUAL_MAX,
    is_in_groups_of_a_card,
    is_issued,
    is_made_up,
    passes_check_digit,
)
from .other_numbers import holds_two_numbers, is_iban, two_numbers_apart, without_moments, without_others
from .security_codes import holds_a_named_code, names_a_code, plain_name_names_a_code
from .spelling import is_plain, plain, readings, short_reading, unescaped
from .tracks import begins_or_ends_as_a_card, holds_a_track

_WORDS: Final = re.compile(
    r"card|\bpan\b|\bcc\b|visa|mastercard|maestro|amex|american.express|discover|diners|unionpay|karte|carte|tarjeta"
)
_NAMES_OF_NUMBERS: Final = re.compile(
    r"card|accountnumber|ccnum|track(?:$|[12]|data|equivalent)|(?:^|[_ ])(?:pan|track)(?:$|[_ ])"
)
_BETWEEN_WORDS: Final = re.compile(r"[\W_]+")
_TOKENS: Final = "paymentmethod"  # a field for a card, but its value is a token of letters and digits

# Up to five characters between two digits; a date and its time, a UUID and a digest are taken out first.
_RUN: Final = re.compile(r"(?<![0-9])[0-9](?:[^0-9A-Za-z]{0,5}+[0-9]){11,}+")
_GROUP: Final = re.compile("[0-9]+")
# A UUID whose letters leave no room for twelve digits in a row, as two of three do, is searched no further.
_UUID: Final = re.compile(
    "(?=[0-9]*[a-f])[0-9a-f]{8}-[0-9a-f]{4}-(?=[0-9]*[a-f])[0-9a-f]{4}-(?=[0-9]*[a-f])[0-9a-f]{4}"
    "-(?=[0-9]{0,7}[a-f])[0-9a-f]{12}"
)
_UUID_CHARACTERS: Final = 36
_HEXADECIMAL: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32,}"
    r"|(?<=[0-9a-f]{32}-)[0-9a-f]{16}(?=-[0-9a-f]{2}\b))(?![0-9A-Za-z])"  # a span's id in a traceparent
)
_TELEPHONE_DIGITS_MAX: Final = 14  # E.164 allows 15; no country code that opens as Amex's cards do uses them
_INTERNATIONAL: Final = re.compile("00(?!0)")  # what E.164's plus is dialled as
_NAMED_CODE_MIN: Final = 6
_CODE: Final = re.compile(r"[^0-9A-Za-z]*(?:[0-9][^0-9A-Za-z]*){3,4}")
# A number with its expiry, and its security code perhaps, run together. Only of the ranges that are issued
# most, or made up for a test: of all issuers it would be one random id of 20 digits in five hundred.
_MONTH: Final = "(?:0[1-9]|1[0-2])"
_YEAR: Final = r"(?:2[4-9]|3\d)"
_EXPIRY: Final = f"(?:{_MONTH}(?:20)?{_YEAR}|(?:20)?{_YEAR}{_MONTH})"
_GLUED: Final = re.compile(rf"(\d{{16}}){_EXPIRY}(?:\d{{3}})?|(3[47]\d{{13}}){_EXPIRY}(?:\d{{4}})?", re.ASCII)
_GLUED_MIN: Final = 19
_GLUED_RANGES: Final = re.compile("4|5[1-5]|3[47]")

_PLAIN_NAME: Final = re.compile("[A-Za-z_-]{1,15}")  # too short for a number in base64
_PRINTABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,40}|\[key\]|\d{1,3}")

# A node's path, the node, whether a name above it stands for a security code, and the name above it for a
# card.
_Node = tuple[tuple[str, ...], dict[str, Any] | list[Any], bool, str]


def sensitive_path(content: dict[str, Any]) -> str | None:
    """Returns the dotted path of the first card number or security code; None: there is none."""
    # No recursion: a record may be nested deeper than Python's stack is.
    pending: list[_Node] = [((), content, False, "")]
    while pending:
        path, node, of_a_code, above = pending.pop()
        members = node.items() if isinstance(node, dict) else ((str(n), one) for n, one in enumerate(node))
        for name, value in members:
            if _PLAIN_NAME.fullmatch(name):
                code = of_a_code or plain_name_names_a_code(name)
            elif holds_card_data(name):
                return _dotted(path, name)
            else:
                code = of_a_code or names_a_code(unescaped(name)[-1])
            if isinstance(value, dict | list):
                pending.append(((*path, name), value, code, above or _announced_by(name)))
            elif value is not None and _is_sensitive(
                f"{above} {name}" if above else name, str(value), of_a_code=code
            ):
                return _dotted(path, name)
        if isinstance(node, list) and _is_sensitive(above or path[-1], _joined(node), of_a_code=of_a_code):
            return _dotted(path[:-1], path[-1])
    return None


def _announced_by(name: str) -> str:
    """Returns the field's name if it announces a card number, or tokens, for all that is nested below it,
    else an empty text."""
    if _TOKENS in _folded(name):
        return name
    announces = _plain_name_names_a_number if _PLAIN_NAME.fullmatch(name) else _names_a_number
    return name if announces(name) else ""


def _joined(members: list[Any]) -> str:
    """Returns the texts and numbers of a list as one text: they may be the groups of one card number."""
    return " ".join(str(one) for one in members if isinstance(one, str | int))


def _dotted(path: tuple[str, ...], name: str) -> str:
    return ".".join(map(printable, (*path, name)))


def _is_sensitive(name: str, text: str, *, of_a_code: bool) -> bool:
    if of_a_code and any(_CODE.fullmatch(plain(one)) for one in (*unescaped(text), short_reading(text))):
        return True
    return holds_card_data(text, name)


def holds_card_data(text: str, name: str = "") -> bool:
    """True if the text holds a card number, or a security code beside its name. `name`: the field's, if it
    has one."""
    if len(text) < _NAMED_CODE_MIN or (len(text) == _UUID_CHARACTERS and _UUID.fullmatch(text)):
        return False
    if is_plain(text):
        return _holds_pan(text, name) or holds_a_named_code(text)
    return any(_holds_pan(plain(one), name) or holds_a_named_code(one) for one in readings(text))


def holds_pan(text: str) -> bool:
    """True if the text holds a card number."""
    return any(_holds_pan(plain(one), "") for one in ([text] if is_plain(text) else readings(text)))


def _holds_pan(text: str, name: str) -> bool:
    if len(text) < DIGITS_MIN or _RUN.search(text) is None:
        return False
    if holds_a_track(text) or (begins_or_ends_as_a_card(text) and _names_a_number(name)):
        return True
    # The cheapest cuts come first: few texts have a run of digits left for the rest.
    searched = _HEXADECIMAL.sub(_of_hexadecimal, without_moments(text))
    if searched != text and _RUN.search(searched) is None:
        return False
    searched = without_others(searched)
    if "/" in searched and holds_two_numbers(searched) and not _is_about_a_card(text, name):
        searched = two_numbers_apart(searched)
    return any(_run_holds_pan(run, searched, name) for run in _RUN.finditer(searched))


def _of_hexadecimal(found: re.Match[str]) -> str:
    """Returns what of a UUID or a digest has to be searched: all of it if it has no letter; a number that is
    alone among letters; a number at one of its ends that was made up for a test. In a random one digits prove
    nothing."""
    word = found[0].replace("-", "")
    runs: list[str] = _GROUP.findall(word)
    if word.isdigit():
        return found[0]
    if len(runs) == 1:
        return f" {runs[0]} "
    ends = (runs[:1] if word[0].isdigit() else []) + (runs[-1:] if word[-1].isdigit() else [])
    return f" {' x '.join(run for run in ends if is_made_up(run) and is_issued(run, ALONE))} "


def _run_holds_pan(run: re.Match[str], text: str, name: str) -> bool:
    groups = _GROUP.findall(run[0])
    whole = sum(map(len, groups))
    if whole <= _TELEPHONE_DIGITS_MAX and text[run.start() - 1 : run.start()] == "+":
        return False
    if whole <= _TELEPHONE_DIGITS_MAX + 2 and _INTERNATIONAL.match(groups[0]):
        return False
    for first, group in enumerate(groups):
        start = group.lstrip("0")
        parts = [start, *groups[first + 1 : first + DIGITS_MAX]] if start else []
        zeros = len(group) - len(start)
        digits = ""
        for count, part in enumerate(parts, 1):
            digits += part
            if len(digits) > DIGITS_MAX:
                break
            if len(digits) >= DIGITS_MIN and _is_pan(digits, parts[:count], text, name, zeros):
                return not is_iban("".join(groups), text[: run.start()])
    if whole < _GLUED_MIN or not any(map(_is_glued, {"".join(groups), *groups})):
        return False
    return not is_iban("".join(groups), text[: run.start()])


def _is_glued(digits: str) -> bool:
    glued = _GLUED.fullmatch(digits)
    if glued is None:
        return False
    card = glued[1] or glued[2]
    known = _GLUED_RANGES.match(card) is not None or is_made_up(card)
    return known and is_issued(card, ALONE) and passes_check_digit(card)


def _is_pan(digits: str, groups: list[str], text: str, name: str, zeros: int) -> bool:
    """`zeros`: how many stood before it; no issuer's number starts with one."""
    by_itself = is_issued(digits, ALONE)
    if not (by_itself or is_issued(digits, ISSUED)) or not passes_check_digit(digits):
        return False
    if zeros and len(digits) > USUAL_MAX and zeros + len(digits) > DIGITS_MAX:
        return by_itself and is_made_up(digits)  # an id of 20 digits or more otherwise
    return by_itself or is_made_up(digits) or is_in_groups_of_a_card(groups) or _is_about_a_card(text, name)


def _is_about_a_card(text: str, name: str) -> bool:
    return _names_a_number(name) or _TOKENS in _folded(name) or _WORDS.search(text.lower()) is not None


def _names_a_number(name: str) -> bool:
    """True if a field of this name holds a card's number or its magnetic stripe."""
    return (
        bool(name)
        and _NAMES_OF_NUMBERS.search(f"{_BETWEEN_WORDS.sub('_', name)} {_folded(name)}".lower()) is not None
    )


@lru_cache(maxsize=1024)
def _plain_name_names_a_number(name: str) -> bool:
    """Does the same, cached: only for names without digits, so that no card number stays in memory."""
    return _names_a_number(name)


def _folded(name: str) -> str:
    return _BETWEEN_WORDS.sub("", name).lower()


def printable(name: str) -> str:
    """Returns a field's name, or `(unprintable)` for one that was made to smuggle something."""
    return name if _PRINTABLE_NAME.fullmatch(name) and not holds_card_data(name) else "(unprintable)"
