"""What is PayPal's own about its interface: signing in, keys, representations, errors, faults."""

import asyncio
import base64
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from gateways.contract import HttpRequest
from gateways.simulator.core.ledger import read_movements
from tests.gateways.paypal import specs
from tests.gateways.simulator.paypal.client import ADAPTER, CLIENT_ID, SECRET, Client, later, simulating

ORDERS = "/v2/checkout/orders"
ORDER = {"intent": "CAPTURE", "purchase_units": [{"amount": {"currency_code": "USD", "value": "10.99"}}]}
AUTHORIZATIONS = "/v2/payments/authorizations/{authorization_id}"


def body(response: Any) -> Any:
    return orjson.loads(response.body)


async def test_only_who_has_signed_in_gets_a_response(paypal: Client):
    for token in ("", "A21.pp-eu.9999999999.0", paypal.token[:-1], f"{paypal.token}0", "A21"):
        response = await replace(paypal, token=token).ask("GET", f"{ORDERS}/X")
        assert (response.status, body(response)["name"]) == (401, "AUTHENTICATION_FAILURE")
    for login, secret in ((CLIENT_ID, "wrong"), ("wrong", SECRET), ("", "")):
        basic = base64.b64encode(f"{login}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
        request = HttpRequest("POST", "/v1/oauth2/token", headers, b"grant_type=client_credentials")
        response = await paypal.exchange(request)
        assert (response.status, body(response)["error"]) == (401, "invalid_client")
        assert ADAPTER.signed_in(response) is None


async def test_a_token_ends(ledger_file: Path):
    async with simulating(ledger_file, token_life_s="0") as paypal:
        outcome = await paypal.send(paypal.call())

    assert (outcome.kind, outcome.hint) == ("NOT_SENT", "CONFIG")


async def test_a_token_is_good_after_a_restart(ledger_file: Path):
    async with simulating(ledger_file) as paypal:
        token = paypal.token
    async with simulating(ledger_file) as paypal:
        assert (await replace(paypal, token=token).send(paypal.call())).kind == "PENDING"


async def test_the_response_is_minimal_unless_more_is_requested(paypal: Client):
    minimal = await paypal.ask("POST", ORDERS, orjson.dumps(ORDER))
    whole = await paypal.ask("POST", ORDERS, orjson.dumps(ORDER), Prefer="return=representation")

    assert set(body(minimal)) == {"id", "status", "links"}
    assert set(body(whole)) > set(body(minimal))
    assert minimal.headers["paypal-debug-id"]
    again = [await paypal.ask("POST", ORDERS, orjson.dumps(ORDER), PayPal_Request_Id="k1") for _ in range(2)]
    assert [(one.status, set(body(one))) for one in again] == [
        (201, set(body(minimal))),
        (200, set(body(minimal))),
    ]


async def test_a_void_without_a_representation_has_no_body(paypal: Client):
    _, psp_id = await paypal.authorized()
    path = f"/v2/payments/authorizations/{psp_id.rpartition('/')[2]}/void"

    first, again = await paypal.ask("POST", path), await paypal.ask("POST", path)

    assert (first.status, first.body) == (204, b"")
    assert (again.status, body(again)["details"][0]["issue"]) == (422, "PREVIOUSLY_VOIDED")


async def test_a_source_in_the_order_needs_a_key_and_is_taken_at_once(paypal: Client):
    order = orjson.dumps(ORDER | {"payment_source": {"card": {"vault_id": "sim_ok"}}})

    without = await paypal.ask("POST", ORDERS, order)
    taken = await paypal.ask("POST", ORDERS, order, PayPal_Request_Id="k1", Prefer="return=representation")

    assert (without.status, body(without)["details"][0]["issue"]) == (400, "PAYPAL_REQUEST_ID_REQUIRED")
    assert body(taken)["status"] == "COMPLETED"
    (capture,) = body(taken)["purchase_units"][0]["payments"]["captures"]
    assert (capture["status"], capture["seller_receivable_breakdown"]["paypal_fee"]["value"]) == (
        "COMPLETED",
        "0.87",
    )


async def test_a_cardholders_name_forces_the_response_and_no_number_is_kept(
    paypal: Client, ledger_file: Path
):
    card = {"number": "4012888888881881", "expiry": "2030-01", "name": "CCREJECT-EC"}
    order = orjson.dumps(ORDER | {"payment_source": {"card": card}})

    response = await paypal.ask("POST", ORDERS, order, PayPal_Request_Id="k1", Prefer="return=representation")

    (capture,) = body(response)["purchase_units"][0]["payments"]["captures"]
    assert (capture["status"], capture["processor_response"]) == ("DECLINED", {"response_code": "5400"})
    kept = b"".join(file.read_bytes() for file in ledger_file.parent.iterdir())
    assert b"4012888888881881" not in kept


@pytest.mark.parametrize(
    ("issue", "status"),
    [
        ("INSTRUMENT_DECLINED", 422),
        ("PERMISSION_DENIED", 403),
        ("INTERNAL_SERVER_ERROR", 500),
        ("PREVIOUS_REQUEST_IN_PROGRESS", 409),
    ],
)
async def test_a_mocked_response_is_given_and_nothing_is_done(
    paypal: Client, ledger_file: Path, issue: str, status: int
):
    mock = orjson.dumps({"mock_application_codes": issue}).decode()

    response = await paypal.ask(
        "POST", ORDERS, orjson.dumps(ORDER), PayPal_Mock_Response=mock, PayPal_Request_Id="k1"
    )

    assert (response.status, body(response)["details"][0]["issue"]) == (status, issue)
    assert (await paypal.ask("POST", ORDERS, orjson.dumps(ORDER), PayPal_Request_Id="k1")).status == 201
    assert list(read_movements(ledger_file)) == []


def _unit(**amount: str) -> dict[str, Any]:
    return {"intent": "CAPTURE", "purchase_units": [{"amount": amount}]}


@pytest.mark.parametrize(
    ("sent", "status", "issue"),
    [
        (b"{", 400, "MALFORMED_REQUEST_JSON"),
        (b"[]", 400, "MALFORMED_REQUEST_JSON"),
        ({}, 400, "INVALID_PARAMETER_VALUE"),
        ({"intent": "CAPTURE", "purchase_units": []}, 400, "INVALID_PARAMETER_VALUE"),
        ({"intent": "CAPTURE", "purchase_units": [{}]}, 400, "MISSING_REQUIRED_PARAMETER"),
        (_unit(currency_code="USD"), 400, "INVALID_PARAMETER_VALUE"),
        (_unit(currency_code="KWD", value="5.120"), 422, "INVALID_CURRENCY_CODE"),
        (_unit(currency_code="USD", value="5.123"), 422, "DECIMAL_PRECISION"),
        (_unit(currency_code="JPY", value="5.00"), 422, "DECIMALS_NOT_SUPPORTED"),
        (_unit(currency_code="HUF", value="10.45"), 422, "DECIMALS_NOT_SUPPORTED"),
        (_unit(currency_code="USD", value="0.00"), 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        (_unit(currency_code="USD", value="-1.00"), 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        (ORDER | {"payment_source": {"venmo": {}}}, 400, "NOT_SUPPORTED"),
        (ORDER | {"payment_source": {"card": {}}}, 422, "CARD_NUMBER_REQUIRED"),
    ],
)
async def test_what_is_wrong_is_refused_in_paypals_words(paypal: Client, sent: Any, status: int, issue: str):
    raw = sent if isinstance(sent, bytes) else orjson.dumps(sent)

    response = await paypal.ask("POST", ORDERS, raw, PayPal_Request_Id="k1")

    assert (response.status, body(response)["details"][0]["issue"]) == (status, issue)


async def test_the_order_is_taken_as_it_was_created_for(paypal: Client):
    second = await paypal.prepared(paypal.call())

    outcome = await paypal.send(replace(second, kind="authorize"))

    assert (outcome.kind, outcome.code) == ("NOT_SENT", "ACTION_DOES_NOT_MATCH_INTENT")


async def test_what_is_not_there_is_404_and_reauthorizing_is_not_offered(paypal: Client):
    for path in (f"{ORDERS}/X", "/v2/payments/captures/X", "/v2/payments/refunds/X", "/v9"):
        assert (await paypal.ask("GET", path)).status == 404
    _, psp_id = await paypal.authorized()
    path = f"/v2/payments/authorizations/{psp_id.rpartition('/')[2]}/reauthorize"
    response = await paypal.ask("POST", path, b"{}")
    assert body(response)["details"][0]["issue"] == "REAUTHORIZATION_NOT_SUPPORTED"


async def test_each_payment_can_be_read_by_its_own_id(paypal: Client):
    held = await paypal.authorized()
    capture = later(held, "capture", 400)
    captured = await paypal.send(capture)
    refunded = await paypal.send(later((capture, captured.psp_id or ""), "refund", 100, 3))

    for psp_id, value in ((held[1], "10.99"), (captured.psp_id, "4.00"), (refunded.psp_id, "1.00")):
        _, order_id, part, paypal_id = (psp_id or "").split("/")
        response = await paypal.ask("GET", f"/v2/payments/{part}/{paypal_id}")
        assert (body(response)["id"], body(response)["amount"]["value"]) == (paypal_id, value)
        assert body(response)["supplementary_data"]["related_ids"]["order_id"] == order_id


async def test_each_response_is_as_paypal_describes_it(paypal: Client):
    second = await paypal.prepared(paypal.call())
    order_id = (second.psp_id or "").rpartition("/")[2]
    representation = {"Prefer": "return=representation"}
    source = orjson.dumps({"payment_source": {"card": {"vault_id": "sim_ok"}}})
    held = await paypal.authorized()
    sold = await paypal.sold()
    authorization_id, capture_id = held[1].rpartition("/")[2], sold[1].rpartition("/")[2]
    wallet = orjson.dumps(
        ORDER | {"payment_source": {"paypal": {"experience_context": {"return_url": "https://s.example/"}}}}
    )
    orders: specs.Document = "checkout-orders-v2"
    payments: specs.Document = "payments-v2"
    exchanges: list[tuple[specs.Document, str, str, str, bytes | None]] = [
        (orders, ORDERS, "POST", ORDERS, wallet),
        (orders, f"{ORDERS}/{{id}}", "GET", f"{ORDERS}/{order_id}", None),
        (orders, f"{ORDERS}/{{id}}/capture", "POST", f"{ORDERS}/{order_id}/capture", source),
        (orders, f"{ORDERS}/{{id}}/capture", "POST", f"{ORDERS}/{order_id}/capture", source),
        (orders, f"{ORDERS}/{{id}}", "GET", f"{ORDERS}/{order_id}", None),
        (orders, f"{ORDERS}/{{id}}", "GET", f"{ORDERS}/NONE", None),
        (
            payments,
            f"{AUTHORIZATIONS}/capture",
            "POST",
            f"/v2/payments/authorizations/{authorization_id}/capture",
            b"{}",
        ),
        (payments, AUTHORIZATIONS, "GET", f"/v2/payments/authorizations/{authorization_id}", None),
        (
            payments,
            f"{AUTHORIZATIONS}/void",
            "POST",
            f"/v2/payments/authorizations/{authorization_id}/void",
            None,
        ),
        (payments, "/v2/payments/captures/{capture_id}", "GET", f"/v2/payments/captures/{capture_id}", None),
        (
            payments,
            "/v2/payments/captures/{capture_id}/refund",
            "POST",
            f"/v2/payments/captures/{capture_id}/refund",
            b"{}",
        ),
        (
            payments,
            "/v2/payments/captures/{capture_id}/refund",
            "POST",
            f"/v2/payments/captures/{capture_id}/refund",
            b"{}",
        ),
    ]
    statuses = []
    for number, (document, path, method, actual, raw) in enumerate(exchanges):
        response = await paypal.ask(method, actual, raw, PayPal_Request_Id=f"k{number}", **representation)
        assert specs.complaints(document, path, method, response.status, body(response)) == [], actual
        statuses.append(response.status)
    assert statuses == [200, 200, 201, 422, 200, 404, 201, 200, 422, 200, 201, 422]


@pytest.mark.parametrize(
    ("do", "kind", "code"),
    [
        ("429", "NOT_SENT", "rate_limited"),
        ("500_once", "UNKNOWN", "INTERNAL_SERVER_ERROR"),
        ("wrong_amount", "UNKNOWN", "amount_mismatch"),
        ("wrong_currency", "UNKNOWN", "currency_mismatch"),
        ("garbage", "UNKNOWN", "unreadable_response"),
    ],
)
async def test_a_switched_fault_hits_the_call_that_takes(
    paypal: Client, ledger_file: Path, do: str, kind: str, code: str
):
    second = await paypal.prepared(paypal.call())
    await paypal.change(faults=[{"on": "continue", "do": do, "next": 1}])

    outcome = await paypal.send(second)

    assert (outcome.kind, outcome.code) == (kind, code)
    assert (await paypal.send(second)).kind == "APPROVED"
    assert len(list(read_movements(ledger_file))) == 1


async def test_a_status_that_flaps_decides_nothing(paypal: Client):
    call, psp_id = await paypal.sold()
    await paypal.change(faults=[{"on": "get", "do": "flap", "next": 1}])

    flapping = await paypal.find(replace(call, step="2", psp_id=psp_id))

    assert flapping is not None
    assert flapping.kind == "PENDING"


async def test_while_a_key_is_in_use_its_second_call_has_to_wait(paypal: Client):
    second = await paypal.prepared(paypal.call())
    await paypal.change(faults=[{"on": "continue", "do": "slow", "next": 1, "after_s": 1.0}])
    request = ADAPTER.request(second, paypal.credentials)
    assert isinstance(request, HttpRequest)

    async with aiohttp.ClientSession() as other:
        first = asyncio.create_task(replace(paypal, http=other).exchange(request))
        outcomes = []
        while not first.done():
            outcomes.append(await paypal.send(second))
        outcomes.append(ADAPTER.outcome(second, await first))

    assert ("UNKNOWN", "PREVIOUS_REQUEST_IN_PROGRESS") in {(one.kind, one.code) for one in outcomes}
    assert (await paypal.send(second)).kind == "APPROVED"


async def test_secrets_are_kept_nowhere(paypal: Client, ledger_file: Path):
    await paypal.sold()

    kept = b"".join(file.read_bytes() for file in ledger_file.parent.iterdir())
    for secret in (SECRET, paypal.token, hashlib.sha256(SECRET.encode()).hexdigest()):
        assert secret.encode() not in kept
