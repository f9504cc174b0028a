"""Makes refunds and decides them as `payments` does.

A refund that is pending counts in the charge's amount_refunded; money moves, in the ledger, when it has
succeeded.
"""

from dataclasses import dataclass
from typing import Final

import orjson

from gateways.simulator.core.accounts import Account
from gateways.simulator.core.psp import Response, Turn
from gateways.simulator.core.rows import Moved
from gateways.simulator.stripe import forms, rules
from gateways.simulator.stripe.currencies import CURRENCIES
from gateways.simulator.stripe.dialect import invalid, new_id, no_such, refund_object
from gateways.simulator.stripe.events import Events
from gateways.simulator.stripe.payments import Payments
from gateways.simulator.stripe.scenarios import of_token
from gateways.simulator.stripe.store import Store
from gateways.simulator.stripe.tables import Intent, Refund

_BEGINS_AS: Final = {"pending": "pending", "pending_fails": "pending", "failed": "failed"}
_SETTLES_AS: Final = {"pending": "succeeded", "pending_fails": "failed"}


@dataclass(frozen=True, slots=True)
class Refunds:
    """The refunds of every account at Stripe."""

    payments: Payments
    settles_after_s: float

    @property
    def store(self) -> Store:
        """The store of the payments."""
        return self.payments.store

    @property
    def events(self) -> Events:
        """The events of the payments."""
        return self.payments.events

    def create(self, params: forms.RefundParams, turn: Turn) -> Response:
        """Refunds all that is left, or this amount. Raises `Refusal` (400, 404)."""
        now = turn.now
        self.settle(now)
        intent = self.payments.known(turn.account, params.intent_id, now, "payment_intent")
        self._refundable(intent)
        amount = _amount_to_refund(intent, params.amount)
        fate = of_token(intent.payment_method).refund
        refund = Refund(
            id=new_id("re", now),
            account=intent.account,
            intent=intent.id,
            reference=params.metadata.get("order_ref") or (turn.keyed.operation if turn.keyed else None),
            amount=amount,
            currency=intent.currency,
            status=_BEGINS_AS.get(fate or "", "succeeded"),
            reason=params.reason,
            metadata=orjson.dumps(params.metadata).decode(),
            created=int(now),
            settles_at=now + self.settles_after_s if fate in _SETTLES_AS else None,
            settles_as=_SETTLES_AS.get(fate or ""),
        )
        self.store.add_refund(refund)
        self.events.refund("created", refund, turn.keyed)
        if refund.status == "failed":
            self.events.refund("failed", refund, turn.keyed)
        else:
            intent = self._write(intent._replace(refunded=intent.refunded + amount), refund, now)
            self.events.charge("refunded", intent, turn.keyed)
        return Response.json(200, rules.about_other_money(refund_object(refund), turn.do))

    def _refundable(self, intent: Intent) -> None:
        dispute = self.payments.disputes.of_intent(intent)
        if dispute is not None and dispute.status in {"needs_response", "lost"}:
            text = f"Charge {intent.charge_id} has been charged back; cannot issue a refund."
            raise invalid(text, code="charge_disputed")

    def settle(self, now: float) -> None:
        """Ends pending refunds that are due by `now` (Unix seconds)."""
        for refund in self.store.refunds_due_to_settle(now):
            intent = self.store.intent(refund.intent)
            assert intent is not None
            settled = refund._replace(status=refund.settles_as or "succeeded")
            with self.store.ledger.writing():
                self.store.settle_refund(settled)
                if settled.status == "failed":
                    intent = intent._replace(refunded=intent.refunded - refund.amount)
                self._write(intent, settled, now)
                self.events.refund("updated", settled)
                if settled.status == "failed":
                    self.events.refund("failed", settled)

    def _write(self, intent: Intent, refund: Refund, now: float) -> Intent:
        moved: list[Moved] = []
        if refund.status == "succeeded":
            moved = [Moved("refunded", refund.id, refund.reference, refund.amount)]
        intent = intent._replace(moves=intent.moves + len(moved))
        self.store.change_intent(intent)
        self.store.add_movements(intent, moved, now)
        return intent

    def known(self, account: Account, refund_id: str, now: float, param: str = "id") -> Refund:
        """The account's refund. Raises `Refusal` (404) where there is none. `param`: of the request, named in
        the error."""
        self.settle(now)
        refund = self.store.refund(refund_id)
        if refund is None or refund.account != account.name:
            raise no_such("refund", refund_id, param)
        return refund


def _amount_to_refund(intent: Intent, params: int | None) -> int:
    """Raises `Refusal`, 400, where there is not so much left."""
    if not intent.received:
        raise invalid(f"This PaymentIntent ({intent.id}) does not have a successful charge to refund.")
    left = intent.received - intent.refunded
    if left == 0:
        text = f"Charge {intent.charge_id} has already been refunded."
        raise invalid(text, code="charge_already_refunded")
    amount = left if params is None else params
    if amount % (step := CURRENCIES.step(intent.currency.upper())):
        text = f"Amounts in {intent.currency} must be divisible by {step}."
        raise invalid(text, param="amount", code="parameter_invalid_integer")
    if amount > left:
        text = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise invalid(text, param="amount")
    return amount
