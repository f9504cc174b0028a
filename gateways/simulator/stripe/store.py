"""Reads and writes payment intents and refunds in the ledger. Stripe's integers become mills in the
movements.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.rows import Moved, Under
from gateways.simulator.stripe import tables
from gateways.simulator.stripe.currencies import CURRENCIES
from gateways.simulator.stripe.tables import GATEWAY, Intent, Refund


@dataclass(frozen=True, slots=True)
class Store:
    """The intents and refunds of every account."""

    ledger: Ledger

    def __post_init__(self) -> None:
        self.ledger.add_tables(tables.SCHEMA)

    def add_intent(self, intent: Intent) -> None:
        """Stores a new intent. Raises `sqlite3.IntegrityError` if its id is known."""
        self.ledger.execute(tables.INSERT_INTENT, intent)

    def change_intent(self, intent: Intent) -> None:
        """Stores an intent's new state, and its last status as `earlier`."""
        changed = [getattr(intent, name) for name in tables.CHANGING]
        self.ledger.execute(tables.UPDATE_INTENT, (intent.status, *changed, intent.id))

    def add_movements(self, intent: Intent, moved: Sequence[Moved], now: float) -> None:
        """Enters the last of the intent's `moves`, given in Stripe's integers. Raises
        `sqlite3.IntegrityError` if an ordinal is taken."""
        currency = intent.currency.upper()
        entered = [one._replace(amount=CURRENCIES.mills(one.amount, currency)) for one in moved]
        under = Under(GATEWAY, intent.id, intent.account, intent.reference, currency)
        self.ledger.enter(under, intent.moves - len(moved), entered, now)

    def add_refund(self, refund: Refund) -> None:
        """Stores a new refund. Raises `sqlite3.IntegrityError` if its id is known."""
        self.ledger.execute(tables.INSERT_REFUND, refund)

    def settle_refund(self, refund: Refund) -> None:
        """Stores the status in which a refund ended."""
        self.ledger.execute(
            f"UPDATE refunds SET {tables.EARLIER}, status = ?, settles_at = NULL WHERE id = ?",  # noqa: S608 - our own names
            (refund.status, refund.status, refund.id),
        )

    def intent(self, intent_id: str) -> Intent | None:
        """The intent of this id, whichever account it belongs to, else None."""
        return next(iter(self._intents("WHERE id = ?", intent_id)), None)

    def with_reference(
        self, account: str, reference: str, created_until: float, now: float, limit: int
    ) -> list[Intent]:
        """The account's intents with this reference that a search finds at `now`, newest first."""
        return self._intents(
            "WHERE reference = ? AND account = ? AND created <= ? AND listed_from <= ? ORDER BY seq DESC LIMIT ?",
            *(reference, account, created_until, now, limit),
        )

    def page(
        self, account: str, created: tuple[int, float], before: str | None, now: float, limit: int
    ) -> list[Intent]:
        """The account's intents, newest first. `created`: from and until, in Unix seconds; `before`: only
        those older than this intent."""
        return self._intents(
            "WHERE account = ? AND created >= ? AND created <= ? AND listed_from <= ?"
            " AND seq < coalesce((SELECT seq FROM intents WHERE id = ?), 9e18) ORDER BY seq DESC LIMIT ?",
            *(account, *created, now, before, limit),
        )

    def due_to_settle(self, now: float) -> list[Intent]:
        """The intents that go on by themselves until `now`."""
        return self._intents("WHERE settles_at <= ?", now)

    def refund(self, refund_id: str) -> Refund | None:
        """The refund of this id, whichever account it belongs to, else None."""
        return next(iter(self._refunds("WHERE id = ?", refund_id)), None)

    def refunds(self, account: str, intent: str | None, before: str | None, limit: int) -> list[Refund]:
        """The refunds of one intent, or of the account, newest first."""
        whose = "account = ?" if intent is None else "account = ? AND intent = ?"
        given = (account,) if intent is None else (account, intent)
        return self._refunds(
            f"WHERE {whose}"  # noqa: S608 - our own words
            " AND seq < coalesce((SELECT seq FROM refunds WHERE id = ?), 9e18) ORDER BY seq DESC LIMIT ?",
            *(*given, before, limit),
        )

    def refunds_due_to_settle(self, now: float) -> list[Refund]:
        """The refunds that go on by themselves until `now`."""
        return self._refunds("WHERE settles_at <= ?", now)

    def _intents(self, condition: str, *values: object) -> list[Intent]:
        return [Intent(*row) for row in self.ledger.execute(f"{tables.SELECT_INTENTS} {condition}", values)]

    def _refunds(self, condition: str, *values: object) -> list[Refund]:
        return [Refund(*row) for row in self.ledger.execute(f"{tables.SELECT_REFUNDS} {condition}", values)]
