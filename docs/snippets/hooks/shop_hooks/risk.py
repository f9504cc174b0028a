"""Denies customers of a block list, and holds an unusually large order of a card from elsewhere."""

from commands.hooks import Allow, Deny, FraudCheck, NewPayment, Review

BLOCKED = frozenset({"customer-blocked"})
LARGE_MINOR = 50_000


async def check(payment: NewPayment) -> Allow | Deny | Review:
    if payment.customer_id in BLOCKED:
        return Deny("the customer is on the block list", score=1.0)
    abroad = payment.card_country is not None and payment.card_country != payment.country
    large = payment.amount_minor >= LARGE_MINOR
    if large and abroad:
        return Review("a large order with a card from another country", score=0.8)
    return Allow(score=0.3 if large or abroad else 0.05)


hook = FraudCheck(name="risk", run=check, within_s=0.2)  # closed: without a verdict the payment is rejected
