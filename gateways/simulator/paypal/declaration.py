"""Declares PayPal to the simulator, and its test values. Source of these:
developer.paypal.com/tools/sandbox/card-testing."""

from decimal import Decimal
from typing import Final

from gateways.simulator.core.accounts import Account
from gateways.simulator.core.fees import Price, PriceList
from gateways.simulator.core.psp import Entry, Group, Option, Psp
from gateways.simulator.paypal.app import PayPal
from gateways.simulator.paypal.currencies import CURRENCIES
from gateways.simulator.paypal.scenarios import LATER_TOKENS, TOKENS, Scenario
from gateways.simulator.paypal.store import GATEWAY
from gateways.simulator.paypal.webhooks import WEBHOOK_ID


def _effect(scenario: Scenario) -> str:
    if scenario.fault is not None:
        return scenario.fault.effect("call that takes the order" if scenario.fault.on == "continue" else None)
    effects: list[str] = []
    if scenario.challenge:
        effects.append("the payer has to pass 3-D Secure")
    if scenario.pending:
        effects.append("pending at first")
    if scenario.issue is not None:
        effects.append(f"422 {scenario.issue}")
    if scenario.processor is not None:
        effects.append(f"declined with {scenario.processor}{scenario.declines.effect}")
    if scenario.dispute is not None:
        effects.append(f"captured, disputed, then {scenario.dispute}")
    if scenario.refund is not None:
        effects.append(f"a refund is {scenario.refund}")
    return "; ".join(effects) or "success"


PSP: Final = Psp(
    name=GATEWAY,
    title="PayPal",
    version="Orders v2, Payments v2",
    default=Account(
        GATEWAY,
        GATEWAY,
        "simulator-secret",
        login="simulator-client",
        options={"webhook_id": WEBHOOK_ID},
    ),
    open=PayPal.open,
    hosts=("api-m.sandbox.paypal.com",),
    credentials="Client id and secret, Basic, at /v1/oauth2/token; then the access token as a bearer token.",
    webhooks=(
        "CHECKOUT.ORDER.APPROVED, PAYMENT.*, CUSTOMER.DISPUTE.*; RSA-SHA256 by the certificate at PAYPAL-CERT-URL,"
        " which was issued by the authority at /authority.pem."
    ),
    groups=(
        Group(
            "Vault ids of a card or a wallet, or cardholders' names",
            [Entry(token, _effect(scenario)) for token, scenario in TOKENS.items()],
        ),
        Group(
            "Vault ids with which the order is taken",
            [Entry(token, _effect(scenario)) for token, scenario in LATER_TOKENS.items()],
        ),
        Group(
            "Header PayPal-Mock-Response",
            [Entry('{"mock_application_codes": "INSTRUMENT_DECLINED"}', "this error, and nothing is done")],
        ),
    ),
    options={
        "webhook_id": Option(r"[A-Za-z0-9]{1,50}", "the webhook's id, which is part of what is signed"),
        "token_life_s": Option(r"\d{1,6}", "after which PayPal refuses an access token with 401"),
        "unique_invoices": Option("true|false", "a second payment with one invoice_id is refused"),
        "overcapture_percent": Option(r"\d{1,2}", "so much more than was authorized is captured"),
        "authorization_life_s": Option(
            r"\d{1,7}", "after which an authorization is voided; without it never"
        ),
    },
    differs=(
        "One purchase unit; of payment sources card and paypal. A card's number is read by nobody and kept nowhere.",
        "An order that nobody takes is never forgotten.",
        "A key that is used for another request is refused with 422 DUPLICATE_REQUEST_ID; PayPal does not document it.",
        "Reauthorization is always refused; issues come without their description.",
    ),
    fees=PriceList(
        CURRENCIES,
        {
            "captured": Price(
                percent=Decimal("3.49"),
                fixed={
                    "EUR": Decimal("0.39"),
                    "GBP": Decimal("0.39"),
                    "JPY": Decimal(49),
                    "SEK": Decimal("4.09"),
                    "USD": Decimal("0.49"),
                },
            ),
            "disputed": Price(fixed={"EUR": Decimal(14), "GBP": Decimal(12), "USD": Decimal(15)}),
        },
        "3.49 % of each capture, and 0.39 EUR, 0.39 GBP, 49 JPY, 4.09 SEK or 0.49 USD; 14 EUR, 12 GBP or 15 USD for a "
        "dispute; nothing in other currencies. A refund gives none of it back.",
    ),
)
