"""The meanings of Stripe's codes. Sources: docs.stripe.com/declines/codes, docs.stripe.com/error-codes; the
classes are ours."""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from typing import Final

from gateways.wire.outcomes import Meaning

_SOFT: Final = Meaning("SOFT")
_NEW: Final = Meaning("SOFT", listed=False)
_HARD: Final = Meaning("HARD")
_FIX_INPUT: Final = Meaning("SOFT", "FIX_INPUT")
_WITH_3DS: Final = Meaning("SOFT", "RETRY_WITH_3DS")

LEAVE_OPEN: Final = frozenset({"payment_method_provider_timeout", "payment_method_not_available"})
"""Codes of an error that reports only that the payment method's provider did not respond to Stripe in time,
or may not have. It may have charged: a lookup shows what the intent has become. Sources:
docs.stripe.com/error-codes and docs.stripe.com/payments/paypal/accept-a-payment."""
LOCKED: Final = "lock_timeout"
"""Another call about the same object is running, an earlier try of this one perhaps. It comes with HTTP 429,
like a rate limit. Source: docs.stripe.com/error-codes."""

_BY_ADVICE: Final = {
    "do_not_try_again": _HARD,
    "try_again_later": _SOFT,
    "confirm_card_data": _FIX_INPUT,
}

_BY_CODE: Final[dict[str, Meaning]] = {
    **dict.fromkeys(
        """generic_decline do_not_honor insufficient_funds card_velocity_exceeded
        withdrawal_count_limit_exceeded try_again_later issuer_not_available processing_error
        reenter_transaction call_issuer no_action_taken approve_with_id card_declined
        payment_intent_authentication_failure""".split(),
        _SOFT,
    ),
    **dict.fromkeys(LEAVE_OPEN, _SOFT),  # once a lookup has found that nothing was charged
    **dict.fromkeys(
        "incorrect_cvc invalid_cvc incorrect_zip incorrect_address incorrect_pin".split(), _FIX_INPUT
    ),
    **dict.fromkeys(["authentication_required", "authentication_not_handled"], _WITH_3DS),
    **dict.fromkeys(
        """lost_card stolen_card pickup_card restricted_card fraudulent merchant_blacklist expired_card
        invalid_expiry_month invalid_expiry_year incorrect_number invalid_number invalid_account
        new_account_information_available card_not_supported currency_not_supported invalid_amount
        transaction_not_allowed not_permitted service_not_allowed security_violation stop_payment_order
        revocation_of_authorization revocation_of_all_authorizations do_not_try_again pin_try_exceeded""".split(),
        _HARD,
    ),
    "duplicate_transaction": Meaning("DUPLICATE"),
    "testmode_decline": Meaning("CONFIG", "CONFIG"),
}

INTENT_STATUSES: Final = frozenset(
    """requires_payment_method requires_confirmation requires_action processing requires_capture canceled
    succeeded""".split()
)
ERROR_TYPES: Final = frozenset("api_error card_error idempotency_error invalid_request_error".split())
AUTHORIZATION_IS_OVER: Final = frozenset(
    {"capture_charge_authorization_expired", "charge_expired_for_capture"}
)
"""Codes of a refused capture: no later one will succeed either."""


def meaning(*, advice_code: str | None, decline_code: str | None, code: str | None) -> Meaning:
    """Returns the meaning of a decline's codes. The issuer's advice goes before its reason, and that before
    Stripe's code. A reason that is new is soft."""
    if advice_code in _BY_ADVICE:
        return _BY_ADVICE[advice_code]
    return _BY_CODE.get(decline_code or code or "", _NEW)
