"""Disputes: what the cardholder's bank takes back some time after the capture. No movement of the ledger: what the shop
was paid is judged by the payments, what it lost by whoever reads the webhooks.
"""

from dataclasses import dataclass
from typing import Final

import orjson

from gateways.simulator.braintree import shown
from gateways.simulator.braintree.events import Events
from gateways.simulator.braintree.scenarios import SETTLES_AFTER_S, of_nonce
from gateways.simulator.braintree.shown import GATEWAY, kept
from gateways.simulator.ledger import Ledger
from gateways.simulator.rows import Object

DISPUTE: Final = "dispute"
_COMING: Final = "coming"


@dataclass(frozen=True, slots=True)
class Disputes:
    ledger: Ledger
    events: Events

    def expect(self, of: Object, minor: int, now: float) -> None:
        """Where the nonce is one whose payments are disputed. Inside the transaction of the capture."""
        fate = of_nonce(kept(of).nonce).dispute
        if fate is None:
            return
        dispute_id, legacy = shown.new_ids(DISPUTE, now)
        self.ledger.add(
            Object(
                GATEWAY, dispute_id, of.account, DISPUTE, _COMING, minor, of.currency, now,
                reference=of.reference, parent=of.id, payment=of.id, settles_at=now + SETTLES_AFTER_S,
                data=orjson.dumps({"legacy_id": legacy, "ends_as": fate}).decode(),
            )
        )  # fmt: skip

    def settled(self, one: Object, now: float) -> None:
        """Opened, or ended. Inside a transaction of the ledger."""
        of, ends_as = self.ledger.one(GATEWAY, one.parent or ""), orjson.loads(one.data)["ends_as"]
        assert of is not None
        if one.status == _COMING:
            again_at = None if ends_as == "open" else now + SETTLES_AFTER_S
            one = self.ledger.change(one._replace(status="open", settles_at=again_at))
            self.events.dispute("dispute_opened", one, of, now)
            return
        one = self.ledger.change(one._replace(status=ends_as, settles_at=None))
        self.events.dispute(f"dispute_{ends_as}", one, of, now)
