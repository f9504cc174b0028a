import asyncio
import time
from pathlib import Path

import aiohttp
import pytest
from aiohttp import encode_basic_auth

from tests.gateways.simulator.client import INTENTS, Client
from tests.support.movements import captures


def count(ledger_file: Path) -> int:
    return len(captures(ledger_file))


async def test_stripes_own_curl_form_signs_in_with_the_key_as_the_name(simulator: Client):
    """`curl -u sk_test_…:` of https://docs.stripe.com/api/authentication."""
    response = await simulator.ask("GET", INTENTS, Authorization=encode_basic_auth(simulator.secret, ""))

    assert response.status == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer wrong", "Bearer ", "Basic c2tfdGVzdA==", "Basic d3Jvbmc6", "Basic é", "Bearer ä"],
)
async def test_another_key_gets_a_401_that_does_not_show_it(simulator: Client, authorization: str):
    response = await simulator.ask("GET", INTENTS, Authorization=authorization)

    assert response.status == 401
    assert response.body["error"]["type"] == "invalid_request_error"
    assert b"wrong" not in response.raw


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/nothing"),
        ("DELETE", INTENTS),
        ("POST", "/v1/customers"),
        ("POST", "/v1/refunds/re_1"),
        ("GET", "/"),
        ("GET", "/_simulator"),
    ],
)
async def test_an_unknown_path_gets_stripes_404(simulator: Client, method: str, path: str):
    response = await simulator.ask(method, path)

    assert response.status == 404
    assert response.body["error"]["message"] == f"Unrecognized request URL ({method}: {path})."


async def test_a_response_echoes_the_version_and_has_an_id_of_its_own(simulator: Client):
    first, second = [
        await simulator.ask("GET", INTENTS, Stripe_Version="2026-08-26.dahlia") for _ in range(2)
    ]

    assert first.headers["stripe-version"] == "2026-08-26.dahlia"
    assert first.headers["request-id"].startswith("req_")
    assert first.headers["request-id"] != second.headers["request-id"]


async def test_a_repeated_key_gets_the_first_response_and_charges_nothing(
    simulator: Client, ledger_file: Path
):
    first = await simulator.create(key="k1")
    again = await simulator.create(key="k1")

    assert (again.status, again.raw) == (200, first.raw)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert count(ledger_file) == 1


async def test_a_decline_is_replayed_too(simulator: Client, ledger_file: Path):
    first = await simulator.create(key="k1", payment_method="pm_card_visa_chargeDeclined")
    again = await simulator.create(key="k1", payment_method="pm_card_visa_chargeDeclined")

    assert first.status == again.status == 402
    assert first.raw == again.raw
    assert count(ledger_file) == 0


async def test_a_key_with_other_parameters_is_refused(simulator: Client, ledger_file: Path):
    await simulator.create(key="k1")
    other = await simulator.create(key="k1", amount="1100")

    assert (other.status, other.body["error"]["type"]) == (400, "idempotency_error")
    assert count(ledger_file) == 1


async def test_the_order_of_the_parameters_does_not_matter(simulator: Client):
    await simulator.create(key="k1", description="a", return_url="https://x.example")
    again = await simulator.create(key="k1", return_url="https://x.example", description="a")

    assert again.headers["idempotent-replayed"] == "true"


async def test_a_refusal_is_not_stored_under_its_key(simulator: Client, ledger_file: Path):
    refused = await simulator.create(key="k1", amount="x")
    better = await simulator.create(key="k1")

    assert (refused.status, better.status) == (400, 200)
    assert count(ledger_file) == 1


async def test_calls_without_a_key_each_charge(simulator: Client, ledger_file: Path):
    await simulator.create()
    await simulator.create()

    assert count(ledger_file) == 2


@pytest.mark.parametrize("key", ["k" * 256, "", "schlüssel"])
async def test_a_key_that_is_too_long_or_no_ascii_is_refused(simulator: Client, key: str):
    assert (await simulator.create(key=key)).status == 400


async def test_fifty_calls_at_once_with_one_key_charge_once(simulator: Client, ledger_file: Path):
    await simulator.change(latency_ms=50)
    responses = await asyncio.gather(*(simulator.create(key="k1") for _ in range(50)))

    in_use = [response for response in responses if response.status == 409]
    assert len(responses) - len(in_use) == 1
    assert {response.body["error"]["code"] for response in in_use} == {"idempotency_key_in_use"}
    assert count(ledger_file) == 1
    assert (await simulator.create(key="k1")).headers["idempotent-replayed"] == "true"


async def test_the_latency_is_kept_from_the_arrival(simulator: Client):
    await simulator.change(latency_ms=120)

    started = time.monotonic()
    await simulator.create(key="k1")
    first_s = time.monotonic() - started
    started = time.monotonic()
    await simulator.create(key="k1")

    assert first_s >= 0.12
    assert time.monotonic() - started >= 0.12


async def test_a_failing_psp_responds_with_503_and_does_nothing(simulator: Client, ledger_file: Path):
    await simulator.change(down_s=60, down="failing")

    response = await simulator.create(key="k1")

    assert (response.status, response.body["error"]["type"]) == (503, "api_error")
    assert count(ledger_file) == 0


async def test_a_psp_that_is_down_refuses_connections_and_comes_back_on_its_port(simulator: Client):
    await simulator.change(down_s=1)

    with pytest.raises(aiohttp.ClientConnectorError):
        await simulator.create()

    async with asyncio.timeout(10):
        while True:
            try:
                assert (await simulator.create()).status == 200
                break
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("change", [{"latency_ms": -1}, {"latency": 1}, {"down_s": 0}, {"down": "sideways"}])
async def test_a_change_of_conditions_that_makes_no_sense_is_refused(
    simulator: Client, change: dict[str, object]
):
    async with simulator.http.post(f"{simulator.root}/_simulator", json=change) as response:
        assert response.status == 400
