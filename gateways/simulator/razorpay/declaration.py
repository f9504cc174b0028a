"""Declares Razorpay to the simulator, and its test values."""

from decimal import Decimal
from typing import Final

from gateways.simulator.core.accounts import Account
from gateways.simulator.core.fees import Price, PriceList
from gateways.simulator.core.psp import SETTLES_AFTER_S, Entry, Group, Option, Psp
from gateways.simulator.razorpay.app import Razorpay
from gateways.simulator.razorpay.currencies import CURRENCIES
from gateways.simulator.razorpay.entities import GATEWAY
from gateways.simulator.razorpay.scenarios import TOKENS, Scenario


def _effect(scenario: Scenario) -> str:
    if scenario.fault is not None:
        return scenario.fault.effect("payment" if scenario.fault.on == "continue" else None)
    effects = ["the bank asks for an OTP"] if scenario.challenge else []
    if scenario.failure is not None:
        effects.append(f"{scenario.failure}{scenario.declines.effect}")
    if scenario.late:
        effects.append(f"authorized all the same after {SETTLES_AFTER_S:g} s")
    if scenario.refund is not None:
        effects.append(f"a refund is {scenario.refund}")
    if scenario.dispute is not None:
        effects.append(f"captured, then disputed, and the dispute {scenario.dispute}")
    return "; ".join(effects) or "authorized at once"


PSP: Final = Psp(
    name=GATEWAY,
    title="Razorpay",
    version="v1",
    default=Account(
        GATEWAY,
        GATEWAY,
        "razorpay_simulator_secret",
        login="rzp_test_simulator",
        webhook_secret="razorpay_simulator_webhook",  # noqa: S106 - for anybody to know
    ),
    open=Razorpay.open,
    hosts=("api.razorpay.com",),
    credentials="Basic: the key's id and its secret.",
    webhooks="payment.*, payment.dispute.*, order.paid, refund.*; header X-Razorpay-Signature, HMAC-SHA256 of the body.",
    groups=(
        Group("Tokens of cards", [Entry(token, _effect(scenario)) for token, scenario in TOKENS.items()]),
    ),
    options={
        "uncaptured_life_s": Option(
            r"\d{1,7}", "after which an authorized payment is given back; without it as its order sets"
        ),
        "challenge_life_s": Option(r"\d{1,7}", "how long the bank waits for its OTP; without it 600 s"),
    },
    differs=(
        "Only cards, by token; a parameter that it does not know is a 400 that names it.",
        "A capture's X-Request-Id names the operation of AegisPay's that it is for; else it is a sale's own, or nobody's.",
        "The bank's page posts a form to callback_url by a script, or by its button.",
        "No minimum amount, no settlements, no customers; what a dispute has taken stands in the ledger by itself.",
    ),
    fees=PriceList(
        CURRENCIES,
        # Razorpay's own examples: 24 paise of 10 rupees, 4 of them tax; 16.52 of 700, 2.52 of them tax.
        {"captured": Price(percent=Decimal(2), tax_percent=Decimal(18))},
        "2 % of each capture, and 18 % GST on it; a refund gives none of it back.",
    ),
)
