"""The webhooks of one PSP until they are delivered. Invariant: each is stored in the transaction of what it tells."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from gateways.simulator.accounts import Account
from gateways.simulator.ledger import Ledger
from gateways.simulator.rows import SELECT_HOOKS, Hook
from gateways.simulator.weather import Weather

BEHIND_S: Final = 1.0
"""So much later comes what is out of order."""

_INSERT: Final = (
    "INSERT INTO hooks (gateway, account, id, type, about, body, created, due, tries, copies, forged, before_answer,"
    " state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True)
class Hooks:
    gateway: str
    ledger: Ledger
    weather: Weather

    def tell(self, account: Account | None, hook_id: str, kind: str, about: str, body: bytes) -> None:
        """Nothing where the account has no address for webhooks. `kind`: the event, as the PSP calls it; `about`: our
        reference, else an id. Inside `ledger.writing`."""
        if account is None or account.webhook_url is None:
            return
        behaviour, name, now = self.weather.webhooks, f"{kind}/{about}", time.time()
        behind_s = BEHIND_S if behaviour.draws("out_of_order", name) else 0.0
        with self.ledger.writing() as stored:
            added = self.ledger.execute(
                _INSERT,
                (
                    *(self.gateway, account.name, hook_id, kind, about, body, now),
                    now + behaviour.delay_s + behind_s,
                    2 if behaviour.draws("repeat", name) else 1,
                    behaviour.draws("forged", name),
                    behaviour.draws("before_answer", name),
                    "lost" if behaviour.draws("lost", name) else "waiting",
                ),
            )
            stored.append(added.lastrowid or 0)


def waiting(ledger: Ledger, now: float, posting: Collection[int], limit: int) -> list[Hook]:
    """Those that are due and not being posted, the oldest first."""
    condition = f"WHERE state = 'waiting' AND due <= ? AND {_not_in(posting)} ORDER BY due, seq LIMIT ?"
    return _hooks(ledger, condition, now, *posting, limit)


def to_tell_first(ledger: Ledger, stored: list[int]) -> list[Hook]:
    """Of these, the ones that go out before the answer."""
    return _hooks(
        ledger, f"WHERE NOT ({_not_in(stored)}) AND before_answer AND state = 'waiting' ORDER BY seq", *stored
    )


def next_due(ledger: Ledger, posting: Collection[int]) -> float | None:
    due: float | None
    condition = f"state = 'waiting' AND {_not_in(posting)}"
    (due,) = ledger.execute(f"SELECT min(due) FROM hooks WHERE {condition}", [*posting]).fetchone()  # noqa: S608
    return due


def forgery_sent(ledger: Ledger, hook: Hook) -> None:
    ledger.execute("UPDATE hooks SET forged = 0 WHERE seq = ?", (hook.seq,))


def delivered(ledger: Ledger, hook: Hook, again_at: float) -> None:
    """Once: one that is to come twice comes again."""
    state = "waiting" if hook.copies > 1 else "sent"
    ledger.execute(
        "UPDATE hooks SET copies = copies - 1, due = ?, state = ?, before_answer = 0 WHERE seq = ?",
        (again_at, state, hook.seq),
    )


def failed(ledger: Ledger, hook: Hook, again_at: float | None) -> None:
    """None: given up."""
    state = "waiting" if again_at is not None else "given_up"
    ledger.execute(
        "UPDATE hooks SET tries = tries + 1, due = ?, state = ? WHERE seq = ?",
        (again_at or 0.0, state, hook.seq),
    )


def counts(ledger: Ledger, gateway: str | None) -> dict[str, int]:
    """How many are in each state."""
    rows = ledger.execute(
        "SELECT state, count(*) FROM hooks WHERE gateway = coalesce(?, gateway) GROUP BY state", (gateway,)
    )
    return dict.fromkeys(("waiting", "sent", "lost", "given_up"), 0) | dict(rows)


def _not_in(seqs: Collection[int]) -> str:
    return f"seq NOT IN ({', '.join('?' for _ in seqs)})"


def _hooks(ledger: Ledger, condition: str, *values: object) -> list[Hook]:
    found = ledger.execute(f"{SELECT_HOOKS} {condition}", values)
    return [one._replace(forged=bool(one.forged)) for one in map(Hook._make, found)]
