"""What is read of Stripe's events, and of which none is read."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
import stripe

from commands.balances import Balances
from commands.messages import Outcome
from commands.notices import Notice
from gateways.contract import WebhookKeys, WebhookRefused
from tests.gateways.stripe.payloads import (
    AUTHORIZE,
    INTENT_ID,
    PAYMENT,
    REFERENCE,
    REFUND_ID,
    authorized,
    intent,
    refund,
)
from tests.gateways.stripe.reading import notice, read
from tests.gateways.stripe.webhooks import NOW, SECRET, charge, event, headers, signature

BODY = event("payment_intent.succeeded", intent())


def outcome(kind: str, payload: Any) -> Outcome:
    found = notice(kind, payload).outcome
    assert found is not None
    return found


def test_stripes_own_library_takes_what_these_tests_sign():
    taken = stripe.Webhook.construct_event(BODY, signature(BODY), SECRET, tolerance=10**9)

    assert taken.id == "evt_1NG8Du2eZvKYlo2CUI79vXWy"


def test_an_event_says_which_operation_it_is_about_and_how_that_ended():
    (found,) = read(BODY)

    assert replace(found, outcome=None) == Notice(
        "evt_1NG8Du2eZvKYlo2CUI79vXWy",
        "payment_intent.succeeded",
        reference=REFERENCE,
        psp_id=INTENT_ID,
        at=NOW,
    )
    balances = Balances(captured_minor=1099, held_minor=0)
    money = {"amount_minor": 1099, "currency": "USD", "balances": balances}
    assert found.outcome == Outcome(kind="APPROVED", psp_id=INTENT_ID, **money)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (None, "unsigned"),
        ("", "unsigned"),
        ("t=1795608000", "unsigned"),
        ("v1=" + "0" * 64, "unsigned"),
        ("t=1795608000,t=1795608001,v1=" + "0" * 64, "unsigned"),
        ("t=1795608000,v1=" + "0" * 64, "forged"),
        ("t=1795608000,v1=", "forged"),
        ("t=1795608000,v1=\xff\ud800", "forged"),
        (signature(BODY, "whsec_of_another_endpoint"), "forged"),
        (signature(BODY).replace("v1=", "v2="), "unsigned"),
        (signature(BODY + b" "), "forged"),
        (signature(BODY).upper(), "unsigned"),
        (signature(BODY, at=NOW - timedelta(seconds=301)), "stale"),
    ],
)
def test_what_stripe_did_not_just_sign_is_refused(header: str | None, why: str):
    assert read(BODY, {} if header is None else {"stripe-signature": header}) == WebhookRefused(why)


def test_another_time_than_the_signed_one_is_forged():
    old = signature(BODY, at=NOW - timedelta(days=1))
    moved = old.replace(f"t={int((NOW - timedelta(days=1)).timestamp())}", f"t={int(NOW.timestamp())}")

    assert read(BODY, {"stripe-signature": moved}) == WebhookRefused("forged")


@pytest.mark.parametrize("age_s", [300, 0, -86_400])
def test_a_signature_is_good_for_five_minutes_and_from_a_clock_that_is_ahead(age_s: int):
    found = read(BODY, headers(BODY, at=NOW - timedelta(seconds=age_s)))

    assert not isinstance(found, WebhookRefused)


def test_while_a_secret_is_exchanged_both_are_good_on_either_side():
    new, old = headers(BODY, "whsec_new_secret"), headers(BODY, "whsec_old_secret")
    both = {"stripe-signature": f"{new['stripe-signature']},{old['stripe-signature'].partition(',')[2]}"}

    assert not isinstance(
        read(BODY, old, WebhookKeys(("whsec_new_secret", "whsec_old_secret"), {})), WebhookRefused
    )
    assert not isinstance(
        read(BODY, new, WebhookKeys(("whsec_new_secret", "whsec_old_secret"), {})), WebhookRefused
    )
    assert not isinstance(read(BODY, both, WebhookKeys(("whsec_old_secret",), {})), WebhookRefused)
    assert read(BODY, old, WebhookKeys(("whsec_new_secret",), {})) == WebhookRefused("forged")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        event("x y", {}),
        event("charge.expired", []),
        event("a", {}, event_id="no id"),
        b'{"id":"evt_1"}',
    ],
)
def test_a_signed_body_that_is_no_event_is_malformed(body: bytes):
    assert read(body) == WebhookRefused("malformed")


TRIED = {"type": "card_error", "code": "card_declined", "decline_code": "lost_card", "message": "No."}


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        ("amount_capturable_updated", authorized(), ("APPROVED", None, 1099)),
        ("processing", intent("processing"), ("PENDING", "processing", 1099)),
        (
            "payment_failed",
            intent("requires_payment_method", last_payment_error=TRIED),
            ("DECLINED_HARD", "lost_card", 1099),
        ),
        (
            "payment_failed",
            intent("requires_payment_method", last_payment_error={"code": "never_heard_of"}),
            ("DECLINED_SOFT", "never_heard_of", 1099),
        ),
        ("canceled", intent("canceled", cancellation_reason="abandoned"), ("EXPIRED", "canceled", 1099)),
        ("canceled", authorized("canceled", cancellation_reason="automatic"), ("EXPIRED", "canceled", 1099)),
    ],
)
def test_an_intents_event_says_what_its_name_and_its_status_both_say(kind: str, payload: Any, expected: Any):
    found = outcome(f"payment_intent.{kind}", payload)

    assert (found.kind, found.code, found.amount_minor) == expected
    assert found.psp_id == INTENT_ID


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("succeeded", intent("requires_action")),
        ("succeeded", intent(amount_received=1098)),
        ("succeeded", intent(amount=0, amount_received=0)),
        ("succeeded", intent(amount=True, amount_received=True)),
        ("succeeded", intent(currency="xxx")),
        ("amount_capturable_updated", intent("requires_capture")),
        ("amount_capturable_updated", authorized(amount_capturable=1098)),
        ("amount_capturable_updated", authorized(op_c2="400")),
        ("payment_failed", intent()),
        ("payment_failed", intent("requires_payment_method")),
        ("canceled", intent("canceled", amount_received=1)),
        ("canceled", intent("succeeded")),
        ("processing", intent("succeeded")),
    ],
)
def test_what_an_event_does_not_plainly_say_leads_to_a_query(kind: str, payload: Any):
    found = notice(f"payment_intent.{kind}", payload)

    assert found.outcome is not None
    assert found.outcome.kind == "UNKNOWN"
    assert found.reference == payload["metadata"]["order_ref"]


@pytest.mark.parametrize("reason", ["requested_by_customer", "fraudulent", "automatic", None])
def test_a_cancelled_authorization_holds_nothing_whoever_cancelled_it(reason: str | None):
    payload = authorized("canceled", cancellation_reason=reason)

    result = outcome("payment_intent.canceled", payload)
    assert (result.kind, result.balances) == ("EXPIRED", Balances(captured_minor=0, held_minor=0))


def test_a_captured_authorization_is_news_of_its_last_capture():
    found = notice("payment_intent.succeeded", authorized("succeeded", op_c2="400", op_c10="699"))

    assert (found.reference, found.psp_id) == (f"{PAYMENT}-c10", None)
    assert found.outcome is not None
    assert found.outcome.kind == "UNKNOWN"
    assert found.outcome.balances is not None
    assert found.outcome.balances.captured_minor == 1099


def test_a_part_that_is_captured_shows_what_is_held():
    payload = authorized(amount_received=400, amount_capturable=699)

    result = outcome("payment_intent.amount_capturable_updated", payload)
    assert result.balances == Balances(captured_minor=400, held_minor=699)


@pytest.mark.parametrize("reference", [None, 7, "", "order 7", f"{PAYMENT}-r2", f"{PAYMENT.upper()}-s1"])
def test_an_intent_without_our_reference_is_looked_for_by_its_id(reference: Any):
    found = notice("payment_intent.succeeded", intent(metadata={"order_ref": reference}))

    assert (found.reference, found.psp_id) == (None, INTENT_ID)
    assert found.outcome is not None
    assert found.outcome.kind == "UNKNOWN"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("succeeded", ("APPROVED", None)),
        ("pending", ("PENDING", "pending")),
        ("requires_action", ("PENDING", "requires_action")),
        ("failed", ("DECLINED_HARD", "lost_or_stolen_card")),
        ("canceled", ("DECLINED_HARD", "lost_or_stolen_card")),
        ("never_heard_of", ("UNKNOWN", "unexpected_status")),
        (None, ("UNKNOWN", "unexpected_status")),
    ],
)
def test_a_refunds_event_says_its_status(status: Any, expected: tuple[str, str | None]):
    found = notice("refund.updated", refund(status, failure_reason="lost_or_stolen_card"))

    assert (found.reference, found.psp_id) == (f"{PAYMENT}-r2", REFUND_ID)
    assert found.outcome is not None
    assert (found.outcome.kind, found.outcome.code) == expected
    assert (found.outcome.amount_minor, found.outcome.currency) == (1099, "USD")
    assert found.outcome.unlisted == (expected[0] == "UNKNOWN")


@pytest.mark.parametrize(
    ("kind", "status"),
    [("refund.created", "succeeded"), ("refund.failed", "failed"), ("charge.refund.updated", "failed")],
)
def test_a_refund_without_our_reference_is_news_of_its_intent(kind: str, status: str):
    found = notice(kind, refund(status, metadata={}))

    assert (found.reference, found.psp_id) == (None, INTENT_ID)
    assert found.outcome is not None
    assert found.outcome.kind == "UNKNOWN"


def test_an_expired_charge_updates_its_intent():
    found = notice("charge.expired", charge(metadata={"order_ref": AUTHORIZE.reference}))

    assert (found.reference, found.psp_id) == (AUTHORIZE.reference, INTENT_ID)
    assert found.outcome is not None
    assert found.outcome.kind == "UNKNOWN"


@pytest.mark.parametrize(
    "kind",
    [
        "payment_intent.requires_action",
        "payment_intent.created",
        "charge.refunded",
        "payout.paid",
        "never.heard_of",
    ],
)
def test_any_other_event_reports_nothing(kind: str):
    found = notice(kind, intent())

    assert (found.outcome, found.dispute, found.reference, found.psp_id) == (None, None, None, None)


@pytest.mark.parametrize("data", [None, {"object": None}])
def test_an_event_of_a_kind_that_is_read_reports_nothing_without_its_object(data: Any):
    notices = read(orjson.dumps({"id": "evt_1", "type": "payment_intent.succeeded", "data": data}))

    assert not isinstance(notices, WebhookRefused)
    assert [(one.reference, one.psp_id, one.outcome) for one in notices] == [(None, None, None)]


def test_a_thin_event_reports_nothing():
    """Source: docs.stripe.com/api/v2/core/events: an event of API v2 names its object and does not hold
    it."""
    thin = orjson.dumps(
        {
            "id": "evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0",
            "object": "v2.core.event",
            "type": "v1.billing.meter.error_report_triggered",
            "livemode": False,
            "created": "2026-11-25T12:00:00.000Z",
            "related_object": {"id": "mtr_test_61R9IeP0SgKbYROOx41PEAQhH0qO23oW", "type": "billing.meter"},
        }
    )
    notices = read(thin)

    assert not isinstance(notices, WebhookRefused)
    (notice,) = notices
    assert notice.event_type == "v1.billing.meter.error_report_triggered"
    assert (notice.reference, notice.psp_id, notice.outcome, notice.dispute) == (None, None, None, None)


@pytest.mark.parametrize("kind", ["charge.dispute.created", "charge.expired", "refund.created"])
def test_another_shops_charge_without_an_intent_reports_nothing(kind: str):
    payload = {"id": "du_1", "amount": 1099, "currency": "usd", "status": "lost", "payment_intent": None}
    notices = read(event(kind, payload))

    assert not isinstance(notices, WebhookRefused)
    assert (notices[0].reference, notices[0].psp_id, notices[0].outcome, notices[0].dispute) == (
        None,
        None,
        None,
        None,
    )


def test_half_a_character_in_a_text_is_no_reason_to_refuse_an_event():
    whole = event("payment_intent.succeeded", intent() | {"description": "cut off here"})
    first, second = read(whole), read(whole.replace(b"cut off here", b"cut off \\ud83d"))

    assert not isinstance(first, WebhookRefused)
    assert not isinstance(second, WebhookRefused)
    assert first[0].outcome == second[0].outcome
    assert first[0].outcome is not None


def test_a_decline_that_is_new_is_reported_as_new_and_a_known_one_is_not():
    for code, new in (("lost_card", False), ("moon_phase", True)):
        failed = intent("requires_payment_method", last_payment_error=TRIED | {"decline_code": code})
        notices = read(event("payment_intent.payment_failed", failed))

        assert not isinstance(notices, WebhookRefused)
        assert notices[0].outcome is not None
        assert notices[0].outcome.unlisted is new, code
