"""What the simulator did, in one SQLite file. Invariant: an intent is charged at most once, and a key's answer is
committed together with what it answers, so that a kill at any moment leaves both or neither.

Amounts here are Stripe's integers; `read_charges` gives them in our minor units.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from gateways import stripe_amounts

KEY_LIFE_S: Final = 24 * 3600

# A page is 4 KiB: with the default of 1000 the checkpoint's fsync would stop the loop every few hundred payments.
_CHECKPOINT_PAGES: Final = 8000
_CACHE_KIB: Final = 32 * 1024

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS intents (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    client_secret TEXT NOT NULL,
    reference TEXT,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    status TEXT NOT NULL,
    payment_method TEXT NOT NULL,
    description TEXT,
    metadata TEXT NOT NULL,
    return_url TEXT,
    action_url TEXT,
    failure TEXT,
    created INTEGER NOT NULL,
    settles_at REAL,
    canceled_at INTEGER,
    cancellation_reason TEXT
);
CREATE INDEX IF NOT EXISTS intents_by_reference ON intents (reference);
CREATE INDEX IF NOT EXISTS intents_that_settle ON intents (settles_at) WHERE settles_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS charges (
    intent_seq INTEGER PRIMARY KEY REFERENCES intents (seq),
    id TEXT NOT NULL,
    intent TEXT NOT NULL,
    reference TEXT,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS idempotency_keys (
    key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    created REAL NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Charge:
    """Money that was taken, in our minor units (None: a sum that they cannot express) and with our currency code."""

    reference: str
    amount_minor: int | None
    currency: str
    intent_id: str
    at: datetime


class Intent(NamedTuple):
    """A row: a payment intent as Stripe has it: currency in lower case, metadata as JSON text, times in Unix seconds."""

    id: str
    client_secret: str
    reference: str | None
    amount: int
    currency: str
    status: str
    payment_method: str
    description: str | None
    metadata: str
    return_url: str | None
    action_url: str | None
    failure: str | None
    created: int
    settles_at: float | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    fingerprint: str
    status: int
    body: bytes


_COLUMNS: Final = ", ".join(Intent._fields)
_MARKS: Final = ", ".join("?" for _ in Intent._fields)
_INSERT_INTENT: Final = f"INSERT INTO intents ({_COLUMNS}) VALUES ({_MARKS})"  # noqa: S608 - our own names
_SELECT_INTENTS: Final = f"SELECT {_COLUMNS} FROM intents"  # noqa: S608 - our own names


class Ledger:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        # NORMAL in WAL mode: a commit survives the process' death at once, the machine's only from the next checkpoint.
        self._db.executescript(
            f"PRAGMA journal_mode=WAL; PRAGMA cache_size=-{_CACHE_KIB}; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES};"
        )
        self._db.executescript(_SCHEMA)

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
        self._db.execute(_INSERT_INTENT, intent)

    def change_intent(self, intent: Intent) -> None:
        self._db.execute(
            "UPDATE intents SET status = ?, failure = ?, action_url = ?, settles_at = ?, canceled_at = ?,"
            " cancellation_reason = ? WHERE id = ?",
            (
                intent.status,
                intent.failure,
                intent.action_url,
                intent.settles_at,
                intent.canceled_at,
                intent.cancellation_reason,
                intent.id,
            ),
        )

    def add_charge(self, charge_id: str, intent: Intent, now: float) -> None:
        self._db.execute(
            "INSERT INTO charges VALUES ((SELECT seq FROM intents WHERE id = ?), ?, ?, ?, ?, ?, ?)",
            (intent.id, charge_id, intent.id, intent.reference, intent.amount, intent.currency, now),
        )

    def keep_answer(self, key: str, answer: StoredAnswer, now: float) -> None:
        self._db.execute(
            "INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?)",
            (key, answer.fingerprint, answer.status, answer.body, now),
        )

    def answer(self, key: str, now: float) -> StoredAnswer | None:
        """What was answered under this key; a key older than 24 h is forgotten."""
        row = self._db.execute(
            "SELECT fingerprint, status, body, created FROM idempotency_keys WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            return None
        if row[3] <= now - KEY_LIFE_S:
            self._db.execute("DELETE FROM idempotency_keys WHERE key = ?", (key,))
            return None
        return StoredAnswer(*row[:3])

    def intent(self, intent_id: str) -> Intent | None:
        found = self._many("WHERE id = ?", (intent_id,))
        return found[0] if found else None

    def charge_id(self, intent_id: str) -> str | None:
        row = self._db.execute(
            "SELECT id FROM charges WHERE intent_seq = (SELECT seq FROM intents WHERE id = ?)", (intent_id,)
        ).fetchone()
        return None if row is None else str(row[0])

    def with_reference(self, reference: str, created_until: float, limit: int) -> list[Intent]:
        """Newest first."""
        return self._many(
            "WHERE reference = ? AND created <= ? ORDER BY seq DESC LIMIT ?",
            (reference, created_until, limit),
        )

    def page(self, created_from: int, before: str | None, limit: int) -> list[Intent]:
        """Newest first; `before`: only those older than this intent."""
        return self._many(
            "WHERE created >= ? AND seq < coalesce((SELECT seq FROM intents WHERE id = ?), 9e18)"
            " ORDER BY seq DESC LIMIT ?",
            (created_from, before, limit),
        )

    def due_to_settle(self, now: float) -> list[Intent]:
        return self._many("WHERE settles_at <= ?", (now,))

    def _many(self, condition: str, values: tuple[object, ...]) -> list[Intent]:
        return [Intent(*row) for row in self._db.execute(f"{_SELECT_INTENTS} {condition}", values)]


def read_charges(path: Path) -> Iterator[Charge]:
    """Every charge, in the order of the intents, also while the simulator runs. An intent without our reference has an empty one."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        rows = db.execute(
            "SELECT reference, amount, currency, intent, created FROM charges ORDER BY intent_seq"
        )
        for reference, wire, currency, intent_id, created in rows:
            code = currency.upper()
            amount_minor = stripe_amounts.from_wire(wire, code)
            yield Charge(reference or "", amount_minor, code, intent_id, datetime.fromtimestamp(created, UTC))
