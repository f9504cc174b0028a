"""What is read of Stripe's events, and of which none is read."""

from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from commands.messages import Outcome
from gateways.contract import Hook, HookKeys, HookRefused, Notice
from gateways.stripe.adapter import Stripe
from tests.gateways.stripe.hooks import NOW, SECRET, charge, dispute, event, headers, signature
from tests.gateways.stripe.says import (
    AUTHORIZE,
    INTENT_ID,
    PAYMENT,
    REFERENCE,
    REFUND_ID,
    authorized,
    intent,
    refund,
)
from tests.gateways.stripe.test_any_answer import JSON, LIKELY, mutated

KEYS = HookKeys((SECRET,), {})
BODY = event("payment_intent.succeeded", intent())


def read(body: bytes, header: dict[str, str] | None = None, keys: HookKeys = KEYS) -> Any:
    return Stripe().read_hook(Hook(headers(body) if header is None else header, body), keys, NOW)


def notice(kind: str, told: Any) -> Notice:
    (found,) = read(event(kind, told))
    assert isinstance(found, Notice)
    return found


def outcome(kind: str, told: Any) -> Outcome:
    found = notice(kind, told).outcome
    assert found is not None
    return found


def test_stripes_own_library_takes_what_these_tests_sign():
    taken = stripe.Webhook.construct_event(BODY, signature(BODY), SECRET, tolerance=10**9)

    assert taken.id == "evt_1NG8Du2eZvKYlo2CUI79vXWy"


def test_an_event_says_which_operation_it_is_about_and_how_that_ended():
    (found,) = read(BODY)

    assert asdict(replace(found, outcome=None)) == {
        "event_id": "evt_1NG8Du2eZvKYlo2CUI79vXWy",
        "event_type": "payment_intent.succeeded",
        "reference": REFERENCE,
        "psp_id": INTENT_ID,
        "outcome": None,
        "dispute": None,
        "at": NOW,
    }
    assert found.outcome == Outcome(kind="APPROVED", psp_id=INTENT_ID, amount_minor=1099, currency="USD")


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
    assert read(BODY, {} if header is None else {"stripe-signature": header}) == HookRefused(why)


def test_another_time_than_the_signed_one_is_forged():
    old = signature(BODY, at=NOW - timedelta(days=1))
    moved = old.replace(f"t={int((NOW - timedelta(days=1)).timestamp())}", f"t={int(NOW.timestamp())}")

    assert read(BODY, {"stripe-signature": moved}) == HookRefused("forged")


@pytest.mark.parametrize("age_s", [300, 0, -86_400])
def test_a_signature_is_good_for_five_minutes_and_from_a_clock_that_is_ahead(age_s: int):
    found = read(BODY, headers(BODY, at=NOW - timedelta(seconds=age_s)))

    assert not isinstance(found, HookRefused)


def test_while_a_secret_is_exchanged_both_are_good_on_either_side():
    new, old = headers(BODY, "whsec_new_secret"), headers(BODY, "whsec_old_secret")
    both = {"stripe-signature": f"{new['stripe-signature']},{old['stripe-signature'].partition(',')[2]}"}

    assert not isinstance(
        read(BODY, old, HookKeys(("whsec_new_secret", "whsec_old_secret"), {})), HookRefused
    )
    assert not isinstance(
        read(BODY, new, HookKeys(("whsec_new_secret", "whsec_old_secret"), {})), HookRefused
    )
    assert not isinstance(read(BODY, both, HookKeys(("whsec_old_secret",), {})), HookRefused)
    assert read(BODY, old, HookKeys(("whsec_new_secret",), {})) == HookRefused("forged")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", event("x y", {}), event("a", []), event("a", {}, event_id="no id"), b'{"id":"evt_1"}'],
)
def test_a_signed_body_that_is_no_event_is_malformed(body: bytes):
    assert read(body) == HookRefused("malformed")


TRIED = {"type": "card_error", "code": "card_declined", "decline_code": "lost_card", "message": "No."}


@pytest.mark.parametrize(
    ("kind", "told", "expected"),
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
def test_an_intents_event_says_what_its_name_and_its_status_both_say(kind: str, told: Any, expected: Any):
    found = outcome(f"payment_intent.{kind}", told)

    assert (found.kind, found.code, found.amount_minor) == expected
    assert found.psp_id == INTENT_ID


@pytest.mark.parametrize(
    ("kind", "told"),
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
def test_what_an_event_does_not_plainly_say_is_asked_for(kind: str, told: Any):
    found = notice(f"payment_intent.{kind}", told)

    assert found.outcome is not None
    assert found.outcome.kind == "UNKNOWN"
    assert found.reference == told["metadata"]["order_ref"]


def test_our_own_void_does_not_let_the_authorization_lapse():
    told = authorized("canceled", cancellation_reason="requested_by_customer")

    assert outcome("payment_intent.canceled", told).kind == "UNKNOWN"


def test_a_captured_authorization_is_news_of_its_last_capture():
    found = notice("payment_intent.succeeded", authorized("succeeded", op_c2="400", op_c10="699"))

    assert (found.reference, found.psp_id) == (f"{PAYMENT}-c10", None)
    assert found.outcome is not None
    assert found.outcome.kind == "UNKNOWN"


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


def test_a_refund_without_our_reference_is_looked_for_by_its_id():
    found = notice("refund.created", refund(metadata={}))

    assert (found.reference, found.psp_id) == (None, REFUND_ID)
    assert found.outcome is not None
    assert found.outcome.kind == "UNKNOWN"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("needs_response", "opened"),
        ("under_review", "opened"),
        ("warning_needs_response", "opened"),
        ("never_heard_of", "opened"),
        ("won", "won"),
        ("warning_closed", "won"),
        ("prevented", "won"),
        ("lost", "lost"),
    ],
)
def test_a_dispute_has_its_state_amount_and_deadline_and_is_found_by_its_intent(status: str, state: str):
    found = notice("charge.dispute.updated", dispute(status))

    assert (found.reference, found.psp_id, found.outcome) == (None, INTENT_ID, None)
    assert found.dispute is not None
    assert asdict(found.dispute) | {"respond_by": None} == {
        "dispute_id": "du_1MtJUT2eZvKYlo2CNaw2HvEv",
        "state": state,
        "amount_minor": 1099,
        "currency": "USD",
        "reason": "fraudulent",
        "respond_by": None,
    }
    assert found.dispute.respond_by is not None
    assert found.dispute.respond_by.timestamp() == 1795000000


@pytest.mark.parametrize(
    ("currency", "wire", "minor"),
    [("jpy", 500, 500), ("kwd", 5120, 5120), ("isk", 500, 5), ("usd", 500, 500)],
)
def test_a_disputes_amount_is_in_our_minor_units(currency: str, wire: int, minor: int):
    found = notice("charge.dispute.created", dispute(amount=wire, currency=currency))

    assert found.dispute is not None
    assert (found.dispute.amount_minor, found.dispute.currency) == (minor, currency.upper())


@pytest.mark.parametrize("broken", [{"amount": "1099"}, {"amount": 0}, {"currency": None}, {"id": "a b"}])
def test_a_dispute_that_cannot_be_read_names_no_way_so_that_a_person_looks(broken: dict[str, Any]):
    found = notice("charge.dispute.created", dispute(**broken))

    assert found.dispute is None
    assert found.outcome is not None
    assert (found.reference, found.psp_id) == (None, None)


def test_an_expired_charge_is_news_of_its_intent():
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
def test_any_other_event_says_nothing(kind: str):
    found = notice(kind, intent())

    assert (found.outcome, found.dispute, found.reference, found.psp_id) == (None, None, None, None)


SEEDS = [
    orjson.loads(event(kind, told))
    for kind, told in (
        ("payment_intent.succeeded", intent()),
        ("payment_intent.succeeded", authorized("succeeded", op_c2="1099")),
        ("payment_intent.amount_capturable_updated", authorized()),
        (
            "payment_intent.payment_failed",
            intent("requires_payment_method", last_payment_error=TRIED),
        ),
        ("payment_intent.canceled", intent("canceled")),
        ("refund.updated", refund()),
        ("charge.dispute.created", dispute()),
        ("charge.expired", charge()),
    )
]
LINES = st.text(max_size=200) | st.sampled_from([signature(BODY), "t=1,v1=", ",,,", "t=" + "9" * 400])


@settings(max_examples=2_000, deadline=None)
@given(mutated(SEEDS))
def test_no_signed_body_raises_or_approves_what_it_does_not_say(body: bytes):
    found = read(body)

    if isinstance(found, HookRefused):
        return
    (one,) = found
    if one.outcome is not None and one.outcome.kind == "APPROVED":
        told = orjson.loads(body)["data"]["object"]
        assert told["metadata"]["order_ref"] == one.reference
        assert one.outcome.currency == told["currency"].upper()
        assert told["status"] in ("succeeded", "requires_capture")
        if told["object"] == "payment_intent":
            taken = "amount_received" if told["status"] == "succeeded" else "amount_capturable"
            assert told["amount"] == told[taken] == one.outcome.amount_minor


@settings(max_examples=2_000, deadline=None)
@given(LINES, st.binary(max_size=200) | st.just(BODY), JSON | st.sampled_from(LIKELY))
def test_no_header_and_no_object_raises(line: str, body: bytes, told: Any):
    assert isinstance(read(body, {"stripe-signature": line}), HookRefused) or line == signature(BODY)
    read(event("payment_intent.succeeded", told))
