import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from gateways.simulator.core.ledger import (
    Ledger,
    Movement,
    OtherVersion,
    StoredResult,
    read_movements,
    read_open,
)
from gateways.simulator.core.rows import Kind, Moved
from gateways.simulator.stripe.store import Store
from gateways.simulator.stripe.tables import Intent

ANSWER = StoredResult("fingerprint", 200, b"{}")


def intent(number: int, **more: object) -> Intent:
    return Intent(
        id=f"pi_{number}",
        client_secret=f"pi_{number}_secret_x",
        reference=f"r-{number}",
        amount=500,
        currency="isk",
        status="succeeded",
        payment_method="pm_card_visa",
        description=None,
        metadata="{}",
        return_url=None,
        action_url=None,
        failure=None,
        created=1000,
        account="sim-eu",
        capture_limit=500,
        moves=1,
    )._replace(**more)


def enter(ledger: Ledger, entered: Intent, kind: Kind = "captured", at: float = 1000) -> None:
    Store(ledger).add_intent(entered)
    Store(ledger).add_movements(entered, [Moved(kind, "ch_x", entered.reference, entered.amount)], at)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a folder?#" / "ledger.db"


def test_movements_are_read_as_people_write_them_while_the_ledger_is_written(path: Path):
    ledger = Ledger(path)
    enter(ledger, intent(1), at=1000.5)
    with ledger.writing():
        enter(ledger, intent(2))

        seen = list(read_movements(path))

    (one,) = seen
    assert (one.gateway, one.reference, one.intent_id) == ("stripe", "r-1", "pi_1")
    assert (one.amount, one.currency, one.at) == (Decimal(5), "ISK", datetime.fromtimestamp(1000.5, UTC))
    assert [one.intent_id for one in read_movements(path)] == ["pi_1", "pi_2"]
    ledger.close()


def test_movements_are_read_after_the_ledger_was_closed(path: Path):
    ledger = Ledger(path)
    enter(ledger, intent(1))
    ledger.close()

    assert len(list(read_movements(path))) == 1


def test_a_movement_names_its_operation_and_its_payment(path: Path):
    ledger = Ledger(path)
    enter(ledger, intent(1, capture_method="manual"), "authorized")

    assert list(read_movements(path)) == [
        Movement(
            *("stripe", "authorized", "sim-eu", "ch_x", "pi_1", "r-1", "r-1", Decimal(5), "ISK"),
            datetime.fromtimestamp(1000, UTC),
        )
    ]
    ledger.close()


def test_a_movement_of_less_than_we_have_a_unit_for_is_shown_as_what_it_was(path: Path):
    ledger = Ledger(path)
    enter(ledger, intent(1, amount=550, reference=None))

    one = next(read_movements(path))

    assert (one.reference, one.amount, one.currency) == ("", Decimal("5.50"), "ISK")
    ledger.close()


def test_reading_does_not_make_a_ledger(path: Path):
    with pytest.raises(sqlite3.OperationalError):
        list(read_movements(path))

    assert not path.exists()


def test_a_movement_is_never_entered_twice(path: Path):
    ledger = Ledger(path)
    enter(ledger, intent(1))

    with pytest.raises(sqlite3.IntegrityError):
        Store(ledger).add_movements(intent(1), [Moved("captured", "ch_x", "r-1", 500)], 1000)
    ledger.close()


@pytest.mark.parametrize(
    "totals", [{"received": 501}, {"received": 400, "refunded": 401}, {"captures_left": -1}]
)
def test_no_more_is_taken_or_given_back_than_the_intent_allows(path: Path, totals: dict[str, int]):
    ledger = Ledger(path)
    enter(ledger, intent(1), "authorized")

    with pytest.raises(sqlite3.IntegrityError):
        Store(ledger).change_intent(intent(1, **totals))
    ledger.close()


def test_a_file_of_another_version_is_refused_and_left_as_it_is(path: Path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE charges (id TEXT)")
    before = path.read_bytes()

    with pytest.raises(OtherVersion, match=r"version 1.*move the file away"):
        Ledger(path)
    with pytest.raises(OtherVersion):
        list(read_movements(path))

    assert path.read_bytes() == before


def test_a_transaction_that_fails_leaves_nothing(path: Path):
    ledger = Ledger(path)
    ledger.store_result("stripe", "a", "k", ANSWER, 1000)

    def charge_under_the_same_key() -> None:
        with ledger.writing():
            enter(ledger, intent(1))
            ledger.store_result("stripe", "a", "k", ANSWER, 1000)

    with pytest.raises(sqlite3.IntegrityError):
        charge_under_the_same_key()

    assert Store(ledger).intent("pi_1") is None
    assert list(read_movements(path)) == []
    ledger.close()


def test_a_key_is_forgotten_when_its_life_is_over(path: Path):
    ledger = Ledger(path)
    ledger.store_result("stripe", "a", "k", ANSWER, 1000)

    assert ledger.stored_result("stripe", "a", "k", 999) == ANSWER
    assert ledger.stored_result("stripe", "a", "k", 1000) is None
    assert ledger.stored_result("stripe", "a", "k", 999) is None
    ledger.close()


def test_a_key_is_one_of_its_account_and_its_psp(path: Path):
    ledger = Ledger(path)
    ledger.store_result("stripe", "a", "k", ANSWER, 1000)

    assert ledger.stored_result("stripe", "b", "k", 999) is None
    assert ledger.stored_result("adyen", "a", "k", 999) is None
    ledger.close()


def test_what_may_still_move_money_is_read_and_what_cannot_is_not(path: Path):
    ledger = Ledger(path)
    for number, status in enumerate(("requires_action", "processing", "succeeded", "canceled"), 1):
        Store(ledger).add_intent(intent(number, status=status, moves=0))

    assert [(one.psp_id, one.status, one.reference) for one in read_open(path)] == [
        ("pi_1", "requires_action", "r-1"),
        ("pi_2", "processing", "r-2"),
    ]
