"""Disputes: what a customer's bank takes back of a payment, some time after it succeeded. No movement of the
payment's money: the ledger has what each dispute has taken. An inquiry takes nothing.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateways.simulator.core.accounts import Account
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.psp import Response, Turn
from gateways.simulator.core.rows import Object
from gateways.simulator.stripe.currencies import CURRENCIES
from gateways.simulator.stripe.dialect import invalid, new_id, no_such
from gateways.simulator.stripe.events import Events
from gateways.simulator.stripe.scenarios import of_token
from gateways.simulator.stripe.tables import GATEWAY, Intent

KIND: Final = "dispute"
_COMING: Final = "coming"
_REPLY_WITHIN_S: Final = 7 * 24 * 3600
_EVIDENCE: Final = {"winning_evidence": "won", "losing_evidence": "lost"}
_OPEN: Final = frozenset({"needs_response", "warning_needs_response"})


@dataclass(frozen=True, slots=True)
class Disputes:
    """The disputes that payment methods choose."""

    ledger: Ledger
    events: Events
    settles_after_s: float

    def expect(self, intent: Intent, now: float) -> None:
        """Plans the dispute of an intent whose payment method wants one. Inside the transaction of the
        success."""
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
                mills=CURRENCIES.mills(intent.received, intent.currency.upper()),
                currency=intent.currency.upper(),
                created=now,
                reference=intent.reference,
                parent=intent.id,
                payment=intent.id,
                data=orjson.dumps(fate._asdict() | {"amount": intent.received}).decode(),
                settles_at=now + self.settles_after_s,
            )
        )

    def settle(self, now: float) -> None:
        """Opens and ends the disputes that are due by `now` (Unix seconds)."""
        for one in self.ledger.due_to_settle(GATEWAY, now):
            ends_as = orjson.loads(one.data)["ends_as"]
            with self.ledger.writing():
                if one.status == _COMING:
                    self._opened(one, ends_as, now)
                else:
                    self._closed(one, ends_as, now)

    def _opened(self, one: Object, ends_as: str | None, now: float) -> None:
        inquiry = ends_as == "warning_closed"
        again_at = now + self.settles_after_s if ends_as is not None else None
        status = "warning_needs_response" if inquiry else "needs_response"
        one = self.ledger.change(one._replace(status=status, settles_at=again_at))
        self.ledger.disputed(one, one.reference, 0 if inquiry else one.mills, now)
        self._store_events("created", one)
        if not inquiry:
            self._store_events("funds_withdrawn", one)

    def _closed(self, one: Object, status: str, now: float) -> Object:
        one = self.ledger.change(one._replace(status=status, settles_at=None))
        self.ledger.disputed(one, one.reference, one.mills if status == "lost" else 0, now)
        self._store_events("closed", one)
        if status == "won":
            self._store_events("funds_reinstated", one)
        return one

    def _store_events(self, kind: str, one: Object) -> None:
        self.events.store(f"charge.dispute.{kind}", one.account, one.reference, shown(one))

    def of_intent(self, intent: Intent) -> Object | None:
        """The dispute of an intent, else None."""
        found = self.ledger.find(GATEWAY, intent.account, kind=KIND, parent=intent.id)
        return next((one for one in found if one.status != _COMING), None)

    def known(self, account: Account, dispute_id: str) -> Object:
        """The account's dispute. Raises `Refusal` (404) where there is none."""
        one = self.ledger.one(GATEWAY, dispute_id)
        if one is None or (one.account, one.kind) != (account.name, KIND) or one.status == _COMING:
            raise no_such(KIND, dispute_id, KIND)
        return one

    def take_evidence(self, dispute_id: str, evidence: str | None, turn: Turn) -> Response:
        """Takes the merchant's evidence; Stripe's two magic texts end the dispute. Raises `Refusal` (400)
        once it is closed."""
        one = self.known(turn.account, dispute_id)
        if one.status not in _OPEN:
            raise invalid("This dispute is already closed.", code="dispute_already_closed")
        if (ends_as := _EVIDENCE.get(evidence or "")) is not None:
            one = self._closed(one, ends_as, turn.now)
        else:
            self._store_events("updated", one)
        return Response.json(200, shown(one))


def shown(one: Object) -> dict[str, Any]:
    """A dispute as Stripe shows it."""
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
            "due_by": int(one.created) + _REPLY_WITHIN_S,
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
