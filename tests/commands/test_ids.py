from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from commands.cards import StoredCredential
from commands.ids import fingerprint, payment_id
from commands.messages import AnyCommand, CapturePayment, CreatePayment
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
        {"payment_method": None, "payment_methods": {"stripe": "pm_card_visa"}},
        {"method": "card"},
        {"card": {"bin": "424242"}},
    ],
)
def test_any_other_content_has_another_fingerprint(other):
    assert fingerprint(create_payment(**other)) != fingerprint(create_payment())


_IDS = {
    "command_id": UUID("c0ffee00-0000-4000-8000-000000000001"),
    "payment_id": UUID("9a6a7a52-0000-5000-8000-000000000001"),
}
_UNTIL = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
_SMALL = CreatePayment(
    **_IDS,
    merchant_id="demo",
    idempotency_key="order-1",
    amount_minor=1099,
    currency="EUR",
    payment_method="pm_card_visa",
    expires_at=_UNTIL,
)
_FULL = CreatePayment(
    **_IDS,
    merchant_id="shop-2",
    idempotency_key="order-2",
    amount_minor=500,
    currency="JPY",
    capture="manual",
    payment_method="adyen:8416034123456789",
    stored_credential=StoredCredential(use="reuse", initiator="merchant", customer_token="cus_9"),
    customer_id="customer-7",
    country="DE",
    description="Tickets, row 5",
    statement_text="SHOP TICKETS",
    return_page="https://shop.example/back",
    metadata={"order": "1001", "a": "b"},
    expires_at=_UNTIL,
)


# The fingerprints of commit ef45c4e, before creates had further fields: a merchant who repeats a create after
# an upgrade has to be answered with the first one, and not with idempotency_mismatch.
@pytest.mark.parametrize(
    ("command", "then"),
    [
        (_SMALL, "e1048044d8b6e63f6635327a3b32bb53e63bb587064c2e91dc8df3f034cd2636"),
        (_FULL, "baff04f3280f0c31a237f77ced74b6ac4584cd2dfeb345df48bc843290ced007"),
        (
            CapturePayment(**_IDS, merchant_id="demo", amount_minor=1099),
            "02ad6641ed956436d3cfd871a946f14116f12cf4fdfe269c95a9b73d34b56861",
        ),
    ],
)
def test_a_command_sent_before_fields_were_added_keeps_its_fingerprint(command: AnyCommand, then: str):
    assert fingerprint(command) == then
