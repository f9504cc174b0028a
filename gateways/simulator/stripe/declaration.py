"""Declares Stripe to the simulator, and its test values. Source of these: docs.stripe.com/testing."""

from decimal import Decimal
from typing import Final

from gateways.simulator.core.accounts import Account
from gateways.simulator.core.fees import Price, PriceList
from gateways.simulator.core.psp import Entry, Group, Option, Psp
from gateways.simulator.stripe import events
from gateways.simulator.stripe.app import Stripe
from gateways.simulator.stripe.currencies import CURRENCIES
from gateways.simulator.stripe.scenarios import AMOUNTS, LATER_TOKENS, TOKENS, Scenario
from gateways.simulator.stripe.tables import GATEWAY


def _effect(scenario: Scenario) -> str:
    if scenario.fault is not None:
        return scenario.fault.effect()
    effects: list[str] = []
    if scenario.decline is not None:
        effects.append(f"{scenario.decline}{scenario.declines.effect}")
    if scenario.charged:
        effects.append("and charged all the same")
    if scenario.status in {"requires_action", "processing"}:
        effects.insert(0, scenario.status)
    if scenario.refund is not None:
        effects.append(f"a refund is {scenario.refund}")
    if scenario.dispute is not None:
        ends_as = f", ends as {scenario.dispute.ends_as}" if scenario.dispute.ends_as else ""
        effects.append(f"success, then a dispute: {scenario.dispute.reason}{ends_as}")
    if scenario.unlisted_s:
        effects.append(f"a search finds it after {scenario.unlisted_s:g} s")
    return "; ".join(effects) or "success"


_GROUPS: Final = (
    Group("Payment methods", [Entry(token, _effect(scenario)) for token, scenario in TOKENS.items()]),
    Group(
        "Payment methods whose create succeeds",
        [Entry(token, _effect(scenario)) for token, scenario in LATER_TOKENS.items()],
    ),
    Group(
        "Last six digits of the amount, with a payment method that succeeds",
        [Entry(str(digits), _effect(scenario)) for digits, scenario in AMOUNTS.items()],
    ),
)

PSP: Final = Psp(
    name=GATEWAY,
    title="Stripe",
    version=events.VERSION,
    default=Account(
        GATEWAY,
        GATEWAY,
        "sk_test_simulator",
        options={"multicapture": "true"},
        webhook_secret="whsec_simulator",  # noqa: S106 - for anybody to know
    ),
    open=Stripe.open,
    hosts=("api.stripe.com",),
    credentials="The secret key as a bearer token, or as the name with no password: curl -u sk_…:",
    webhooks="payment_intent.*, charge.*, charge.dispute.*, refund.*; header Stripe-Signature, HMAC-SHA256 with the whole secret.",
    groups=_GROUPS,
    options={
        "multicapture": Option("true|false", "final_capture=false is taken where an intent requested it"),
        "overcapture_percent": Option(
            r"\d{1,2}", "so much more than was authorized is captured, where requested"
        ),
        "authorization_life_s": Option(r"\d{1,7}", "after which an authorization expires; without it never"),
    },
    differs=(
        "Only confirm=true and cards; a parameter that it does not know is a 400 that names it.",
        "No minimum amount, no payouts, no balance transactions: fees stand in the ledger only.",
        "Search knows only metadata['order_ref'].",
        "Customers and what setup_future_usage would store are not kept.",
    ),
    fees=PriceList(
        CURRENCIES,
        {
            "captured": Price(
                percent=Decimal("1.5"),
                fixed={
                    "EUR": Decimal("0.25"),
                    "GBP": Decimal("0.20"),
                    "JPY": Decimal(40),
                    "SEK": Decimal("1.80"),
                    "USD": Decimal("0.30"),
                },
            ),
            "disputed": Price(fixed={"EUR": Decimal(20), "GBP": Decimal(20), "USD": Decimal(15)}),
        },
        "1.5 % of each charge, and 0.25 EUR, 0.20 GBP, 40 JPY, 1.80 SEK or 0.30 USD; 20 EUR, 20 GBP or 15 USD for a "
        "dispute; nothing in other currencies. A refund gives none of it back. Every card costs the same.",
    ),
)
