"""What a payment shows of the money that anybody has moved."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from commands.balances import Balances
from gateways.contract import Gateway, WebhookKeys
from gateways.razorpay import payments
from gateways.razorpay.adapter import Razorpay
from tests.gateways.razorpay.payloads import (
    AUTHORIZE,
    PAYMENT_ID,
    WEBHOOK_SECRET,
    event,
    http_response,
    payment,
    webhook,
)

RAZORPAY: Gateway = Razorpay()
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def paid(status: str, *, captured: Any, **more: Any) -> dict[str, Any]:
    return payment(status, AUTHORIZE, captured=captured, **more)


@pytest.mark.parametrize(
    ("shown", "balances"),
    [
        (
            paid("authorized", captured=False),
            Balances(captured_minor=0, refunded_minor=0, held_minor=1099),
        ),
        (
            paid("captured", captured=True),
            Balances(captured_minor=1099, refunded_minor=0, held_minor=0),
        ),
        (
            paid("captured", captured=True, amount_refunded=400, refund_status="partial"),
            Balances(captured_minor=1099, refunded_minor=400, held_minor=0),
        ),
        (
            paid("refunded", captured=True, amount_refunded=1099, refund_status="full"),
            Balances(captured_minor=1099, refunded_minor=1099, held_minor=0),
        ),
        # Not captured in its time: Razorpay has let it go, and nothing was ever taken.
        (
            paid("refunded", captured=False, amount_refunded=1099, refund_status="full"),
            Balances(captured_minor=0, refunded_minor=0, held_minor=0),
        ),
        (
            paid("captured", captured=True, amount_refunded=None),
            Balances(captured_minor=1099, held_minor=0),
        ),
        (
            paid("captured", captured=True, amount_refunded=-5),
            Balances(captured_minor=1099, held_minor=0),
        ),
        # In paise, as hundredths; and a currency without decimals, as whole ones.
        (
            paid("captured", captured=True, amount=5, amount_refunded=2, currency="JPY"),
            Balances(captured_minor=5, refunded_minor=2, held_minor=0),
        ),
        (paid("created", captured=False), None),
        (paid("failed", captured=False), None),
        (paid("settled", captured=True), None),
        (paid("captured", captured=None), None),
        # They contradict each other: neither "taken" nor "let go" is plain.
        (paid("captured", captured=False), None),
        (paid("authorized", captured=True), None),
        (paid("captured", captured="true"), None),
        (paid("captured", captured=1), None),
        (paid("captured", captured=True, amount=None), None),
        (paid("captured", captured=True, currency="XXX"), None),
    ],
)
def test_a_payment_shows_who_ever_moved_its_money(shown: dict[str, Any], balances: Balances | None):
    assert payments.balances(shown) == balances


def test_a_lookup_and_a_webhook_tell_it_with_the_outcome():
    shown = paid("captured", captured=True, amount_refunded=400, refund_status="partial")
    known = replace(AUTHORIZE, psp_id=PAYMENT_ID)

    found = RAZORPAY.found(known, http_response(200, shown))
    notices = RAZORPAY.read_webhook(
        webhook(event("payment.captured", payment=shown)), WebhookKeys((WEBHOOK_SECRET,), {}), NOW
    )

    balances = Balances(captured_minor=1099, refunded_minor=400, held_minor=0)
    assert found is not None
    assert (found.kind, found.balances) == ("APPROVED", balances)
    assert isinstance(notices, tuple)
    assert notices[0].outcome is not None
    assert notices[0].outcome.balances == balances
