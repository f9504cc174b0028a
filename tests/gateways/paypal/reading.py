"""What the adapter makes of PayPal's responses."""

from dataclasses import replace

from commands.messages import Outcome
from gateways.contract import Gateway
from gateways.paypal.adapter import PayPal
from tests.gateways.paypal.payloads import (
    ORDER,
    WALLET,
)

PAYPAL: Gateway = PayPal()
WALLET_2 = replace(WALLET, step="2", psp_id=ORDER)


def short(outcome: Outcome | None) -> tuple[str, str | None]:
    assert outcome is not None
    return outcome.kind, outcome.code
