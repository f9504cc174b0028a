import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateways.simulator.ledger import KEY_LIFE_S, Charge, Intent, Ledger, StoredAnswer, read_charges

ANSWER = StoredAnswer("fingerprint", 200, b"{}")


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
    )._replace(**more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a folder?#" / "ledger.db"


def test_charges_are_read_in_our_minor_units_while_the_ledger_is_written(path: Path):
    ledger = Ledger(path)
    ledger.add_intent(intent(1))
    ledger.add_charge("ch_1", intent(1), 1000.5)
    with ledger.writing():
        ledger.add_intent(intent(2))
        ledger.add_charge("ch_2", intent(2), 1001)

        seen = list(read_charges(path))

    assert seen == [Charge("r-1", 5, "ISK", "pi_1", datetime.fromtimestamp(1000.5, UTC))]
    assert [charge.intent_id for charge in read_charges(path)] == ["pi_1", "pi_2"]
    ledger.close()


def test_charges_are_read_after_the_ledger_was_closed(path: Path):
    ledger = Ledger(path)
    ledger.add_intent(intent(1))
    ledger.add_charge("ch_1", intent(1), 1000)
    ledger.close()

    assert len(list(read_charges(path))) == 1


def test_a_charge_that_is_no_amount_of_ours_is_shown_as_such(path: Path):
    ledger = Ledger(path)
    odd = intent(1, amount=550, reference=None)
    ledger.add_intent(odd)
    ledger.add_charge("ch_1", odd, 1000)

    charge = next(read_charges(path))

    assert (charge.reference, charge.amount_minor, charge.currency) == ("", None, "ISK")
    ledger.close()


def test_reading_charges_does_not_make_a_ledger(path: Path):
    with pytest.raises(sqlite3.OperationalError):
        list(read_charges(path))

    assert not path.exists()


def test_an_intent_is_never_charged_twice(path: Path):
    ledger = Ledger(path)
    ledger.add_intent(intent(1))
    ledger.add_charge("ch_1", intent(1), 1000)

    with pytest.raises(sqlite3.IntegrityError):
        ledger.add_charge("ch_2", intent(1), 1000)
    ledger.close()


def test_a_transaction_that_fails_leaves_nothing(path: Path):
    ledger = Ledger(path)
    ledger.keep_answer("k", ANSWER, 1000)

    def charge_under_the_same_key() -> None:
        with ledger.writing():
            ledger.add_intent(intent(1))
            ledger.add_charge("ch_1", intent(1), 1000)
            ledger.keep_answer("k", ANSWER, 1000)

    with pytest.raises(sqlite3.IntegrityError):
        charge_under_the_same_key()

    assert ledger.intent("pi_1") is None
    assert list(read_charges(path)) == []
    ledger.close()


def test_a_key_is_forgotten_after_a_day(path: Path):
    ledger = Ledger(path)
    ledger.keep_answer("k", ANSWER, 1000)

    assert ledger.answer("k", 1000 + KEY_LIFE_S - 1) == ANSWER
    assert ledger.answer("k", 1000 + KEY_LIFE_S) is None
    assert ledger.answer("k", 1000) is None
    ledger.close()
