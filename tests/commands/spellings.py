"""How people and programs write a card's number, and where in a message."""

import base64
import json
import unicodedata
from urllib.parse import quote


def grouped(number: str, separator: str) -> str:
    """As it is embossed."""
    sizes = {15: (4, 6, 5), 14: (4, 6, 4), 13: (4, 3, 3, 3)}.get(len(number), (4, 4, 4, 4, 3))
    parts, start = [], 0
    for size in sizes:
        parts.append(number[start : start + size])
        start += size
    return separator.join(filter(None, parts))


def in_script(number: str, zero: str) -> str:
    return "".join(
        unicodedata.lookup(unicodedata.name(zero).replace("ZERO", NAMES[int(digit)])) for digit in number
    )


NAMES = ["ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"]
SCRIPTS = {
    "arabic": "\u0660",
    "persian": "\u06f0",
    "devanagari": "\u0966",
    "bengali": "\u09e6",
    "tamil": "\u0be6",
    "thai": "\u0e50",
    "khmer": "\u17e0",
    "full-width": "\uff10",
    "mathematical": "\U0001d7ce",
}
# Spaces, dashes, dots and what is written for them; characters without width; blanks that Unicode calls
# letters; marks that lie between digits as strokes; HTML.
SEPARATORS = [
    *(" ", "-", ".", ",", "/", "_", ", ", " - ", "   ", "\t", "\n", "*", "|", ":", "+", "=", "~", "#", ";"),
    *("\u2011", "\u2010", "\u2013", "\u2014", "\u2212", "\u00b7", "\u00a0", "\u2009", "\u30fb", " \u2022 "),
    *("\u00ad", "\u200b", "\u200d", "\u2060", "\ufeff", "\u115f", "\u1160", "\u3164", "\uffa0", "\u2800"),
    *("\u30fc", "\uff70", "\u0640", "\u02bc"),
    *(
        "&nbsp;",
        "&NonBreakingSpace;",
        "&#160;",
        "&ndash;",
        "&amp;nbsp;",
        "<br>",
        "<br />",
        "</b> <b>",
        "&lt;br&gt;",
    ),
    *('<span class="group">', "\\n", "\\t"),
]


def in_base64(before: str, number: str) -> str:
    """In the middle of a larger text."""
    return base64.b64encode(f"{before}{number}, please".encode()).decode()


def tag(name: str, digits: str) -> str:
    """EMV Book 3, annex B: the tag, the length in bytes, the digits, F up to a whole byte."""
    padded = digits + "F" * (len(digits) % 2)
    return f"{name}{len(padded) // 2:02X}{padded}"


SPELLINGS = {
    "bare": lambda number: number,
    **{f"groups {separator!r}": lambda number, s=separator: grouped(number, s) for separator in SEPARATORS},
    **{f"{name} digits": lambda number, zero=zero: in_script(number, zero) for name, zero in SCRIPTS.items()},
    **{f"one by one {s!r}": lambda number, s=s: s.join(number) for s in (" ", "-", "\u200b", ". ")},
    "keycaps": lambda number: "".join(f"{digit}\ufe0f\u20e3" for digit in number),
    "in pairs": lambda number: " ".join(number[n : n + 2] for n in range(0, len(number), 2)),
    "percent": lambda number: "".join(f"%{ord(digit):02x}" for digit in number),
    "percent, the separators": lambda number: quote(grouped(number, " ")),
    "percent, twice": lambda number: quote("".join(f"%{ord(digit):02x}" for digit in number)),
    "percent, Devanagari": lambda number: quote(in_script(number, "\u0966")),
    "JSON escapes": lambda number: "".join(f"\\u{ord(digit):04x}" for digit in number),
    "C escapes": lambda number: "".join(f"\\x{ord(digit):02x}" for digit in number),
    "HTML entities": lambda number: "".join(f"&#{ord(digit)};" for digit in number),
    "base64": lambda number: base64.b64encode(number.encode()).decode(),
    "base64 of its groups": lambda number: base64.b64encode(grouped(number, " ").encode()).decode(),
    **{
        f"base64 behind {before!r}": lambda number, before=before: in_base64(before, number)
        for before in ("the ", "its ?", "it is ")
    },
    "base64 for URLs": lambda number: (
        base64.urlsafe_b64encode(f"\u00ff??>{number}".encode()).decode().rstrip("=")
    ),
    "base64 in a percent escape": lambda number: quote(in_base64("", number)),
    "hexadecimal": lambda number: number.encode().hex(),
    "hexadecimal of its groups": lambda number: grouped(number, "-").encode().hex().upper(),
    "hexadecimal in pairs": lambda number: f"dump {number.encode().hex(' ')}",
    "hexadecimal of a larger text": lambda number: f'{{"number":"{number}"}}'.encode().hex(),
    "JSON escapes, above U+FFFF": lambda number: json.dumps(in_script(number, "\U0001d7ce")).strip('"'),
    "octal escapes": lambda number: "".join(f"\\{ord(digit):03o}" for digit in number),
    "braced escapes": lambda number: "".join(f"\\u{{{ord(digit):x}}}" for digit in number),
    "a zero before it": lambda number: f"0{number}",
    "letters before": lambda number: f"order{number}",
    "letters after": lambda number: f"{number}abcdef",
    "hexadecimal letters up to 32": lambda number: (number + "abcdef" * 6)[:32],
    "hexadecimal letters up to 64": lambda number: (number + "fedcba" * 12)[:64],
    "hexadecimal letters before": lambda number: ("abcdef" * 6 + number)[-32:],
    "its expiry after a space": lambda number: f"{number} 1227",
    "its expiry and code after it": lambda number: f"{number} 12/26 123",
    "its expiry before it": lambda number: f"12/26 {number}",
    "the track of its stripe": lambda number: f";{number}=26121010000000000?",
    "track 1 of its stripe": lambda number: f"%B{number}^KIM/ANN^28121010000000000?",
    "track 2 in a message of ISO 8583": lambda number: f"{len(number) + 21}{number}=28121010000012300000",
    "track 2 in hexadecimal": lambda number: f"{number}D28121010000012300000",
    "track 2 in small letters": lambda number: f"{number}d2812101".ljust(40, "f"),
    "EMV's tag 57": lambda number: tag("57", f"{number}D28121010000012300000"),
    "EMV's tag 57 among others": lambda number: (
        f"9F02060000000010995F2A020978{tag('57', f'{number}D2812101')}9F3704A1B2C3D4"
    ),
    "EMV's tag 5A": lambda number: f"{tag('5A', number)}5F24032812319F3704A1B2C3D4",
    "a moment before it": lambda number: f"2026-11-29T12:00:00Z {number}",
    "an order number before it": lambda number: f"order 2026112902345109679290810033: {number}",
    "a plus before it": lambda number: f"+{grouped(number, ' ')}",
    "bold": lambda number: grouped(number, "** **"),
    "a list in JSON": lambda number: json.dumps(grouped(number, " ").split()),
    "a sentence": lambda number: f"please charge my card {grouped(number, ' ')}, thank you",
}

PLACES = {
    "metadata": lambda text: {"metadata": {"note": text}},
    "a name in metadata": lambda text: {"metadata": {text: "x"}},
    "description": lambda text: {"description": text},
    "idempotency_key": lambda text: {"idempotency_key": text},
    "payment_method": lambda text: {"payment_method": text},
    "customer_id": lambda text: {"customer_id": text},
    "merchant_id": lambda text: {"merchant_id": text},
    "command_id": lambda text: {"command_id": text},
    "operation_id": lambda text: {"operation_id": text},
    "statement_text": lambda text: {"statement_text": text},
    "return_page": lambda text: {"return_page": f"https://shop.example/back?note={quote(text)}"},
    "reason": lambda text: {"reason": text},
    "evidence": lambda text: {"evidence": f"seen by Kim {text}"},
    "returned": lambda text: {"returned": {"redirectResult": text}},
    "a field that does not exist": lambda text: {"surprise": [{"deep": text}]},
    "JSON in a text": lambda text: {"description": f'{{"number":"{text}"}}'},
}
