"""A create with a token for each PSP, decided against the real store."""

from uuid import uuid4

import pytest

from tests.support.builders import create_payment
from tests.support.decider_harness import DeciderHarness

pytestmark = pytest.mark.stack

CARD = {"bin": "42424242", "country": "DE", "scheme": "visa", "funding": "debit"}


def test_what_the_merchant_gave_is_read_back_from_the_stream(harness: DeciderHarness):
    command = create_payment(
        payment_method=None, payment_methods={"stripe": "pm_1", "adyen": "8416"}, method="wallet", card=CARD
    )
    harness.run(harness.record(command))

    made = harness.payment(command.payment_id)
    assert made.payment_method is None
    assert made.payment_methods == {"stripe": "pm_1", "adyen": "8416"}
    assert (made.method, made.card) == ("wallet", CARD)


def test_the_same_key_with_another_psps_token_is_another_content(harness: DeciderHarness):
    first = create_payment(payment_method=None, payment_methods={"stripe": "pm_1"})
    other = create_payment(command_id=uuid4(), payment_method=None, payment_methods={"stripe": "pm_2"})

    replies = harness.run(harness.record(first), harness.record(other)).replies

    assert [(reply.result, reply.code) for reply in replies] == [
        ("accepted", None),
        ("refused", "idempotency_mismatch"),
    ]


def test_a_token_under_a_name_that_no_psp_has_starts_nothing(harness: DeciderHarness):
    command = create_payment(payment_method=None, payment_methods={"strip": "pm_1"})

    (reply,) = harness.run(harness.record(command)).replies

    assert (reply.code, reply.path) == ("gateway_unknown", "payment_methods")
    assert harness.versions() == 0
