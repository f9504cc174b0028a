"""Reads a payment's facts, as routing sees them, from what the merchant requested."""

from collections.abc import Mapping
from typing import Final, get_args

from aggregates.payment import Payment
from aggregates.routing.facts import USUAL_METHOD, CardFacts, Funding, PaymentFacts

_FUNDINGS: Final[Mapping[str, Funding]] = {one: one for one in get_args(Funding)}


def payment_facts(payment: Payment, attempt: int) -> PaymentFacts:
    """Returns the facts of a payment at its attempt of this number; no token is among them."""
    card = payment.card or {}
    return PaymentFacts(
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        kind="authorize" if payment.capture == "manual" else "sale",
        amount_minor=payment.amount.minor,
        currency=payment.amount.currency,
        method=payment.method or USUAL_METHOD,
        country=payment.country,
        customer_id=payment.customer_id,
        card=CardFacts(
            bin=card.get("bin"),
            country=card.get("country"),
            scheme=card.get("scheme"),
            funding=_FUNDINGS.get(card.get("funding") or ""),
        ),
        metadata=payment.metadata,
        attempt=attempt,
    )
