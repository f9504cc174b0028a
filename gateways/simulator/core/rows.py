"""The tables of the ledger's file that all PSPs share, and their rows. Amounts are mills (`money`),
currencies in upper case, times in Unix seconds.
"""

from typing import Final, Literal, NamedTuple

VERSION: Final = 9
"""The version of all tables, in the file's `user_version`."""

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
    mills INTEGER NOT NULL,
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
    mills INTEGER NOT NULL,
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
CREATE INDEX IF NOT EXISTS objects_by_reference ON objects (gateway, account, reference, kind);
CREATE INDEX IF NOT EXISTS objects_by_parent ON objects (gateway, account, parent, kind);
CREATE INDEX IF NOT EXISTS objects_by_account ON objects (gateway, account, kind);
CREATE INDEX IF NOT EXISTS objects_that_may_move ON objects (seq) WHERE may_move;
CREATE INDEX IF NOT EXISTS objects_that_settle ON objects (gateway, settles_at) WHERE settles_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS disputes (
    gateway TEXT NOT NULL,
    id TEXT NOT NULL,
    reference TEXT,
    taken INTEGER NOT NULL,
    currency TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (gateway, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fees (
    gateway TEXT NOT NULL,
    payment TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    psp_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    reference TEXT,
    payment_reference TEXT,
    mills INTEGER NOT NULL,
    tax INTEGER NOT NULL,
    currency TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (gateway, payment, ordinal, psp_id)
) WITHOUT ROWID;
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
CREATE TABLE IF NOT EXISTS webhooks (
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
    before_response INTEGER NOT NULL,
    state TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS webhooks_waiting ON webhooks (due) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS webhooks_by_id ON webhooks (gateway, account, id);
"""


class Object(NamedTuple):
    """Anything that a PSP gives an id: an order, a payment, a capture, a refund, a dispute, a token.
    `reference`: of the operation of AegisPay's that it was made for. `parent`: the object that it was made
    from. `payment`: the id of the object whose money moves, itself where None; AegisPay knows the payment by
    that one's id. `data`: JSON. `earlier`: its status before the last change. `listed_from`: a search does
    not find it before. `settles_at`: when it goes on by itself. `may_move`: it may still move money by itself
    or by its customer. `capture_limit`: the most that all captures may take. `refunded`: what is given back
    or on its way. Moments in Unix seconds, amounts in mills."""

    gateway: str
    id: str
    account: str
    kind: str
    status: str
    mills: int
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
    """Money that was held, taken, released or given back. `reference`: of the operation that it was done for.
    `amount`: in mills; Stripe's rules use Stripe's integers until its store enters it."""

    kind: Kind
    psp_id: str
    reference: str | None
    amount: int


class Under(NamedTuple):
    """The payment whose money moves. `reference`: of the operation that it was created for."""

    gateway: str
    payment: str
    account: str
    reference: str | None
    currency: str

    @classmethod
    def of(cls, one: Object) -> "Under":
        """The payment that an object is, for movements of its own money."""
        return cls(one.gateway, one.id, one.account, one.reference, one.currency)


class StoredResult(NamedTuple):
    """The response that is stored under an idempotency key. `about`: the id of the object in it, for a PSP
    that responds to a repeat with the object's present state."""

    fingerprint: str
    status: int
    body: bytes
    about: str | None = None


class Webhook(NamedTuple):
    """A webhook that is stored until it is delivered. `about`: AegisPay's reference of what it reports, else
    the PSP's id. `copies`: how often it is still to come. `forged`: a copy with a wrong signature goes before
    it."""

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
    before_response: bool


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
INSERT_FEE: Final = "INSERT OR IGNORE INTO fees VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
"""A dispute's fee has the ordinal 0, and is kept once."""
SELECT_WEBHOOKS: Final = f"SELECT {', '.join(Webhook._fields)} FROM webhooks"  # noqa: S608 - our own names
SELECT_OPEN_VIEWS: Final = (
    "SELECT name FROM sqlite_master WHERE type = 'view' AND name GLOB '*_open' ORDER BY name"
)
SELECT_OPEN: Final = """
SELECT one.gateway, one.status, one.account, one.id, one.payment, one.reference, payment.reference
FROM objects one LEFT JOIN objects payment ON payment.gateway = one.gateway AND payment.id = one.payment
WHERE one.may_move ORDER BY one.seq
"""


def select_open_of(view: str) -> str:
    """Returns the query of a PSP's own view, with the columns of `SELECT_OPEN`."""
    columns = "gateway, status, account, psp_id, payment, reference, payment_reference"
    return f"SELECT {columns} FROM {view} ORDER BY part, seq"  # noqa: S608 - a name of the file's own
