"""What the simulator did, in one SQLite file. Invariant: every movement of an intent's money has its own ordinal, no
more is taken or given back than the intent allows, and a key's answer is committed together with what it answers, so
that a kill at any moment leaves both or neither.

Amounts here are Stripe's integers; `read_charges` and `read_movements` give them in our minor units.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from gateways.simulator import rows
from gateways.simulator.rows import Intent, Kind, Moved, Refund
from gateways.stripe import amounts

KEY_LIFE_S: Final = 24 * 3600

# A page is 4 KiB: with the default of 1000 the checkpoint's fsync would stop the loop every few hundred payments.
_CHECKPOINT_PAGES: Final = 8000
_CACHE_KIB: Final = 32 * 1024


class OtherVersion(sqlite3.DatabaseError):
    """A file of another version of the simulator. Its payments are not carried over: start with an empty file."""


@dataclass(frozen=True, slots=True)
class Charge:
    """Money that was taken, in our minor units (None: a sum that they cannot express) and with our currency code."""

    reference: str
    amount_minor: int | None
    currency: str
    intent_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Movement:
    """`psp_id`: the refund's, else the charge's. `reference`: the id of the operation that it was done for, as far as
    the call said; `intent_reference`: of the one that the intent was created for. Empty where the caller gave none."""

    kind: Kind
    account: str
    psp_id: str
    intent_id: str
    reference: str
    intent_reference: str
    amount_minor: int | None
    currency: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Open:
    """What may still move money by itself or by the customer: an intent, or a refund under its own `psp_id`. The
    references are those of `Movement`."""

    status: str
    account: str
    psp_id: str
    intent_id: str
    reference: str
    intent_reference: str


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    fingerprint: str
    status: int
    body: bytes


class Ledger:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                _check_version(self._db)
            # NORMAL in WAL mode: a commit survives the process' death at once, the machine's only from the next checkpoint.
            self._db.executescript(
                f"PRAGMA journal_mode=WAL; PRAGMA cache_size=-{_CACHE_KIB}; PRAGMA synchronous=NORMAL;"
                f" PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES};"
            )
            # One transaction: a file killed in its making is empty, not of another version.
            self._db.executescript(
                f"BEGIN IMMEDIATE; {rows.SCHEMA} PRAGMA user_version={rows.VERSION}; COMMIT;"
            )
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction around all that is written inside."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def add_intent(self, intent: Intent) -> None:
        self._db.execute(rows.INSERT_INTENT, intent)

    def change_intent(self, intent: Intent) -> None:
        self._db.execute(rows.UPDATE_INTENT, (*(getattr(intent, name) for name in rows.CHANGING), intent.id))

    def add_movements(self, intent: Intent, moved: Sequence[Moved], now: float) -> None:
        """The last ones of the intent's `moves`: an ordinal that is taken already is an `sqlite3.IntegrityError`."""
        first = intent.moves - len(moved) + 1
        for ordinal, (kind, psp_id, reference, amount) in enumerate(moved, first):
            self._db.execute(
                rows.INSERT_MOVEMENT,
                (
                    intent.id,
                    ordinal,
                    kind,
                    intent.account,
                    psp_id,
                    reference,
                    intent.reference,
                    amount,
                    intent.currency,
                    now,
                ),
            )

    def add_refund(self, refund: Refund) -> None:
        self._db.execute(rows.INSERT_REFUND, refund)

    def settle_refund(self, refund: Refund) -> None:
        self._db.execute(
            "UPDATE refunds SET status = ?, settles_at = NULL WHERE id = ?", (refund.status, refund.id)
        )

    def keep_answer(self, account: str, key: str, answer: StoredAnswer, now: float) -> None:
        self._db.execute(
            "INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?, ?)",
            (account, key, answer.fingerprint, answer.status, answer.body, now),
        )

    def answer(self, account: str, key: str, now: float) -> StoredAnswer | None:
        """What was answered under this key of this account; a key older than 24 h is forgotten."""
        row = self._db.execute(
            "SELECT fingerprint, status, body, created FROM idempotency_keys WHERE account = ? AND key = ?",
            (account, key),
        ).fetchone()
        if row is None:
            return None
        if row[3] <= now - KEY_LIFE_S:
            self._db.execute("DELETE FROM idempotency_keys WHERE account = ? AND key = ?", (account, key))
            return None
        return StoredAnswer(*row[:3])

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
        return [Intent(*row) for row in self._db.execute(f"{rows.SELECT_INTENTS} {condition}", values)]

    def _refunds(self, condition: str, *values: object) -> list[Refund]:
        return [Refund(*row) for row in self._db.execute(f"{rows.SELECT_REFUNDS} {condition}", values)]


def read_movements(path: Path) -> Iterator[Movement]:
    """Every movement, intent by intent in the order of their creation, also while the simulator runs. Raises
    `OtherVersion`, or another `sqlite3.DatabaseError` where there is no ledger."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        _check_version(db)
        found = db.execute(
            "SELECT kind, account, psp_id, intent, reference, intent_reference, amount, currency, at"
            " FROM movements ORDER BY intent, ordinal"
        )
        for kind, account, psp_id, intent_id, reference, of_intent, wire, currency, at in found:
            code = currency.upper()
            yield Movement(
                cast("Kind", kind),
                account,
                psp_id,
                intent_id,
                reference or "",
                of_intent or "",
                amounts.from_wire(wire, code),
                code,
                datetime.fromtimestamp(at, UTC),
            )


def read_open(path: Path) -> Iterator[Open]:
    """Oldest first, intents before refunds. Otherwise as `read_movements`."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        _check_version(db)
        for status, account, psp_id, intent_id, reference, of_intent in db.execute(rows.SELECT_OPEN):
            yield Open(status, account, psp_id, intent_id, reference or "", of_intent or "")


def read_charges(path: Path) -> Iterator[Charge]:
    """The money that was taken: a row for each sale and each capture. Otherwise as `read_movements`."""
    for one in read_movements(path):
        if one.kind == "captured":
            yield Charge(one.reference, one.amount_minor, one.currency, one.intent_id, one.at)


def _check_version(db: sqlite3.Connection) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != rows.VERSION:
        text = f"its tables are of version {version or 1}, this simulator's are {rows.VERSION}: move the file away"
        raise OtherVersion(text)
