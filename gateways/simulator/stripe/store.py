"""Payment intents and refunds in the ledger. Stripe's integers become our minor units in the movements."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateways.simulator.ledger import Ledger
from gateways.simulator.rows import Moved, Under
from gateways.simulator.stripe import tables
from gateways.simulator.stripe.tables import GATEWAY, Intent, Refund
from gateways.stripe import amounts


@dataclass(frozen=True, slots=True)
class Store:
    ledger: Ledger

    def add_intent(self, intent: Intent) -> None:
        self.ledger.execute(tables.INSERT_INTENT, intent)

    def change_intent(self, intent: Intent) -> None:
        changed = [getattr(intent, name) for name in tables.CHANGING]
        self.ledger.execute(tables.UPDATE_INTENT, (intent.status, *changed, intent.id))

    def add_movements(self, intent: Intent, moved: Sequence[Moved], now: float) -> None:
        """The last ones of the intent's `moves`, in Stripe's integers: an ordinal that is taken already is an
        `sqlite3.IntegrityError`."""
        currency = intent.currency.upper()
        ours = [
            one._replace(minor=None if one.minor is None else amounts.from_wire(one.minor, currency))
            for one in moved
        ]
        under = Under(GATEWAY, intent.id, intent.account, intent.reference, currency)
        self.ledger.enter(under, intent.moves - len(moved), ours, now)

    def add_refund(self, refund: Refund) -> None:
        self.ledger.execute(tables.INSERT_REFUND, refund)

    def settle_refund(self, refund: Refund) -> None:
        self.ledger.execute(
            f"UPDATE refunds SET {tables.EARLIER}, status = ?, settles_at = NULL WHERE id = ?",  # noqa: S608 - our own names
            (refund.status, refund.status, refund.id),
        )

    def intent(self, intent_id: str) -> Intent | None:
        return next(iter(self._intents("WHERE id = ?", intent_id)), None)

    def with_reference(
        self, account: str, reference: str, created_until: float, now: float, limit: int
    ) -> list[Intent]:
        """Newest first."""
        return self._intents(
            "WHERE reference = ? AND account = ? AND created <= ? AND listed_from <= ? ORDER BY seq DESC LIMIT ?",
            *(reference, account, created_until, now, limit),
        )

    def page(
        self, account: str, created: tuple[int, float], before: str | None, now: float, limit: int
    ) -> list[Intent]:
        """Newest first; `created`: from and until; `before`: only those older than this intent."""
        return self._intents(
            "WHERE account = ? AND created >= ? AND created <= ? AND listed_from <= ?"
            " AND seq < coalesce((SELECT seq FROM intents WHERE id = ?), 9e18) ORDER BY seq DESC LIMIT ?",
            *(account, *created, now, before, limit),
        )

    def due_to_settle(self, now: float) -> list[Intent]:
        return self._intents("WHERE settles_at <= ?", now)

    def refund(self, refund_id: str) -> Refund | None:
        return next(iter(self._refunds("WHERE id = ?", refund_id)), None)

    def refunds(self, account: str, intent: str | None, before: str | None, limit: int) -> list[Refund]:
        """Newest first; of one intent, or of the account."""
        return self._refunds(
            "WHERE account = ? AND intent = coalesce(?, intent)"
            " AND seq < coalesce((SELECT seq FROM refunds WHERE id = ?), 9e18) ORDER BY seq DESC LIMIT ?",
            *(account, intent, before, limit),
        )

    def refunds_due_to_settle(self, now: float) -> list[Refund]:
        return self._refunds("WHERE settles_at <= ?", now)

    def _intents(self, condition: str, *values: object) -> list[Intent]:
        return [Intent(*row) for row in self.ledger.execute(f"{tables.SELECT_INTENTS} {condition}", values)]

    def _refunds(self, condition: str, *values: object) -> list[Refund]:
        return [Refund(*row) for row in self.ledger.execute(f"{tables.SELECT_REFUNDS} {condition}", values)]
