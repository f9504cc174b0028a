"""The meanings of Razorpay's error reasons. Source: its page on error codes; the classes are ours.

`code` means little: a card's decline and a wrong API key are both BAD_REQUEST_ERROR. So the reason decides;
without one, whether a payment is named; without that, the words of the description.
"""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from typing import Final

from gateways.wire.outcomes import Meaning

CONFIG: Final = Meaning("CONFIG", "CONFIG")
REFUSED: Final = Meaning("REFUSED")

_BY_REASON: Final[dict[str, Meaning]] = {
    **dict.fromkeys(
        """insufficient_funds insufficient_fund card_declined payment_failed transaction_limit_exceeded
        transaction_daily_limit_exceeded payment_cancelled bank_technical_error card_not_enrolled""".split(),
        Meaning("SOFT"),
    ),
    **dict.fromkeys(
        """incorrect_cvv incorrect_otp incorrect_card_details incorrect_card_expiry_date
        authentication_failed""".split(),
        Meaning("SOFT", "FIX_INPUT"),
    ),
    **dict.fromkeys(
        """card_expired debit_instrument_blocked debit_instrument_inactive card_disabled_for_online_payments
        card_number_invalid card_type_invalid payment_risk_check_failed compliance_violation
        international_transaction_not_allowed""".split(),
        Meaning("HARD"),
    ),
    **dict.fromkeys(
        "gateway_technical_error payment_timed_out verification_failed server_error".split(),
        Meaning("UNDECIDED"),
    ),
    **dict.fromkeys("order_already_paid duplicate_request duplicate_refund_id".split(), Meaning("DUPLICATE")),
    **dict.fromkeys("payment_pending_approval collect_request_pending".split(), Meaning("PENDING")),
    **dict.fromkeys("merchant_not_activated live_mode_not_enabled".split(), CONFIG),
    **dict.fromkeys("input_validation_failed order_amount_mismatch".split(), REFUSED),
}

# The words of these refusals are clearer than any reason. Source: Razorpay's pages on errors of captures and
# refunds.
_BUSY: Final = (("another payment operation is in progress", Meaning("BUSY")),)
_OF_REFUNDS: Final = (
    ("blocked due to a dispute", Meaning("BLOCKED")),
    ("invalid request sent", CONFIG),  # there is not enough balance of ours: an operator has to add funds
)
_BY_WORDS: Final = (
    ("authentication failed", CONFIG),
    ("api key provided is invalid", CONFIG),
    ("enough balance", CONFIG),  # of ours, for a refund: an operator has to add funds
    ("same idempotency key", Meaning("DUPLICATE")),
)


def of_reason(reason: str | None) -> Meaning | None:
    """Returns the meaning of an error's reason. None: it is new, or there is none. Source:
    razorpay.com/docs/errors."""
    if reason is None:
        return None
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    if reason.endswith("_not_enabled"):
        return CONFIG
    return REFUSED if reason.startswith("invalid_") else None


def of_words(description: object) -> Meaning | None:
    """Returns the meaning of an error's description. None: it contains nothing that is known."""
    return _first_meaning(_BY_WORDS, description)


def of_plain_words(description: object, *, refund: bool) -> Meaning | None:
    """Returns the meaning of a description that is clearer than the reason, and goes before it."""
    return _first_meaning(_BUSY + _OF_REFUNDS if refund else _BUSY, description)


def _first_meaning(table: tuple[tuple[str, Meaning], ...], description: object) -> Meaning | None:
    text = description.lower() if isinstance(description, str) else ""
    return next((meaning for words, meaning in table if words in text), None)
