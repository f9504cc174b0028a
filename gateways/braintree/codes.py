"""The meanings of Braintree's reasons.

Sources: the GraphQL schema's enums; the pages on processor responses, gateway rejections and errors; the
codes of validation errors of its Python library. The classes are ours.
"""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from typing import Final, Literal

from gateways.wire.outcomes import Meaning

_SOFT: Final = Meaning("SOFT")
_HARD: Final = Meaning("HARD")
_CONFIG: Final = Meaning("CONFIG", "CONFIG")
_FIX_INPUT: Final = Meaning("SOFT", "FIX_INPUT")
_NEW: Final = Meaning("SOFT", listed=False)

_REASONS: Final = {
    "DUPLICATE": Meaning("DUPLICATE"),
    # 3-D Secure is done in the merchant's page before there is a token: a new token has to come from there.
    "THREE_D_SECURE": Meaning("SOFT", "REFRESH_TOKEN"),
    **dict.fromkeys(["AVS", "CVV", "AVS_AND_CVV"], _FIX_INPUT),
    **dict.fromkeys(
        """FRAUD RISK_THRESHOLD PAYMENT_METHOD_BLOCKED EXCESSIVE_RETRY TOKEN_ISSUANCE
        TOO_MANY_CONFIRMATION_ATTEMPTS""".split(),
        _HARD,
    ),
    **dict.fromkeys(
        "APPLICATION_INCOMPLETE MANUAL_TRANSACTIONS_DISABLED UNION_PAY_ENROLLMENT_REQUIRED".split(), _CONFIG
    ),
}

_PROCESSOR: Final = {
    **dict.fromkeys(map(str, range(1000, 1006)), Meaning("APPROVED")),
    **dict.fromkeys(map(str, range(2004, 2109)), _HARD),
    **dict.fromkeys(map(str, range(2109, 3000)), _SOFT),
    **dict.fromkeys(
        """2000 2001 2002 2003 2034 2035 2038 2046 2048 2057 2062 2078 2092 2101 2102 2103 2104 2105 2106
        3000""".split(),
        _SOFT,
    ),
    "2099": Meaning("SOFT", "RETRY_WITH_3DS"),
    "2016": Meaning("DUPLICATE"),
    **dict.fromkeys("2025 2026 2040 2042 2080".split(), _CONFIG),
}

NOT_SETTLED_YET: Final = frozenset({"91506", "91574"})
"""Errors of a refused refund: the transaction is not settled, or is just being."""

MAY_BE_DONE: Final = frozenset({"91504", "91507", "91512"})
"""Errors of a refused capture, void or refund: the transaction's state does not allow it, perhaps because it
was done."""

MORE_THAN_IS_LEFT: Final = "91521"
"""The error of a refused refund: the transaction has less left to give back than was requested."""

TOKEN_IS_SPENT: Final = frozenset(
    """91564 91565 91566 91731 91732 91733 92907 92908 92909 93102 93107 93108 93109 93504 93505 93506
    97301""".split()
)
"""The single-use token was used, has expired, or is not known."""


def of_rejection(reason: str | None) -> Meaning:
    """Returns the meaning of a gateway rejection's reason (GraphQL schema, `GatewayRejectionReason`)."""
    return _REASONS.get(reason or "", _NEW)


def of_processor(code: str | None, decline_type: str | None) -> Meaning:
    """Returns the meaning of a decline. Braintree's own split into soft and hard goes before the table's, but
    only the code can give a hint or show a duplicate. Source:
    developer.paypal.com/braintree/docs/reference/general/processor-responses/authorization-responses."""
    listed = _PROCESSOR.get(code or "", _NEW)
    if listed.verdict in {"DUPLICATE", "APPROVED"}:
        return listed
    match decline_type:
        case "SOFT":
            return Meaning("SOFT", listed.hint, listed.listed)
        case "HARD":
            return Meaning("HARD", listed.hint, listed.listed)
        case _:
            return listed


ErrorVerdict = Literal["NOT_SENT", "CONFIG", "UNKNOWN"]

_ERRORS: Final[dict[str, ErrorVerdict]] = {
    "VALIDATION": "NOT_SENT",
    "NOT_FOUND": "NOT_SENT",
    "NOT_IMPLEMENTED": "NOT_SENT",
    "RESOURCE_LIMIT": "NOT_SENT",
    "AUTHENTICATION": "CONFIG",
    "AUTHORIZATION": "CONFIG",
    "UNSUPPORTED_CLIENT": "CONFIG",
    "INTERNAL": "UNKNOWN",
    "SERVICE_AVAILABILITY": "UNKNOWN",
    "UNKNOWN": "UNKNOWN",
}


def of_error(error_class: str | None) -> tuple[ErrorVerdict, bool]:
    """Returns the meaning of an error's class, and whether it is in the table, as no class at all is."""
    return _ERRORS.get(error_class or "UNKNOWN", "UNKNOWN"), (error_class or "UNKNOWN") in _ERRORS
