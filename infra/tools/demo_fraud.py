"""The demo's fraud hook, and the two orders that show what it does: one is denied, one is held and then
allowed."""

from dataclasses import dataclass
from typing import Any, Final

from commands.client import Client, NotSettled, Refused
from commands.hooks import Allow, Deny, FraudCheck, NewPayment, Review
from infra.tools.traffic.checkout import PATIENCE_S

PLACE: Final = f"{__name__}:hook"
"""The hook, as AEGISPAY_HOOKS names it."""
_BLOCKED: Final = "customer-blocked"
_UNKNOWN: Final = "customer-unknown"


def check(payment: NewPayment) -> Allow | Deny | Review:
    """Scores by the customer alone, so that the demo ends the same each time."""
    match payment.customer_id:
        case customer if customer == _BLOCKED:
            return Deny("the customer is on the block list", score=0.98)
        case customer if customer == _UNKNOWN:
            return Review("the first order of a customer whom nobody knows", score=0.71)
        case _:
            return Allow(score=0.05)


hook: Final = FraudCheck(name="demo-risk", run=check)


@dataclass(frozen=True, slots=True)
class Checked:
    """An order that the hook did not let through at once. `story`: what became of it, in words. `ok`: it
    ended as it should."""

    idempotency_key: str
    story: str
    ok: bool


async def checked(client: Client, run: str) -> list[Checked]:
    """Plays both orders. `run`: begins their keys."""
    return [await _denied(client, f"{run}-blocked"), await _held(client, f"{run}-held")]


async def _denied(client: Client, key: str) -> Checked:
    try:
        reply = await client.create_payment(**_order(key, _BLOCKED))
    except Refused as refused:
        ok = refused.code == "denied_by_fraud_check"
        return Checked(key, f"denied by the fraud hook: {refused.detail} ({refused.code})", ok)
    return Checked(key, f"not denied: {reply.status}", ok=False)


async def _held(client: Client, key: str) -> Checked:
    held = await client.create_payment(**_order(key, _UNKNOWN))
    if held.status != "IN_REVIEW" or held.payment_id is None:
        return Checked(key, f"not held: {held.status}", ok=False)
    allowed = await client.review(
        held.payment_id,
        idempotency_key=f"{key}-review",
        decision="allow",
        evidence="the customer confirmed the order by telephone",
        who="demo",
    )
    try:
        end = (await client.wait(allowed, PATIENCE_S)).status
    except NotSettled as late:
        end = f"still {late.status}"
    return Checked(key, f"held for review: {held.detail}; allowed by a person: {end}", end == "CAPTURED")


def _order(key: str, customer: str) -> dict[str, Any]:
    return {
        "idempotency_key": key,
        "amount_minor": 4999,
        "currency": "EUR",
        "payment_method": "pm_card_visa",
        "customer_id": customer,
    }
