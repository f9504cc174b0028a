"""What a rightly signed event says of its operation or its dispute."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from commands.messages import Outcome
from gateways.adyen import disputes, webhooks
from gateways.adyen.adapter import Adyen
from gateways.contract import DisputeNotice, Gateway, Hook, HookKeys, HookRefused, Notice
from tests.gateways.adyen import official
from tests.gateways.adyen.says import (
    HMAC_KEY,
    MERCHANT,
    MODIFICATION,
    PAYMENT,
    PSP_ID,
    body_of,
    hook,
    item,
    signed,
)

ADYEN: Gateway = Adyen()
KEYS = HookKeys((HMAC_KEY,), {"merchant_account": MERCHANT})
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SALE, HELD, CAPTURE, VOID, REFUND = (f"{PAYMENT}-{letter}" for letter in ("s1", "a1", "c2", "v2", "r2"))
AUTH = {"psp_id": PSP_ID, "amount_minor": 1099, "currency": "USD"}
OWN = AUTH | {"psp_id": MODIFICATION}
MONEY = {"amount_minor": 1099, "currency": "USD"}


def read(hook: Hook, keys: HookKeys = KEYS) -> tuple[Notice, ...] | HookRefused:
    return ADYEN.read_hook(hook, keys, NOW)


def told(event: str, reference: str, *, success: bool = True, **more: Any) -> Notice:
    said = read(hook(item(event, reference, success=success, **more)))
    assert not isinstance(said, HookRefused), said
    (notice,) = said
    return notice


def test_a_notice_says_which_event_it_is_of_and_when():
    notice = told("AUTHORISATION", HELD)

    assert notice.event_id == f"{PSP_ID}:AUTHORISATION:true"
    assert notice.event_type == "AUTHORISATION"
    assert notice.at == datetime(2026, 11, 25, 12, tzinfo=timezone(timedelta(hours=1)))


APPROVED = {
    "authorize": ("AUTHORISATION", HELD, PSP_ID, Outcome(kind="APPROVED", **AUTH)),
    "sale": (
        "AUTHORISATION",
        SALE,
        PSP_ID,
        Outcome(kind="PENDING", code="authorised", next_step="3", **AUTH),
    ),
    "sale's capture": ("CAPTURE", SALE, PSP_ID, Outcome(kind="APPROVED", **AUTH)),
    "capture": ("CAPTURE", CAPTURE, MODIFICATION, Outcome(kind="APPROVED", **OWN)),
    "refund": ("REFUND", REFUND, MODIFICATION, Outcome(kind="APPROVED", **OWN)),
    "void": ("CANCELLATION", VOID, MODIFICATION, Outcome(kind="APPROVED", psp_id=MODIFICATION)),
    "cancelled by hand": (
        "CANCELLATION",
        HELD,
        PSP_ID,
        Outcome(kind="EXPIRED", code="cancelled", **AUTH),
    ),
    "technical cancel": (
        "TECHNICAL_CANCEL",
        SALE,
        PSP_ID,
        Outcome(kind="EXPIRED", code="technical_cancel", **AUTH),
    ),
    "expired": ("EXPIRE", HELD, PSP_ID, Outcome(kind="EXPIRED", code="expired", **AUTH)),
    "capture failed later": (
        "CAPTURE_FAILED",
        CAPTURE,
        None,
        Outcome(kind="DECLINED_HARD", code="capture_failed", **MONEY),
    ),
    "sale failed later": (
        "CAPTURE_FAILED",
        SALE,
        None,
        Outcome(kind="DECLINED_HARD", code="capture_failed", **MONEY),
    ),
    "refund failed later": (
        "REFUND_FAILED",
        REFUND,
        None,
        Outcome(kind="DECLINED_HARD", code="refund_failed", **MONEY),
    ),
    "refund came back": (
        "REFUNDED_REVERSED",
        REFUND,
        None,
        Outcome(kind="DECLINED_HARD", code="refunded_reversed", **MONEY),
    ),
}


@pytest.mark.parametrize(("event", "reference", "psp_id", "outcome"), APPROVED.values(), ids=APPROVED)
def test_a_success_is_what_its_event_means(event: str, reference: str, psp_id: str | None, outcome: Outcome):
    notice = told(event, reference)

    assert (notice.reference, notice.psp_id, notice.outcome) == (reference, psp_id, outcome)


@pytest.mark.parametrize(
    ("event", "reference", "outcome"),
    [
        (
            "AUTHORISATION",
            HELD,
            Outcome(kind="DECLINED_SOFT", code="12", detail="Not enough balance", **AUTH),
        ),
        (
            "AUTHORISATION",
            SALE,
            Outcome(kind="DECLINED_SOFT", code="12", detail="Not enough balance", **AUTH),
        ),
        ("CAPTURE", CAPTURE, Outcome(kind="DECLINED_HARD", code="capture_failed", detail="no", **OWN)),
        ("CAPTURE", SALE, Outcome(kind="DECLINED_HARD", code="capture_failed", detail="no", **AUTH)),
        ("REFUND", REFUND, Outcome(kind="DECLINED_HARD", code="refund_failed", detail="no", **OWN)),
        (
            "CANCELLATION",
            VOID,
            Outcome(kind="DECLINED_HARD", code="cancel_refused", detail="no", psp_id=MODIFICATION),
        ),
        ("CANCELLATION", HELD, None),
        ("EXPIRE", HELD, None),
        ("CANCEL_OR_REFUND", HELD, None),
    ],
)
def test_a_failure_is_what_its_event_means(event: str, reference: str, outcome: Outcome | None):
    reason = "Not enough balance" if event == "AUTHORISATION" else "no"

    assert told(event, reference, success=False, reason=reason).outcome == outcome


@pytest.mark.parametrize("reason", ["FRAUD", "Expired Card", "anything", None])
def test_the_reason_is_not_signed_so_a_declined_authorisation_is_soft(reason: Any):
    outcome = told("AUTHORISATION", SALE, success=False, reason=reason).outcome

    assert outcome is not None
    assert (outcome.kind, outcome.hint) == ("DECLINED_SOFT", None)


def test_a_technical_cancel_may_name_itself_and_its_failure_proves_nothing():
    assert told("TECHNICAL_CANCEL", f"{SALE}-x") == told("TECHNICAL_CANCEL", SALE)
    failed = told("TECHNICAL_CANCEL", f"{SALE}-x", success=False)
    assert failed.reference == SALE
    assert failed.outcome is not None
    assert (failed.outcome.kind, failed.outcome.code) == ("UNKNOWN", "cancel_refused")


@pytest.mark.parametrize(
    ("event", "reference", "code"),
    [
        ("CAPTURE", HELD, "captured_unasked"),
        ("CAPTURE", "by hand", "captured_unasked"),
        ("REFUND", SALE, "refunded_unasked"),
        ("REFUND_FAILED", SALE, "refund_failed"),
        ("CAPTURE_FAILED", HELD, "capture_failed"),
        ("CANCEL_OR_REFUND", HELD, "cancelled_or_refunded"),
        ("CHARGEBACK", SALE, "dispute_unreadable"),
    ],
)
def test_what_was_done_without_us_is_an_alarm(event: str, reference: str, code: str):
    more = {"amount": {"currency": "XXX", "value": 1}} if event == "CHARGEBACK" else {}
    notice = told(event, reference, **more)

    assert (notice.reference, notice.psp_id, notice.dispute) == (None, None, None)
    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.code) == ("UNKNOWN", code)


@pytest.mark.parametrize("event", ["AUTHORISATION", "CANCELLATION", "TECHNICAL_CANCEL", "EXPIRE"])
def test_an_event_of_another_reference_may_still_be_known_by_its_id(event: str):
    notice = told(event, "Order 7")

    assert (notice.reference, notice.psp_id) == (None, PSP_ID)
    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.code) == ("UNKNOWN", "reference_missing")


@pytest.mark.parametrize(
    "amount", [{"currency": "XXX", "value": 1}, {"currency": "ISK", "value": 550}, None, {"value": 2**62}]
)
@pytest.mark.parametrize(("event", "reference"), [("AUTHORISATION", HELD), ("CAPTURE", CAPTURE)])
def test_an_amount_that_is_none_of_ours_approves_nothing(event: str, reference: str, amount: Any):
    outcome = told(event, reference, amount=amount).outcome

    assert outcome is not None
    assert (outcome.kind, outcome.code) == ("UNKNOWN", "amount_unreadable")


DISPUTES = {
    "REQUEST_FOR_INFORMATION": "opened",
    "NOTIFICATION_OF_CHARGEBACK": "opened",
    "CHARGEBACK": "opened",
    "CHARGEBACK_REVERSED": "opened",
    "PREARBITRATION_OPEN": "opened",
    "SECOND_CHARGEBACK": "lost",
    "PREARBITRATION_LOST": "lost",
    "SCHEME_ARBITRATION_LOST": "lost",
    "PREARBITRATION_WON": "won",
    "SCHEME_ARBITRATION_WON": "won",
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": "won",
}


@pytest.mark.parametrize(("event", "state"), DISPUTES.items())
def test_a_dispute_is_told_with_its_amount_reason_and_deadline(event: str, state: Any):
    more = {"chargebackReasonCode": " 4853", "defensePeriodEndsAt": "2027-01-01T03:03:07+02:00"}
    notice = told(event, SALE, reason="Goods not received", additionalData=more)

    assert (notice.reference, notice.psp_id, notice.outcome) == (SALE, PSP_ID, None)
    assert notice.dispute == DisputeNotice(
        dispute_id=MODIFICATION,
        state=state,
        amount_minor=1099,
        currency="USD",
        reason="4853, Goods not received",
        respond_by=datetime.fromisoformat("2027-01-01T03:03:07+02:00"),
    )
    assert set(disputes.STATES) == set(DISPUTES)


def test_a_dispute_without_our_reference_or_its_payments_id_has_no_way():
    notice = told("SECOND_CHARGEBACK", "Order 7", originalReference=...)

    assert (notice.reference, notice.psp_id) == (None, None)
    assert notice.dispute is not None
    assert (notice.dispute.reason, notice.dispute.respond_by) == (None, None)


@pytest.mark.parametrize("event", ["REPORT_AVAILABLE", "RECURRING_CONTRACT", "SOMETHING_NEW"])
def test_any_other_event_is_taken_and_says_nothing(event: str):
    notice = told(event, SALE, pspReference="settlement_detail_report_batch_1.csv", merchantAccountCode="All")

    assert notice == Notice(
        event_id=f"settlement_detail_report_batch_1.csv:{event}:true", event_type=event, at=notice.at
    )


@pytest.mark.parametrize("name", ["report of today.csv", "4111111111111111", "x" * 300, "ü"])
def test_an_event_is_told_apart_whatever_its_reference_is(name: str):
    notice = told("REPORT_AVAILABLE", SALE, pspReference=name)

    assert len(notice.event_id) == 64
    assert name not in notice.event_id


def test_an_event_of_another_merchant_account_is_an_alarm():
    notice = told("AUTHORISATION", SALE, merchantAccountCode="Another")

    assert notice.reference is None
    assert notice.outcome is not None
    assert notice.outcome.code == "another_merchant_account"


def test_no_text_of_a_webhook_shows_a_card():
    notice = told("CAPTURE", CAPTURE, success=False, reason="card 4111 1111 1111 1111 refused")

    assert "4111" not in repr(notice)


def test_every_event_that_is_read_is_one_of_the_official_description():
    paths = official.description("webhooks")["webhooks"]

    assert {f"/{event}" for event in webhooks.EVENTS} <= set(paths)


@pytest.mark.parametrize("event", sorted(webhooks.EVENTS))
def test_every_official_example_of_an_event_is_read(event: str):
    examples = official.description("webhooks")["components"]["examples"]
    found = [shown["value"] for name, shown in examples.items() if name.startswith(f"post-{event}-")]
    for example in found:
        shown = example["notificationItems"][0]["NotificationRequestItem"]
        said = read(Hook({}, body_of(signed(shown))), replace(KEYS, options={}))

        assert not isinstance(said, HookRefused)
        assert said[0].outcome is not None or said[0].dispute is not None or shown["success"] == "false"


def test_the_webhooks_of_these_tests_are_adyens():
    shown = signed(item("AUTHORISATION", HELD))

    assert official.errors("webhooks", "AuthorisationNotificationRequestItem", shown) == []
    assert (
        official.errors("webhooks", "CaptureNotificationRequestItem", signed(item("CAPTURE", CAPTURE))) == []
    )
