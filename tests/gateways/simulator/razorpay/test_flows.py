"""The adapter against the simulator over HTTP, flow by flow."""

import hashlib
import hmac
from dataclasses import replace

import pytest

from gateways.simulator.razorpay.scenarios import FAILURES
from tests.gateways.simulator.conftest import slowly
from tests.gateways.simulator.razorpay.merchant import SECRET, Merchant, Received, begin, later
from tests.support.until import until


async def test_a_sale_goes_over_the_bank_and_is_taken_by_our_capture_alone(
    merchant: Merchant, received: Received
):
    pay = await merchant.ordered(begin("sale", "token_visa"))
    action = await merchant.send(pay)
    assert (action.kind, action.code, action.psp_id) == ("ACTION_REQUIRED", "redirect", pay.psp_id)
    assert (await merchant.found(pay)).kind == "ACTION_REQUIRED"

    brought = await merchant.at_the_bank(action.action_url, otp="1234")
    held = await merchant.found(pay)

    assert received.returned == [brought]
    assert (held.kind, held.next_step) == ("PENDING", "3")
    assert held.psp_id == brought["razorpay_payment_id"]
    signed = f"{pay.psp_id}|{held.psp_id}".encode()
    assert brought["razorpay_signature"] == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert merchant.movements(pay) == []

    take = replace(pay, step="3", psp_id=held.psp_id)
    taken = await merchant.send(take)

    assert (taken.kind, taken.amount_minor, taken.currency) == ("APPROVED", 1099, "INR")
    assert merchant.movements(pay) == [("captured", "s1", 1099)]
    assert merchant.moved_under(pay) == {taken.psp_id}
    assert (await merchant.found(take)).kind == "APPROVED"


async def test_an_authorization_is_captured_once_and_whole(merchant: Merchant):
    held = await merchant.authorized("authorize")
    assert merchant.movements(held) == [("authorized", "a1", 1099)]

    capture = later("capture", held)
    assert await merchant.look(capture) is None
    assert (await merchant.send(capture)).kind == "APPROVED"
    again = await merchant.send(replace(capture, reference=capture.reference.replace("c2", "c3")))

    assert (again.kind, again.repeat_is_useless) == ("UNKNOWN", True)
    assert (await merchant.found(capture)).kind == "APPROVED"
    assert (await merchant.found(held)).kind == "APPROVED"
    assert merchant.movements(held) == [("authorized", "a1", 1099), ("captured", "c2", 1099)]


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"otp": "123"}, "incorrect_otp"),
        ({"otp": "12345678901"}, "incorrect_otp"),
        ({}, "incorrect_otp"),
        ({"result": "fail"}, "payment_cancelled"),
    ],
)
async def test_a_customer_who_does_not_pass_at_the_bank_has_declined(
    merchant: Merchant, received: Received, form: dict[str, str], code: str
):
    pay = await merchant.ordered(begin("sale", "token_visa"))
    action = await merchant.send(pay)

    brought = await merchant.at_the_bank(action.action_url, **form)
    outcome = await merchant.found(pay)

    assert brought["error[reason]"] == code
    assert received.returned == [brought]
    assert (outcome.kind, outcome.code, outcome.psp_id) == ("DECLINED_SOFT", code, pay.psp_id)


async def test_a_button_passes_too_and_a_second_click_changes_nothing(merchant: Merchant):
    pay = await merchant.ordered(begin("authorize", "token_mastercard"))
    action = await merchant.send(pay)

    await merchant.at_the_bank(action.action_url, result="pass")
    await merchant.at_the_bank(action.action_url, result="fail")

    assert (await merchant.found(pay)).kind == "APPROVED"
    assert merchant.movements(pay) == [("authorized", "a1", 1099)]


async def test_another_secret_does_not_open_the_banks_page(merchant: Merchant):
    action = await merchant.send(await merchant.ordered(begin("sale", "token_visa")))
    assert action.action_url is not None

    async with merchant.http.get(action.action_url + "x") as page:
        assert page.status == 404


DECLINED = {
    "payment_timed_out": ("UNKNOWN", "ACTION_REQUIRED"),
    "insufficient_fund": ("DECLINED_SOFT", "DECLINED_SOFT"),
    "payment_cancelled": ("DECLINED_SOFT", "DECLINED_SOFT"),
    "card_declined": ("DECLINED_SOFT", "DECLINED_SOFT"),
    "card_expired": ("DECLINED_HARD", "DECLINED_HARD"),
    "incorrect_cvv": ("DECLINED_SOFT", "DECLINED_SOFT"),
    "incorrect_otp": ("DECLINED_SOFT", "DECLINED_SOFT"),
    "card_disabled_for_online_payments": ("DECLINED_HARD", "DECLINED_HARD"),
    "card_number_invalid": ("DECLINED_HARD", "DECLINED_HARD"),
    "payment_risk_check_failed": ("DECLINED_HARD", "DECLINED_HARD"),
    "gateway_technical_error": ("UNKNOWN", "ACTION_REQUIRED"),
    "authentication_failed": ("UNKNOWN", "DECLINED_SOFT"),
}


@pytest.mark.parametrize("reason", FAILURES)
async def test_a_failing_card_is_read_as_the_table_says_of_its_call_and_of_its_payment(
    merchant: Merchant, reason: str
):
    pay = await merchant.ordered(begin("sale", f"token_{reason}"))

    outcomes = await merchant.send(pay), await merchant.found(pay)

    assert tuple(outcome.kind for outcome in outcomes) == DECLINED[reason]
    assert [outcome.code for outcome in outcomes] == [reason, reason]
    assert merchant.movements(pay) == []


async def test_a_challenge_that_was_passed_may_still_be_declined(merchant: Merchant):
    pay = await merchant.ordered(begin("sale", "token_3ds_declined"))
    action = await merchant.send(pay)

    await merchant.at_the_bank(action.action_url, otp="1234")

    assert (await merchant.found(pay)).code == "card_declined"


@slowly
async def test_what_failed_without_its_banks_response_may_be_authorized_late(merchant: Merchant):
    pay = await merchant.ordered(begin("sale", "token_late"))
    assert (await merchant.send(pay)).kind == "UNKNOWN"
    assert (await merchant.found(pay)).kind == "ACTION_REQUIRED"

    async def late() -> bool:
        return (await merchant.found(pay)).next_step == "3"

    await until(late, "authorized late", 10)
    assert merchant.movements(pay) == []


async def test_the_first_attempts_at_a_payment_are_declined_and_the_next_is_not(merchant: Merchant):
    first = begin("sale", "token_declined_once")
    second = replace(first, reference=first.reference.replace("-s1", "-s2"))

    assert (await merchant.send(await merchant.ordered(first))).kind == "DECLINED_SOFT"
    assert (await merchant.send(await merchant.ordered(second))).kind == "PENDING"


async def test_a_paid_order_takes_no_second_payment(merchant: Merchant):
    pay = await merchant.ordered(begin("sale", "token_frictionless"))
    await merchant.send(pay)
    held = await merchant.found(pay)

    again = await merchant.send(pay)

    assert (again.kind, again.code, again.repeat_is_useless) == ("UNKNOWN", "order_already_paid", True)
    assert (await merchant.found(pay)).psp_id == held.psp_id


# Answers that are lost


async def test_an_order_whose_response_was_lost_is_found_by_its_receipt(merchant: Merchant):
    await merchant.control(faults=[{"on": "create", "do": "lost", "next": 1}])
    call = begin("sale", "token_frictionless")
    assert await merchant.look(call) is None
    assert (await merchant.send(call)).code == "lost"

    found = await merchant.found(call)

    assert (found.kind, found.next_step) == ("PENDING", "2")


async def test_an_order_that_was_created_twice_is_not_gone_on_with(merchant: Merchant):
    call = begin("sale", "token_frictionless")
    await merchant.ordered(call)
    await merchant.ordered(call)

    assert (await merchant.found(call)).code == "found_twice"


@pytest.mark.parametrize("token", ["token_sim_lost", "token_sim_garbage"])
async def test_a_payment_whose_response_was_lost_is_found_by_its_order(merchant: Merchant, token: str):
    pay = await merchant.ordered(begin("sale", token))
    assert (await merchant.send(pay)).kind == "UNKNOWN"

    assert (await merchant.found(pay)).next_step == "3"


async def test_a_payment_that_never_arrived_is_found_absent(merchant: Merchant):
    pay = await merchant.ordered(begin("sale", "token_sim_reset_before"))
    assert (await merchant.send(pay)).kind == "UNKNOWN"

    assert await merchant.look(pay) is None


@pytest.mark.parametrize("fault", ["lost", "garbage", "wrong_amount", "wrong_currency"])
async def test_a_capture_without_a_true_response_is_found_by_its_payment(merchant: Merchant, fault: str):
    take = await merchant.authorized("sale", f"token_sim_capture_{fault}")
    assert (await merchant.send(take)).kind == "UNKNOWN"

    assert (await merchant.found(take)).kind == "APPROVED"
    assert merchant.movements(take) == [("captured", "s1", 1099)]


@pytest.mark.parametrize("fault", ["reset_before", "500"])
async def test_a_capture_that_never_arrived_is_found_absent(merchant: Merchant, fault: str):
    take = await merchant.authorized("sale", f"token_sim_capture_{fault}")
    assert (await merchant.send(take)).kind == "UNKNOWN"

    assert await merchant.look(take) is None
    assert merchant.movements(take) == []


async def test_too_many_calls_are_not_sent_and_a_server_error_decides_nothing(merchant: Merchant):
    for token, kind in (("token_sim_429", "NOT_SENT"), ("token_sim_500", "UNKNOWN")):
        pay = await merchant.ordered(begin("sale", token))
        assert (await merchant.send(pay)).kind == kind
        assert await merchant.look(pay) is None


@pytest.mark.parametrize("fault", ["lost", "garbage"])
async def test_a_refund_whose_response_was_lost_is_shown_and_not_done_by_its_repeat(
    merchant: Merchant, fault: str
):
    sold = await merchant.sold()
    await merchant.control(faults=[{"on": "refund", "do": fault, "next": 1}])
    refund = later("refund", sold, 400)
    assert (await merchant.send(refund)).kind == "UNKNOWN"

    found, again = await merchant.found(refund), await merchant.send(refund)

    assert (found.kind, again.kind) == ("APPROVED", "APPROVED")
    assert found.psp_id == again.psp_id
    assert merchant.movements(sold) == [("captured", "s1", 1099), ("refunded", "r2", 400)]


# Refunds


async def test_refunds_in_parts_give_back_all_that_was_taken_and_no_more(merchant: Merchant):
    sold = await merchant.sold()
    for ordinal, amount in ((2, 400), (3, 699)):
        refund = later("refund", sold, amount, ordinal)
        outcome = await merchant.send(refund)
        assert (outcome.kind, outcome.amount_minor) == ("APPROVED", amount)
        assert (await merchant.found(replace(refund, psp_id=outcome.psp_id))).kind == "APPROVED"

    over = await merchant.send(later("refund", sold, 100, 4))

    assert (over.kind, over.code) == ("NOT_SENT", "invalid_request")
    assert merchant.movements(sold)[1:] == [("refunded", "r2", 400), ("refunded", "r3", 699)]
    assert (await merchant.found(sold)).kind == "APPROVED"  # a sale that was given back was one


async def test_a_refunds_key_with_another_amount_is_a_duplicate(merchant: Merchant):
    sold = await merchant.sold()
    refund = later("refund", sold, 400)
    await merchant.send(refund)

    other = await merchant.send(replace(refund, amount_minor=500))

    assert (other.kind, other.repeat_is_useless) == ("UNKNOWN", True)
    assert merchant.movements(sold)[1:] == [("refunded", "r2", 400)]


@slowly
@pytest.mark.parametrize(
    ("token", "at_first", "at_last"),
    [
        ("token_refund_pending", "PENDING", "APPROVED"),
        ("token_refund_pending_fails", "PENDING", "DECLINED_HARD"),
        ("token_refund_failed", "DECLINED_HARD", "DECLINED_HARD"),
    ],
)
async def test_a_refund_may_be_decided_later(merchant: Merchant, token: str, at_first: str, at_last: str):
    refund = later("refund", await merchant.sold(token))
    outcome = await merchant.send(refund)
    assert outcome.kind == at_first
    assert (outcome.psp_id in merchant.still_open()) == (at_first == "PENDING")

    async def decided() -> bool:
        return (await merchant.found(refund)).kind == at_last

    await until(decided, at_last, 10)
    assert merchant.still_open() == []
    assert ("refunded", "r2", 1099) in merchant.movements(refund) or at_last != "APPROVED"


async def test_what_was_not_captured_cannot_be_refunded(merchant: Merchant):
    held = await merchant.authorized("authorize")

    assert (await merchant.send(later("refund", held))).kind == "NOT_SENT"


# What goes by itself


@pytest.mark.parametrize("options", [{"uncaptured_life_s": "1"}])
async def test_what_is_not_captured_in_its_time_is_given_back(merchant: Merchant):
    held = await merchant.authorized("authorize")
    take = await merchant.authorized("sale")

    async def given_back() -> bool:
        ends = [await merchant.look(call) for call in (held, take)]
        return all(end is not None and end.kind == "EXPIRED" for end in ends)

    await until(given_back, "given back", 10)
    assert merchant.movements(held) == [("authorized", "a1", 1099), ("released", "", 1099)]
    assert merchant.movements(take) == []
    capture = later("capture", held)
    assert (await merchant.send(capture)).kind == "UNKNOWN"
    assert (await merchant.found(capture)).kind == "DECLINED_HARD"


@pytest.mark.parametrize("options", [{"challenge_life_s": "1"}])
async def test_a_customer_who_never_comes_to_the_bank_leaves_a_payment_that_fails(merchant: Merchant):
    pay = await merchant.ordered(begin("sale", "token_visa"))
    await merchant.send(pay)

    async def timed_out() -> bool:
        return (await merchant.found(pay)).code == "payment_timed_out"

    await until(timed_out, "timed out", 10)


async def test_nothing_at_razorpay_may_take_money_by_itself(merchant: Merchant):
    for token in ("token_visa", "token_late", "token_frictionless"):
        await merchant.send(await merchant.ordered(begin("authorize", token)))

    assert merchant.still_open() == []


async def test_a_read_may_show_what_was_before(merchant: Merchant):
    sold = await merchant.sold()
    await merchant.control(faults=[{"on": "get", "do": "flap", "next": 1}])

    assert await merchant.look(sold) is None
    assert (await merchant.found(sold)).kind == "APPROVED"


async def test_a_search_may_lag_and_find_nothing(merchant: Merchant):
    call = begin("sale", "token_frictionless")
    await merchant.ordered(call)

    await merchant.control(search_lag_s=60)
    assert await merchant.look(call) is None
    await merchant.control(search_lag_s=0, faults=[{"on": "search", "do": "absent", "next": 1}])
    assert await merchant.look(call) is None
    assert (await merchant.found(call)).next_step == "2"
