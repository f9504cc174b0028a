"""What a card's token makes the simulator do. Source of the failures: Razorpay's page on test cards, and its reasons."""

from dataclasses import dataclass
from typing import Final, Literal

from gateways.simulator.faults import AFTER_S, Do, Mishap, On


@dataclass(frozen=True, slots=True)
class Failure:
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
    """`asks`: the bank asks for an OTP first. `declines`: how many attempts at one payment `failure` refuses before the
    next succeeds; None: all. `at_first`: only at the account named first. `late`: what has failed is authorized by its
    bank after all. `mishap`: what goes wrong with one kind of call about it. `dispute`: how one ends that follows its capture."""

    asks: bool = False
    failure: str | None = None
    declines: int | None = None
    at_first: bool = False
    late: bool = False
    on: On = "continue"
    mishap: Mishap | None = None
    refund: RefundFate | None = None
    dispute: Literal["won", "lost"] | None = None


LATE_AFTER_S: Final = 2.0
SETTLES_AFTER_S: Final = 2.0


def _mishap(do: Do, times: int | None = None, *, of_payment: bool = False) -> Mishap:
    return Mishap(do, AFTER_S.get(do, 0.0), times, of_payment)


_MISHAPS: Final = {
    "429": _mishap("429"),
    "429_once": _mishap("429", 1, of_payment=True),
    "500": _mishap("500"),
    "500_once": _mishap("500_once", 1, of_payment=True),
    "drip": _mishap("drip"),
    "garbage": _mishap("garbage"),
    "hang": _mishap("hang"),
    "late": _mishap("late"),
    "lost": _mishap("lost"),
    "reset_before": _mishap("reset"),
    "slow": _mishap("slow"),
    "timeout": _mishap("timeout"),
    "vanish": _mishap("vanish"),
    "wrong_amount": _mishap("wrong_amount"),
    "wrong_currency": _mishap("wrong_currency"),
}
_ONLY_OF_LATER: Final = frozenset(
    {"wrong_amount", "wrong_currency"}
)  # a payment's first answer names no money

TOKENS: Final[dict[str, Scenario]] = {
    **dict.fromkeys(["token_visa", "token_mastercard", "token_international"], Scenario(asks=True)),
    "token_frictionless": Scenario(),
    **{f"token_{reason}": Scenario(failure=reason) for reason in FAILURES},
    "token_3ds_declined": Scenario(asks=True, failure="card_declined"),
    "token_late": Scenario(failure="gateway_technical_error", late=True),
    "token_declined_once": Scenario(failure="card_declined", declines=1),
    "token_declined_twice": Scenario(failure="card_declined", declines=2),
    "token_soft_here": Scenario(failure="insufficient_fund", at_first=True),
    **{
        f"token_sim_{name}": Scenario(mishap=mishap)
        for name, mishap in _MISHAPS.items()
        if name not in _ONLY_OF_LATER
    },
    **{
        f"token_sim_{on}_{name}": Scenario(on=on, mishap=mishap)
        for on in ("capture", "refund")
        for name, mishap in _MISHAPS.items()
    },
    "token_refund_pending": Scenario(refund="pending"),
    "token_refund_pending_fails": Scenario(refund="pending_fails"),
    "token_refund_failed": Scenario(refund="failed"),
    "token_dispute_won": Scenario(dispute="won"),
    "token_dispute_lost": Scenario(dispute="lost"),
}
