"""The webhooks of one PSP until they are delivered. Invariant: a webhook is stored in the transaction of the
change that it reports, so a kill loses none; and no query here reads webhooks that were sent before, so their
number costs nothing.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from gateways.simulator.core.accounts import Account
from gateways.simulator.core.conditions import Conditions
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.rows import SELECT_WEBHOOKS, Webhook

BEHIND_S: Final = 1.0
"""A webhook that is out of order comes this many seconds later."""

_INSERT: Final = (
    "INSERT INTO webhooks (gateway, account, id, type, about, body, created, due, tries, copies, forged, before_response,"
    " state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Stores the webhooks of one PSP, with the delivery that its present conditions draw for each."""

    gateway: str
    ledger: Ledger
    conditions: Conditions

    def store(self, account: Account | None, webhook_id: str, kind: str, about: str, body: bytes) -> None:
        """Stores one webhook inside `ledger.writing`; nothing if the account has no address for webhooks.
        `kind`: the event, as the PSP calls it; `about`: AegisPay's reference, else the PSP's id. The
        conditions decide here how it will be delivered."""
        if account is None or account.webhook_url is None:
            return
        behaviour, name, now = self.conditions.webhooks, f"{kind}/{about}", time.time()
        behind_s = BEHIND_S if behaviour.draws("out_of_order", name) else 0.0
        with self.ledger.writing() as stored:
            added = self.ledger.execute(
                _INSERT,
                (
                    *(self.gateway, account.name, webhook_id, kind, about, body, now),
                    now + behaviour.delay_s + behind_s,
                    2 if behaviour.draws("repeat", name) else 1,
                    behaviour.draws("forged", name),
                    behaviour.draws("before_response", name),
                    "lost" if behaviour.draws("lost", name) else "waiting",
                ),
            )
            stored.append(added.lastrowid or 0)


def waiting(ledger: Ledger, now: float, posting: Collection[int], limit: int) -> list[Webhook]:
    """Returns at most `limit` webhooks that are due at `now` (Unix seconds) and are not being posted, the
    oldest first. `posting`: their `seq`."""
    condition = f"WHERE state = 'waiting' AND due <= ? AND {_not_in(posting)} ORDER BY due, seq LIMIT ?"
    return _select(ledger, condition, now, *posting, limit)


def due_before_response(ledger: Ledger, stored: list[int]) -> list[Webhook]:
    """The webhooks among those just stored that go out before the response to the call, oldest first."""
    condition = (
        f"WHERE seq IN ({_placeholders(stored)}) AND before_response AND state = 'waiting' ORDER BY seq"
    )
    return _select(ledger, condition, *stored)


def next_due(ledger: Ledger, posting: Collection[int]) -> float | None:
    """Returns when the next webhook is due that is not being posted, in Unix seconds. None: no other
    waits."""
    due: float | None
    condition = f"state = 'waiting' AND {_not_in(posting)}"
    (due,) = ledger.execute(f"SELECT min(due) FROM webhooks WHERE {condition}", [*posting]).fetchone()  # noqa: S608
    return due


def forgery_sent(ledger: Ledger, webhook: Webhook) -> None:
    """Records that its forged copy went out, so that a retry sends none."""
    ledger.execute("UPDATE webhooks SET forged = 0 WHERE seq = ?", (webhook.seq,))


def delivered(ledger: Ledger, webhook: Webhook, again_at: float) -> None:
    """Records one delivery. A webhook that is to come twice waits for its second copy until `again_at`."""
    state = "waiting" if webhook.copies > 1 else "sent"
    ledger.execute(
        "UPDATE webhooks SET copies = copies - 1, due = ?, state = ?, before_response = 0 WHERE seq = ?",
        (again_at, state, webhook.seq),
    )


def failed(ledger: Ledger, webhook: Webhook, again_at: float | None) -> None:
    """Records a failed attempt. `again_at`: when it is due again, in Unix seconds; None: it is given up."""
    state = "waiting" if again_at is not None else "given_up"
    ledger.execute(
        "UPDATE webhooks SET tries = tries + 1, due = ?, state = ? WHERE seq = ?",
        (again_at or 0.0, state, webhook.seq),
    )


def counts(ledger: Ledger, gateway: str | None) -> dict[str, int]:
    """Counts the webhooks that are waiting, sent, lost and given up. Reads the whole table, so only the
    control may call it."""
    rows = ledger.execute(
        "SELECT state, count(*) FROM webhooks WHERE gateway = coalesce(?, gateway) GROUP BY state", (gateway,)
    )
    return dict.fromkeys(("waiting", "sent", "lost", "given_up"), 0) | dict(rows)


def named(ledger: Ledger, gateway: str, account: str, webhook_id: str) -> Webhook | None:
    """One webhook as the PSP shows it on request, whatever became of its delivery. None: the account has no
    such."""
    found = _select(ledger, "WHERE gateway = ? AND account = ? AND id = ?", gateway, account, webhook_id)
    return found[0] if found else None


def _not_in(seqs: Collection[int]) -> str:
    return f"seq NOT IN ({_placeholders(seqs)})"


def _placeholders(seqs: Collection[int]) -> str:
    return ", ".join("?" for _ in seqs)


def _select(ledger: Ledger, condition: str, *values: object) -> list[Webhook]:
    found = ledger.execute(f"{SELECT_WEBHOOKS} {condition}", values)
    return [one._replace(forged=bool(one.forged)) for one in map(Webhook._make, found)]
