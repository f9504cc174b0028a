"""Disputes: what a customer's bank takes back of a payment, some time after it succeeded. No movement of the ledger:
what the shop was paid is judged by `payments`, what it lost by whoever reads the events.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateways.simulator.accounts import Account
from gateways.simulator.ledger import Ledger
from gateways.simulator.psp import Answer, Turn
from gateways.simulator.rows import Object
from gateways.simulator.stripe.dialect import invalid, new_id, no_such
from gateways.simulator.stripe.events import Events
from gateways.simulator.stripe.scenarios import SETTLES_AFTER_S, of_token
from gateways.simulator.stripe.tables import GATEWAY, Intent
from gateways.stripe import amounts

KIND: Final = "dispute"
_COMING: Final = "coming"
_ANSWER_WITHIN_S: Final = 7 * 24 * 3600
_EVIDENCE: Final = {"winning_evidence": "won", "losing_evidence": "lost"}
_OPEN: Final = frozenset({"needs_response", "warning_needs_response"})


@dataclass(frozen=True, slots=True)
class Disputes:
    ledger: Ledger
    events: Events

    def expect(self, intent: Intent, now: float) -> None:
        """Where the card is one whose payments are disputed. Inside the transaction of the success."""
        fate = of_token(intent.payment_method).dispute
        if fate is None or intent.status != "succeeded" or not intent.received:
            return
        self.ledger.add(
            Object(
                gateway=GATEWAY,
                id=new_id("dp", now),
                account=intent.account,
                kind=KIND,
                status=_COMING,
                minor=amounts.from_wire(intent.received, intent.currency.upper()) or 0,
                currency=intent.currency.upper(),
                created=now,
                reference=intent.reference,
                parent=intent.id,
                payment=intent.id,
                data=orjson.dumps(fate._asdict() | {"amount": intent.received}).decode(),
                settles_at=now + SETTLES_AFTER_S,
            )
        )

    def settle(self, now: float) -> None:
        for one in self.ledger.due_to_settle(GATEWAY, now):
            ends_as = orjson.loads(one.data)["ends_as"]
            with self.ledger.writing():
                if one.status == _COMING:
                    self._opened(one, ends_as, now)
                else:
                    self._closed(one, ends_as)

    def _opened(self, one: Object, ends_as: str | None, now: float) -> None:
        inquiry = ends_as == "warning_closed"
        again_at = now + SETTLES_AFTER_S if ends_as is not None else None
        status = "warning_needs_response" if inquiry else "needs_response"
        one = self.ledger.change(one._replace(status=status, settles_at=again_at))
        self._tell("created", one)
        if not inquiry:
            self._tell("funds_withdrawn", one)

    def _closed(self, one: Object, status: str) -> Object:
        one = self.ledger.change(one._replace(status=status, settles_at=None))
        self._tell("closed", one)
        if status == "won":
            self._tell("funds_reinstated", one)
        return one

    def _tell(self, kind: str, one: Object) -> None:
        self.events.tell(f"charge.dispute.{kind}", one.account, one.reference, shown(one))

    def of_intent(self, intent: Intent) -> Object | None:
        """The one that was opened."""
        found = self.ledger.find(GATEWAY, intent.account, kind=KIND, parent=intent.id)
        return next((one for one in found if one.status != _COMING), None)

    def known(self, account: Account, dispute_id: str) -> Object:
        one = self.ledger.one(GATEWAY, dispute_id)
        if one is None or (one.account, one.kind) != (account.name, KIND) or one.status == _COMING:
            raise no_such(KIND, dispute_id, KIND)
        return one

    def answer(self, dispute_id: str, evidence: str | None, turn: Turn) -> Answer:
        """The shop's evidence; Stripe's two magic texts end the dispute."""
        one = self.known(turn.account, dispute_id)
        if one.status not in _OPEN:
            raise invalid("This dispute is already closed.", code="dispute_already_closed")
        if (ends_as := _EVIDENCE.get(evidence or "")) is not None:
            one = self._closed(one, ends_as)
        else:
            self._tell("updated", one)
        return Answer.json(200, shown(one))


def shown(one: Object) -> dict[str, Any]:
    kept = orjson.loads(one.data)
    return {
        "id": one.id,
        "object": KIND,
        "amount": kept["amount"],
        "balance_transactions": [],
        "charge": f"ch_{(one.parent or '')[3:]}",
        "created": int(one.created),
        "currency": one.currency.lower(),
        "evidence_details": {
            "due_by": int(one.created) + _ANSWER_WITHIN_S,
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": one.status.startswith("warning"),
        "livemode": False,
        "metadata": {},
        "payment_intent": one.parent,
        "reason": kept["reason"],
        "status": one.status,
    }
