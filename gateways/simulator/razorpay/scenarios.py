"""Card tokens and what the simulator does with them. Source of the failures: Razorpay's page on test cards,
and its reasons.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from gateways.simulator.core.faults import (
    ALWAYS,
    AT_FIRST_ACCOUNT,
    ONCE,
    TOKEN_FAULTS,
    TWICE,
    Declines,
    TokenFault,
    TokenNames,
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed payment in Razorpay's words. `step`: at which step of the payment it failed."""

    code: str
    description: str
    step: str = "payment_authorization"


_BANK: Final = (
    "Payment processing failed due to an error at the bank. Try another method or contact your bank."
)

FAILURES: Final = {
    "payment_timed_out": Failure("BAD_REQUEST_ERROR", "The payment was not completed on time.", "NA"),
    "insufficient_fund": Failure("BAD_REQUEST_ERROR", "The account has insufficient funds."),
    "payment_cancelled": Failure(
        "BAD_REQUEST_ERROR", "The payment was cancelled by the customer.", "payment_authentication"
    ),
    "card_declined": Failure("BAD_REQUEST_ERROR", "The card was declined by its bank."),
    "card_expired": Failure("BAD_REQUEST_ERROR", "The card has expired."),
    "incorrect_cvv": Failure("BAD_REQUEST_ERROR", "The CVV is not the card's."),
    "incorrect_otp": Failure("BAD_REQUEST_ERROR", "The OTP was not right.", "payment_authentication"),
    "card_disabled_for_online_payments": Failure(
        "BAD_REQUEST_ERROR", "The card is not enabled for online payments."
    ),
    "card_number_invalid": Failure(
        "BAD_REQUEST_ERROR", "The card's number is invalid.", "payment_initiation"
    ),
    "payment_risk_check_failed": Failure("BAD_REQUEST_ERROR", "The payment failed a check of its risk."),
    "gateway_technical_error": Failure("GATEWAY_ERROR", _BANK),
    "authentication_failed": Failure("GATEWAY_ERROR", _BANK, "payment_authentication"),
}

RefundFate = Literal["pending", "pending_fails", "failed"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """The course of a payment, and the fault that hits one kind of call about it. `challenge`: the bank wants
    an OTP first. `failure`: a key of `FAILURES`; `declines`: the attempts that it refuses. `late`: the bank
    authorizes what has failed after all. `dispute`: how the one ends that follows the capture."""

    challenge: bool = False
    failure: str | None = None
    declines: Declines = ALWAYS
    late: bool = False
    fault: TokenFault | None = None
    refund: RefundFate | None = None
    dispute: Literal["won", "lost", "closed"] | None = None


# Razorpay differs in four ways. Of its calls only a refund has a key, so a 500 that comes once is counted by
# the payment. It has no call that cancels. An order is created without a token, so the next call is the first
# that a fault can hit; and the response to that one names no money.
_NAMES: Final = TokenNames(
    "token_sim_{}",
    first="continue",
    later=("capture", "refund"),
    not_at_first={"wrong_amount", "wrong_currency"},
    faults={**TOKEN_FAULTS, "500_once": replace(TOKEN_FAULTS["500_once"], of_payment=True)},
)

TOKENS: Final[dict[str, Scenario]] = {
    **dict.fromkeys(["token_visa", "token_mastercard", "token_international"], Scenario(challenge=True)),
    "token_frictionless": Scenario(),
    **{f"token_{reason}": Scenario(failure=reason) for reason in FAILURES},
    "token_3ds_declined": Scenario(challenge=True, failure="card_declined"),
    "token_late": Scenario(failure="gateway_technical_error", late=True),
    "token_declined_once": Scenario(failure="card_declined", declines=ONCE),
    "token_declined_twice": Scenario(failure="card_declined", declines=TWICE),
    "token_soft_here": Scenario(failure="insufficient_fund", declines=AT_FIRST_ACCOUNT),
    **{token: Scenario(fault=fault) for token, fault in _NAMES.at_first().items()},
    **{token: Scenario(fault=fault) for token, fault in _NAMES.at_later().items()},
    "token_refund_pending": Scenario(refund="pending"),
    "token_refund_pending_fails": Scenario(refund="pending_fails"),
    "token_refund_failed": Scenario(refund="failed"),
    "token_dispute_won": Scenario(dispute="won"),
    "token_dispute_lost": Scenario(dispute="lost"),
    "token_dispute_retrieval": Scenario(dispute="closed"),
}
