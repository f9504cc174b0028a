"""Declares Adyen to the simulator, and its test values."""

from decimal import Decimal
from typing import Final

from gateways.simulator.adyen.app import Adyen
from gateways.simulator.adyen.currencies import CURRENCIES
from gateways.simulator.adyen.scenarios import (
    BY_NUMBER,
    CARDS,
    RESULTS,
    TEST_ERRORS,
    TOKENS,
    Scenario,
)
from gateways.simulator.adyen.wire import GATEWAY
from gateways.simulator.core.accounts import Account
from gateways.simulator.core.fees import Price, PriceList
from gateways.simulator.core.psp import Entry, Group, Option, Psp


def _effect(scenario: Scenario) -> str:
    if scenario.fault is not None:
        return scenario.fault.effect()
    if scenario.test_error is not None:
        transient = scenario.test_error == "no_connection"
        return "a transient error, nothing is kept" if transient else "a final error, kept under the key"
    effects = ["a page of 3-D Secure"] if scenario.challenge else []
    if scenario.later:
        effects.append("Received, then by webhook")
    code = f" {scenario.code}" if scenario.code else ""
    effects.append(f"{scenario.ends}{code}{scenario.declines.effect}")
    if scenario.held:
        effects.append("and authorised all the same")
    fates = {"capture": scenario.capture, "cancel": scenario.cancel, "refund": scenario.refund}
    effects += [f"a {what} is {fate}" for what, fate in fates.items() if fate is not None]
    if scenario.dispute:
        effects.append(f"after its capture {', '.join(scenario.dispute)}")
    return "; ".join(effects)


def _group(title: str, values: dict[str, Scenario]) -> Group:
    return Group(title, [Entry(value, _effect(scenario)) for value, scenario in values.items()])


_PROCESSING: Final = {
    "EUR": Decimal("0.11"),
    "GBP": Decimal("0.10"),
    "JPY": Decimal(20),
    "SEK": Decimal("1.30"),
    "USD": Decimal("0.13"),
}

PSP: Final = Psp(
    name=GATEWAY,
    title="Adyen",
    version="Checkout v72",
    default=Account(
        GATEWAY,
        GATEWAY,
        "AQEsimulator",
        options={"merchant_account": "SimulatorECOM", "multicapture": "true"},
        webhook_secret="5A" * 32,
    ),
    open=Adyen.open,
    hosts=("checkout-test.adyen.com",),
    credentials="Header X-API-Key.",
    webhooks="AUTHORISATION, CAPTURE, CANCELLATION, REFUND, TECHNICAL_CANCEL, CHARGEBACK and their kin; each item "
    "signed with the hexadecimal key, HMAC-SHA256.",
    groups=(
        _group("Stored payment methods", TOKENS),
        _group("Cards", CARDS),
        _group("paymentMethod.holderName", RESULTS),
        _group("additionalData.RequestedTestAcquirerResponseCode", BY_NUMBER),
        _group("additionalData.RequestedTestErrorResponseCode", TEST_ERRORS),
    ),
    options={
        "merchant_account": Option(r"[A-Za-z0-9_]{1,80}", "the only one that is taken; without it any is"),
        "multicapture": Option("true|false", "an authorisation is captured several times"),
        "authorization_life_s": Option(r"\d{1,7}", "after which an authorisation expires; without it never"),
    },
    differs=(
        "Only cards, by token or number; tokens are kept for nobody, and belong to any shopper.",
        "A modification is done when it is received, and its webhook follows at once.",
        "An operation that fails after it was reported as done never moves money in the ledger. The money that a dispute has taken stands there by itself.",
        "Without additionalData.manualCapture a payment is captured at once, and no CAPTURE is sent.",
        "No amount updates, sessions, payment links, orders or donations.",
    ),
    fees=PriceList(
        CURRENCIES,
        {
            "captured": Price(percent=Decimal("0.6"), fixed=_PROCESSING),
            "refunded": Price(fixed=_PROCESSING),
        },
        "0.6 % of each capture; and 0.11 EUR, 0.10 GBP, 20 JPY, 1.30 SEK or 0.13 USD for each capture and refund; "
        "nothing in other currencies. No interchange and no scheme fees.",
    ),
)
