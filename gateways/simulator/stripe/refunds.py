"""Refunds: decided and committed before anybody is answered, as `payments` does it.

A refund that is pending counts in the charge's amount_refunded; money moves, in the ledger, when it has succeeded.
"""

from dataclasses import dataclass
from typing import Final

import orjson

from gateways.simulator.accounts import Account
from gateways.simulator.ledger import Ledger
from gateways.simulator.rows import Intent, Moved, Refund
from gateways.simulator.stripe import forms, rules
from gateways.simulator.stripe.dialect import invalid, new_id, no_such, refund_object
from gateways.simulator.stripe.payments import Answer, Payments
from gateways.simulator.stripe.rules import Turn
from gateways.simulator.stripe.scenarios import SETTLES_AFTER_S, of_token
from gateways.stripe import amounts

_BEGINS_AS: Final = {"pending": "pending", "pending_fails": "pending", "failed": "failed"}
_SETTLES_AS: Final = {"pending": "succeeded", "pending_fails": "failed"}


@dataclass(frozen=True, slots=True)
class Refunds:
    payments: Payments

    @property
    def ledger(self) -> Ledger:
        return self.payments.ledger

    def create(self, asked: forms.RefundAsked, turn: Turn) -> Answer:
        now = turn.now
        self.settle(now)
        intent = self.payments.known(turn.account, asked.intent_id, now, "payment_intent")
        amount = _amount_to_refund(intent, asked.amount)
        fate = of_token(intent.payment_method).refund
        refund = Refund(
            id=new_id("re", now),
            account=intent.account,
            intent=intent.id,
            reference=asked.metadata.get("order_ref") or (turn.keyed.operation if turn.keyed else None),
            amount=amount,
            currency=intent.currency,
            status=_BEGINS_AS.get(fate or "", "succeeded"),
            reason=asked.reason,
            metadata=orjson.dumps(asked.metadata).decode(),
            created=int(now),
            settles_at=now + SETTLES_AFTER_S if fate in _SETTLES_AS else None,
            settles_as=_SETTLES_AS.get(fate or ""),
        )
        answer = 200, orjson.dumps(rules.about_other_money(refund_object(refund), turn.do))
        with self.ledger.writing():
            self.ledger.add_refund(refund)
            if refund.status != "failed":
                intent = intent._replace(refunded=intent.refunded + amount)
                self._write(intent, refund, now)
            self.payments.keep(turn, *answer)
        return answer

    def settle(self, now: float) -> None:
        """Refunds that were pending long enough."""
        for refund in self.ledger.refunds_due_to_settle(now):
            intent = self.ledger.intent(refund.intent)
            assert intent is not None
            settled = refund._replace(status=refund.settles_as or "succeeded")
            with self.ledger.writing():
                self.ledger.settle_refund(settled)
                if settled.status == "failed":
                    intent = intent._replace(refunded=intent.refunded - refund.amount)
                self._write(intent, settled, now)

    def _write(self, intent: Intent, refund: Refund, now: float) -> None:
        moved: list[Moved] = []
        if refund.status == "succeeded":
            moved = [Moved("refunded", refund.id, refund.reference, refund.amount)]
        intent = intent._replace(moves=intent.moves + len(moved))
        self.ledger.change_intent(intent)
        self.ledger.add_movements(intent, moved, now)

    def known(self, account: Account, refund_id: str, now: float, param: str = "id") -> Refund:
        self.settle(now)
        refund = self.ledger.refund(refund_id)
        if refund is None or refund.account != account.name:
            raise no_such("refund", refund_id, param)
        return refund


def _amount_to_refund(intent: Intent, asked: int | None) -> int:
    """Raises `StripeError`, 400, where there is not so much left."""
    if not intent.received:
        raise invalid(f"This PaymentIntent ({intent.id}) does not have a successful charge to refund.")
    left = intent.received - intent.refunded
    if left == 0:
        text = f"Charge {intent.charge_id} has already been refunded."
        raise invalid(text, code="charge_already_refunded")
    amount = left if asked is None else asked
    if amount % amounts.multiple(intent.currency.upper()):
        text = (
            f"Amounts in {intent.currency} must be divisible by {amounts.multiple(intent.currency.upper())}."
        )
        raise invalid(text, param="amount", code="parameter_invalid_integer")
    if amount > left:
        text = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise invalid(text, param="amount")
    return amount
