"""Payment methods and test amounts, and what the simulator does with them. Source: docs.stripe.com/testing;
what has `sim` in its name is the simulator's own.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from gateways.simulator.core.faults import (
    ALWAYS,
    AT_FIRST_ACCOUNT,
    ONCE,
    TWICE,
    Declines,
    TokenFault,
    TokenNames,
)


@dataclass(frozen=True, slots=True)
class Decline:
    """A decline in Stripe's words: some reasons are a `code` of their own, the others a `decline_code` of
    card_declined. `network`: the card network's code."""

    code: str
    decline_code: str | None
    message: str
    advice_code: str | None = None
    network: str | None = None


DECLINES: Final = {
    "generic_decline": Decline(
        "card_declined", "generic_decline", "Your card was declined.", "try_again_later", "05"
    ),
    "never_again": Decline("card_declined", "generic_decline", "Your card was declined.", None, "14"),
    "insufficient_funds": Decline(
        "card_declined", "insufficient_funds", "Your card has insufficient funds.", "try_again_later", "51"
    ),
    "lost_card": Decline("card_declined", "lost_card", "Your card was declined.", "do_not_try_again", "41"),
    "stolen_card": Decline(
        "card_declined", "stolen_card", "Your card was declined.", "do_not_try_again", "43"
    ),
    "fraudulent": Decline("card_declined", "fraudulent", "Your card was declined.", "do_not_try_again", "59"),
    "card_velocity_exceeded": Decline(
        "card_declined",
        "card_velocity_exceeded",
        "Your card has exceeded its balance or credit limit.",
        None,
        "65",
    ),
    "expired_card": Decline("expired_card", None, "Your card has expired.", "do_not_try_again", "54"),
    "incorrect_cvc": Decline(
        "incorrect_cvc", None, "Your card's security code is incorrect.", "confirm_card_data", "N7"
    ),
    "processing_error": Decline(
        "processing_error", None, "An error occurred while processing your card.", "try_again_later", "96"
    ),
    "payment_method_provider_timeout": Decline(
        "payment_method_provider_timeout", None, "The payment method failed due to a timeout."
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
        None,
        "1A",
    ),
}

RefundFate = Literal["pending", "pending_fails", "failed"]


class DisputeFate(NamedTuple):
    """A dispute that follows the charge. `ends_as`: how it ends without evidence, some time after it opened;
    None: it stays open."""

    reason: Literal["fraudulent", "product_not_received"]
    ends_as: Literal["won", "lost", "warning_closed"] | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """The course of a payment, and the fault that hits one kind of call about it. `decline`: the reason, a
    key of `DECLINES`; `declines`: the attempts that it refuses. `charged`: it is charged in spite of that
    response, as reads and events show right after it. `unlisted_s`: so long a search does not find
    the payment."""

    status: Literal["succeeded", "requires_payment_method", "requires_action", "processing"] = "succeeded"
    decline: str | None = None
    declines: Declines = ALWAYS
    charged: bool = False
    fault: TokenFault | None = None
    refund: RefundFate | None = None
    dispute: DisputeFate | None = None
    unlisted_s: float = 0.0


_UNLISTED_S: Final = 30.0

SUCCESS: Final = Scenario()

_NAMES: Final = TokenNames("pm_sim_{}")
_FAULTS: Final = {token: Scenario(fault=fault) for token, fault in _NAMES.at_first().items()}
_PROCESSING: Final = Scenario("processing")


def _declined(reason: str, declines: Declines = ALWAYS) -> Scenario:
    return Scenario("requires_payment_method", reason, declines)


_TIMED_OUT: Final = _declined("payment_method_provider_timeout")

_SIMULATOR_OWN: Final = {
    **_FAULTS,
    "pm_sim_processing": _PROCESSING,
    "pm_sim_3ds_declined": Scenario("requires_action", "generic_decline"),
    "pm_sim_declined_once": _declined("generic_decline", ONCE),
    "pm_sim_never_again": _declined("never_again"),
    "pm_sim_declined_twice": _declined("generic_decline", TWICE),
    "pm_sim_soft_here": _declined("insufficient_funds", AT_FIRST_ACCOUNT),
    "pm_sim_provider_timeout": _TIMED_OUT,
    "pm_sim_provider_timeout_here": replace(_TIMED_OUT, declines=AT_FIRST_ACCOUNT),
    "pm_sim_provider_timeout_charged": replace(_TIMED_OUT, charged=True),
    "pm_sim_unlisted": Scenario(unlisted_s=_UNLISTED_S),
    "pm_sim_lost_unlisted": replace(_FAULTS["pm_sim_lost"], unlisted_s=_UNLISTED_S),
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

# Some of Stripe's declining tokens are written with the brand and some without; both are taken for each.
TOKENS: Final[dict[str, Scenario]] = {
    **{f"pm_card_{name}": scenario for name, scenario in _STRIPE_OWN.items()},
    **{f"pm_card_visa_{name}": _STRIPE_OWN[name] for name in _STRIPE_OWN if name.startswith("charge")},
    **_SIMULATOR_OWN,
}

# These charge, or authorize, as any card does.
LATER_TOKENS: Final[dict[str, Scenario]] = {
    **{token: Scenario(fault=fault) for token, fault in _NAMES.at_later().items()},
    "pm_card_createDispute": Scenario(dispute=DisputeFate("fraudulent")),
    "pm_card_createDisputeProductNotReceived": Scenario(dispute=DisputeFate("product_not_received")),
    "pm_card_createDisputeInquiry": Scenario(dispute=DisputeFate("fraudulent", "warning_closed")),
    "pm_sim_dispute_won": Scenario(dispute=DisputeFate("fraudulent", "won")),
    "pm_sim_dispute_lost": Scenario(dispute=DisputeFate("fraudulent", "lost")),
    "pm_card_pendingRefund": Scenario(refund="pending"),
    "pm_sim_refund_pending_fails": Scenario(refund="pending_fails"),
    "pm_sim_refund_failed": Scenario(refund="failed"),
}

# The last six digits of Stripe's integer. Ordinary amounts hardly end so: 9900.01 USD is the smallest.
AMOUNTS: Final[dict[int, Scenario]] = {
    990_001: _declined("generic_decline"),
    990_002: _declined("insufficient_funds"),
    990_003: _FAULTS["pm_sim_slow"],
    990_004: _FAULTS["pm_sim_timeout"],
    990_005: _FAULTS["pm_sim_lost"],
    990_006: _FAULTS["pm_sim_500"],
    990_007: _FAULTS["pm_sim_500_once"],
    990_008: _FAULTS["pm_sim_garbage"],
    990_009: _PROCESSING,
}


def chosen(payment_method: str, amount: int) -> Scenario | None:
    """The scenario of a new intent. None: there is no such payment method. The amount chooses only where the
    token is one that succeeds."""
    payment_method = _named(payment_method)
    scenario = TOKENS.get(payment_method)
    if scenario is SUCCESS:
        return AMOUNTS.get(amount % 1_000_000, SUCCESS)
    return scenario or LATER_TOKENS.get(payment_method)


def of_token(payment_method: str) -> Scenario:
    """The scenario of the calls after an intent's creation."""
    payment_method = _named(payment_method)
    return LATER_TOKENS.get(payment_method) or TOKENS.get(payment_method, SUCCESS)


def _named(payment_method: str) -> str:
    """Returns the token that chooses the scenario: what follows two underscores makes another card of it."""
    return payment_method.partition("__")[0]
