"""Reads a payment's facts, as routing sees them, from what the merchant requested."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, get_args

from aggregates.routing.facts import USUAL_METHOD, CardFacts, Funding, PaymentFacts

if TYPE_CHECKING:
    from aggregates.payment import Payment

_FUNDINGS: Final[Mapping[str, Funding]] = {one: one for one in get_args(Funding)}


def card_facts(card: Mapping[str, str | None] | None) -> CardFacts:
    """Returns what the merchant said of the card; None: nothing."""
    said = card or {}
    return CardFacts(
        bin=said.get("bin"),
        country=said.get("country"),
        scheme=said.get("scheme"),
        funding=_FUNDINGS.get(said.get("funding") or ""),
    )


def payment_facts(payment: "Payment", attempt: int) -> PaymentFacts:
    """Returns the facts of a payment at its attempt of this number; no token is among them."""
    return PaymentFacts(
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        kind="authorize" if payment.capture == "manual" else "sale",
        amount_minor=payment.amount.minor,
        currency=payment.amount.currency,
        method=payment.method or USUAL_METHOD,
        country=payment.country,
        customer_id=payment.customer_id,
        card=card_facts(payment.card),
        metadata=payment.metadata,
        attempt=attempt,
    )
