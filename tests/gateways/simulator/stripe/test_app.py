import re
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.simulator.client import INTENTS, Client, until
from tests.gateways.simulator.conftest import slowly
from tests.support.movements import captures

CHALLENGE = {"payment_method": "pm_card_threeDSecure2Required", "return_url": "https://shop.example/back?a=1"}


async def test_a_success_has_what_a_stripe_client_reads(simulator: Client, ledger_file: Path):
    response = await simulator.create(**{"metadata[order_ref]": "r-1", "description": "Order 7"})

    body = response.body
    assert response.status == 200
    assert (body["object"], body["status"], body["livemode"]) == ("payment_intent", "succeeded", False)
    assert (body["amount"], body["amount_received"], body["currency"]) == (1099, 1099, "usd")
    assert (body["metadata"], body["description"]) == ({"order_ref": "r-1"}, "Order 7")
    assert body["latest_charge"].startswith("ch_")
    assert body["client_secret"].startswith(f"{body['id']}_secret_")
    charge = captures(ledger_file)[0]
    assert (charge.reference, charge.intent_id) == ("r-1", body["id"])
    assert (charge.amount, charge.currency) == (Decimal("10.99"), "USD")
    assert abs(charge.at.timestamp() - time.time()) < 60


async def test_a_decline_is_a_402_that_carries_the_intent(simulator: Client, ledger_file: Path):
    response = await simulator.create(payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")

    error = response.body["error"]
    assert (response.status, error["type"]) == (402, "card_error")
    assert (error["code"], error["decline_code"]) == ("card_declined", "insufficient_funds")
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert error["payment_intent"]["last_payment_error"]["decline_code"] == "insufficient_funds"
    assert captures(ledger_file) == []


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"amount": ""}, "amount", "parameter_missing"),
        ({"amount": "10.99"}, "amount", "parameter_invalid_integer"),
        ({"amount": "-5"}, "amount", "parameter_invalid_integer"),
        ({"amount": "\u0665"}, "amount", "parameter_invalid_integer"),
        ({"amount": "0"}, "amount", "parameter_invalid_integer"),
        ({"amount": "100000000"}, "amount", "amount_too_large"),
        ({"amount": "550", "currency": "isk"}, "amount", "parameter_invalid_integer"),
        ({"amount": "5124", "currency": "kwd"}, "amount", "parameter_invalid_integer"),
        ({"currency": "xxx"}, "currency", None),
        ({"payment_method": "pm_nobody"}, "payment_method", "resource_missing"),
        ({"card": "x"}, "card", "parameter_unknown"),
        ({"confirm": "false"}, "confirm", "parameter_invalid"),
        ({"capture_method": "later"}, "capture_method", "parameter_invalid"),
        ({"off_session": "yes"}, "off_session", None),
        ({"setup_future_usage": "never"}, "setup_future_usage", "parameter_invalid"),
        ({"statement_descriptor": "SHOP"}, "statement_descriptor", "parameter_unknown"),
        ({"statement_descriptor_suffix": "12345"}, "statement_descriptor_suffix", None),
        ({"statement_descriptor_suffix": "x" * 23}, "statement_descriptor_suffix", None),
        ({"payment_method_types[0]": "ideal"}, "payment_method_types[]", "parameter_invalid"),
        ({"metadata[a]": "x" * 501}, "metadata[a]", None),
    ],
)
async def test_what_stripe_refuses_is_refused_with_the_parameter(
    simulator: Client, ledger_file: Path, fields: dict[str, str], param: str, code: str | None
):
    response = await simulator.create(**fields)

    assert response.status == 400
    assert (response.body["error"]["param"], response.body["error"].get("code")) == (param, code)
    assert captures(ledger_file) == []


@pytest.mark.parametrize("body", [b"\xff\xfe", b"amount=1&amount", b"%zz", b"{}", b"&&&", b""])
async def test_a_body_that_is_no_form_is_refused(simulator: Client, body: bytes):
    assert (await simulator.ask("POST", INTENTS, body)).status == 400


async def test_a_body_beyond_the_bound_is_refused(simulator: Client):
    assert (await simulator.create(description="x" * 300_000)).status == 413


async def test_an_intent_is_read_by_its_id_with_its_charge_where_requested(simulator: Client):
    created = (await simulator.create()).body

    plain = (await simulator.ask("GET", f"{INTENTS}/{created['id']}")).body
    expanded = (await simulator.ask("GET", f"{INTENTS}/{created['id']}?expand[]=latest_charge")).body

    assert plain == created
    assert expanded["latest_charge"]["id"] == created["latest_charge"]
    assert expanded["latest_charge"]["amount_captured"] == 1099


async def test_an_unknown_intent_is_a_404(simulator: Client):
    response = await simulator.ask("GET", f"{INTENTS}/pi_nobody")

    assert (response.status, response.body["error"]["code"]) == (404, "resource_missing")


async def test_a_search_finds_by_our_reference_and_nothing_else(simulator: Client):
    for reference in ("r-1", "r-1", "r-12"):
        await simulator.create(**{"metadata[order_ref]": reference})

    found = (await simulator.ask("GET", f"{INTENTS}/search?query=metadata['order_ref']:'r-1'")).body
    none = (await simulator.ask("GET", f'{INTENTS}/search?query=metadata["order_ref"]:"r-"')).body
    page = (await simulator.ask("GET", f"{INTENTS}/search?limit=1&query=metadata['order_ref']:'r-1'")).body

    assert [intent["metadata"]["order_ref"] for intent in found["data"]] == ["r-1", "r-1"]
    assert (found["object"], found["has_more"]) == ("search_result", False)
    assert none["data"] == []
    assert (len(page["data"]), page["has_more"]) == (1, True)


@pytest.mark.parametrize("query", ["", "status:'succeeded'", "metadata['order_ref']:'a' OR status:'x'"])
async def test_another_search_is_refused_and_gets_nothing_else(simulator: Client, query: str):
    assert (await simulator.ask("GET", f"{INTENTS}/search?query={query}")).status == 400


async def test_a_lagging_search_does_not_find_what_is_new(simulator: Client):
    await simulator.change(search_lag_s=3600)
    created = (await simulator.create(**{"metadata[order_ref]": "r-1"})).body

    found = (await simulator.ask("GET", f"{INTENTS}/search?query=metadata['order_ref']:'r-1'")).body

    assert found["data"] == []
    assert (await simulator.ask("GET", f"{INTENTS}/{created['id']}")).status == 200


async def test_a_list_pages_from_the_newest(simulator: Client):
    ids = [(await simulator.create()).body["id"] for _ in range(3)]

    first = (await simulator.ask("GET", f"{INTENTS}?limit=2&created[gte]=0")).body
    rest = (await simulator.ask("GET", f"{INTENTS}?limit=2&starting_after={first['data'][-1]['id']}")).body

    assert [intent["id"] for intent in first["data"] + rest["data"]] == ids[::-1]
    assert (first["has_more"], rest["has_more"]) == (True, False)


async def test_a_challenge_passed_on_its_page_charges_once(simulator: Client, ledger_file: Path):
    intent = (await simulator.create(**CHALLENGE)).body
    url = intent["next_action"]["redirect_to_url"]["url"]

    async with simulator.http.get(url) as page:
        assert "Authenticate" in await page.text()
    backs = []
    for _ in range(2):
        async with simulator.http.post(url, data={"result": "pass"}, allow_redirects=False) as back:
            backs.append((back.status, back.headers["Location"]))

    back_url = f"https://shop.example/back?a=1&payment_intent={intent['id']}&redirect_status=succeeded"
    assert backs == [(303, back_url)] * 2
    assert len(captures(ledger_file)) == 1


@pytest.mark.parametrize(
    ("token", "result", "code"),
    [
        ("pm_card_threeDSecure2Required", "fail", "payment_intent_authentication_failure"),
        ("pm_sim_3ds_declined", "pass", "card_declined"),
    ],
)
async def test_a_challenge_may_end_as_a_decline(simulator: Client, token: str, result: str, code: str):
    intent = (await simulator.create(**CHALLENGE | {"payment_method": token})).body

    url = intent["next_action"]["redirect_to_url"]["url"]
    async with simulator.http.post(url, data={"result": result}, allow_redirects=False):
        pass

    ended = (await simulator.ask("GET", f"{INTENTS}/{intent['id']}")).body
    assert ended["status"] == "requires_payment_method"
    assert ended["last_payment_error"]["code"] == code


async def test_a_challenge_without_a_return_url_gives_no_page(simulator: Client):
    intent = (await simulator.create(payment_method="pm_card_threeDSecure2Required")).body

    assert intent["next_action"]["type"] == "use_stripe_sdk"


async def test_a_challenges_page_needs_the_whole_secret(simulator: Client):
    intent = (await simulator.create(**CHALLENGE)).body

    async with simulator.http.post(
        f"{simulator.url}/3d-secure/{intent['id']}", data={"result": "pass"}
    ) as response:
        assert response.status == 404


async def test_a_challenge_is_canceled_and_cannot_charge_any_more(simulator: Client, ledger_file: Path):
    intent = (await simulator.create(**CHALLENGE)).body
    url = intent["next_action"]["redirect_to_url"]["url"]

    canceled = await simulator.ask(
        "POST", f"{INTENTS}/{intent['id']}/cancel", {"cancellation_reason": "abandoned"}, Idempotency_Key="c1"
    )
    again = await simulator.ask(
        "POST", f"{INTENTS}/{intent['id']}/cancel", {"cancellation_reason": "abandoned"}, Idempotency_Key="c1"
    )
    async with simulator.http.post(url, data={"result": "pass"}, allow_redirects=False):
        pass

    assert (canceled.body["status"], canceled.body["cancellation_reason"]) == ("canceled", "abandoned")
    assert again.raw == canceled.raw
    assert captures(ledger_file) == []


async def test_what_succeeded_cannot_be_canceled(simulator: Client):
    intent = (await simulator.create()).body

    response = await simulator.ask("POST", f"{INTENTS}/{intent['id']}/cancel", {})

    assert (response.status, response.body["error"]["code"]) == (400, "payment_intent_unexpected_state")
    assert response.body["error"]["payment_intent"]["status"] == "succeeded"


@slowly
async def test_what_is_processing_succeeds_by_itself(simulator: Client, ledger_file: Path):
    intent = (await simulator.create(payment_method="pm_sim_processing")).body
    assert intent["status"] == "processing"
    assert captures(ledger_file) == []

    await until(lambda: captures(ledger_file) != [])

    assert (await simulator.ask("GET", f"{INTENTS}/{intent['id']}")).body["status"] == "succeeded"


async def test_no_id_holds_a_run_of_digits_that_could_be_a_card_number(simulator: Client):
    responses: list[Any] = [await simulator.create(key=f"k{number}") for number in range(20)]

    for response in responses:
        shown_ids = [
            response.body["id"],
            response.body["client_secret"],
            response.body["latest_charge"],
            response.headers["request-id"],
        ]
        assert not any(re.search(r"\d{13}", shown_id) for shown_id in shown_ids)
