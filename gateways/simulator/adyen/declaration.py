"""What Adyen is at the simulator, and its test values."""

from typing import Final

from gateways.simulator.accounts import Account
from gateways.simulator.adyen.app import Adyen
from gateways.simulator.adyen.scenarios import (
    BY_NUMBER,
    CARDS,
    RESULTS,
    TOKENS,
    TROUBLES,
    Scenario,
)
from gateways.simulator.adyen.wire import GATEWAY
from gateways.simulator.psp import Entry, Group, Option, Psp


def _effect(scenario: Scenario) -> str:
    if scenario.mishap is not None:
        times = f", {scenario.mishap.times} times" if scenario.mishap.times else ""
        return f"{scenario.mishap.do} at the {scenario.on}{times}"
    if scenario.trouble is not None:
        transient = scenario.trouble == "no_connection"
        return "a transient error, nothing is kept" if transient else "a final error, kept under the key"
    said = ["a page of 3-D Secure"] if scenario.asks else []
    if scenario.later:
        said.append("Received, then by webhook")
    code = f" {scenario.code}" if scenario.code else ""
    times = f", {scenario.declines} times" if scenario.declines else ""
    said.append(f"{scenario.ends}{code}{times}{', at the first account' if scenario.at_first else ''}")
    if scenario.held:
        said.append("and authorised all the same")
    fates = {"capture": scenario.capture, "cancel": scenario.cancel, "refund": scenario.refund}
    said += [f"a {what} is {fate}" for what, fate in fates.items() if fate is not None]
    if scenario.dispute:
        said.append(f"after its capture {', '.join(scenario.dispute)}")
    return "; ".join(said)


def _group(title: str, values: dict[str, Scenario]) -> Group:
    return Group(title, [Entry(value, _effect(scenario)) for value, scenario in values.items()])


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
    credentials="Header X-API-Key.",
    webhooks="AUTHORISATION, CAPTURE, CANCELLATION, REFUND, TECHNICAL_CANCEL, CHARGEBACK and their kin; each item "
    "signed with the hexadecimal key, HMAC-SHA256.",
    groups=(
        _group("Stored payment methods", TOKENS),
        _group("Cards", CARDS),
        _group("paymentMethod.holderName", RESULTS),
        _group("additionalData.RequestedTestAcquirerResponseCode", BY_NUMBER),
        _group("additionalData.RequestedTestErrorResponseCode", TROUBLES),
    ),
    options={
        "merchant_account": Option(r"[A-Za-z0-9_]{1,80}", "the only one that is taken; without it any is"),
        "multicapture": Option("true|false", "an authorisation is captured several times"),
        "authorization_life_s": Option(r"\d{1,7}", "after which an authorisation expires; without it never"),
    },
    differs=(
        "Only cards, by token or number; tokens are kept for nobody, and belong to any shopper.",
        "A modification is done when it is received, and its webhook follows at once.",
        "What fails after it was told as done never moves money in the ledger; a dispute moves none either.",
        "Without additionalData.manualCapture a payment is captured at once, and no CAPTURE is told.",
        "No amount updates, sessions, payment links, orders or donations.",
    ),
)
