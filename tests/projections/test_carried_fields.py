"""What a payment's first event only passes on reaches its row, and the row's columns, by construction."""

from dataclasses import fields

from aggregates import events as recorded
from projections.columns import PAYMENT, PAYMENT_NEW
from projections.events import PassedOn, Requested
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
