"""Declares Braintree to the simulator, and its test values."""

from decimal import Decimal
from typing import Final

from gateways.simulator.braintree.app import Braintree
from gateways.simulator.braintree.currencies import CURRENCIES
from gateways.simulator.braintree.scenarios import AMOUNTS, NONCES, Scenario
from gateways.simulator.braintree.shown import GATEWAY
from gateways.simulator.core.accounts import Account
from gateways.simulator.core.fees import Price, PriceList
from gateways.simulator.core.psp import Entry, Group, Option, Psp


def _effect(scenario: Scenario) -> str:
    if scenario.fault is not None:
        return scenario.fault.effect()
    if scenario.invalid:
        return f"refused, {scenario.code}"
    effects = []
    if scenario.fate != "approved":
        effects.append(f"{scenario.fate} {scenario.code}".strip() + scenario.declines.effect)
    if scenario.refund_fails:
        effects.append("success; a refund fails later")
    if scenario.dispute is not None:
        effects.append(f"success, then a dispute: {scenario.dispute}")
    if scenario.unlisted_s:
        effects.append(f"a search finds it after {scenario.unlisted_s:g} s")
    return ", ".join(effects) or "success"


PSP: Final = Psp(
    name=GATEWAY,
    title="Braintree",
    version="GraphQL, 2018-09-10",
    default=Account(GATEWAY, GATEWAY, "simulator_private_key", login="simulator_public_key"),
    open=Braintree.open,
    hosts=("payments.sandbox.braintree-api.com",),
    credentials="Basic, the public key as the name and the private key as the password, at /graphql.",
    webhooks="transaction_settled, transaction_settlement_declined, refund_failed, dispute_opened, dispute_won, "
    "dispute_lost; a form of bt_signature and bt_payload, HMAC-SHA1 with the private key's SHA-1.",
    groups=(
        Group("Payment methods", [Entry(nonce, _effect(scenario)) for nonce, scenario in NONCES.items()]),
        Group(
            "Amounts, in any currency, with a payment method that succeeds", [Entry(*one) for one in AMOUNTS]
        ),
    ),
    options={
        "merchant_accounts": Option(
            r"[A-Z]{3}=[\w-]+(,[A-Z]{3}=[\w-]+)*",
            "USD=acct_one,EUR=acct_two, the first is the default; without it acct_usd and so on",
        ),
        "api_request_key": Option("true|false", "whether apiRequestKey is taken; it is by default"),
        "duplicate_window_s": Option(r"\d{1,5}", "for so long a second sale of the same is a duplicate; 30"),
        "authorization_life_s": Option(r"\d{1,7}", "after which an authorization expires; without it never"),
        "amounts_decide": Option(
            "true|false", "whether test amounts have their effect; they have by default"
        ),
    },
    differs=(
        "One field of Query or Mutation at a time; a part of the schema, whose fields may all be selected.",
        "Settlement takes 2 s. A nonce may be used again, fake-consumed-nonce excepted.",
        "No vault, no customers, no PayPal, no disbursements; fees stand in the ledger only. Search knows only orderId.",
    ),
    fees=PriceList(
        CURRENCIES,
        {
            "captured": Price(
                percent=Decimal("2.89"),
                fixed={"EUR": Decimal("0.29"), "GBP": Decimal("0.29"), "USD": Decimal("0.29")},
                rounding="down",
            ),
            "disputed": Price(fixed={"EUR": Decimal(15), "GBP": Decimal(15), "USD": Decimal(15)}),
        },
        "2.89 % of each settled transaction and 0.29 EUR, GBP or USD, rounded down; 15 EUR, GBP or USD for a dispute; "
        "nothing in other currencies. A refund gives none of it back.",
    ),
)
