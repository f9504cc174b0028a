from datetime import timedelta
from uuid import uuid4

import pytest

from commands.ids import fingerprint, payment_id
from tests.support.builders import create_payment


def test_one_key_of_one_merchant_is_one_payment():
    assert payment_id("demo", "order-1") == payment_id("demo", "order-1")
    assert payment_id("demo", "order-1") != payment_id("other", "order-1")
    assert payment_id("a", "b,c") != payment_id("a,b", "c")


def test_the_fingerprint_leaves_out_who_asks_and_until_when():
    command = create_payment()
    again = create_payment(command_id=uuid4(), expires_at=command.expires_at + timedelta(hours=1))

    assert fingerprint(again) == fingerprint(command)


@pytest.mark.parametrize(
    "other",
    [
        {"amount_minor": 1100},
        {"currency": "USD"},
        {"metadata": {"a": "1"}},
        {"customer_id": None},
        {"description": "x"},
    ],
)
def test_any_other_content_has_another_fingerprint(other):
    assert fingerprint(create_payment(**other)) != fingerprint(create_payment())
