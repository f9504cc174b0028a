"""What the simulator did, in one SQLite file. Invariant: every movement of a payment's money has its own ordinal, no
more is taken or given back than the payment allows, and a key's answer and the webhooks about a call are committed
together with what it did, so that a kill at any moment leaves all of it or nothing.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from gateways.simulator import rows
from gateways.simulator.rows import Kind, Moved, Object, StoredAnswer, Under
from gateways.simulator.stripe import tables

# A page is 4 KiB: with the default of 1000 the checkpoint's fsync would stop the loop every few hundred payments.
_CHECKPOINT_PAGES: Final = 8000
_CACHE_KIB: Final = 32 * 1024


class OtherVersion(sqlite3.DatabaseError):
    """A file of another version of the simulator. Its payments are not carried over: start with an empty file."""


@dataclass(frozen=True, slots=True)
class Charge:
    """Money that was taken, in our minor units (None: a sum that they cannot express) and with our currency code."""

    gateway: str
    reference: str
    amount_minor: int | None
    currency: str
    intent_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Movement:
    """`intent_id`: the id that the money moves under at the PSP. `psp_id`: the refund's, else the charge's or
    capture's. `reference`: the id of the operation that it was done for, as far as the call said; `intent_reference`:
    of the one that the payment was created for. Empty where the caller gave none."""

    gateway: str
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
    """What may still move money by itself or by the customer: a payment, or a refund under its own `psp_id`. The
    references are those of `Movement`."""

    gateway: str
    status: str
    account: str
    psp_id: str
    intent_id: str
    reference: str
    intent_reference: str


class Ledger:
    """`told`: called after a commit that had webhooks in it."""

    def __init__(self, path: Path) -> None:
        self.told: Callable[[], None] = lambda: None
        self._hooks: list[int] = []
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
                f"BEGIN IMMEDIATE; {rows.SCHEMA} {tables.SCHEMA} PRAGMA user_version={rows.VERSION}; COMMIT;"
            )
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._db.execute(sql, values)

    @contextmanager
    def writing(self) -> Iterator[list[int]]:
        """One transaction around all that is written inside, however often it is begun inside. Gives the webhooks that
        were stored, by their `seq`."""
        if self._db.in_transaction:
            yield self._hooks
            return
        self._hooks = []
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._hooks
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        if self._hooks:
            self.told()

    def add(self, one: Object) -> Object:
        one = one._replace(payment=one.payment or one.id)
        self._db.execute(rows.INSERT_OBJECT, one)
        return one

    def change(self, one: Object) -> Object:
        """All but what an object is made with: its ids, references, amount and time."""
        changed = [getattr(one, name) for name in rows.CHANGING]
        self._db.execute(rows.UPDATE_OBJECT, (one.status, *changed, one.gateway, one.id))
        return one

    def one(self, gateway: str, object_id: str) -> Object | None:
        return next(iter(self._objects("WHERE gateway = ? AND id = ?", gateway, object_id)), None)

    def find(
        self,
        gateway: str,
        account: str,
        *,
        kind: str | None = None,
        reference: str | None = None,
        parent: str | None = None,
        listed_at: float | None = None,
        limit: int = 100,
    ) -> list[Object]:
        """Newest first. `listed_at`: as a search at this moment finds them, else all."""
        given = {"kind": kind, "reference": reference, "parent": parent}
        asked = {"gateway": gateway, "account": account} | {k: v for k, v in given.items() if v is not None}
        condition = " AND ".join(f"{name} = ?" for name in asked)
        listed = 9e18 if listed_at is None else listed_at
        return self._objects(
            f"WHERE {condition} AND listed_from <= ? ORDER BY seq DESC LIMIT ?",
            *(*asked.values(), listed, limit),
        )

    def due_to_settle(self, gateway: str, now: float) -> list[Object]:
        return self._objects("WHERE gateway = ? AND settles_at <= ? ORDER BY seq", gateway, now)

    def move(self, one: Object, moved: Sequence[Moved], now: float) -> Object:
        """Changes the payment `one` and enters what moved of its money; an ordinal that is taken already, since somebody
        changed it meanwhile, is an `sqlite3.IntegrityError`."""
        under = Under(one.gateway, one.id, one.account, one.reference, one.currency)
        self.enter(under, one.moves, moved, now)
        return self.change(one._replace(moves=one.moves + len(moved)))

    def enter(self, under: Under, before: int, moved: Sequence[Moved], now: float) -> None:
        """`before`: so many movements it had."""
        for ordinal, one in enumerate(moved, before + 1):
            row = (under.gateway, under.payment, ordinal, one.kind, under.account, one.psp_id, one.reference)
            rest = (under.reference, one.minor, under.currency, now)
            self._db.execute(rows.INSERT_MOVEMENT, (*row, *rest))

    def keep_answer(self, gateway: str, account: str, key: str, answer: StoredAnswer, until: float) -> None:
        self._db.execute(
            "INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (gateway, account, key, *answer, until),
        )

    def answer(self, gateway: str, account: str, key: str, now: float) -> StoredAnswer | None:
        """What was answered under this key of this account; a key whose time is over is forgotten."""
        its_key = (gateway, account, key)
        row = self._db.execute(
            "SELECT fingerprint, status, body, about, forgotten_at FROM idempotency_keys"
            " WHERE gateway = ? AND account = ? AND key = ?",
            its_key,
        ).fetchone()
        if row is None:
            return None
        if row[4] <= now:
            self.forget_answer(*its_key)
            return None
        return StoredAnswer(*row[:4])

    def forget_answer(self, gateway: str, account: str, key: str) -> None:
        self._db.execute(
            "DELETE FROM idempotency_keys WHERE gateway = ? AND account = ? AND key = ?",
            (gateway, account, key),
        )

    def _objects(self, condition: str, *values: object) -> list[Object]:
        found = self._db.execute(f"{rows.SELECT_OBJECTS} {condition}", values)
        return [one._replace(may_move=bool(one.may_move)) for one in map(Object._make, found)]


def read_movements(path: Path) -> Iterator[Movement]:
    """Every movement, payment by payment in the order of their creation, also while the simulator runs. Raises
    `OtherVersion`, or another `sqlite3.DatabaseError` where there is no ledger."""
    with _reading(path) as db:
        found = db.execute(
            "SELECT gateway, kind, account, psp_id, payment, reference, payment_reference, minor, currency, at"
            " FROM movements ORDER BY gateway, payment, ordinal"
        )
        for gateway, kind, account, psp_id, payment, reference, of_payment, minor, currency, at in found:
            yield Movement(
                gateway,
                cast("Kind", kind),
                account,
                psp_id,
                payment,
                reference or "",
                of_payment or "",
                minor,
                currency,
                datetime.fromtimestamp(at, UTC),
            )


def read_open(path: Path) -> Iterator[Open]:
    """Oldest first, PSP by PSP, Stripe's intents before its refunds. Otherwise as `read_movements`."""
    with _reading(path) as db:
        for query in (tables.SELECT_OPEN, rows.SELECT_OPEN):
            for gateway, status, account, psp_id, payment, reference, of_payment in db.execute(query):
                yield Open(gateway, status, account, psp_id, payment, reference or "", of_payment or "")


def read_charges(path: Path) -> Iterator[Charge]:
    """The money that was taken: a row for each sale and each capture. Otherwise as `read_movements`."""
    for one in read_movements(path):
        if one.kind == "captured":
            yield Charge(one.gateway, one.reference, one.amount_minor, one.currency, one.intent_id, one.at)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        _check_version(db)
        yield db


def _check_version(db: sqlite3.Connection) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != rows.VERSION:
        text = f"its tables are of version {version or 1}, this simulator's are {rows.VERSION}: move the file away"
        raise OtherVersion(text)
