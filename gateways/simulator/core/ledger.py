"""The ledger: what the simulator did, in one SQLite file. Invariant: every movement of a payment's money has
its own ordinal, no more is taken or given back than the payment allows, and a key's response and the webhooks
about a call are committed together with what it did, so that a kill at any moment leaves all of it or
nothing.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast

from gateways.simulator.core import rows
from gateways.simulator.core.fees import Charged, Fees
from gateways.simulator.core.money import major_units
from gateways.simulator.core.rows import Kind, Moved, Object, StoredResult, Under

# A page is 4 KiB: with the default of 1000 the checkpoint's fsync would stop the loop every few hundred
# payments.
_CHECKPOINT_PAGES: Final = 8000
_CACHE_KIB: Final = 32 * 1024


class OtherVersion(sqlite3.DatabaseError):
    """The file belongs to another version of the simulator, which does not carry its payments over: move it
    away."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that moved at a PSP. `intent_id`: the PSP's id of the payment. `psp_id`: the refund's id, else
    the charge's or capture's. `reference`: of the operation that it was done for, as far as the call named
    it; `intent_reference`: of the operation that the payment was created for. Empty where the caller gave
    none. `amount`: as people write it, 10.99."""

    gateway: str
    kind: Kind
    account: str
    psp_id: str
    intent_id: str
    reference: str
    intent_reference: str
    amount: Decimal
    currency: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Open:
    """A payment, or a refund under its own `psp_id`, that may still move money by itself or by its customer.
    The references are those of `Movement`."""

    gateway: str
    status: str
    account: str
    psp_id: str
    intent_id: str
    reference: str
    intent_reference: str


@dataclass(frozen=True, slots=True)
class Disputed:
    """The money that a bank has taken by one dispute until now; 0 where it only inquires, or has given it
    back. `reference`: of the operation that is disputed."""

    gateway: str
    dispute_id: str
    reference: str
    taken: Decimal
    currency: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Fee:
    """The fee that a PSP keeps, with all taxes on it, when money moves or is disputed. `kind`: of the
    `Movement`, whose ids and references it has, or `disputed`, with the dispute's id. `amount`: as people
    write it, 0.87; `tax`: the part of it that is tax."""

    gateway: str
    kind: Charged
    account: str
    psp_id: str
    intent_id: str
    reference: str
    intent_reference: str
    amount: Decimal
    tax: Decimal
    currency: str
    at: datetime


class Ledger:
    """The file, open for writing. `on_webhooks`: called after each commit that stored webhooks. `fees`: what
    each PSP keeps of what is entered; without any, nothing."""

    def __init__(self, path: Path) -> None:
        self.on_webhooks: Callable[[], None] = lambda: None
        self.fees = Fees()
        self._stored: list[int] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                _check_version(self._db)
            # NORMAL in WAL mode: a commit survives the process' death at once, the machine's only from the
            # next checkpoint.
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
        """Closes the file. What was committed stays."""
        self._db.close()

    def add_tables(self, schema: str) -> None:
        """Makes a PSP's own tables, where the file has none yet. `schema`: statements with IF NOT EXISTS. A
        view whose name ends in `_open` shows `read_open` what may still move money: the columns of
        `rows.select_open_of`, and `part, seq`, its order."""
        with self.writing():
            for statement in schema.split(";"):
                self._db.execute(statement)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Runs one statement, inside the present transaction if there is one. Raises `sqlite3.Error`."""
        return self._db.execute(sql, values)

    @contextmanager
    def writing(self) -> Iterator[list[int]]:
        """One transaction around everything written inside, however often it is entered inside. Yields the
        `seq` of the webhooks that were stored."""
        if self._db.in_transaction:
            yield self._stored
            return
        self._stored = []
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._stored
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        if self._stored:
            self.on_webhooks()

    def add(self, one: Object) -> Object:
        """Stores a new object; one without a payment is its own. Raises `sqlite3.IntegrityError` if the PSP
        has its id."""
        one = one._replace(payment=one.payment or one.id)
        self._db.execute(rows.INSERT_OBJECT, one)
        return one

    def change(self, one: Object) -> Object:
        """Stores an object's new state: every field but its ids, references, amount and time of creation."""
        changed = [getattr(one, name) for name in rows.CHANGING]
        self._db.execute(rows.UPDATE_OBJECT, (one.status, *changed, one.gateway, one.id))
        return one

    def one(self, gateway: str, object_id: str) -> Object | None:
        """The PSP's object with this id, whichever account it belongs to, else None."""
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
        """The account's objects that match, newest first. `listed_at`: as a search finds them at this moment;
        None: also those that a search does not find yet."""
        given = {"kind": kind, "reference": reference, "parent": parent}
        params = {"gateway": gateway, "account": account} | {k: v for k, v in given.items() if v is not None}
        condition = " AND ".join(f"{name} = ?" for name in params)
        listed = 9e18 if listed_at is None else listed_at
        return self._objects(
            f"WHERE {condition} AND listed_from <= ? ORDER BY seq DESC LIMIT ?",
            *(*params.values(), listed, limit),
        )

    def due_to_settle(self, gateway: str, now: float) -> list[Object]:
        """The PSP's objects that go on by themselves until `now`, oldest first."""
        return self._objects("WHERE gateway = ? AND settles_at <= ? ORDER BY seq", gateway, now)

    def move(self, one: Object, moved: Sequence[Moved], now: float) -> Object:
        """Changes the payment `one` and enters what moved of its money. Raises `sqlite3.IntegrityError` if an
        ordinal is taken, since another call changed the payment meanwhile."""
        self.enter(Under.of(one), one.moves, moved, now)
        return self.change(one._replace(moves=one.moves + len(moved)))

    def enter(self, under: Under, before: int, moved: Sequence[Moved], now: float) -> None:
        """Enters movements of one payment, and the fee of each. `before`: how many it had."""
        for ordinal, one in enumerate(moved, before + 1):
            row = (under.gateway, under.payment, ordinal, one.kind, under.account, one.psp_id, one.reference)
            rest = (under.reference, one.amount, under.currency, now)
            self._db.execute(rows.INSERT_MOVEMENT, (*row, *rest))
            self._keep(under, ordinal, one.kind, one, now)

    def _keep(self, under: Under, ordinal: int, what: Kind | Charged, one: Moved, now: float) -> None:
        kept = self.fees.of(under.gateway, under.account, what, one.amount, under.currency)
        if kept is None:
            return
        row = (under.gateway, under.payment, ordinal, one.psp_id, what, under.account, one.reference)
        self._db.execute(rows.INSERT_FEE, (*row, under.reference, kept.mills, kept.tax, under.currency, now))

    def disputed(self, one: Object, reference: str | None, taken: int, now: float) -> None:
        """Enters how much the bank has taken by the dispute `one` until now, and once the fee of a dispute
        that takes anything. `taken`: in all, in mills."""
        self._db.execute(
            "INSERT INTO disputes VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET taken = excluded.taken, at = excluded.at",
            (one.gateway, one.id, reference, taken, one.currency, now),
        )
        if taken:
            under = Under(one.gateway, one.payment or one.id, one.account, reference, one.currency)
            of_dispute = Moved("refunded", one.id, reference, taken)
            self._keep(under, 0, "disputed", of_dispute, now)

    def store_result(
        self, gateway: str, account: str, key: str, response: StoredResult, until: float
    ) -> None:
        """Stores the response to a call under its key. Raises `sqlite3.IntegrityError` if the key has one.
        `until`: Unix seconds, after which the PSP forgets the key."""
        self._db.execute(
            "INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (gateway, account, key, *response, until),
        )

    def stored_result(self, gateway: str, account: str, key: str, now: float) -> StoredResult | None:
        """The response stored under this key of the account, else None. It forgets a key whose time is
        over."""
        its_key = (gateway, account, key)
        row = self._db.execute(
            "SELECT fingerprint, status, body, about, forgotten_at FROM idempotency_keys"
            " WHERE gateway = ? AND account = ? AND key = ?",
            its_key,
        ).fetchone()
        if row is None:
            return None
        if row[4] <= now:
            self.forget_result(*its_key)
            return None
        return StoredResult(*row[:4])

    def forget_result(self, gateway: str, account: str, key: str) -> None:
        """Forgets the key and the response stored under it."""
        self._db.execute(
            "DELETE FROM idempotency_keys WHERE gateway = ? AND account = ? AND key = ?",
            (gateway, account, key),
        )

    def _objects(self, condition: str, *values: object) -> list[Object]:
        found = self._db.execute(f"{rows.SELECT_OBJECTS} {condition}", values)
        return [one._replace(may_move=bool(one.may_move)) for one in map(Object._make, found)]


def read_movements(path: Path) -> Iterator[Movement]:
    """Yields every movement, payment by payment in the order of their creation, also while the simulator
    runs. Raises `OtherVersion`, or another `sqlite3.DatabaseError` where there is no ledger."""
    with _reading(path) as db:
        found = db.execute(
            "SELECT gateway, kind, account, psp_id, payment, reference, payment_reference, mills, currency, at"
            " FROM movements ORDER BY gateway, payment, ordinal"
        )
        for gateway, kind, account, psp_id, payment, reference, of_payment, mills, currency, at in found:
            yield Movement(
                gateway,
                cast("Kind", kind),
                account,
                psp_id,
                payment,
                reference or "",
                of_payment or "",
                major_units(mills),
                currency,
                datetime.fromtimestamp(at, UTC),
            )


def read_disputes(path: Path) -> Iterator[Disputed]:
    """Yields what each dispute has taken until now; else as `read_movements`."""
    with _reading(path) as db:
        found = db.execute(
            "SELECT gateway, id, reference, taken, currency, at FROM disputes ORDER BY gateway, id"
        )
        for gateway, dispute_id, reference, taken, currency, at in found:
            when = datetime.fromtimestamp(at, UTC)
            yield Disputed(gateway, dispute_id, reference or "", major_units(taken), currency, when)


def read_fees(path: Path) -> Iterator[Fee]:
    """Yields what a PSP has kept of each movement and dispute; else as `read_movements`."""
    with _reading(path) as db:
        found = db.execute(
            "SELECT gateway, kind, account, psp_id, payment, reference, payment_reference, mills, tax, currency, at"
            " FROM fees ORDER BY gateway, payment, ordinal, psp_id"
        )
        for gateway, kind, account, psp_id, payment, reference, of_payment, mills, tax, currency, at in found:
            yield Fee(
                gateway,
                cast("Charged", kind),
                account,
                psp_id,
                payment,
                reference or "",
                of_payment or "",
                major_units(mills),
                major_units(tax),
                currency,
                datetime.fromtimestamp(at, UTC),
            )


def webhooks_waiting(path: Path, until: float) -> int:
    """Counts the webhooks that are still to be sent until `until` (Unix seconds); else as
    `read_movements`."""
    with _reading(path) as db:
        (count,) = db.execute(
            "SELECT count(*) FROM webhooks WHERE state = 'waiting' AND due <= ?", (until,)
        ).fetchone()
        return int(count)


def read_open(path: Path) -> Iterator[Open]:
    """Yields what may still move money, oldest first, PSP by PSP, payments before refunds where a PSP has
    tables of its own; else as `read_movements`."""
    with _reading(path) as db:
        views = [name for (name,) in db.execute(rows.SELECT_OPEN_VIEWS)]
        for query in (*map(rows.select_open_of, views), rows.SELECT_OPEN):
            for gateway, status, account, psp_id, payment, reference, of_payment in db.execute(query):
                yield Open(gateway, status, account, psp_id, payment, reference or "", of_payment or "")


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
