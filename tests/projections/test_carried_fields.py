"""What a payment's first event only passes on reaches its row, the row's columns and the API by its name."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from aggregates import events as recorded
from aggregates.decision import PAYMENT_FIELDS
from infra.api import schemas
from infra.postgres import migrate
from projections.bodies import PassedOn, Requested
from projections.columns import OPERATION, OPERATION_NEW, PAYMENT, PAYMENT_NEW
from projections.fold import apply
from projections.rows import NewPayment, PaymentRow
from tests.support.event_stories import event_of, requested, stored


def test_a_new_payments_row_carries_each_field_that_is_passed_on():
    given = {
        "customer_id": "customer-7",
        "country": "DE",
        "description": "d",
        "statement_text": "s",
        "return_page": "https://shop/back",
        "metadata": {"a": "b"},
        "method": "wallet",
        "card": {"bin": "424242", "country": "DE", "scheme": "visa", "funding": None},
    }
    event = event_of(stored(requested(**given))[0])
    row = PaymentRow(event.payment_id)
    apply(row, event)

    assert isinstance(event.body, Requested)
    assert row.new is not None
    for one in fields(PassedOn):
        assert getattr(row.new, one.name) == getattr(event.body, one.name)
    assert {name: getattr(row.new, name) for name in given} == given


def test_each_field_that_is_passed_on_is_stored_and_has_a_column():
    passed_on = {one.name for one in fields(PassedOn)}

    assert passed_on <= {one.name for one in fields(recorded.Requested)}
    assert list(PAYMENT_NEW) == [one.name for one in fields(NewPayment)]
    assert PAYMENT_NEW.keys() == passed_on | {"created_at"}
    assert PAYMENT.keys().isdisjoint(PAYMENT_NEW)


def test_each_field_of_a_request_is_passed_on_or_named_here():
    for_the_psp_alone = {"payment_method", "payment_methods", "stored_credential"}
    read_by_rules = {"merchant_id"}
    of_the_key = {"idempotency_key"}

    passed_on = {one.name for one in fields(PassedOn)}
    assert set(PAYMENT_FIELDS) - passed_on == for_the_psp_alone | read_by_rules | of_the_key


def test_each_field_that_is_passed_on_is_shown_by_the_api():
    assert PAYMENT_NEW.keys() <= schemas.Payment.model_fields.keys()


@pytest.mark.parametrize(
    ("table", "columns"), [("payments", PAYMENT | PAYMENT_NEW), ("operations", OPERATION | OPERATION_NEW)]
)
def test_each_column_of_a_row_is_made_by_a_migration(table: str, columns: dict[str, str]):
    folder = Path(migrate.__file__).with_name("migrations")
    text = "\n".join(re.sub("--.*", "", file.read_text()) for file in sorted(folder.glob("*.sql")))
    made = re.findall(rf"CREATE TABLE {{read}}\.{table} \((.*?)^\)", text, re.DOTALL | re.MULTILINE)
    added = re.findall(rf"ALTER TABLE {{read}}\.{table}\b([^;]*);", text)
    names = set(re.findall(r"^ {4}([a-z_]+) ", *made, re.MULTILINE))
    names |= set(re.findall(r"ADD COLUMN (?:IF NOT EXISTS )?([a-z_]+)", "".join(added)))

    assert columns.keys() - names == set()
