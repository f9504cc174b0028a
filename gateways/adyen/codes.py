"""The meanings of Adyen's refusals. Source: docs.adyen.com/development-resources/refusal-reasons; the classes
are ours."""

from typing import Final

from gateways.wire.outcomes import Meaning

_SOFT: Final = Meaning("SOFT")
_HARD: Final = Meaning("HARD")
_FIX_INPUT: Final = Meaning("SOFT", "FIX_INPUT")
_WITH_3DS: Final = Meaning("SOFT", "RETRY_WITH_3DS")

REFUSALS: Final[dict[str, tuple[str, Meaning]]] = {
    "2": ("Refused", _SOFT),
    "3": ("Referral", _SOFT),
    "4": ("Acquirer Error", _SOFT),
    "5": ("Blocked Card", _HARD),
    "6": ("Expired Card", _HARD),
    "7": ("Invalid Amount", _HARD),
    "8": ("Invalid Card Number", _HARD),
    "9": ("Issuer Unavailable", _SOFT),
    "10": ("Not supported", _HARD),
    "11": ("3D Not Authenticated", _WITH_3DS),
    "12": ("Not enough balance", _SOFT),
    "14": ("Acquirer Fraud", _HARD),
    "15": ("Cancelled", _SOFT),
    "16": ("Shopper Cancelled", _SOFT),
    "17": ("Invalid Pin", _HARD),
    "18": ("Pin tries exceeded", _HARD),
    "19": ("Pin validation not possible", _HARD),
    "20": ("FRAUD", _HARD),
    "21": ("Not Submitted", _SOFT),
    "22": ("FRAUD-CANCELLED", _HARD),
    "23": ("Transaction Not Permitted", _HARD),
    "24": ("CVC Declined", _FIX_INPUT),
    "25": ("Restricted Card", _HARD),
    "26": ("Revocation Of Auth", _HARD),
    "27": ("Declined Non Generic", _SOFT),
    "28": ("Withdrawal amount exceeded", _SOFT),
    "29": ("Withdrawal count exceeded", _SOFT),
    "31": ("Issuer Suspected Fraud", _HARD),
    "32": ("AVS Declined", _FIX_INPUT),
    "33": ("Card requires online pin", _HARD),
    "34": ("No checking account available on Card", _HARD),
    "35": ("No savings account available on Card", _HARD),
    "36": ("Mobile pin required", _HARD),
    "37": ("Contactless fallback", _HARD),
    "38": ("Authentication required", _WITH_3DS),
    "39": ("RReq not received from DS", _SOFT),
    "40": ("Current AID is in Penalty Box", _SOFT),
    "41": ("CVM Required Restart Payment", _HARD),
    "42": ("3DS Authentication Error", _WITH_3DS),
    "43": ("Online PIN required", _HARD),
    "44": ("Try another interface", _HARD),
    "45": ("Chip downgrade mode", _HARD),
    "46": ("Transaction blocked by Adyen to prevent excessive retry fees", _HARD),
    "50": ("Token Revoked", Meaning("HARD", "REFRESH_TOKEN")),
}

LEAVE_OPEN: Final = frozenset({"4"})
"""Codes of a refusal that reports only that something went wrong on the acquirer's side, which may have asked
the issuer before. The webhook AUTHORISATION then reports how it ended."""
INTERNAL_ERROR: Final = "903"
"""Adyen's own error in the middle of a call. Source: docs.adyen.com/development-resources/error-codes."""

_BY_TEXT: Final = {text.lower(): code for code, (text, _) in REFUSALS.items()}

# Errors of a request that are Adyen's way to refuse the card itself.
CARD_ERRORS: Final[dict[str, Meaning]] = {"101": _HARD, "103": _FIX_INPUT}


def refusal(code: str | None, text: str | None) -> tuple[str, Meaning]:
    """The code and the meaning of a refusal: by its code, or by its text where the code is missing or the 0
    that means nothing. A new one is soft."""
    named = None if code == "0" else code
    listed = named or _BY_TEXT.get((text or "").strip().rstrip(".").lower())
    if listed in REFUSALS:
        return listed, REFUSALS[listed][1]
    return named or "refused", Meaning("SOFT", listed=not (named or text))
