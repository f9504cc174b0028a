"""A rightly signed event, and the outcome that it reports for its operation."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from commands.balances import Balances
from commands.messages import Outcome
from commands.notices import Notice
from gateways.adyen import webhooks
from gateways.contract import Webhook, WebhookRefused
from tests.gateways.adyen import official
from tests.gateways.adyen.payloads import (
    MODIFICATION,
    PSP_ID,
    body_of,
    item,
    signed,
    webhook,
)
from tests.gateways.adyen.reading import CAPTURE, HELD, KEYS, REFUND, SALE, VOID, notice_of, read

AUTH = {"psp_id": PSP_ID, "amount_minor": 1099, "currency": "USD"}
OWN = AUTH | {"psp_id": MODIFICATION}
MONEY = {"amount_minor": 1099, "currency": "USD"}


def test_a_notice_says_which_event_it_is_of_and_when():
    notice = notice_of("AUTHORISATION", HELD)

    assert notice.event_id == f"{PSP_ID}:AUTHORISATION:true:2026-11-25T12:00:00+01:00"
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
    "sale's capture": ("CAPTURE", SALE, PSP_ID, Outcome(kind="APPROVED", known_as=(MODIFICATION,), **AUTH)),
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
    notice = notice_of(event, reference)

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
        (
            "CAPTURE",
            SALE,
            Outcome(
                kind="DECLINED_HARD",
                code="capture_failed",
                detail="no",
                known_as=(MODIFICATION,),
                **AUTH,
            ),
        ),
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

    assert notice_of(event, reference, success=False, reason=reason).outcome == outcome


@pytest.mark.parametrize("reason", ["FRAUD", "Expired Card", "Acquirer Error", "anything", None])
def test_the_reason_is_not_signed_so_a_declined_authorisation_is_soft(reason: Any):
    outcome = notice_of("AUTHORISATION", SALE, success=False, reason=reason).outcome

    assert outcome is not None
    assert (outcome.kind, outcome.hint) == ("DECLINED_SOFT", None)


def test_a_technical_cancel_may_name_itself_and_its_failure_proves_nothing():
    by_its_own, by_the_payments = (notice_of("TECHNICAL_CANCEL", name) for name in (f"{SALE}-x", SALE))
    assert by_its_own == replace(by_the_payments, signed_as=by_its_own.signed_as)
    failed = notice_of("TECHNICAL_CANCEL", f"{SALE}-x", success=False)
    assert failed.reference == SALE
    assert failed.outcome is not None
    assert (failed.outcome.kind, failed.outcome.code) == ("UNKNOWN", "cancel_refused")


@pytest.mark.parametrize(
    ("event", "reference", "kind"),
    [("CAPTURE", HELD, "capture"), ("REFUND", SALE, "refund"), ("REFUND", HELD, "refund")],
)
def test_what_was_done_in_the_customer_area_says_what_moved_and_of_which_payment(
    event: str, reference: str, kind: Any
):
    notice = notice_of(event, reference)

    assert (notice.reference, notice.psp_id, notice.dispute) == (reference, PSP_ID, None)
    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.code) == (
        "UNKNOWN",
        {"capture": "captured_externally", "refund": "refunded_externally"}[kind],
    )
    assert notice.outcome.balances is not None
    (moved,) = notice.outcome.balances.moves
    assert (moved.kind, moved.amount_minor) == (kind, notice.outcome.amount_minor)
    assert notice_of(event, reference, success=False).outcome is None


@pytest.mark.parametrize(("event", "reference"), [("REFUND_FAILED", SALE), ("CAPTURE_FAILED", HELD)])
def test_an_external_move_that_failed_is_reported_under_its_own_id(event: str, reference: str):
    notice = notice_of(event, reference)

    assert notice.reference is None
    assert notice.psp_id not in {None, PSP_ID}
    assert notice.outcome is not None
    assert notice.outcome.kind == "DECLINED_HARD"


def test_a_reversal_says_that_money_moved_and_not_how_much():
    notice = notice_of("CANCEL_OR_REFUND", HELD)

    assert notice.reference == HELD
    assert notice.outcome is not None
    assert notice.outcome.balances == Balances()


@pytest.mark.parametrize(
    ("event", "kind", "code"),
    [
        ("AUTHORISATION", "UNKNOWN", "reference_missing"),
        ("CANCELLATION", "EXPIRED", "cancelled"),
        ("TECHNICAL_CANCEL", "EXPIRED", "technical_cancel"),
        ("EXPIRE", "EXPIRED", "expired"),
    ],
)
def test_an_event_of_another_reference_may_still_be_known_by_its_id(event: str, kind: str, code: str):
    notice = notice_of(event, "Order 7")

    assert (notice.reference, notice.psp_id) == (None, PSP_ID)
    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.code) == (kind, code)


@pytest.mark.parametrize(
    "amount", [{"currency": "XXX", "value": 1}, {"currency": "ISK", "value": 550}, None, {"value": 2**62}]
)
@pytest.mark.parametrize(("event", "reference"), [("AUTHORISATION", HELD), ("CAPTURE", CAPTURE)])
def test_an_amount_that_is_none_of_ours_approves_nothing(event: str, reference: str, amount: Any):
    outcome = notice_of(event, reference, amount=amount).outcome

    assert outcome is not None
    assert (outcome.kind, outcome.code) == ("UNKNOWN", "amount_unreadable")


@pytest.mark.parametrize("event", ["REPORT_AVAILABLE", "RECURRING_CONTRACT", "SOMETHING_NEW"])
def test_any_other_event_is_taken_and_reports_nothing(event: str):
    notice = notice_of(
        event, SALE, pspReference="settlement_detail_report_batch_1.csv", merchantAccountCode="All"
    )

    assert notice == Notice(
        event_id=f"settlement_detail_report_batch_1.csv:{event}:true:2026-11-25T12:00:00+01:00",
        event_type=event,
        at=notice.at,
    )


@pytest.mark.parametrize("name", ["report of today.csv", "4111111111111111", "x" * 300, "ü"])
def test_an_event_has_an_id_of_its_own_whatever_its_reference_is(name: str):
    notice = notice_of("REPORT_AVAILABLE", SALE, pspReference=name)

    assert len(notice.event_id) == 64
    assert name not in notice.event_id


@pytest.mark.parametrize(
    ("event", "moved"),
    [("CAPTURE", ("capture",)), ("REFUND", ("refund",)), ("CANCEL_OR_REFUND", ())],
)
def test_what_was_done_under_another_reference_is_a_move_of_the_payment_with_its_id(event: str, moved: Any):
    notice = notice_of(event, "Order 7")

    assert (notice.reference, notice.psp_id) == (None, PSP_ID)
    assert notice.outcome is not None
    assert notice.outcome.kind == "UNKNOWN"
    # With balances, for this PSP cannot be queried: without one nothing would follow.
    assert notice.outcome.balances is not None
    assert [(one.kind, one.psp_id) for one in notice.outcome.balances.moves] == [
        (kind, MODIFICATION) for kind in moved
    ]


@pytest.mark.parametrize("event", ["CAPTURE_FAILED", "REFUND_FAILED", "REFUNDED_REVERSED"])
def test_what_failed_under_another_reference_is_known_by_its_own_id(event: str):
    notice = notice_of(event, "Order 7")

    assert (notice.reference, notice.psp_id) == (None, MODIFICATION)
    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.code) == ("DECLINED_HARD", event.lower())


def test_a_capture_that_adyen_makes_again_after_its_failure_is_no_repeat_of_the_first():
    """Source: docs.adyen.com, failed captures: "Adyen will try to fix the issue and re-capture the
    transaction"."""
    captured = item("CAPTURE", CAPTURE)
    failed = item("CAPTURE_FAILED", CAPTURE, eventDate="2026-11-27T09:00:00+01:00")
    again = item("CAPTURE", CAPTURE, eventDate="2026-11-28T09:00:00+01:00")

    ids = []
    for one in (captured, captured, failed, again):
        notices = read(webhook(one))
        assert not isinstance(notices, WebhookRefused)
        ids.append(notices[0].event_id)

    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_an_empty_batch_reports_nothing():
    assert read(webhook()) == ()
    assert read(replace(webhook(), body=b'{"live":"false","notificationItems":null}')) == ()


def test_half_a_character_in_a_reason_is_no_reason_to_refuse_a_webhook():
    whole = webhook(item("CAPTURE", CAPTURE, reason="cut off here"))
    cut = replace(whole, body=whole.body.replace(b"cut off here", b"cut off \\ud83d"))
    first, second = read(whole), read(cut)

    assert not isinstance(first, WebhookRefused)
    assert not isinstance(second, WebhookRefused)
    assert first[0].outcome == second[0].outcome


def test_another_shops_event_at_another_merchant_account_reports_nothing():
    notice = notice_of("AUTHORISATION", "Order 7", merchantAccountCode="Another")

    assert (notice.reference, notice.psp_id, notice.outcome, notice.dispute) == (None, None, None, None)


def test_an_event_of_ours_at_another_merchant_account_is_an_alarm():
    notice = notice_of("AUTHORISATION", SALE, merchantAccountCode="Another")

    assert notice.reference is None
    assert notice.outcome is not None
    assert notice.outcome.code == "another_merchant_account"


def test_no_text_of_a_webhook_shows_a_card():
    notice = notice_of("CAPTURE", CAPTURE, success=False, reason="card 4111 1111 1111 1111 refused")

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
        notices = read(Webhook({}, body_of(signed(shown))), replace(KEYS, options={}))

        assert not isinstance(notices, WebhookRefused)
        assert notices[0].outcome is not None or notices[0].dispute is not None or shown["success"] == "false"


def test_the_webhooks_of_these_tests_are_adyens():
    shown = signed(item("AUTHORISATION", HELD))

    assert official.errors("webhooks", "AuthorisationNotificationRequestItem", shown) == []
    assert (
        official.errors("webhooks", "CaptureNotificationRequestItem", signed(item("CAPTURE", CAPTURE))) == []
    )
