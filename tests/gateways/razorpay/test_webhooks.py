import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from gateways.contract import Gateway, Hook, HookKeys, HookRefused, Notice
from gateways.razorpay.adapter import Razorpay
from tests.gateways.razorpay.says import (
    AUTHORIZE,
    HOOK_SECRET,
    OLD_HOOK_SECRET,
    ORDER,
    PAY,
    PAYMENT_ID,
    REFUND,
    REFUND_ID,
    event,
    hook,
    order,
    payment,
    published,
    refund,
)

RAZORPAY: Gateway = Razorpay()
KEYS = HookKeys((HOOK_SECRET,), {})
NOW = datetime(2022, 1, 20, tzinfo=UTC)
CAPTURED = event("payment.captured", payment=payment("captured"))


def read(said: Hook, keys: HookKeys = KEYS) -> Notice:
    notices = RAZORPAY.read_hook(said, keys, NOW)
    assert not isinstance(notices, HookRefused)
    (notice,) = notices
    return notice


def why(said: Hook, keys: HookKeys = KEYS) -> str | None:
    refused = RAZORPAY.read_hook(said, keys, NOW)
    return refused.why if isinstance(refused, HookRefused) else None


def test_a_rightly_signed_event_is_read():
    notice = read(hook(CAPTURED))

    assert (notice.event_id, notice.event_type, notice.reference) == (
        "evt_1",
        "payment.captured",
        PAY.reference,
    )
    assert notice.at == datetime(2022, 1, 20, 7, 2, 40, tzinfo=UTC)
    assert notice.psp_id == PAYMENT_ID


def test_while_secrets_are_exchanged_either_is_right():
    both = HookKeys((HOOK_SECRET, OLD_HOOK_SECRET), {})

    for secret in (HOOK_SECRET, OLD_HOOK_SECRET):
        assert read(hook(CAPTURED, secret), both).psp_id == PAYMENT_ID


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (hook(CAPTURED, "another"), "forged"),
        (hook(CAPTURED, OLD_HOOK_SECRET), "forged"),
        (replace(hook(CAPTURED), headers={"x-razorpay-event-id": "evt_1"}), "unsigned"),
        (replace(hook(CAPTURED), headers={"x-razorpay-signature": ""}), "forged"),
        (replace(hook(CAPTURED), headers={"x-razorpay-signature": "\udce4\u00e4"}), "forged"),
        (replace(hook(CAPTURED), body=orjson.dumps(CAPTURED) + b" "), "forged"),
        (replace(hook(CAPTURED), body=orjson.dumps(CAPTURED).replace(b"1099", b"9901")), "forged"),
        (hook(b"no json"), "malformed"),
        (hook(b"[]"), "malformed"),
        (hook({"event": "payment.captured"}), "malformed"),
        (hook({"event": 7, "payload": {}}), "malformed"),
    ],
)
def test_what_is_not_rightly_signed_or_no_event_is_refused(said: Hook, reason: str):
    assert why(said) == reason


def test_without_a_secret_nothing_is_rightly_signed():
    assert why(hook(CAPTURED), HookKeys((), {})) == "forged"


def test_the_api_keys_secret_signs_no_webhook():
    assert why(hook(CAPTURED, "thisissupersecret")) == "forged"


@pytest.mark.parametrize("event_id", [None, "not an id!"])
def test_an_event_without_a_readable_id_is_known_by_its_bytes(event_id: str | None):
    said = hook(CAPTURED, event_id=event_id)

    assert read(said).event_id == hashlib.sha256(said.body).hexdigest()


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
    notice = read(hook(event(event_type, payment=payment(status, call))))

    assert (notice.reference, notice.psp_id) == (call.reference, PAYMENT_ID)
    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.psp_id) == (kind, PAYMENT_ID)
    if kind == "APPROVED":
        assert (notice.outcome.amount_minor, notice.outcome.currency) == (1099, "INR")


def test_a_paid_order_says_it_of_its_payment():
    notice = read(hook(event("order.paid", order=order(), payment=payment("captured"))))

    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.reference) == ("APPROVED", ORDER.reference)


@pytest.mark.parametrize("more", [{"amount": None}, {"amount": 2**63}, {"currency": "XYZ"}, {"amount": 0}])
def test_a_payment_without_a_readable_amount_approves_nothing(more: dict[str, Any]):
    notice = read(hook(event("payment.captured", payment=payment("captured", **more))))

    assert notice.outcome is not None
    assert notice.outcome.kind == "UNKNOWN"


@pytest.mark.parametrize("call", [PAY, AUTHORIZE], ids=lambda call: call.kind)
def test_what_razorpay_refunds_because_it_was_not_captured_has_expired(call: Any):
    theirs = refund(receipt=None, notes=[], amount=1099)
    body = event("refund.processed", refund=theirs, payment=payment("refunded", call, captured=False))

    notice = read(hook(body))

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

    notice = read(hook(body))

    assert (notice.reference, notice.psp_id) == (REFUND.reference, REFUND_ID)
    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.psp_id) == (kind, REFUND_ID)
    if kind == "APPROVED":
        assert (notice.outcome.amount_minor, notice.outcome.currency) == (400, "INR")


def test_a_refund_that_names_two_references_says_nothing():
    notice = read(hook(event("refund.processed", refund=refund(receipt="another"))))

    assert (notice.reference, notice.psp_id, notice.outcome) == (None, None, None)


DISPUTE = {
    "id": "disp_EsIAlDcoUr8CaQ",
    "entity": "dispute",
    "payment_id": PAYMENT_ID,
    "amount": 1099,
    "currency": "INR",
    "amount_deducted": 0,
    "reason_code": "chargeback",
    "respond_by": 1642748560,
    "status": "open",
    "phase": "chargeback",
    "created_at": 1642662160,
}


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
        hook(event(f"payment.dispute.{name}", dispute=dispute, payment=payment("captured", AUTHORIZE)))
    )

    assert (notice.reference, notice.psp_id) == (AUTHORIZE.reference, PAYMENT_ID)
    assert notice.dispute is not None
    assert (notice.dispute.state, notice.dispute.dispute_id) == (state, "disp_EsIAlDcoUr8CaQ")
    assert (notice.dispute.amount_minor, notice.dispute.currency) == (1099, "INR")
    assert notice.dispute.reason == "chargeback"
    assert notice.dispute.respond_by == datetime(2022, 1, 21, 7, 2, 40, tzinfo=UTC)


def test_a_dispute_is_found_by_the_payment_it_names_and_not_by_another_beside_it():
    other = payment("captured", id="pay_another")

    notice = read(hook(event("payment.dispute.created", dispute=DISPUTE, payment=other)))

    assert (notice.reference, notice.psp_id) == (None, PAYMENT_ID)


@pytest.mark.parametrize(
    "body",
    [
        event("settlement.processed", settlement={"id": "setl_1", "entity": "settlement", "amount": 1}),
        event("something.new"),
        event("payment.captured", payment={"id": "fake", "entity": "payment"}),
        event("payment.captured"),
        event("payment.dispute.created", dispute=DISPUTE | {"amount": "1099"}),
        event("payment.dispute.reopened", dispute=DISPUTE),
    ],
)
def test_an_event_that_says_nothing_of_an_operation_is_taken_and_left(body: dict[str, Any]):
    notice = read(hook(body))

    assert (notice.outcome, notice.dispute) == (None, None)


def test_an_event_of_the_published_shape_is_read():
    body = published("fake_payment_authorized_webhook.json")

    notice = read(hook(body))

    assert (notice.event_type, notice.psp_id) == ("payment.authorized", "pay_6koWN7bvxujzxM")
    assert notice.outcome is not None
    assert notice.outcome.kind == "UNKNOWN"  # nothing in it says that it is ours
    body["payload"]["payment"]["entity"]["notes"] = {"order_ref": PAY.reference, "order_kind": "sale"}
    ours = read(hook(body)).outcome
    assert ours is not None
    assert (ours.kind, ours.amount_minor) == ("APPROVED", 1000000)


def test_no_certificate_and_no_check_of_the_address_are_known():
    assert RAZORPAY.certificate_url(hook(CAPTURED), {}) is None
    assert RAZORPAY.hook_challenge({"hub.challenge": "7"}, KEYS) is None
