"""What a call costs does not grow with what the simulator has done before: no query of a call reads a whole
table, nor all that an account ever had.
"""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateways.simulator.core import webhooks
from gateways.simulator.core.accounts import Account
from gateways.simulator.core.conditions import Behaviour, Conditions, Latency
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.rows import Object
from gateways.simulator.stripe.store import Store

_ROWS = 400
_SCAN = re.compile(r"SCAN (objects|webhooks|intents|refunds|one)\b(?! USING INDEX objects_that_may_move)")
_BROAD = re.compile(r"USING INDEX (objects|refunds)_by_account|USING INTEGER PRIMARY KEY \(rowid<\?\)")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.db")
    yield opened
    opened.close()


@pytest.fixture
def plans(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How SQLite finds the rows of each query from now on."""
    seen: list[str] = []
    db = ledger._db

    class Explaining:
        in_transaction = property(lambda self: db.in_transaction)

        def execute(self, query: str, values: object = ()) -> sqlite3.Cursor:
            if query.startswith("SELECT"):
                steps = db.execute(f"EXPLAIN QUERY PLAN {query}", values)
                seen.append(" | ".join(row[3] for row in steps))
            return db.execute(query, values)

        def close(self) -> None:
            db.close()

    monkeypatch.setattr(ledger, "_db", Explaining())
    return seen


def _narrow(plans: list[str]) -> None:
    assert plans
    assert [plan for plan in plans if _SCAN.search(plan) or _BROAD.search(plan)] == []


def test_an_object_is_found_by_its_reference_its_parent_and_its_time(ledger: Ledger, plans: list[str]):
    ledger.one("toy", "p1")
    ledger.find("toy", "a", kind="payment", reference="r-1", listed_at=1.0)
    ledger.find("toy", "a", reference="r-1")
    ledger.find("toy", "a", kind="refund", parent="p1")
    ledger.due_to_settle("toy", 1.0)

    _narrow(plans)


def test_stripes_intents_and_refunds_are_found_without_the_others(ledger: Ledger, plans: list[str]):
    store = Store(ledger)
    store.intent("pi_1")
    store.with_reference("a", "r-1", 1.0, 1.0, 10)
    store.page("a", (0, 9.0), None, 1.0, 10)
    store.due_to_settle(1.0)
    store.refund("re_1")
    store.refunds("a", "pi_1", None, 10)
    store.refunds_due_to_settle(1.0)

    _narrow(plans)


@pytest.fixture
def stored(ledger: Ledger) -> list[int]:
    """Three webhooks that go out before their response, by `seq`."""
    account = Account("a", "toy", "secret", webhook_url="http://127.0.0.1:1/")
    toy_webhooks = webhooks.Webhooks("toy", ledger, Conditions(Latency(0)))
    toy_webhooks.conditions.webhooks = Behaviour(before_response=1.0)
    with ledger.writing() as stored:
        for number in range(3):
            toy_webhooks.store(account, f"evt_{number}", "held", "r-1", b"{}")
    return stored


def test_a_webhook_that_goes_before_its_response_is_found_by_its_number(
    ledger: Ledger, stored: list[int], plans: list[str]
):
    due = webhooks.due_before_response(ledger, stored)

    assert [one.id for one in due] == ["evt_0", "evt_1", "evt_2"]
    (plan,) = plans
    assert plan.startswith("SEARCH webhooks USING INTEGER PRIMARY KEY (rowid=?)")


def test_the_next_webhooks_are_found_among_those_that_wait(
    ledger: Ledger, stored: list[int], plans: list[str]
):
    webhooks.waiting(ledger, 9e9, stored, 10)
    webhooks.next_due(ledger, stored)

    assert all("USING INDEX webhooks_waiting" in plan for plan in plans), plans
    assert len(plans) == 2


def test_a_webhook_is_found_by_its_id(ledger: Ledger, stored: list[int], plans: list[str]):
    found = webhooks.named(ledger, "toy", "a", "evt_1")

    assert found is not None
    assert found.seq in stored
    assert plans == ["SEARCH webhooks USING INDEX webhooks_by_id (gateway=? AND account=? AND id=?)"]


def test_the_steps_of_a_search_do_not_grow_with_the_accounts_history(ledger: Ledger):
    def steps() -> int:
        count = 0

        def tick() -> int:
            nonlocal count
            count += 1
            return 0

        ledger._db.set_progress_handler(tick, 1)
        ledger.find("toy", "a", kind="payment", reference="r-1")
        ledger.find("toy", "a", kind="payment", parent="o-1")
        ledger._db.set_progress_handler(None, 0)
        return count

    _add(ledger, 1)
    before = steps()
    _add(ledger, _ROWS)

    assert steps() <= before + 5


def _add(ledger: Ledger, many: int) -> None:
    (had,) = ledger.execute("SELECT count(*) FROM objects").fetchone()
    for number in range(had, had + many):
        at = "1" if number == 0 else f"x{number}"
        one = Object("toy", f"p{number}", "a", "payment", "held", 1, "EUR", 1.0)
        ledger.add(one._replace(reference=f"r-{at}", parent=f"o-{at}"))
