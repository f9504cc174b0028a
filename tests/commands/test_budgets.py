"""The limits on retries in a command worker's batches, with the real store."""

import random
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from aggregates.status import Status
from commands.decider import Decider
from commands.messages import CreatePayment
from commands.reply import Reply
from infra.psp.accounts import Accounts
from infra.psp.fingerprints import CardFingerprints
from tests.infra.psp.test_tokens_by_gateway import SHOP
from tests.support.builders import NOW, create_payment, record_outcome
from tests.support.decider_harness import OUTCOMES, DeciderHarness

pytestmark = pytest.mark.stack

VISA = {"scheme": "visa"}


@pytest.fixture
def shop(harness: DeciderHarness, tmp_path: Path) -> DeciderHarness:
    """A worker that keeps the limits. The merchant has an account at Adyen, one at Stripe and one at
    PayPal, in this order."""
    (tmp_path / "accounts.toml").write_text(SHOP)
    accounts = Accounts.load(tmp_path / "accounts.toml")
    fingerprints = CardFingerprints(b"k" * 32, accounts)
    harness.decider = Decider(
        harness.store,
        accounts,
        OUTCOMES,
        lambda: harness.now,
        random.Random(7),
        fingerprints=fingerprints,
    )
    return harness


def order(number: int, **other: object) -> CreatePayment:
    fields = {"merchant_id": "shop", "payment_method": "stripe:pm_1", "card": VISA} | other
    return create_payment(idempotency_key=f"order-{number}", command_id=uuid4(), **fields)


def request(shop: DeciderHarness, number: int, **other: object) -> tuple[UUID, Reply]:
    command = order(number, **other)
    (reply,) = shop.run(shop.record(command)).replies
    return command.payment_id, reply


def decline(shop: DeciderHarness, payment: UUID, kind: str = "DECLINED_HARD", **said: str) -> None:
    report = record_outcome(
        shop.payment(payment), kind=kind, code="declined", amount_minor=None, currency=None, **said
    )
    shop.run(shop.record(report.model_copy(update={"command_id": uuid4()}), topic=OUTCOMES))


def declined(shop: DeciderHarness, numbers: range, **other: object) -> None:
    for number in numbers:
        payment, _ = request(shop, number, **other)
        decline(shop, payment, issuer_code="51")


def rows(shop: DeciderHarness) -> int:
    return shop.connection.execute("SELECT count(*) FROM declined_attempts").fetchone()[0]


def test_the_16th_attempt_of_a_visa_card_within_30_days_is_refused_with_the_reason(shop: DeciderHarness):
    declined(shop, range(15))

    payment, reply = request(shop, 15)

    assert (reply.status, reply.code) == ("REJECTED", "no_psp_account")
    assert reply.detail is not None
    assert reply.detail.startswith("15 declines of this card and amount within 30 days: visa allows no other")
    assert shop.payment(payment).operations == {}


@pytest.mark.parametrize(
    "other",
    [
        {"amount_minor": 1100},
        {"currency": "GBP"},
        {"payment_method": "stripe:pm_2"},
        {"merchant_id": "other"},
    ],
)
def test_another_card_amount_or_merchant_has_a_budget_of_its_own(shop: DeciderHarness, other, tmp_path: Path):
    declined(shop, range(15))

    _, reply = request(shop, 15, **other)

    assert "declines of this card" not in (reply.detail or "")


# With any other token beside it: the marks of both are searched, in whatever order they have.
@pytest.mark.parametrize("other", ["8416", "8417", "8418", "8419"])
def test_a_card_is_known_again_by_one_of_several_tokens(shop: DeciderHarness, other: str):
    declined(shop, range(15))

    _, reply = request(shop, 15, payment_method=None, payment_methods={"stripe": "pm_1", "adyen": other})

    assert reply.status == "REJECTED"


def test_after_30_days_the_card_may_be_tried_again(shop: DeciderHarness):
    declined(shop, range(15))
    shop.now = NOW + timedelta(days=30)

    _, reply = request(shop, 15, expires_at=shop.now + timedelta(hours=1))

    assert reply.status == "PROCESSING"


def test_a_code_that_forbids_every_later_attempt_leads_to_no_other_psp_and_no_other_payment(
    shop: DeciderHarness,
):
    both = {"payment_method": None, "payment_methods": {"stripe": "pm_1", "adyen": "8416"}}
    payment, _ = request(shop, 1, **both)
    decline(shop, payment, "DECLINED_SOFT", issuer_code="14")

    # By the token at the other PSP, years later.
    shop.now = NOW + timedelta(days=700)
    until = {"expires_at": shop.now + timedelta(hours=1)}
    _, again = request(shop, 2, payment_method="adyen:8416", payment_methods=None, **until)

    made = shop.payment(payment)
    assert (made.status, len(made.attempts)) == (Status.FAILED, 1)
    assert [one.psp.gateway for one in made.attempts] == ["adyen"]
    assert (again.status, again.detail) == (
        "REJECTED",
        "the issuer declined this card on 2026-11-22 with 14: visa allows no other attempt",
    )


@pytest.mark.parametrize("other", [{"amount_minor": 1100}, {"currency": "GBP"}])
def test_a_stolen_card_is_not_tried_again_for_another_amount(shop: DeciderHarness, other):
    payment, _ = request(shop, 1)
    decline(shop, payment, issuer_code="43")

    _, again = request(shop, 2, **other)
    _, another = request(shop, 3, payment_method="stripe:pm_2", **other)

    assert again.detail == "the issuer declined this card on 2026-11-22 with 43: visa allows no other attempt"
    assert "this card" not in (another.detail or "")


def test_a_revoked_mandate_forbids_the_next_attempt_of_a_payment_of_another_amount(shop: DeciderHarness):
    both = {"payment_method": None, "payment_methods": {"stripe": "pm_1", "adyen": "8416"}}
    waits, _ = request(shop, 1, amount_minor=1100, **both)
    other, _ = request(shop, 2, payment_method="adyen:8416")
    decline(shop, other, issuer_code="R1")

    decline(shop, waits, "DECLINED_SOFT", issuer_code="51")

    assert len(shop.payment(waits).attempts) == 1


def test_without_that_code_the_next_psp_gets_the_next_attempt(shop: DeciderHarness):
    both = {"payment_method": None, "payment_methods": {"stripe": "pm_1", "adyen": "8416"}}
    payment, _ = request(shop, 1, **both)
    decline(shop, payment, "DECLINED_SOFT", issuer_code="51")

    assert [one.psp.gateway for one in shop.payment(payment).attempts] == ["adyen", "stripe"]


def test_the_attempts_of_one_payment_count_with_those_of_others(shop: DeciderHarness):
    declined(shop, range(14))
    both = {"payment_method": None, "payment_methods": {"stripe": "pm_1", "adyen": "8416"}}
    payment, reply = request(shop, 14, **both)
    decline(shop, payment, "DECLINED_SOFT", issuer_code="51")

    made = shop.payment(payment)
    assert reply.status == "PROCESSING"
    assert (made.status, len(made.attempts)) == (Status.FAILED, 1)
    assert made.pending_events == []
    reasons = shop.connection.execute(
        "SELECT convert_from(state, 'UTF8')::json ->> 'reason' FROM payment_events "
        "WHERE originator_id = %s AND topic = 'payment.attempts_ended.v1'",
        (payment,),
    ).fetchall()
    assert "15 declines of this card and amount within 30 days" in reasons[0][0]


@pytest.mark.parametrize(("before", "attempts"), [(12, 3), (13, 2)])
def test_a_decline_counts_for_a_later_message_of_its_own_batch(shop: DeciderHarness, before, attempts):
    """Two attempts of one payment are declined in one batch, before either is saved: with 13 declines from
    before, the second is the 15th."""
    declined(shop, range(before))
    tokens = {"stripe": "pm_1", "adyen": "8416", "paypal": "8JE"}
    payment, _ = request(shop, 14, payment_method=None, payment_methods=tokens)
    report = record_outcome(
        shop.payment(payment), kind="DECLINED_SOFT", code="x", amount_minor=None, currency=None
    )
    reports = [
        report.model_copy(update={"command_id": uuid4(), "operation_id": f"{payment.hex}-s{attempt}"})
        for attempt in (1, 2)
    ]

    shop.run(*(shop.record(one, topic=OUTCOMES) for one in reports))

    assert len(shop.payment(payment).attempts) == attempts


def test_a_report_that_stands_twice_in_a_batch_is_written_once_under_each_token(shop: DeciderHarness):
    declined(shop, range(14))
    both = {"payment_method": None, "payment_methods": {"stripe": "pm_1", "adyen": "8416"}}
    payment, _ = request(shop, 14, **both)
    report = record_outcome(
        shop.payment(payment), kind="DECLINED_SOFT", code="x", amount_minor=None, currency=None
    )
    twice = [shop.record(report, topic=OUTCOMES), shop.record(report, topic=OUTCOMES)]
    shop.run(*twice)

    assert len(shop.payment(payment).attempts) == 1
    assert rows(shop) == 14 + 2  # under both of its tokens, and once each


def test_a_report_that_is_read_again_counts_once(shop: DeciderHarness):
    payment, _ = request(shop, 1)
    report = record_outcome(
        shop.payment(payment), kind="DECLINED_HARD", code="x", amount_minor=None, currency=None
    )
    for _ in range(3):
        shop.run(shop.record(report, topic=OUTCOMES))

    assert rows(shop) == 1


def test_what_is_stored_of_a_decline_is_no_token(shop: DeciderHarness):
    payment, _ = request(shop, 1)
    decline(shop, payment, issuer_code="14", issuer_advice="03")

    row = shop.connection.execute(
        "SELECT octet_length(fingerprint), fingerprint::text, scheme, issuer_code, issuer_advice, forbids, "
        "amount_minor, currency, declined_at, payment_id FROM declined_attempts"
    ).fetchone()

    assert row[:1] + row[2:] == (32, "visa", "14", "03", True, 1099, "EUR", NOW, payment)
    assert b"pm_1".hex() not in row[1]


def test_an_approval_and_an_unknown_outcome_are_no_declines(shop: DeciderHarness):
    for number, kind in enumerate(("APPROVED", "UNKNOWN", "NOT_SENT")):
        payment, _ = request(shop, number)
        report = record_outcome(shop.payment(payment), kind=kind)
        shop.run(shop.record(report, topic=OUTCOMES))

    assert rows(shop) == 0


def test_without_a_key_nothing_is_counted_and_nothing_read(harness: DeciderHarness):
    for number in range(20):
        command = create_payment(idempotency_key=f"order-{number}", command_id=uuid4(), card=VISA)
        (reply,) = harness.run(harness.record(command)).replies
        assert reply.status == "PROCESSING"
        decline(harness, command.payment_id, issuer_code="14")

    assert rows(harness) == 0
