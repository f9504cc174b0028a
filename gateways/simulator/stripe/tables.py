"""Stripe's own tables in the ledger's file, and their rows. Amounts are Stripe's integers, currencies in
lower case, metadata JSON text, times in Unix seconds.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

GATEWAY: Final = "stripe"

SCHEMA: Final = """
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
    cancellation_reason TEXT,
    account TEXT NOT NULL,
    capture_method TEXT NOT NULL,
    captures_left INTEGER NOT NULL CHECK (captures_left >= 0),
    capture_limit INTEGER NOT NULL,
    capturable INTEGER NOT NULL,
    received INTEGER NOT NULL,
    refunded INTEGER NOT NULL,
    moves INTEGER NOT NULL,
    charge_metadata TEXT,
    listed_from REAL NOT NULL,
    extras TEXT NOT NULL,
    earlier TEXT,
    CHECK (0 <= received AND received <= capture_limit AND 0 <= refunded AND refunded <= received)
);
CREATE INDEX IF NOT EXISTS intents_by_reference ON intents (reference);
CREATE INDEX IF NOT EXISTS intents_by_account ON intents (account, created);
CREATE INDEX IF NOT EXISTS intents_that_are_open ON intents (status)
    WHERE status IN ('requires_action', 'processing');
CREATE INDEX IF NOT EXISTS intents_that_settle ON intents (settles_at) WHERE settles_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS refunds (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    intent TEXT NOT NULL,
    reference TEXT,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    metadata TEXT NOT NULL,
    created INTEGER NOT NULL,
    settles_at REAL,
    settles_as TEXT,
    earlier TEXT
);
CREATE INDEX IF NOT EXISTS refunds_by_intent ON refunds (account, intent);
CREATE INDEX IF NOT EXISTS refunds_by_account ON refunds (account);
CREATE INDEX IF NOT EXISTS refunds_that_are_open ON refunds (status) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS refunds_that_settle ON refunds (settles_at) WHERE settles_at IS NOT NULL;
CREATE VIEW IF NOT EXISTS stripe_open AS
    SELECT 'stripe' AS gateway, status, account, id AS psp_id, id AS payment, reference,
           reference AS payment_reference, 0 AS part, seq
    FROM intents WHERE status IN ('requires_action', 'processing')
    UNION ALL
    SELECT 'stripe', refunds.status, refunds.account, refunds.id, intents.id, refunds.reference, intents.reference,
           1, refunds.seq
    FROM refunds JOIN intents ON intents.id = refunds.intent WHERE refunds.status = 'pending';
"""


class Intent(NamedTuple):
    """A payment intent. `reference`: AegisPay's, of its metadata. `captures_left`: how many captures it still
    allows. `capture_limit`: the most that all captures may take together. `moves`: how many movements it has
    had. `listed_from`: a search or a list does not find it before. `extras`: what stands in the object and
    does nothing. `charge_metadata`: the metadata before a capture changed it; None where none did. `earlier`:
    the status before the last change."""

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
    account: str = "default"
    capture_method: str = "automatic"
    captures_left: int = 1
    capture_limit: int = 0
    capturable: int = 0
    received: int = 0
    refunded: int = 0
    moves: int = 0
    charge_metadata: str | None = None
    listed_from: float = 0.0
    extras: str = "{}"
    earlier: str | None = None

    @property
    def charge_id(self) -> str | None:
        """The id of its charge, which has the letters of the intent's. None: nothing moved, so there is no
        charge."""
        return f"ch_{self.id[3:]}" if self.moves else None


class Refund(NamedTuple):
    """A refund of an intent. `settles_as`: how a pending one will end. `earlier`: the status before the last
    change."""

    id: str
    account: str
    intent: str
    reference: str | None
    amount: int
    currency: str
    status: str
    reason: str | None
    metadata: str
    created: int
    settles_at: float | None = None
    settles_as: str | None = None
    earlier: str | None = None


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' for _ in columns)})"  # noqa: S608 - our own names


INSERT_INTENT: Final = _insert("intents", Intent._fields)
INSERT_REFUND: Final = _insert("refunds", Refund._fields)
SELECT_INTENTS: Final = f"SELECT {', '.join(Intent._fields)} FROM intents"  # noqa: S608 - our own names
SELECT_REFUNDS: Final = f"SELECT {', '.join(Refund._fields)} FROM refunds"  # noqa: S608 - our own names
CHANGING: Final = (
    "status",
    "metadata",
    "action_url",
    "failure",
    "settles_at",
    "canceled_at",
    "cancellation_reason",
    "captures_left",
    "capturable",
    "received",
    "refunded",
    "moves",
    "charge_metadata",
)
EARLIER: Final = "earlier = CASE status WHEN ? THEN earlier ELSE status END"
UPDATE_INTENT: Final = (
    f"UPDATE intents SET {EARLIER}, {', '.join(f'{name} = ?' for name in CHANGING)} WHERE id = ?"  # noqa: S608 - our own names
)
