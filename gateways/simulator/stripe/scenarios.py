"""What a payment method, or a test amount, makes the simulator do."""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from gateways.simulator.faults import AFTER_S, Do, Mishap, On


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
    "authentication_required": Decline(
        "authentication_required",
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
}

RefundFate = Literal["pending", "pending_fails", "failed"]


class DisputeFate(NamedTuple):
    """`ends_as`: without evidence, some time after it was opened; None: never."""

    reason: Literal["fraudulent", "product_not_received"]
    ends_as: Literal["won", "lost", "warning_closed"] | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """How the payment goes, and what goes wrong with one kind of call about it. `declines`: how many attempts at one
    payment `decline` refuses before the next succeeds; None: all. `at_first`: only at the account named first."""

    status: Literal["succeeded", "requires_payment_method", "requires_action", "processing"] = "succeeded"
    decline: str | None = None
    declines: int | None = None
    at_first: bool = False
    on: On = "create"
    mishap: Mishap | None = None
    refund: RefundFate | None = None
    dispute: DisputeFate | None = None
    unlisted_s: float = 0.0


SETTLES_AFTER_S: Final = 2.0
_UNLISTED_S: Final = 30.0

SUCCESS: Final = Scenario()


def _declined(reason: str, *, declines: int | None = None, at_first: bool = False) -> Scenario:
    return Scenario("requires_payment_method", reason, declines, at_first)


def _mishap(do: Do, times: int | None = None, *, of_payment: bool = False) -> Mishap:
    return Mishap(do, AFTER_S.get(do, 0.0), times, of_payment)


_MISHAPS: Final = {
    "429": _mishap("429"),
    "429_once": _mishap("429", 1, of_payment=True),
    "429_twice": _mishap("429", 2, of_payment=True),
    "500": _mishap("500"),
    "500_once": _mishap("500_once", 1),
    "drip": _mishap("drip"),
    "garbage": _mishap("garbage"),
    "hang": _mishap("hang", 1),
    "late": _mishap("late"),
    "lost": _mishap("lost"),
    "reset_before": _mishap("reset", 1),
    "slow": _mishap("slow"),
    "timeout": _mishap("timeout"),
    "vanish": _mishap("vanish"),
    "wrong_amount": _mishap("wrong_amount"),
    "wrong_currency": _mishap("wrong_currency"),
}
_LATER_CALLS: Final[tuple[On, ...]] = ("capture", "cancel", "refund")

_SIMULATOR_OWN: Final = {
    **{name: Scenario(mishap=mishap) for name, mishap in _MISHAPS.items()},
    "processing": Scenario("processing"),
    "3ds_declined": Scenario("requires_action", "generic_decline"),
    "declined_once": _declined("generic_decline", declines=1),
    "declined_twice": _declined("generic_decline", declines=2),
    "soft_here": _declined("insufficient_funds", at_first=True),
    "unlisted": Scenario(unlisted_s=_UNLISTED_S),
    "lost_unlisted": Scenario(mishap=_MISHAPS["lost"], unlisted_s=_UNLISTED_S),
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
    "threeDSecure2Required": Scenario("requires_action"),
}

# Of Stripe's declining tokens some are written with the brand and some without; both are taken for each.
TOKENS: Final[dict[str, Scenario]] = {
    **{f"pm_card_{name}": scenario for name, scenario in _STRIPE_OWN.items()},
    **{f"pm_card_visa_{name}": _STRIPE_OWN[name] for name in _STRIPE_OWN if name.startswith("charge")},
    **{f"pm_sim_{name}": scenario for name, scenario in _SIMULATOR_OWN.items()},
}

# These charge, or authorize, as any card does.
LATER_TOKENS: Final[dict[str, Scenario]] = {
    **{
        f"pm_sim_{on}_{name}": Scenario(on=on, mishap=mishap)
        for on in _LATER_CALLS
        for name, mishap in _MISHAPS.items()
    },
    "pm_card_createDispute": Scenario(dispute=DisputeFate("fraudulent")),
    "pm_card_createDisputeProductNotReceived": Scenario(dispute=DisputeFate("product_not_received")),
    "pm_card_createDisputeInquiry": Scenario(dispute=DisputeFate("fraudulent", "warning_closed")),
    "pm_sim_dispute_won": Scenario(dispute=DisputeFate("fraudulent", "won")),
    "pm_sim_dispute_lost": Scenario(dispute=DisputeFate("fraudulent", "lost")),
    "pm_card_pendingRefund": Scenario(refund="pending"),
    "pm_sim_refund_pending_fails": Scenario(refund="pending_fails"),
    "pm_sim_refund_failed": Scenario(refund="failed"),
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
    if scenario is SUCCESS:
        return AMOUNTS.get(amount % 1_000_000, SUCCESS)
    return scenario or LATER_TOKENS.get(payment_method)


def of_token(payment_method: str) -> Scenario:
    """What an intent's token makes of the calls after its creation."""
    return LATER_TOKENS.get(payment_method) or TOKENS.get(payment_method, SUCCESS)
