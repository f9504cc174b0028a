"""The objects that a PSP without tables of its own keeps in the ledger."""

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from gateways.simulator.core.ledger import Ledger, read_movements, read_open
from gateways.simulator.core.rows import Moved, Object


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path)
    yield ledger
    ledger.close()


def an_object(object_id: str, **more: object) -> Object:
    one = Object("toy", object_id, "a", "payment", "held", 1000, "EUR", 5.0, capture_limit=1000)
    return one._replace(**more)


def test_an_object_is_kept_as_it_is_and_is_its_own_payment(ledger: Ledger):
    added = ledger.add(an_object("p1", reference="r-1", data='{"a":1}', may_move=True))

    assert (
        ledger.one("toy", "p1")
        == added
        == an_object("p1", reference="r-1", data='{"a":1}', may_move=True, payment="p1")
    )
    assert ledger.one("other", "p1") is None


def test_a_change_remembers_the_status_before_it(ledger: Ledger):
    one = ledger.add(an_object("p1"))

    one = ledger.change(one._replace(status="captured", captured=600))
    ledger.change(one._replace(refunded=1))

    found = ledger.one("toy", "p1")
    assert found is not None
    assert (found.status, found.earlier, found.captured, found.refunded) == ("captured", "held", 600, 1)


@pytest.mark.parametrize(
    "totals",
    [
        {"captured": 1001},
        {"captured": 500, "refunded": 501},
        {"refunded": -1},
        {"authorized": 900, "captured": 1001},
    ],
)
def test_no_more_is_taken_or_given_back_than_the_payment_allows(ledger: Ledger, totals: dict[str, int]):
    one = ledger.add(an_object("p1"))

    with pytest.raises(sqlite3.IntegrityError):
        ledger.change(one._replace(**totals))


def test_what_is_found_is_the_newest_first_and_only_what_was_requested(ledger: Ledger):
    for number in range(3):
        ledger.add(an_object(f"p{number}", reference="r-1", listed_from=float(number)))
    ledger.add(an_object("c1", kind="capture", reference="r-1", parent="p1"))
    ledger.add(an_object("q1", account="b", reference="r-1"))

    def ids(**requested: object) -> list[str]:
        return [one.id for one in ledger.find("toy", "a", **requested)]

    assert ids(reference="r-1", kind="payment") == ["p2", "p1", "p0"]
    assert ids(reference="r-1", kind="payment", listed_at=1.0) == ["p1", "p0"]
    assert ids(parent="p1") == ["c1"]
    assert ids(limit=1) == ["c1"]
    assert ids(reference="r-2") == []


def test_what_is_due_settles_and_nothing_else(ledger: Ledger):
    for number, at in enumerate((1.0, 3.0, None)):
        ledger.add(an_object(f"p{number}", settles_at=at))

    assert [one.id for one in ledger.due_to_settle("toy", 2.0)] == ["p0"]
    assert ledger.due_to_settle("other", 2.0) == []


def test_a_movement_names_its_payment_and_is_never_entered_twice(ledger: Ledger, path: Path):
    one = ledger.add(an_object("p1", reference="r-a1"))
    ledger.move(one._replace(captured=400), [Moved("captured", "c1", "r-c2", 400)], 7.0)

    with pytest.raises(sqlite3.IntegrityError), ledger.writing():
        ledger.move(one._replace(captured=500), [Moved("captured", "c2", "r-c3", 500)], 8.0)

    (entered,) = read_movements(path)
    assert (entered.gateway, entered.intent_id, entered.intent_reference) == ("toy", "p1", "r-a1")
    assert (entered.psp_id, entered.reference, entered.amount) == ("c1", "r-c2", Decimal("0.4"))


def test_what_is_open_is_read_with_the_payment_it_belongs_to(ledger: Ledger, path: Path):
    ledger.add(an_object("p1", reference="r-s1"))
    ledger.add(an_object("r1", kind="refund", reference="r-r2", payment="p1", parent="c1", may_move=True))

    (waiting,) = read_open(path)

    assert (waiting.psp_id, waiting.intent_id) == ("r1", "p1")
    assert (waiting.reference, waiting.intent_reference) == ("r-r2", "r-s1")


def test_a_transaction_inside_another_is_part_of_it(ledger: Ledger):
    class Broken(Exception):
        pass

    def break_off() -> None:
        with ledger.writing():
            with ledger.writing():
                ledger.add(an_object("p1"))
            raise Broken

    with pytest.raises(Broken):
        break_off()

    assert ledger.one("toy", "p1") is None
