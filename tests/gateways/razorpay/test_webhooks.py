import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from commands.notices import Notice
from gateways.contract import Gateway, Webhook, WebhookKeys, WebhookRefused
from gateways.razorpay.adapter import Razorpay
from tests.gateways.razorpay.payloads import (
    AUTHORIZE,
    DISPUTE,
    OLD_WEBHOOK_SECRET,
    ORDER,
    PAY,
    PAYMENT_ID,
    REFUND,
    REFUND_ID,
    WEBHOOK_SECRET,
    event,
    order,
    payment,
    published,
    refund,
    webhook,
)

RAZORPAY: Gateway = Razorpay()
KEYS = WebhookKeys((WEBHOOK_SECRET,), {})
NOW = datetime(2022, 1, 20, tzinfo=UTC)
CAPTURED = event("payment.captured", payment=payment("captured"))


def read(delivered: Webhook, keys: WebhookKeys = KEYS) -> Notice:
    notices = RAZORPAY.read_webhook(delivered, keys, NOW)
    assert not isinstance(notices, WebhookRefused)
    (notice,) = notices
    return notice


def why(delivered: Webhook, keys: WebhookKeys = KEYS) -> str | None:
    refused = RAZORPAY.read_webhook(delivered, keys, NOW)
    return refused.reason if isinstance(refused, WebhookRefused) else None


def test_a_rightly_signed_event_is_read():
    notice = read(webhook(CAPTURED))

    assert (notice.event_id, notice.event_type, notice.reference) == (
        hashlib.sha256(webhook(CAPTURED).body).hexdigest(),
        "payment.captured",
        PAY.reference,
    )
    assert notice.at == datetime(2022, 1, 20, 7, 2, 40, tzinfo=UTC)
    assert notice.psp_id == PAYMENT_ID


def test_while_secrets_are_exchanged_either_is_right():
    both = WebhookKeys((WEBHOOK_SECRET, OLD_WEBHOOK_SECRET), {})

    for secret in (WEBHOOK_SECRET, OLD_WEBHOOK_SECRET):
        assert read(webhook(CAPTURED, secret), both).psp_id == PAYMENT_ID


@pytest.mark.parametrize(
    ("delivered", "reason"),
    [
        (webhook(CAPTURED, "another"), "forged"),
        (webhook(CAPTURED, OLD_WEBHOOK_SECRET), "forged"),
        (replace(webhook(CAPTURED), headers={"x-razorpay-event-id": "evt_1"}), "unsigned"),
        (replace(webhook(CAPTURED), headers={"x-razorpay-signature": ""}), "forged"),
        (replace(webhook(CAPTURED), headers={"x-razorpay-signature": "\udce4\u00e4"}), "forged"),
        (replace(webhook(CAPTURED), body=orjson.dumps(CAPTURED) + b" "), "forged"),
        (replace(webhook(CAPTURED), body=orjson.dumps(CAPTURED).replace(b"1099", b"9901")), "forged"),
        (webhook(b"no json"), "malformed"),
        (webhook(b"[]"), "malformed"),
        (webhook({"event": "payment.captured"}), "malformed"),
        (webhook({"event": 7, "payload": {}}), "malformed"),
    ],
)
def test_what_is_not_rightly_signed_or_no_event_is_refused(delivered: Webhook, reason: str):
    assert why(delivered) == reason


def test_without_a_secret_nothing_is_rightly_signed():
    assert why(webhook(CAPTURED), WebhookKeys((), {})) == "forged"


def test_the_api_keys_secret_signs_no_webhook():
    assert why(webhook(CAPTURED, "thisissupersecret")) == "forged"


def test_an_event_is_known_by_what_is_signed_and_not_by_a_header():
    other = event("payment.failed", payment=payment("failed"))

    assert (
        read(webhook(CAPTURED, event_id="evt_2")).event_id == read(webhook(CAPTURED, event_id=None)).event_id
    )
    assert read(webhook(other)).event_id != read(webhook(CAPTURED)).event_id


@pytest.mark.parametrize("payload", [[], None])
def test_an_event_without_members_reports_nothing(payload: list[Any] | None):
    notices = read(webhook(event("payment.captured") | {"payload": payload}))

    assert (notices.reference, notices.psp_id, notices.outcome, notices.dispute) == (None, None, None, None)


def test_half_a_character_in_a_text_is_no_reason_to_refuse_an_event():
    body = orjson.dumps(event("payment.captured", payment=payment("captured", description="cut off here")))
    cut = read(webhook(body.replace(b"cut off here", b"cut off \\ud83d")))

    assert cut.outcome == read(webhook(body)).outcome
    assert cut.outcome is not None


@pytest.mark.parametrize(
    ("event_type", "call", "status", "kind"),
    [
        ("payment.authorized", AUTHORIZE, "authorized", "APPROVED"),
        ("payment.authorized", PAY, "authorized", "UNKNOWN"),  # our capture has to follow
        ("payment.captured", PAY, "captured", "APPROVED"),
        ("payment.captured", AUTHORIZE, "captured", "UNKNOWN"),
        ("payment.authorized", PAY, "captured", "APPROVED"),  # the snapshot is ahead of its name
        ("payment.failed", PAY, "failed", "UNKNOWN"),
        ("payment.failed", AUTHORIZE, "failed", "UNKNOWN"),
        ("payment.failed", PAY, "captured", "APPROVED"),
        ("payment.captured", PAY, "something_new", "UNKNOWN"),
        ("payment.pending", PAY, "created", "UNKNOWN"),
    ],
    ids=lambda given: given if isinstance(given, str) else given.kind,
)
def test_the_payments_status_says_what_became_of_its_operation(
    event_type: str, call: Any, status: str, kind: str
):
    notice = read(webhook(event(event_type, payment=payment(status, call))))

    assert (notice.reference, notice.psp_id) == (call.reference, PAYMENT_ID)
    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.psp_id) == (kind, PAYMENT_ID)
    if kind == "APPROVED":
        assert (notice.outcome.amount_minor, notice.outcome.currency) == (1099, "INR")


def test_a_paid_order_says_it_of_its_payment():
    notice = read(webhook(event("order.paid", order=order(), payment=payment("captured"))))

    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.reference) == ("APPROVED", ORDER.reference)


@pytest.mark.parametrize("more", [{"amount": None}, {"amount": 2**63}, {"currency": "XYZ"}, {"amount": 0}])
def test_a_payment_without_a_readable_amount_approves_nothing(more: dict[str, Any]):
    notice = read(webhook(event("payment.captured", payment=payment("captured", **more))))

    assert notice.outcome is not None
    assert notice.outcome.kind == "UNKNOWN"


@pytest.mark.parametrize("call", [PAY, AUTHORIZE], ids=lambda call: call.kind)
def test_what_razorpay_refunds_because_it_was_not_captured_has_expired(call: Any):
    theirs = refund(receipt=None, notes=[], amount=1099)
    body = event("refund.processed", refund=theirs, payment=payment("refunded", call, captured=False))

    notice = read(webhook(body))

    assert (notice.reference, notice.psp_id) == (call.reference, PAYMENT_ID)
    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.code) == ("EXPIRED", "refunded_uncaptured")


@pytest.mark.parametrize(
    ("event_type", "status", "kind"),
    [
        ("refund.created", "pending", "PENDING"),
        ("refund.created", "processed", "APPROVED"),
        ("refund.processed", "processed", "APPROVED"),
        ("refund.speed_changed", "processed", "APPROVED"),
        ("refund.failed", "failed", "DECLINED_HARD"),
        ("refund.processed", "something_new", "UNKNOWN"),
    ],
)
def test_a_refunds_status_says_what_became_of_it(event_type: str, status: str, kind: str):
    body = event(event_type, refund=refund(status), payment=payment("captured", amount_refunded=400))

    notice = read(webhook(body))

    assert (notice.reference, notice.psp_id) == (REFUND.reference, REFUND_ID)
    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.psp_id) == (kind, REFUND_ID)
    if kind == "APPROVED":
        assert (notice.outcome.amount_minor, notice.outcome.currency) == (400, "INR")


def test_a_refund_that_names_two_references_reports_nothing():
    notice = read(webhook(event("refund.processed", refund=refund(receipt="another"))))

    assert (notice.reference, notice.psp_id, notice.outcome) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "deducted", "state"),
    [
        ("created", 0, "opened"),
        ("under_review", 0, "opened"),
        ("action_required", 0, "opened"),
        ("won", 0, "won"),
        ("lost", 1099, "lost"),
        ("closed", 0, "won"),
        ("closed", 1099, "lost"),
        ("closed", None, "lost"),
    ],
)
def test_a_dispute_names_its_payment_amount_and_time(name: str, deducted: int | None, state: str):
    dispute = DISPUTE | {"amount_deducted": deducted}

    notice = read(
        webhook(event(f"payment.dispute.{name}", dispute=dispute, payment=payment("captured", AUTHORIZE)))
    )

    assert (notice.reference, notice.psp_id) == (AUTHORIZE.reference, PAYMENT_ID)
    assert notice.dispute is not None
    assert (notice.dispute.state, notice.dispute.dispute_id) == (state, "disp_EsIAlDcoUr8CaQ")
    assert (notice.dispute.amount_minor, notice.dispute.currency) == (1099, "INR")
    assert notice.dispute.reason == "chargeback"
    assert notice.dispute.respond_by == datetime(2022, 1, 21, 7, 2, 40, tzinfo=UTC)


@pytest.mark.parametrize("phase", ["retrieval", "fraud"])
@pytest.mark.parametrize(
    ("name", "deducted", "state"),
    [
        ("created", 0, "inquiry"),
        ("under_review", 0, "inquiry"),
        ("closed", 0, "closed"),
        ("won", 0, "closed"),
        ("lost", 1099, "lost"),
        ("created", 1099, "opened"),
    ],
)
def test_a_retrieval_and_a_suspicion_take_nothing_unless_something_was_deducted(
    phase: str, name: str, deducted: int, state: str
):
    dispute = DISPUTE | {"amount_deducted": deducted, "phase": phase}

    notice = read(webhook(event(f"payment.dispute.{name}", dispute=dispute)))

    assert notice.dispute is not None
    assert notice.dispute.state == state


@pytest.mark.parametrize(
    "body",
    [
        event("payment.dispute.created", dispute=DISPUTE | {"amount": "1099"}),
        event("payment.dispute.reopened", dispute=DISPUTE),
    ],
)
def test_a_dispute_that_cannot_be_read_is_an_alarm_beside_its_payment(body: dict[str, Any]):
    notice = read(webhook(body))

    assert (notice.alarm, notice.psp_id) == ("dispute_unreadable", PAYMENT_ID)


@pytest.mark.parametrize("more", [{"respond_by": None}, {"respond_by": 0}, {"reason_code": "x" * 101}])
def test_what_is_only_for_reading_never_costs_the_dispute(more: dict[str, Any]):
    notice = read(webhook(event("payment.dispute.created", dispute=DISPUTE | more)))

    assert notice.dispute is not None
    assert (notice.dispute.state, notice.dispute.amount_minor) == ("opened", 1099)


def test_a_dispute_is_found_by_the_payment_it_names_and_not_by_another_beside_it():
    other = payment("captured", id="pay_another")

    notice = read(webhook(event("payment.dispute.created", dispute=DISPUTE, payment=other)))

    assert (notice.reference, notice.psp_id) == (None, PAYMENT_ID)


@pytest.mark.parametrize(
    "body",
    [
        event("settlement.processed", settlement={"id": "setl_1", "entity": "settlement", "amount": 1}),
        event("something.new"),
        event("payment.captured", payment={"id": "fake", "entity": "payment"}),
        event("payment.captured"),
    ],
)
def test_an_event_that_reports_nothing_of_an_operation_is_taken_and_left(body: dict[str, Any]):
    notice = read(webhook(body))

    assert (notice.outcome, notice.dispute) == (None, None)


def test_an_event_of_the_published_shape_is_read():
    body = published("fake_payment_authorized_webhook.json")

    notice = read(webhook(body))

    assert (notice.event_type, notice.psp_id) == ("payment.authorized", "pay_6koWN7bvxujzxM")
    assert notice.outcome is not None
    assert notice.outcome.kind == "UNKNOWN"  # nothing in it shows that it is ours
    body["payload"]["payment"]["entity"]["notes"] = {"order_ref": PAY.reference, "order_kind": "sale"}
    ours = read(webhook(body)).outcome
    assert ours is not None
    assert (ours.kind, ours.amount_minor) == ("APPROVED", 1000000)


def test_a_status_that_is_new_is_reported_as_new_and_a_known_one_is_not():
    for name, one, status, new in (
        ("payment.failed", payment, "teleported", True),
        ("payment.failed", payment, "authorized", False),
        ("payment.failed", payment, "failed", False),
        ("refund.processed", refund, "teleported", True),
        ("refund.processed", refund, "pending", False),
    ):
        notices = read(webhook(event(name, **{name.partition(".")[0]: one(status)})))

        assert notices.outcome is not None
        assert notices.outcome.unlisted is new, status
