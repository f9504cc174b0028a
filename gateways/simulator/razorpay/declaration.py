"""What Razorpay is at the simulator, and its test values."""

from typing import Final

from gateways.simulator.accounts import Account
from gateways.simulator.psp import Entry, Group, Option, Psp
from gateways.simulator.razorpay.app import Razorpay
from gateways.simulator.razorpay.entities import GATEWAY
from gateways.simulator.razorpay.scenarios import LATE_AFTER_S, TOKENS, Scenario


def _effect(scenario: Scenario) -> str:
    if scenario.mishap is not None:
        on = "payment" if scenario.on == "continue" else scenario.on
        times = f", {scenario.mishap.times} times" if scenario.mishap.times else ""
        return f"{scenario.mishap.do} at the {on}{times}"
    said = ["the bank asks for an OTP"] if scenario.asks else []
    if scenario.failure is not None:
        times = f", {scenario.declines} times" if scenario.declines else ""
        said.append(f"{scenario.failure}{times}{', at the first account' if scenario.at_first else ''}")
    if scenario.late:
        said.append(f"authorized all the same after {LATE_AFTER_S:g} s")
    if scenario.refund is not None:
        said.append(f"a refund is {scenario.refund}")
    if scenario.dispute is not None:
        said.append(f"captured, then disputed, and the dispute {scenario.dispute}")
    return "; ".join(said) or "authorized at once"


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
    credentials="Basic: the key's id and its secret.",
    webhooks="payment.*, payment.dispute.*, order.paid, refund.*; header X-Razorpay-Signature, HMAC-SHA256 of the body.",
    groups=(
        Group("Tokens of cards", [Entry(token, _effect(scenario)) for token, scenario in TOKENS.items()]),
    ),
    options={
        "uncaptured_life_s": Option(
            r"\d{1,7}", "after which an authorized payment is given back; without it as its order says"
        ),
        "challenge_life_s": Option(r"\d{1,7}", "how long the bank waits for its OTP; without it 600 s"),
    },
    differs=(
        "Only cards, by token; a parameter that it does not know is a 400 that says so.",
        "A capture's X-Request-Id says which operation of AegisPay's it is for, else the payment's is taken.",
        "The bank's page posts a form to callback_url by a script, or by its button.",
        "No minimum amount, no settlements, no customers; a dispute is told and moves nothing.",
    ),
)
