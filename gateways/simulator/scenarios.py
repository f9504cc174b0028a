"""What a payment method, or a test amount, makes the simulator do."""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Decline:
    """As Stripe says it: some reasons are a `code` of their own, the others a `decline_code` of card_declined."""

    code: str
    decline_code: str | None
    message: str
    advice_code: str | None = None


DECLINES: Final = {
    "generic_decline": Decline(
        "card_declined", "generic_decline", "Your card was declined.", "try_again_later"
    ),
    "insufficient_funds": Decline(
        "card_declined", "insufficient_funds", "Your card has insufficient funds.", "try_again_later"
    ),
    "lost_card": Decline("card_declined", "lost_card", "Your card was declined.", "do_not_try_again"),
    "stolen_card": Decline("card_declined", "stolen_card", "Your card was declined.", "do_not_try_again"),
    "fraudulent": Decline("card_declined", "fraudulent", "Your card was declined.", "do_not_try_again"),
    "card_velocity_exceeded": Decline(
        "card_declined", "card_velocity_exceeded", "Your card has exceeded its balance or credit limit."
    ),
    "expired_card": Decline("expired_card", None, "Your card has expired.", "do_not_try_again"),
    "incorrect_cvc": Decline(
        "incorrect_cvc", None, "Your card's security code is incorrect.", "confirm_card_data"
    ),
    "processing_error": Decline(
        "processing_error", None, "An error occurred while processing your card.", "try_again_later"
    ),
    "authentication_failed": Decline(
        "payment_intent_authentication_failure",
        None,
        "The provided payment method has failed authentication.",
    ),
}

Before = Literal["429", "reset_once", "500_once", "500_kept"]
Answer = Literal["lost", "garbage", "wrong_amount", "wrong_currency"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`before`: nothing is charged. `answer`: what is charged is charged, and the answer about it is spoilt."""

    status: Literal["succeeded", "requires_payment_method", "requires_action", "processing"] = "succeeded"
    decline: str | None = None
    before: Before | None = None
    answer: Answer | None = None
    answer_after_s: float = 0.0
    charges_last: bool = False  # at the end of `answer_after_s`, not at its start


SETTLES_AFTER_S: Final = 2.0

SUCCESS: Final = Scenario()


def _declined(reason: str) -> Scenario:
    return Scenario(status="requires_payment_method", decline=reason)


_SIMULATOR_OWN: Final = {
    "slow": Scenario(answer_after_s=3.0, charges_last=True),
    "timeout": Scenario(answer_after_s=15.0),
    "lost": Scenario(answer="lost"),
    "500": Scenario(before="500_kept"),
    "500_once": Scenario(before="500_once"),
    "garbage": Scenario(answer="garbage"),
    "wrong_amount": Scenario(answer="wrong_amount"),
    "wrong_currency": Scenario(answer="wrong_currency"),
    "429": Scenario(before="429"),
    "reset_before": Scenario(before="reset_once"),
    "processing": Scenario(status="processing"),
    "3ds_declined": Scenario(status="requires_action", decline="generic_decline"),
}

_STRIPE_OWN: Final = {
    **dict.fromkeys(["visa", "mastercard", "amex", "discover", "visa_debit"], SUCCESS),
    "chargeDeclined": _declined("generic_decline"),
    "chargeDeclinedInsufficientFunds": _declined("insufficient_funds"),
    "chargeDeclinedLostCard": _declined("lost_card"),
    "chargeDeclinedStolenCard": _declined("stolen_card"),
    "chargeDeclinedFraudulent": _declined("fraudulent"),
    "chargeDeclinedVelocityLimitExceeded": _declined("card_velocity_exceeded"),
    "chargeDeclinedExpiredCard": _declined("expired_card"),
    "chargeDeclinedIncorrectCvc": _declined("incorrect_cvc"),
    "chargeDeclinedProcessingError": _declined("processing_error"),
    "threeDSecure2Required": Scenario(status="requires_action"),
}

# Of Stripe's declining tokens some are written with the brand and some without; both are taken for each.
TOKENS: Final[dict[str, Scenario]] = {
    **{f"pm_card_{name}": scenario for name, scenario in _STRIPE_OWN.items()},
    **{f"pm_card_visa_{name}": _STRIPE_OWN[name] for name in _STRIPE_OWN if name.startswith("charge")},
    **{f"pm_sim_{name}": scenario for name, scenario in _SIMULATOR_OWN.items()},
}

# The last six digits of Stripe's integer. A shop's own amounts hardly end so: 9900.01 USD is the smallest.
AMOUNTS: Final[dict[int, Scenario]] = {
    990_001: _declined("generic_decline"),
    990_002: _declined("insufficient_funds"),
    990_003: _SIMULATOR_OWN["slow"],
    990_004: _SIMULATOR_OWN["timeout"],
    990_005: _SIMULATOR_OWN["lost"],
    990_006: _SIMULATOR_OWN["500"],
    990_007: _SIMULATOR_OWN["500_once"],
    990_008: _SIMULATOR_OWN["garbage"],
    990_009: _SIMULATOR_OWN["processing"],
}


def chosen(payment_method: str, amount: int) -> Scenario | None:
    """None for a payment method that does not exist. An amount chooses only where the token says nothing special."""
    scenario = TOKENS.get(payment_method)
    return AMOUNTS.get(amount % 1_000_000, SUCCESS) if scenario is SUCCESS else scenario
