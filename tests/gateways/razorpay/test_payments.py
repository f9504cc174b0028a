"""An authorization, a sale or a capture, read from the payment's state, step by step."""

from dataclasses import replace
from typing import Any

import pytest

from commands.messages import Outcome
from gateways.contract import Call, Gateway
from gateways.razorpay.adapter import Razorpay
from tests.gateways.razorpay.payloads import (
    AUTHORIZE,
    CAPTURE,
    ORDER,
    ORDER_ID,
    PAY,
    PAYMENT_ID,
    REDIRECT,
    TAKE,
    failed,
    http_response,
    listed,
    order,
    payment,
    prepared,
    published,
)

RAZORPAY: Gateway = Razorpay()
HELD = replace(AUTHORIZE, psp_id=PAYMENT_ID)
OTP = {"action": "otp_submit", "url": f"https://api.razorpay.com/v1/payments/{PAYMENT_ID}/otp/submit"}


def outcome_of(call: Call, body: Any) -> Outcome:
    return RAZORPAY.outcome(call, http_response(200, body))


def found(call: Call, body: Any) -> Outcome:
    outcome = RAZORPAY.found(call, http_response(200, body))
    assert outcome is not None
    return outcome


def absent(call: Call, body: Any) -> bool:
    return RAZORPAY.found(call, http_response(200, body)) is None


# Step 1: the order


def test_an_order_is_followed_by_its_payment():
    outcome = outcome_of(ORDER, order())

    assert (outcome.kind, outcome.next_step, outcome.psp_id) == ("PENDING", "2", ORDER_ID)
    assert (outcome.amount_minor, outcome.currency) == (1099, "INR")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"receipt": "another"}, "reference_mismatch"),
        ({"receipt": None, "notes": []}, "reference_mismatch"),
        ({"notes": {"order_ref": "another"}}, "reference_mismatch"),
        ({"amount": 1100}, "amount_mismatch"),
        ({"amount": True}, "amount_mismatch"),
        ({"amount": 2**63}, "amount_mismatch"),
        ({"currency": "USD"}, "currency_mismatch"),
        ({"id": "fake_order_id"}, "unreadable_response"),
        ({"entity": "payment"}, "unreadable_response"),
    ],
)
def test_an_order_that_is_not_the_one_that_was_requested_is_not_gone_on_with(more: dict[str, Any], code: str):
    outcome = outcome_of(ORDER, order(**more))

    assert (outcome.kind, outcome.code, outcome.next_step) == ("UNKNOWN", code, None)


def test_an_order_of_the_published_shape_is_read():
    body = published("fake_order.json") | {"id": ORDER_ID}

    outcome = outcome_of(replace(ORDER, reference=body["receipt"], amount_minor=body["amount"]), body)

    assert (outcome.kind, outcome.next_step) == ("PENDING", "2")


def test_a_lost_order_is_found_by_its_receipt():
    outcome = found(ORDER, listed(order(payments=listed())))

    assert (outcome.kind, outcome.next_step, outcome.psp_id) == ("PENDING", "2", ORDER_ID)


def test_no_order_with_the_receipt_is_an_order_that_was_not_created():
    assert absent(ORDER, listed())


def test_two_orders_with_one_receipt_are_not_chosen_from():
    outcome = found(ORDER, listed(order(payments=listed()), order(id="order_2", payments=listed())))

    assert (outcome.kind, outcome.code) == ("UNKNOWN", "found_twice")


def test_a_payment_on_the_order_that_is_found_is_what_became_of_it():
    assert found(ORDER, listed(order(payments=listed(payment("captured"))))).kind == "APPROVED"
    held = found(ORDER, listed(order(payments=listed(payment("authorized")))))
    assert (held.kind, held.next_step, held.psp_id) == ("PENDING", "3", PAYMENT_ID)


def test_an_order_that_is_found_where_its_payment_was_requested_is_not_begun_again():
    assert absent(replace(PAY, psp_id=None), listed(order(payments=listed())))


@pytest.mark.parametrize(
    "body",
    [
        {"entity": "collection", "count": 2, "items": [order(payments=listed())]},
        {"entity": "collection", "items": []},
        {"entity": "list", "count": 0, "items": []},
        listed({"id": ORDER_ID}),
        listed(order(receipt="another", notes=[], payments=listed())),
        listed(order()),
        listed(order(payments=[])),
        [],
    ],
)
def test_a_list_that_is_not_whole_or_not_ours_proves_nothing(body: Any):
    assert found(ORDER, body).kind == "UNKNOWN"


# Step 2: the payment


@pytest.mark.parametrize("call", [PAY, AUTHORIZE], ids=lambda call: call.kind)
def test_a_payment_with_a_next_action_sends_the_customer_to_the_bank(call: Call):
    outcome = outcome_of(call, prepared(OTP, REDIRECT))

    assert (outcome.kind, outcome.code, outcome.action_url) == (
        "ACTION_REQUIRED",
        "redirect",
        REDIRECT["url"],
    )
    assert (outcome.psp_id, outcome.next_step) == (ORDER_ID, None)


def test_a_payment_that_only_takes_an_otp_has_no_page():
    outcome = outcome_of(PAY, prepared(OTP))

    assert (outcome.kind, outcome.code, outcome.action_url) == ("ACTION_REQUIRED", "otp_submit", None)


def test_a_payment_without_a_next_action_is_looked_up():
    outcome = outcome_of(PAY, prepared())

    assert (outcome.kind, outcome.psp_id, outcome.next_step) == ("PENDING", ORDER_ID, None)


def test_a_response_that_is_the_payment_itself_is_read():
    assert outcome_of(AUTHORIZE, payment("authorized", AUTHORIZE)).kind == "APPROVED"
    held = outcome_of(PAY, payment("authorized"))
    assert (held.kind, held.next_step, held.psp_id) == ("PENDING", "3", PAYMENT_ID)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"next": [REDIRECT]},
        {"razorpay_payment_id": 7, "next": [REDIRECT]},
        {"razorpay_payment_id": "pay_/../..", "next": [REDIRECT]},
        prepared(REDIRECT) | {"next": "redirect"},
        prepared(REDIRECT) | {"razorpay_order_id": "order_another"},
        payment("captured", id=7),
        payment("captured", order_id="order_another"),
    ],
)
def test_a_response_that_names_no_payment_of_the_order_decides_nothing(body: Any):
    assert outcome_of(PAY, body).kind == "UNKNOWN"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://x\n", 7, None, "https://" + "x" * 3000])
def test_an_address_that_is_none_is_not_passed_on(url: Any):
    outcome = outcome_of(PAY, prepared({"action": "redirect", "url": url}))

    assert (outcome.kind, outcome.action_url) == ("ACTION_REQUIRED", None)


@pytest.mark.parametrize(
    ("call", "status", "kind", "next_step", "psp_id"),
    [
        (PAY, "created", "ACTION_REQUIRED", None, ORDER_ID),
        (PAY, "authorized", "PENDING", "3", PAYMENT_ID),
        (PAY, "captured", "APPROVED", None, PAYMENT_ID),
        (AUTHORIZE, "created", "ACTION_REQUIRED", None, ORDER_ID),
        (AUTHORIZE, "authorized", "APPROVED", None, PAYMENT_ID),
        (AUTHORIZE, "captured", "UNKNOWN", None, None),
    ],
    ids=lambda given: given.kind if isinstance(given, Call) else None,
)
def test_when_the_customer_is_back_the_payments_status_decides(
    call: Call, status: str, kind: str, next_step: str | None, psp_id: str | None
):
    outcome = found(call, listed(payment(status, call)))

    assert (outcome.kind, outcome.next_step, outcome.psp_id) == (kind, next_step, psp_id)
    if kind == "APPROVED":
        assert (outcome.amount_minor, outcome.currency) == (1099, "INR")


def test_an_order_without_a_payment_proves_that_none_was_made():
    assert absent(PAY, listed())


def test_an_authorization_that_a_capture_of_ours_has_taken_still_stands():
    assert found(HELD, payment("captured", AUTHORIZE)).kind == "APPROVED"
    assert found(HELD, payment("refunded", AUTHORIZE, captured=True)).kind == "APPROVED"


@pytest.mark.parametrize("call", [PAY, AUTHORIZE], ids=lambda call: call.kind)
def test_what_was_not_captured_in_its_time_has_expired(call: Call):
    for known in (call, replace(call, psp_id=PAYMENT_ID)):
        body = payment("refunded", call, captured=False, amount_refunded=1099)
        outcome = found(known, body if known.psp_id == PAYMENT_ID else listed(body))
        assert (outcome.kind, outcome.code) == ("EXPIRED", "refunded_uncaptured")


def test_a_sale_that_was_refunded_was_approved():
    assert found(TAKE, payment("refunded", captured=True)).kind == "APPROVED"
    assert found(PAY, listed(payment("refunded", captured=True))).kind == "APPROVED"


def test_a_refunded_payment_that_does_not_say_whether_it_was_captured_decides_nothing():
    assert found(PAY, listed(payment("refunded", captured=None))).kind == "UNKNOWN"


def test_a_failed_payment_that_its_bank_authorizes_late_goes_on_as_if_it_had_not_failed():
    assert found(PAY, listed(failed("payment_timed_out"))).kind == "ACTION_REQUIRED"
    late = found(PAY, listed(payment("authorized", error_reason="payment_timed_out")))
    assert (late.kind, late.next_step) == ("PENDING", "3")


def test_of_several_payments_the_one_that_took_the_order_counts():
    older, newer = failed("card_expired", id="pay_old", created_at=1), payment("authorized")

    for payments in ([older, newer], [newer, older]):
        assert found(PAY, listed(*payments)).next_step == "3"


def test_of_several_failed_payments_the_newest_counts_unless_one_is_open():
    older, newer = failed("card_expired", created_at=1), failed("card_declined", id="pay_b", created_at=2)

    for payments in ([older, newer], [newer, older]):
        assert found(PAY, listed(*payments)).code == "card_declined"
        assert found(PAY, listed(*payments, payment("created", id="pay_c"))).kind == "ACTION_REQUIRED"


def test_two_authorized_payments_on_one_order_are_not_chosen_from():
    for second in (
        payment("authorized", id="pay_b"),
        payment("refunded", id="pay_b", captured=True),
    ):
        outcome = found(PAY, listed(payment("authorized"), second))
        assert (outcome.kind, outcome.code) == ("UNKNOWN", "found_twice")


def test_an_unknown_status_decides_nothing():
    for call, body in [
        (PAY, listed(payment("authenticated"))),
        (TAKE, payment("authenticated")),
        (CAPTURE, payment("authenticated", AUTHORIZE)),
        (PAY, listed(payment("captured"), payment("authenticated", id="pay_b"))),
    ]:
        outcome = found(call, body)
        assert (outcome.kind, outcome.code, outcome.unlisted) == ("UNKNOWN", "unexpected_status", True)


MISMATCHES: list[tuple[dict[str, Any], str]] = [
    ({"amount": 1098}, "amount_mismatch"),
    ({"amount": "1099"}, "amount_mismatch"),
    ({"amount": 2**63}, "amount_mismatch"),
    ({"currency": "USD"}, "currency_mismatch"),
    ({"currency": None}, "currency_mismatch"),
    ({"notes": {"order_ref": "another"}}, "reference_mismatch"),
    ({"notes": []}, "reference_mismatch"),
    ({"notes": None}, "reference_mismatch"),
]


@pytest.mark.parametrize(("more", "code"), MISMATCHES)
@pytest.mark.parametrize("status", ["created", "authorized", "captured", "failed"])
def test_a_payment_that_is_not_the_one_that_was_requested_is_never_accepted(
    more: dict[str, Any], code: str, status: str
):
    for call in (PAY, AUTHORIZE):
        outcome = found(call, listed(payment(status, call) | more))
        assert (outcome.kind, outcome.code) == ("UNKNOWN", code)
    for call, of in ((TAKE, PAY), (CAPTURE, AUTHORIZE)):
        for outcome in (
            found(call, payment(status, of) | more),
            outcome_of(call, payment(status, of) | more),
        ):
            assert (outcome.kind, outcome.code) == ("UNKNOWN", code)


@pytest.mark.parametrize("call", [TAKE, CAPTURE], ids=lambda call: call.kind)
def test_another_payment_than_the_one_requested_is_never_accepted(call: Call):
    of = PAY if call is TAKE else AUTHORIZE

    for outcome in (
        found(call, payment("captured", of, id="pay_another")),
        outcome_of(call, payment("captured", of, id="pay_another")),
    ):
        assert (outcome.kind, outcome.code) == ("UNKNOWN", "psp_id_mismatch")


# Step 3, and a capture by itself


@pytest.mark.parametrize(("call", "of"), [(TAKE, PAY), (CAPTURE, AUTHORIZE)], ids=["sale", "capture"])
def test_a_captured_payment_approves_and_an_authorized_one_proves_that_it_was_not_captured(
    call: Call, of: Call
):
    for outcome in (outcome_of(call, payment("captured", of)), found(call, payment("captured", of))):
        assert (outcome.kind, outcome.amount_minor, outcome.currency) == ("APPROVED", 1099, "INR")
    assert found(call, payment("refunded", of, captured=True)).kind == "APPROVED"
    assert absent(call, payment("authorized", of))
    not_done = outcome_of(call, payment("authorized", of))
    assert (not_done.kind, not_done.code) == ("UNKNOWN", "not_done")


def test_a_capture_after_the_automatic_refund_is_declined_for_good():
    outcome = found(CAPTURE, payment("refunded", AUTHORIZE, captured=False))

    assert (outcome.kind, outcome.code) == ("DECLINED_HARD", "authorization_is_over")


@pytest.mark.parametrize("status", ["created", "failed"])
def test_a_payment_that_was_authorized_and_no_longer_seems_so_decides_nothing(status: str):
    assert found(TAKE, payment(status)).kind == "UNKNOWN"
    assert found(CAPTURE, payment(status, AUTHORIZE)).kind == "UNKNOWN"
    assert found(HELD, payment(status, AUTHORIZE)).kind == "UNKNOWN"


def test_a_payment_of_the_published_shape_is_read():
    captured = published("fake_captured_payment.json")
    call = replace(TAKE, amount_minor=captured["amount"])

    assert found(call, captured | {"notes": {"order_ref": call.reference}}).kind == "APPROVED"
    assert found(call, captured).code == "reference_mismatch"
    assert found(PAY, listed(published("fake_payment.json"))).kind == "UNKNOWN"
