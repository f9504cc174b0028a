"""Finds a card's security code: under a field's name that stands for one, or beside such a word in a text.

Part of the producers' client: it imports only its neighbours.
"""

import re
from functools import lru_cache
from typing import Final

from .spelling import lettered

_NAME: Final = (
    "cvv|ccv|cvc|cvn|cvd|cvx|pvv|cvp2|cav2|cryptogram|securitycode|(?<!social)securitynumber|(?<!gift)cardcode"
    "|cardcv2|cardcheck|cardverification|verification(?:value|code|number)"
)
# Customers read these beside the field: Adyen's Web components 5.72.0 and Braintree's drop-in 1.48.0 (npm)
# have them in these languages; "Prüfziffer" is Zen Cart's.
_PHRASES: Final = (
    "Sicherheitscode",
    "Prüfnummer",
    "Pruefnummer",
    "Prüfziffer",
    "Pruefziffer",
    "code de sécurité",
    "código de seguridad",
    "código de segurança",
    "codice di sicurezza",
    "beveiligingscode",
    "säkerhetskod",
    "sikkerhedskode",
    "sikkerhetskode",
    "kontrolcifre",
    "turvakoodi",
    "kod zabezpieczający",
    "bezpečnostní kód",
    "bezpečnostný kód",
    "biztonsági kód",
    "cod de securitate",
    "sigurnosni kod",
    "varnostna koda",
    "код безопасности",
    "セキュリティコード",
    "安全码",
    "安全碼",
    "보안 코드",
    "رمز الأمان",
)
_FOREIGN: Final = "|".join(r"[\W_]{0,3}".join(lettered(phrase).split()) for phrase in _PHRASES)
_CODE_NAME: Final = re.compile("|".join((_NAME, *(lettered(phrase).replace(" ", "") for phrase in _PHRASES))))
# Whole words only: they are also ids of customers and campaigns, and parts of other words ("opencv2",
# "rev_code").
_SHORT_NAMES: Final = frozenset({"cid", "csc", "cve", "cvm", "cv2", "vcode"})
_SHORT_NAME: Final = re.compile("|".join(sorted(_SHORT_NAMES)))
_NO_LETTER: Final = re.compile(r"[\W_]+")
_WORD: Final = re.compile("[Cc][Vv]2(?![0-9])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

# Gift cards and memberships have a "card code" too. The pattern looks back from the word's end, which costs
# other texts nothing.
_NO_PAYMENT_CARD: Final = "".join(
    f"(?<!{card}card)(?<!{card}[^a-z0-9]card)"
    for card in ("gift", "loyalty", "member", "membership", "bonus", "discount", "sim", "key", "access")
)
_KNOWN: Final = (
    r"(?:(?<![0-9a-z])(?:[a-z]{0,12}card|cc)?[^a-z0-9]?c[^a-z0-9]?v[^a-z0-9]?(?:[vcndm]|p?2)"
    r"|(?<![0-9a-z])(?:ccv|pvv|vcode)|cav2|cryptogram|security[^a-z0-9]{0,3}code"
    r"|security(?<!social.security)[^a-z0-9]{0,3}number"
    rf"|card{_NO_PAYMENT_CARD}[^a-z0-9]{{0,3}}code|card[^a-z0-9]{{0,3}}verification|verification[^a-z0-9]{{0,3}}value)"
)
_IS: Final = "is|was|as|ist|war|als|est|es|era|er"
# "The CVC on the back of the card is 917."
_WHERE: Final = "on|of|at|from|the|my|this|our|back|front|side|card"
_DIGITS: Final = "[0-9](?:[^a-z0-9]?[0-9]){2,3}"
_NO_YEAR: Final = "(?!20[0-3][0-9](?![0-9]))"  # "CVC 2026": a year is a code only behind a colon or a verb


def _beside(word: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?:{word})(?:[12]|me|mes)?(?:[^a-z0-9]{{0,3}}(?:visuel|code|number|no|nr|{_WHERE}|{_IS}|=))*"
        rf"[^a-z0-9]{{0,5}}(?<![0-9])(?:{_NO_YEAR}|(?<=[:=\"'] )|(?<=[:=\"'])|(?<=(?:is|as) )){_DIGITS}(?![0-9a-z])"
        rf"|(?<![0-9a-z]){_DIGITS}(?:[ (\[]{{0,2}}| {{1,3}}(?:{_IS}|=)(?: {{1,3}}[a-z']{{1,8}}){{0,2}} {{1,3}})(?:{word})"
    )


_CODE_WORD: Final = re.compile(_KNOWN)
_V_OF_A_WORD: Final = re.compile("c[^a-z0-9]?v|pvv|vcode|cav2|verif")  # of those known words that have one
_CODE_IN_TEXT: Final = _beside(_KNOWN)
_FOREIGN_IN_TEXT: Final = _beside(_FOREIGN)
# Words that are mostly ids of something else. People write a blank, a colon or a verb behind them; addresses
# and logs an equals sign: `cid=4711` is taken for a campaign, and for a code only if the text mentions a
# card.
_ID_IN_TEXT: Final = re.compile(
    rf"(?<![0-9a-z])(?:cid|csc)(?:[^a-z0-9=]{{0,3}}(?:code|number|no|nr|{_WHERE}|{_IS}))*[^a-z0-9=]{{1,5}}"
    rf"(?:{_NO_YEAR}|(?<=[:\"'] )|(?<=[:\"'])|(?<=(?:is|as) ))(?<![-#./][0-9])(?<![-#/])[0-9]{{3,4}}(?![0-9a-z]|[-./][0-9])"
)
_EQUALS_IN_TEXT: Final = re.compile(r"(?<![0-9a-z])(?:cid|csc) ?= ?[\"']?[0-9]{3,4}(?![0-9a-z]|[-./][0-9])")
_CARD_IN_TEXT: Final = re.compile(r"card|visa|amex|american.express|\bexp(?:iry|ires)?\b")


def names_a_code(name: str) -> bool:
    """True if a field of this name holds a security code whenever its value looks like one."""
    if not name.isascii():
        name = lettered(name)
    folded = _NO_LETTER.sub("", name).lower()
    if _CODE_NAME.search(folded):
        return True
    return folded in _SHORT_NAMES or (
        _SHORT_NAME.search(folded) is not None
        and not _SHORT_NAMES.isdisjoint(map(str.lower, _WORD.findall(name)))
    )


@lru_cache(maxsize=1024)
def plain_name_names_a_code(name: str) -> bool:
    """Does the same as `names_a_code`, cached: only for names without digits, so that no card number stays in
    memory."""
    return names_a_code(name)


def holds_a_named_code(text: str) -> bool:
    """True if the text holds three or four digits beside a word for a security code."""
    text = lettered(text)
    # Each known word contains one of these, and so does each foreign one in ASCII; most texts have none.
    code = "od" in text
    known = (
        code or "gram" in text or "rity" in text or ("v" in text and _V_OF_A_WORD.search(text) is not None)
    )
    if known and _CODE_WORD.search(text) is not None and _CODE_IN_TEXT.search(text) is not None:
        return True
    if ("cid" in text or "csc" in text) and _holds_a_named_id(text):
        return True
    if code or "pru" in text or "cifre" in text or not text.isascii():
        return _FOREIGN_IN_TEXT.search(text) is not None
    return False


def _holds_a_named_id(text: str) -> bool:
    if _ID_IN_TEXT.search(text) is not None:
        return True
    return _EQUALS_IN_TEXT.search(text) is not None and _CARD_IN_TEXT.search(text) is not None
