"""Each test value, as our adapter reads the response to it, and each response against the official
description.
"""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateways.adyen.codes import REFUSALS
from gateways.simulator.adyen.scenarios import BY_NUMBER, RESULTS, TOKENS
from tests.gateways.adyen import official
from tests.gateways.simulator.adyen.merchant import ADYEN, MERCHANT, SECRET, Merchant, begin, later

PAGE = "https://shop.example/back"
LATE = {f"sim_{name}" for name in ("slow", "timeout", "late", "slow_body", "hang", "outage")}
CUT = {"sim_lost", "sim_reset_before"}


def expected(token: str) -> tuple[tuple[str, str | None], tuple[str, str | None]]:
    """What a first authorize gets, and what its repeat with the same key gets."""
    approved: tuple[str, str | None] = ("APPROVED", None)
    odd: dict[str, tuple[tuple[str, str | None], tuple[str, str | None]]] = {
        "sim_ERROR": (("UNKNOWN", "Error"),) * 2,
        "sim_ERROR_HELD": (("UNKNOWN", "Error"),) * 2,
        "sim_ACQUIRER_ERROR": (("UNKNOWN", "4"),) * 2,
        "sim_ACQUIRER_ERROR_HERE": (("UNKNOWN", "4"),) * 2,
        "sim_ACQUIRER_ERROR_HELD": (("UNKNOWN", "4"),) * 2,
        "sim_NO_CONNECTION_AVAILABLE": (("NOT_SENT", "000"),) * 2,
        "sim_IOEXCEPTION_RECEIVED": (("UNKNOWN", "000"),) * 2,
        "sim_3DS": (("ACTION_REQUIRED", "RedirectShopper"),) * 2,
        "sim_3DS_DECLINED": (("ACTION_REQUIRED", "RedirectShopper"),) * 2,
        "sim_RECEIVED": (("PENDING", "Received"),) * 2,
        "sim_RECEIVED_DECLINED": (("PENDING", "Received"),) * 2,
        "sim_PARTIAL": (("APPROVED", "partially_authorised"),) * 2,
        "sim_declined_once": (("DECLINED_SOFT", "2"),) * 2,
        "sim_declined_twice": (("DECLINED_SOFT", "2"),) * 2,
        "sim_soft_here": (("DECLINED_SOFT", "12"),) * 2,
        "sim_429": (("NOT_SENT", "rate_limited"),) * 2,
        "sim_429_once": (("NOT_SENT", "rate_limited"), approved),
        "sim_429_twice": (("NOT_SENT", "rate_limited"),) * 2,
        "sim_500": (("UNKNOWN", "000"),) * 2,
        "sim_500_once": (("UNKNOWN", "000"), approved),
        "sim_garbage": (("UNKNOWN", "unreadable_response"), approved),
        "sim_wrong_amount": (("UNKNOWN", "amount_mismatch"),) * 2,
        "sim_wrong_currency": (("UNKNOWN", "currency_mismatch"),) * 2,
    }
    if token in odd:
        return odd[token]
    code = TOKENS[token].code
    if code is None:
        return (approved,) * 2
    hard = REFUSALS[code][1].verdict == "HARD"
    return (("DECLINED_HARD" if hard else "DECLINED_SOFT", code),) * 2


@pytest.mark.parametrize("token", [token for token in TOKENS if token not in LATE | CUT])
async def test_a_token_does_what_its_name_says(merchant: Merchant, token: str):
    call = begin("authorize", token)

    first, again = await merchant.send(call), await merchant.send(call)

    assert ((first.kind, first.code), (again.kind, again.code)) == expected(token)
    holds = [one for one in merchant.moved() if one[0] == "authorized"]
    assert len(holds) <= 1
    if again.kind == "APPROVED":
        assert [(one[1], one[2]) for one in holds] == [(call.reference, again.psp_id)]
    if again.kind.startswith("DECLINED"):
        assert holds == []


async def test_a_decline_may_be_of_the_first_attempt_only(merchant: Merchant):
    first = begin("authorize", "sim_declined_once")
    second = replace(first, reference=first.reference.replace("-a1", "-a2"))

    assert (await merchant.send(first)).kind == "DECLINED_SOFT"
    assert (await merchant.send(second)).kind == "APPROVED"


def payment(**more: Any) -> dict[str, Any]:
    return {
        "amount": {"value": 1099, "currency": "EUR"},
        "merchantAccount": MERCHANT,
        "reference": "Order 7",
        "returnUrl": PAGE,
        "paymentMethod": {
            "type": "scheme",
            "number": "4111111111111111",
            "expiryMonth": "03",
            "expiryYear": "2030",
            "cvc": "737",
        },
        **more,
    }


async def result(merchant: Merchant, **more: Any) -> tuple[str, str | None]:
    response = await merchant.raw("payments", payment(**more))
    assert response.status == 200, response
    body = orjson.loads(response.body)
    assert official.errors("checkout", "PaymentResponse", body) == []
    return body["resultCode"], body.get("refusalReasonCode")


@pytest.mark.parametrize("number", BY_NUMBER)
async def test_a_result_is_forced_by_its_number(merchant: Merchant, number: str):
    forced = {"additionalData": {"RequestedTestAcquirerResponseCode": number}}

    scenario = BY_NUMBER[number]
    assert await result(merchant, **forced) == (scenario.ends, scenario.code)


@pytest.mark.parametrize("name", RESULTS)
async def test_a_result_is_forced_by_the_holders_name(merchant: Merchant, name: str):
    method = payment()["paymentMethod"] | {"holderName": name}

    assert await result(merchant, paymentMethod=method) == (RESULTS[name].ends, RESULTS[name].code)


@pytest.mark.parametrize("number", ["5454545454545454", "4917610000000000"])
async def test_a_card_of_three_d_secure_is_challenged(merchant: Merchant, number: str):
    method = payment()["paymentMethod"] | {"number": number}

    assert await result(merchant, paymentMethod=method) == ("RedirectShopper", None)


@pytest.mark.parametrize(
    ("code", "transient"), [("NO_CONNECTION_AVAILABLE", "true"), ("IOEXCEPTION_RECEIVED", None)]
)
async def test_a_forced_error_is_transient_or_final(merchant: Merchant, code: str, transient: str | None):
    body = payment(additionalData={"RequestedTestErrorResponseCode": code})

    response = await merchant.raw("payments", body, "key-1")
    other = payment(reference="Order 8")
    reused = await merchant.raw("payments", other, "key-1")

    assert (response.status, response.headers.get("transient-error")) == (500, transient)
    assert official.errors("checkout", "ServiceError", orjson.loads(response.body)) == []
    assert reused.status == (200 if transient else 422)


async def test_without_manual_capture_the_money_is_taken_at_once(merchant: Merchant):
    await result(merchant)

    assert [one[0] for one in merchant.moved()] == ["authorized", "captured"]


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "another merchant": ({"merchantAccount": "Another"}, 403, "901"),
    "no merchant": ({"merchantAccount": None}, 403, "901"),
    "no reference": ({"reference": ""}, 422, "130"),
    "a long reference": ({"reference": "x" * 81}, 422, "130"),
    "no address": ({"returnUrl": None}, 422, "14_030"),
    "no amount": ({"amount": None}, 422, "100"),
    "nothing": ({"amount": {"value": 0, "currency": "EUR"}}, 422, "137"),
    "a broken amount": ({"amount": {"value": "10", "currency": "EUR"}}, 422, "137"),
    "no currency": ({"amount": {"value": 10, "currency": "XXX"}}, 422, "138"),
    "no method": ({"paymentMethod": None}, 422, "14_004"),
    "no card": ({"paymentMethod": {"type": "scheme"}}, 422, "14_004"),
    "an unknown token": (
        {"paymentMethod": {"type": "scheme", "storedPaymentMethodId": "x"}},
        422,
        "800",
    ),
    "no card number": ({"paymentMethod": {"type": "scheme", "number": "12"}}, 422, "101"),
    "no security code": (
        {"paymentMethod": {"type": "scheme", "number": "4111111111111111", "cvc": "1"}},
        422,
        "103",
    ),
}


@pytest.mark.parametrize(("spoilt", "status", "code"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_refused_and_not_kept(
    merchant: Merchant, spoilt: dict[str, Any], status: int, code: str
):
    response = await merchant.raw("payments", payment(**spoilt), "key-1")
    right = await merchant.raw("payments", payment(), "key-1")

    body = orjson.loads(response.body)
    assert (response.status, body["status"], body["errorCode"]) == (status, status, code)
    assert official.errors("checkout", "ServiceError", body) == []
    assert right.status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff"])
async def test_what_is_no_json_object_is_a_400(merchant: Merchant, body: bytes):
    for path in ("payments", "payments/details", "payments/X/captures", "cancels"):
        response = await merchant.raw(path, body)
        assert (response.status, orjson.loads(response.body)["errorCode"]) == (400, "702")


async def test_the_key_is_required(merchant: Merchant):
    response = await merchant.raw("payments", payment(), secret=f"{SECRET}x")

    assert (response.status, orjson.loads(response.body)["errorCode"]) == (401, "000")
    outcome = ADYEN.outcome(begin("sale"), response)
    assert (outcome.kind, outcome.hint) == ("NOT_SENT", "CONFIG")


async def test_a_path_that_is_not_there_is_a_404(merchant: Merchant):
    assert (await merchant.raw("sessions", payment())).status == 404


@pytest.mark.parametrize("kind", ["capture", "void", "refund"])
async def test_a_modification_of_nothing_is_refused(merchant: Merchant, kind: Any):
    unknown = replace(begin("authorize"), psp_id="QFQTPCQGHXSKGKTB")

    outcome = await merchant.send(later(kind, unknown))

    assert (outcome.kind, outcome.code) == ("NOT_SENT", "167")


async def test_a_reversal_cancels_what_is_held_and_gives_back_what_was_taken(merchant: Merchant):
    held, sold = await merchant.authorized(), await merchant.sold()

    for paid in (held, sold):
        response = await merchant.raw(f"payments/{paid.psp_id}/reversals", {"merchantAccount": MERCHANT})
        assert response.status == 201
        assert official.errors("checkout", "PaymentReversalResponse", orjson.loads(response.body)) == []
    await merchant.notice("CANCEL_OR_REFUND", 2)

    assert sorted(one[0] for one in merchant.moved()) == [
        *("authorized", "authorized", "captured", "refunded", "released"),
    ]


async def test_every_response_is_one_of_the_official_description(merchant: Merchant):
    held, challenged, sold = await merchant.authorized(), begin("sale", "sim_3DS"), await merchant.sold()
    outcome = await merchant.send(challenged)
    back = replace(challenged, step="2", returned=await merchant.passes(outcome))
    calls = {
        "PaymentResponse": begin("sale"),
        "PaymentDetailsResponse": back,
        "PaymentCaptureResponse": later("capture", held, 400),
        "PaymentCancelResponse": later("void", held, ordinal=3),
        "PaymentRefundResponse": later("refund", sold, 400),
    }

    for schema, call in calls.items():
        response = await merchant.post(ADYEN.request(call, merchant.credentials))
        assert official.errors("checkout", schema, orjson.loads(response.body)) == []
    cancelled = await merchant.post(ADYEN.cancel(begin("sale"), merchant.credentials))
    body = orjson.loads(cancelled.body)
    assert official.errors("checkout", "StandalonePaymentCancelResponse", body) == []
