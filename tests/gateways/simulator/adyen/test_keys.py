"""Idempotency: a stored answer, 704 while the first call runs, and mishaps that a repeat repairs."""

import asyncio
from dataclasses import replace

import aiohttp
import orjson
import pytest

from tests.gateways.simulator.adyen.shop import ADYEN, Shop, begin, later


async def test_a_repeat_gets_the_stored_answer_and_moves_nothing(shop: Shop):
    sold = await shop.sold()
    calls = [replace(sold, step="1", psp_id=None), sold, later("refund", sold)]

    for call in calls:
        request = ADYEN.request(call, shop.credentials)
        first, again = await shop.post(request), await shop.post(request)
        assert (first.status, first.body) == (again.status, again.body)
        assert again.headers["idempotency-key"] == call.key

    assert [one[0] for one in shop.moved()] == ["authorized", "captured", "refunded"]


async def test_a_key_with_another_body_is_not_taken(shop: Shop):
    call = begin("authorize")
    await shop.send(call)

    outcome = await shop.send(replace(call, amount_minor=1))

    assert (outcome.kind, outcome.code, outcome.repeat_is_useless) == ("UNKNOWN", "704", True)
    assert len(shop.moved()) == 1


async def test_a_key_in_use_is_a_transient_704(shop: Shop):
    async with shop.http.post(
        f"{shop.root}/_simulator", json={"gateway": "adyen", "latency_ms": 400}
    ) as told:
        assert told.status == 200
    call = begin("authorize")
    request = ADYEN.request(call, shop.credentials)

    said = await asyncio.gather(shop.post(request), shop.post(request))

    by_status = {one.status: one for one in said}
    assert set(by_status) == {200, 409}
    assert by_status[409].headers["transient-error"] == "true"
    outcome = ADYEN.outcome(call, by_status[409])
    assert (outcome.kind, outcome.code, outcome.repeat_is_useless) == ("UNKNOWN", "704", False)
    assert (await shop.send(call)).kind == "APPROVED"
    assert len(shop.moved()) == 1


async def test_a_key_of_more_than_64_characters_is_refused(shop: Shop):
    said = await shop.raw("payments", {}, "x" * 65)

    assert (said.status, orjson.loads(said.body)["errorCode"]) == (422, "702")


@pytest.mark.parametrize("mishap", ["lost", "reset_before"])
@pytest.mark.parametrize("on", ["", "capture_", "cancel_", "refund_"])
async def test_an_answer_that_was_lost_is_got_by_a_repeat_and_nothing_is_done_twice(
    shop: Shop, on: str, mishap: str
):
    token = f"sim_{on}{mishap}"
    if on == "":
        call = begin("authorize", token)
    elif on == "refund_":
        call = later("refund", await shop.sold(token))
    else:
        call = later("capture" if on == "capture_" else "void", await shop.authorized(token))

    with pytest.raises(aiohttp.ClientError):
        await shop.send(call)
    assert (await shop.send(call)).kind in {"APPROVED", "PENDING"}

    done = {"": "authorized", "capture_": "captured", "cancel_": "released", "refund_": "refunded"}[on]
    assert [one[0] for one in shop.moved()].count(done) == 1
    await shop.told(
        {"": "AUTHORISATION", "capture_": "CAPTURE", "cancel_": "CANCELLATION", "refund_": "REFUND"}[on]
    )


@pytest.mark.parametrize("on", ["capture", "refund"])
@pytest.mark.parametrize(
    ("mishap", "kind", "code"),
    [
        ("429", "NOT_SENT", "rate_limited"),
        ("500", "UNKNOWN", "905"),
        ("garbage", "UNKNOWN", "http_200"),
        ("wrong_amount", "UNKNOWN", "amount_mismatch"),
        ("wrong_currency", "UNKNOWN", "currency_mismatch"),
    ],
)
async def test_what_goes_wrong_with_a_later_call_is_of_that_call_only(
    shop: Shop, on: str, mishap: str, kind: str, code: str
):
    token = f"sim_{on}_{mishap}"
    paid = await (shop.sold(token) if on == "refund" else shop.authorized(token))

    outcome = await shop.send(later("refund" if on == "refund" else "capture", paid))

    assert (outcome.kind, outcome.code) == (kind, code)
