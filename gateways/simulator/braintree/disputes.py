"""Disputes: what the cardholder's bank takes back some time after the capture. They move none of the
payment's money; the ledger has what each dispute has taken. A retrieval takes nothing.
"""

from dataclasses import dataclass
from typing import Final

import orjson

from gateways.simulator.braintree import shown
from gateways.simulator.braintree.events import Events
from gateways.simulator.braintree.scenarios import of_nonce
from gateways.simulator.braintree.shown import GATEWAY, kept
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.rows import Object

DISPUTE: Final = "dispute"
_COMING: Final = "coming"


@dataclass(frozen=True, slots=True)
class Disputes:
    """The disputes that nonces choose."""

    ledger: Ledger
    events: Events
    settles_after_s: float

    def expect(self, of: Object, mills: int, now: float) -> None:
        """Plans the dispute of a transaction whose nonce wants one. Inside the transaction of the capture."""
        fate = of_nonce(kept(of).nonce).dispute
        if fate is None:
            return
        dispute_id, legacy = shown.new_ids(DISPUTE, now)
        self.ledger.add(
            Object(
                GATEWAY, dispute_id, of.account, DISPUTE, _COMING, mills, of.currency, now,
                reference=of.reference, parent=of.id, payment=of.id, settles_at=now + self.settles_after_s,
                data=orjson.dumps({"legacy_id": legacy, "ends_as": fate}).decode(),
            )
        )  # fmt: skip

    def settled(self, one: Object, now: float) -> None:
        """Opens the dispute, or ends it, and reports it. Inside a transaction of the ledger."""
        of, ends_as = self.ledger.one(GATEWAY, one.parent or ""), orjson.loads(one.data)["ends_as"]
        assert of is not None
        if one.status == _COMING:
            again_at = None if ends_as in {"open", "retrieval"} else now + self.settles_after_s
            one = self.ledger.change(one._replace(status="open", settles_at=again_at))
            self._took(one, 0 if ends_as == "retrieval" else one.mills, now)
            self.events.dispute("dispute_opened", one, of, now)
            return
        one = self.ledger.change(one._replace(status=ends_as, settles_at=None))
        self._took(one, one.mills if ends_as == "lost" else 0, now)
        self.events.dispute(f"dispute_{ends_as}", one, of, now)

    def _took(self, one: Object, taken: int, now: float) -> None:
        """Records in the ledger what the bank has taken, under the id that the webhooks name."""
        named = one._replace(id=orjson.loads(one.data)["legacy_id"])
        self.ledger.disputed(named, one.reference, taken, now)
