"""The adapter against the simulator over HTTP, flow by flow."""

import hashlib
import hmac
from dataclasses import replace

import pytest

from gateways.simulator.razorpay.scenarios import FAILURES
from tests.gateways.simulator.razorpay.shop import SECRET, Shop, Told, begin, later
from tests.until import until


async def test_a_sale_goes_over_the_bank_and_is_taken_by_our_capture_alone(shop: Shop, told: Told):
    pay = await shop.ordered(begin("sale", "token_visa"))
    action = await shop.send(pay)
    assert (action.kind, action.code, action.psp_id) == ("ACTION_REQUIRED", "redirect", pay.psp_id)
    assert (await shop.found(pay)).kind == "ACTION_REQUIRED"

    brought = await shop.at_the_bank(action.action_url, otp="1234")
    held = await shop.found(pay)

    assert told.returned == [brought]
    assert (held.kind, held.next_step) == ("PENDING", "3")
    assert held.psp_id == brought["razorpay_payment_id"]
    signed = f"{pay.psp_id}|{held.psp_id}".encode()
    assert brought["razorpay_signature"] == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert shop.movements(pay) == []

    take = replace(pay, step="3", psp_id=held.psp_id)
    taken = await shop.send(take)

    assert (taken.kind, taken.amount_minor, taken.currency) == ("APPROVED", 1099, "INR")
    assert shop.movements(pay) == [("captured", "s1", 1099)]
    assert shop.moved_under(pay) == {taken.psp_id}
    assert (await shop.found(take)).kind == "APPROVED"


async def test_an_authorization_is_captured_once_and_whole(shop: Shop):
    held = await shop.authorized("authorize")
    assert shop.movements(held) == [("authorized", "a1", 1099)]

    capture = later("capture", held)
    assert await shop.look(capture) is None
    assert (await shop.send(capture)).kind == "APPROVED"
    again = await shop.send(replace(capture, reference=capture.reference.replace("c2", "c3")))

    assert (again.kind, again.repeat_is_useless) == ("UNKNOWN", True)
    assert (await shop.found(capture)).kind == "APPROVED"
    assert (await shop.found(held)).kind == "APPROVED"
    assert shop.movements(held) == [("authorized", "a1", 1099), ("captured", "c2", 1099)]


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
    shop: Shop, told: Told, form: dict[str, str], code: str
):
    pay = await shop.ordered(begin("sale", "token_visa"))
    action = await shop.send(pay)

    brought = await shop.at_the_bank(action.action_url, **form)
    outcome = await shop.found(pay)

    assert brought["error[reason]"] == code
    assert told.returned == [brought]
    assert (outcome.kind, outcome.code, outcome.psp_id) == ("DECLINED_SOFT", code, pay.psp_id)


async def test_a_button_passes_too_and_a_second_answer_changes_nothing(shop: Shop):
    pay = await shop.ordered(begin("authorize", "token_mastercard"))
    action = await shop.send(pay)

    await shop.at_the_bank(action.action_url, result="pass")
    await shop.at_the_bank(action.action_url, result="fail")

    assert (await shop.found(pay)).kind == "APPROVED"
    assert shop.movements(pay) == [("authorized", "a1", 1099)]


async def test_another_secret_does_not_open_the_banks_page(shop: Shop):
    action = await shop.send(await shop.ordered(begin("sale", "token_visa")))
    assert action.action_url is not None

    async with shop.http.get(action.action_url + "x") as page:
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
    shop: Shop, reason: str
):
    pay = await shop.ordered(begin("sale", f"token_{reason}"))

    outcomes = await shop.send(pay), await shop.found(pay)

    assert tuple(outcome.kind for outcome in outcomes) == DECLINED[reason]
    assert [outcome.code for outcome in outcomes] == [reason, reason]
    assert shop.movements(pay) == []


async def test_a_challenge_that_was_passed_may_still_be_declined(shop: Shop):
    pay = await shop.ordered(begin("sale", "token_3ds_declined"))
    action = await shop.send(pay)

    await shop.at_the_bank(action.action_url, otp="1234")

    assert (await shop.found(pay)).code == "card_declined"


async def test_what_failed_without_its_banks_answer_may_be_authorized_late(shop: Shop):
    pay = await shop.ordered(begin("sale", "token_late"))
    assert (await shop.send(pay)).kind == "UNKNOWN"
    assert (await shop.found(pay)).kind == "ACTION_REQUIRED"

    async def late() -> bool:
        return (await shop.found(pay)).next_step == "3"

    await until(late, "authorized late", 10)
    assert shop.movements(pay) == []


async def test_the_first_attempts_at_a_payment_are_declined_and_the_next_is_not(shop: Shop):
    first = begin("sale", "token_declined_once")
    second = replace(first, reference=first.reference.replace("-s1", "-s2"))

    assert (await shop.send(await shop.ordered(first))).kind == "DECLINED_SOFT"
    assert (await shop.send(await shop.ordered(second))).kind == "PENDING"


async def test_a_paid_order_takes_no_second_payment(shop: Shop):
    pay = await shop.ordered(begin("sale", "token_frictionless"))
    await shop.send(pay)
    held = await shop.found(pay)

    again = await shop.send(pay)

    assert (again.kind, again.code, again.repeat_is_useless) == ("UNKNOWN", "order_already_paid", True)
    assert (await shop.found(pay)).psp_id == held.psp_id


# Answers that are lost


async def test_an_order_whose_answer_was_lost_is_found_by_its_receipt(shop: Shop):
    await shop.control(faults=[{"on": "create", "do": "lost", "next": 1}])
    call = begin("sale", "token_frictionless")
    assert await shop.look(call) is None
    assert (await shop.send(call)).code == "lost"

    found = await shop.found(call)

    assert (found.kind, found.next_step) == ("PENDING", "2")


async def test_an_order_that_was_created_twice_is_not_gone_on_with(shop: Shop):
    call = begin("sale", "token_frictionless")
    await shop.ordered(call)
    await shop.ordered(call)

    assert (await shop.found(call)).code == "found_twice"


@pytest.mark.parametrize("token", ["token_sim_lost", "token_sim_garbage"])
async def test_a_payment_whose_answer_was_lost_is_found_by_its_order(shop: Shop, token: str):
    pay = await shop.ordered(begin("sale", token))
    assert (await shop.send(pay)).kind == "UNKNOWN"

    assert (await shop.found(pay)).next_step == "3"


async def test_a_payment_that_never_arrived_is_found_absent(shop: Shop):
    pay = await shop.ordered(begin("sale", "token_sim_reset_before"))
    assert (await shop.send(pay)).kind == "UNKNOWN"

    assert await shop.look(pay) is None


@pytest.mark.parametrize("fault", ["lost", "garbage", "wrong_amount", "wrong_currency"])
async def test_a_capture_without_a_true_answer_is_found_by_its_payment(shop: Shop, fault: str):
    take = await shop.authorized("sale", f"token_sim_capture_{fault}")
    assert (await shop.send(take)).kind == "UNKNOWN"

    assert (await shop.found(take)).kind == "APPROVED"
    assert shop.movements(take) == [("captured", "s1", 1099)]


@pytest.mark.parametrize("fault", ["reset_before", "500"])
async def test_a_capture_that_never_arrived_is_found_absent(shop: Shop, fault: str):
    take = await shop.authorized("sale", f"token_sim_capture_{fault}")
    assert (await shop.send(take)).kind == "UNKNOWN"

    assert await shop.look(take) is None
    assert shop.movements(take) == []


async def test_too_many_calls_are_not_sent_and_a_server_error_decides_nothing(shop: Shop):
    for token, kind in (("token_sim_429", "NOT_SENT"), ("token_sim_500", "UNKNOWN")):
        pay = await shop.ordered(begin("sale", token))
        assert (await shop.send(pay)).kind == kind
        assert await shop.look(pay) is None


@pytest.mark.parametrize("fault", ["lost", "garbage"])
async def test_a_refund_whose_answer_was_lost_is_answered_and_not_done_by_its_repeat(shop: Shop, fault: str):
    sold = await shop.sold()
    await shop.control(faults=[{"on": "refund", "do": fault, "next": 1}])
    refund = later("refund", sold, 400)
    assert (await shop.send(refund)).kind == "UNKNOWN"

    found, again = await shop.found(refund), await shop.send(refund)

    assert (found.kind, again.kind) == ("APPROVED", "APPROVED")
    assert found.psp_id == again.psp_id
    assert shop.movements(sold) == [("captured", "s1", 1099), ("refunded", "r2", 400)]


# Refunds


async def test_refunds_in_parts_give_back_all_that_was_taken_and_no_more(shop: Shop):
    sold = await shop.sold()
    for ordinal, amount in ((2, 400), (3, 699)):
        refund = later("refund", sold, amount, ordinal)
        outcome = await shop.send(refund)
        assert (outcome.kind, outcome.amount_minor) == ("APPROVED", amount)
        assert (await shop.found(replace(refund, psp_id=outcome.psp_id))).kind == "APPROVED"

    over = await shop.send(later("refund", sold, 1, 4))

    assert (over.kind, over.code) == ("NOT_SENT", "invalid_request")
    assert shop.movements(sold)[1:] == [("refunded", "r2", 400), ("refunded", "r3", 699)]
    assert (await shop.found(sold)).kind == "APPROVED"  # a sale that was given back was one


async def test_a_refunds_key_with_another_amount_is_a_duplicate(shop: Shop):
    sold = await shop.sold()
    refund = later("refund", sold, 400)
    await shop.send(refund)

    other = await shop.send(replace(refund, amount_minor=500))

    assert (other.kind, other.repeat_is_useless) == ("UNKNOWN", True)
    assert shop.movements(sold)[1:] == [("refunded", "r2", 400)]


@pytest.mark.parametrize(
    ("token", "at_first", "at_last"),
    [
        ("token_refund_pending", "PENDING", "APPROVED"),
        ("token_refund_pending_fails", "PENDING", "DECLINED_HARD"),
        ("token_refund_failed", "DECLINED_HARD", "DECLINED_HARD"),
    ],
)
async def test_a_refund_may_be_decided_later(shop: Shop, token: str, at_first: str, at_last: str):
    refund = later("refund", await shop.sold(token))
    outcome = await shop.send(refund)
    assert outcome.kind == at_first
    assert (outcome.psp_id in shop.still_open()) == (at_first == "PENDING")

    async def decided() -> bool:
        return (await shop.found(refund)).kind == at_last

    await until(decided, at_last, 10)
    assert shop.still_open() == []
    assert ("refunded", "r2", 1099) in shop.movements(refund) or at_last != "APPROVED"


async def test_what_was_not_captured_cannot_be_refunded(shop: Shop):
    held = await shop.authorized("authorize")

    assert (await shop.send(later("refund", held))).kind == "NOT_SENT"


# What goes by itself


@pytest.mark.parametrize("options", [{"uncaptured_life_s": "1"}])
async def test_what_is_not_captured_in_its_time_is_given_back(shop: Shop):
    held = await shop.authorized("authorize")
    take = await shop.authorized("sale")

    async def given_back() -> bool:
        return (await shop.found(held)).kind == "EXPIRED" == (await shop.found(take)).kind

    await until(given_back, "given back", 10)
    assert shop.movements(held) == [("authorized", "a1", 1099), ("released", "", 1099)]
    assert shop.movements(take) == []
    capture = later("capture", held)
    assert (await shop.send(capture)).kind == "UNKNOWN"
    assert (await shop.found(capture)).kind == "DECLINED_HARD"


@pytest.mark.parametrize("options", [{"challenge_life_s": "1"}])
async def test_a_customer_who_never_comes_to_the_bank_leaves_a_payment_that_fails(shop: Shop):
    pay = await shop.ordered(begin("sale", "token_visa"))
    await shop.send(pay)

    async def timed_out() -> bool:
        return (await shop.found(pay)).code == "payment_timed_out"

    await until(timed_out, "timed out", 10)


async def test_nothing_at_razorpay_may_take_money_by_itself(shop: Shop):
    for token in ("token_visa", "token_late", "token_frictionless"):
        await shop.send(await shop.ordered(begin("authorize", token)))

    assert shop.still_open() == []


async def test_a_read_may_show_what_was_before(shop: Shop):
    sold = await shop.sold()
    await shop.control(faults=[{"on": "get", "do": "flap", "next": 1}])

    assert await shop.look(sold) is None
    assert (await shop.found(sold)).kind == "APPROVED"


async def test_a_search_may_lag_and_find_nothing(shop: Shop):
    call = begin("sale", "token_frictionless")
    await shop.ordered(call)

    await shop.control(search_lag_s=60)
    assert await shop.look(call) is None
    await shop.control(search_lag_s=0, faults=[{"on": "search", "do": "absent", "next": 1}])
    assert await shop.look(call) is None
    assert (await shop.found(call)).next_step == "2"
