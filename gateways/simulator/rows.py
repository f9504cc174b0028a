"""The tables of the ledger's file that all PSPs share, and their rows. Amounts are our minor units, currencies in upper
case, times in Unix seconds.
"""

from typing import Final, Literal, NamedTuple

VERSION: Final = 3
"""Of all tables, in the file's `user_version`. 2: Stripe alone."""

Kind = Literal["authorized", "captured", "released", "refunded"]

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS movements (
    gateway TEXT NOT NULL,
    payment TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    psp_id TEXT NOT NULL,
    reference TEXT,
    payment_reference TEXT,
    minor INTEGER,
    currency TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (gateway, payment, ordinal)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY,
    gateway TEXT NOT NULL,
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    created REAL NOT NULL,
    reference TEXT,
    parent TEXT,
    payment TEXT NOT NULL,
    data TEXT NOT NULL,
    earlier TEXT,
    listed_from REAL NOT NULL,
    settles_at REAL,
    may_move INTEGER NOT NULL,
    authorized INTEGER NOT NULL,
    captured INTEGER NOT NULL,
    capture_limit INTEGER NOT NULL,
    refunded INTEGER NOT NULL,
    moves INTEGER NOT NULL,
    UNIQUE (gateway, id),
    CHECK (0 <= refunded AND refunded <= captured AND captured <= max(authorized, capture_limit))
);
CREATE INDEX IF NOT EXISTS objects_by_reference ON objects (gateway, reference);
CREATE INDEX IF NOT EXISTS objects_by_parent ON objects (gateway, parent);
CREATE INDEX IF NOT EXISTS objects_by_account ON objects (gateway, account, kind);
CREATE INDEX IF NOT EXISTS objects_that_settle ON objects (gateway, settles_at) WHERE settles_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS idempotency_keys (
    gateway TEXT NOT NULL,
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    about TEXT,
    forgotten_at REAL NOT NULL,
    PRIMARY KEY (gateway, account, key)
);
CREATE TABLE IF NOT EXISTS hooks (
    seq INTEGER PRIMARY KEY,
    gateway TEXT NOT NULL,
    account TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    about TEXT NOT NULL,
    body BLOB NOT NULL,
    created REAL NOT NULL,
    due REAL NOT NULL,
    tries INTEGER NOT NULL,
    copies INTEGER NOT NULL,
    forged INTEGER NOT NULL,
    before_answer INTEGER NOT NULL,
    state TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS hooks_waiting ON hooks (due) WHERE state = 'waiting';
"""


class Object(NamedTuple):
    """Anything that a PSP gives an id: an order, a payment, a capture, a refund, a dispute, a token.

    `reference`: of ours, the operation that it was made for. `parent`: the object that it was made from. `payment`:
    the id of the object that its money moves under, itself where None; that one's id is the id under which AegisPay
    knows the payment. `data`: JSON. `earlier`: its status before the last change. `listed_from`: a search does not
    know it before. `settles_at`: when it goes on by itself. `may_move`: it may still move money by itself or by its
    customer. `capture_limit`: the most that all captures may take. `refunded`: what is given back or on its way.
    """

    gateway: str
    id: str
    account: str
    kind: str
    status: str
    minor: int
    currency: str
    created: float
    reference: str | None = None
    parent: str | None = None
    payment: str | None = None
    data: str = "{}"
    earlier: str | None = None
    listed_from: float = 0.0
    settles_at: float | None = None
    may_move: bool = False
    authorized: int = 0
    captured: int = 0
    capture_limit: int = 0
    refunded: int = 0
    moves: int = 0


class Moved(NamedTuple):
    """Money that was held, taken, let go or given back. `reference`: of the operation it was done for. `minor`: None
    where our minor units cannot express it."""

    kind: Kind
    psp_id: str
    reference: str | None
    minor: int | None


class Under(NamedTuple):
    """The payment that money moves under. `reference`: of the operation that it was created for."""

    gateway: str
    payment: str
    account: str
    reference: str | None
    currency: str


class StoredAnswer(NamedTuple):
    """`about`: the id of the object that was answered about, for a PSP that answers a repeat with how it is now."""

    fingerprint: str
    status: int
    body: bytes
    about: str | None = None


class Hook(NamedTuple):
    """What a PSP tells of its own accord. `about`: our reference of what it is about, else its id."""

    seq: int
    gateway: str
    account: str
    id: str
    type: str
    about: str
    body: bytes
    created: float
    tries: int
    copies: int
    forged: bool
    before_answer: bool


_COLUMNS: Final = ", ".join(Object._fields)
INSERT_OBJECT: Final = f"INSERT INTO objects ({_COLUMNS}) VALUES ({', '.join('?' for _ in Object._fields)})"  # noqa: S608 - our own names
SELECT_OBJECTS: Final = f"SELECT {_COLUMNS} FROM objects"  # noqa: S608 - our own names
CHANGING: Final = (
    "status",
    "data",
    "listed_from",
    "settles_at",
    "may_move",
    "authorized",
    "captured",
    "capture_limit",
    "refunded",
    "moves",
)
UPDATE_OBJECT: Final = (
    "UPDATE objects SET earlier = CASE status WHEN ? THEN earlier ELSE status END, "  # noqa: S608 - our own names
    f"{', '.join(f'{name} = ?' for name in CHANGING)} WHERE gateway = ? AND id = ?"
)
INSERT_MOVEMENT: Final = "INSERT INTO movements VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
SELECT_HOOKS: Final = f"SELECT {', '.join(Hook._fields)} FROM hooks"  # noqa: S608 - our own names
SELECT_OPEN: Final = """
SELECT one.gateway, one.status, one.account, one.id, one.payment, one.reference, payment.reference
FROM objects one LEFT JOIN objects payment ON payment.gateway = one.gateway AND payment.id = one.payment
WHERE one.may_move ORDER BY one.seq
"""
