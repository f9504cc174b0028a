"""Idempotency: a stored response, 704 while the first call runs, and faults that a repeat repairs."""

import asyncio
from dataclasses import replace

import aiohttp
import orjson
import pytest

from tests.gateways.simulator.adyen.merchant import ADYEN, Merchant, begin, later


async def test_a_repeat_gets_the_stored_response_and_moves_nothing(merchant: Merchant):
    sold = await merchant.sold()
    calls = [replace(sold, step="1", psp_id=None), sold, later("refund", sold)]

    for call in calls:
        request = ADYEN.request(call, merchant.credentials)
        first, again = await merchant.post(request), await merchant.post(request)
        assert (first.status, first.body) == (again.status, again.body)
        assert again.headers["idempotency-key"] == call.key

    assert [one[0] for one in merchant.moved()] == ["authorized", "captured", "refunded"]


async def test_a_key_with_another_body_is_not_taken(merchant: Merchant):
    call = begin("authorize")
    await merchant.send(call)

    outcome = await merchant.send(replace(call, amount_minor=1))

    assert (outcome.kind, outcome.code, outcome.repeat_is_useless) == ("UNKNOWN", "704", True)
    assert len(merchant.moved()) == 1


async def test_a_key_in_use_is_a_transient_704(merchant: Merchant):
    async with merchant.http.post(
        f"{merchant.root}/_simulator", json={"gateway": "adyen", "latency_ms": 400}
    ) as response:
        assert response.status == 200
    call = begin("authorize")
    request = ADYEN.request(call, merchant.credentials)

    both = await asyncio.gather(merchant.post(request), merchant.post(request))

    by_status = {one.status: one for one in both}
    assert set(by_status) == {200, 409}
    assert by_status[409].headers["transient-error"] == "true"
    outcome = ADYEN.outcome(call, by_status[409])
    assert (outcome.kind, outcome.code, outcome.repeat_is_useless) == ("UNKNOWN", "704", False)
    assert (await merchant.send(call)).kind == "APPROVED"
    assert len(merchant.moved()) == 1


async def test_a_key_of_more_than_64_characters_is_refused(merchant: Merchant):
    response = await merchant.raw("payments", {}, "x" * 65)

    assert (response.status, orjson.loads(response.body)["errorCode"]) == (422, "702")


@pytest.mark.parametrize("fault", ["lost", "reset_before"])
@pytest.mark.parametrize("on", ["", "capture_", "cancel_", "refund_"])
async def test_a_response_that_was_lost_is_got_by_a_repeat_and_nothing_is_done_twice(
    merchant: Merchant, on: str, fault: str
):
    token = f"sim_{on}{fault}"
    if on == "":
        call = begin("authorize", token)
    elif on == "refund_":
        call = later("refund", await merchant.sold(token))
    else:
        call = later("capture" if on == "capture_" else "void", await merchant.authorized(token))

    with pytest.raises(aiohttp.ClientError):
        await merchant.send(call)
    assert (await merchant.send(call)).kind in {"APPROVED", "PENDING"}

    done = {"": "authorized", "capture_": "captured", "cancel_": "released", "refund_": "refunded"}[on]
    assert [one[0] for one in merchant.moved()].count(done) == 1
    await merchant.notice(
        {"": "AUTHORISATION", "capture_": "CAPTURE", "cancel_": "CANCELLATION", "refund_": "REFUND"}[on]
    )


@pytest.mark.parametrize("on", ["capture", "refund"])
@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("429", "NOT_SENT", "rate_limited"),
        ("500", "UNKNOWN", "000"),
        ("garbage", "UNKNOWN", "http_200"),
        ("wrong_amount", "UNKNOWN", "amount_mismatch"),
        ("wrong_currency", "UNKNOWN", "currency_mismatch"),
    ],
)
async def test_what_goes_wrong_with_a_later_call_is_of_that_call_only(
    merchant: Merchant, on: str, fault: str, kind: str, code: str
):
    token = f"sim_{on}_{fault}"
    paid = await (merchant.sold(token) if on == "refund" else merchant.authorized(token))

    outcome = await merchant.send(later("refund" if on == "refund" else "capture", paid))

    assert (outcome.kind, outcome.code) == (kind, code)
