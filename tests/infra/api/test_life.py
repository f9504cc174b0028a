"""Every command over HTTP against the real stack: accepted, refused, repeated, conflicting."""

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import aiohttp
import psycopg
import pytest

from aggregates.operation import payment_id_of
from infra.api import schemas
from infra.postgres import api_keys
from infra.process.runtime import Process
from infra.psp import return_token
from tests.support import simulator
from tests.support.api import Api
from tests.support.environment import Environment
from tests.support.processes import ALL, TWO_ACCOUNTS, Running, shared
from tests.support.until import until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]

MANUAL: dict[str, Any] = {
    "amount_minor": 1000,
    "currency": "EUR",
    "payment_method": "pm_card_visa",
    "capture": "manual",
}
SALE = MANUAL | {"capture": "automatic"}
# Several captures of one authorization: the first account's contract allows them.
ACCOUNTS = TWO_ACCOUNTS.replace('["sim-eu", "sim-us"]', '["sim-us", "sim-eu"]')
SHOP = "https://shop.example/back?cart=7#top"
CHALLENGED = SALE | {"payment_method": "pm_card_threeDSecure2Required", "return_page": SHOP}


@pytest.fixture(scope="module")
def stack(shared_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with shared(shared_environment, tmp_path_factory.mktemp("stack"), *ALL, "api", accounts=ACCOUNTS) as made:
        yield made


@pytest.fixture
async def api(stack):
    with psycopg.connect(
        stack.environment.dsn(), options=f"-c search_path={stack.environment.schema}"
    ) as conn:
        key = api_keys.create(conn, "demo", api_keys.SCOPES)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{stack.api_port}") as http:
        yield Api(http, key, Process("api"))


async def paid(api: Api, body: dict[str, Any], status: str) -> str:
    """A new payment, at rest."""
    key = {"Idempotency-Key": f"order-{uuid4()}", "Prefer": "wait=20"}
    response = await api.post(body, **key)
    assert (response.status, response.body["status"]) == (201, status), response.body
    payment: str = response.body["payment_id"]
    return payment


def of(stack: Running, payment: str) -> int:
    """How often the PSP has charged for it."""
    return sum(str(payment_id_of(charge.reference)) == payment for charge in stack.charges())


async def ended(api: Api, payment: str, what: str, body: Any, key: str) -> Any:
    response = await api.change(payment, what, body, **{"Idempotency-Key": key, "Prefer": "wait=20"})
    assert response.status == 200, response.body
    return response.body


async def refused(api: Api, payment: str, what: str, body: Any, key: str) -> tuple[int, str]:
    response = await api.change(payment, what, body, **{"Idempotency-Key": key})
    assert response.headers["Content-Type"] == "application/problem+json", response.body
    return response.status, response.body["code"]


async def shown(api: Api, payment: str, version: int) -> Any:
    response = await api.get(f"/v1/payments/{payment}?min_version={version}")
    schemas.Payment.model_validate(response.body)
    return response.body


async def test_a_payment_is_captured_in_parts_refunded_in_parts_and_what_is_left_is_voided(api):
    payment = await paid(api, MANUAL | {"statement_text": "ORDER 1"}, "AUTHORIZED")

    # captures: accepted, repeated, conflicting, refused
    first = await ended(api, payment, "captures", {"amount_minor": 400}, "c1")
    assert first["operation_state"] == "APPROVED"
    again = await ended(api, payment, "captures", {"amount_minor": 400}, "c1")
    assert (again["command_id"], again["operation_id"]) == (first["command_id"], first["operation_id"])
    assert await refused(api, payment, "captures", {"amount_minor": 401}, "c1") == (
        409,
        "idempotency_mismatch",
    )
    assert await refused(api, payment, "refunds", {"amount_minor": 401}, "r1") == (
        422,
        "refund_exceeds_captured",
    )
    too_much = await api.change(payment, "captures", {"amount_minor": 5000}, **{"Idempotency-Key": "c2"})
    assert (too_much.status, too_much.body["code"]) == (422, "capture_exceeds_authorization")
    assert too_much.body["amounts"]["requested_minor"] == 5000
    assert await refused(api, payment, "captures", {"amount_minor": 5000}, "c2") == (
        422,
        "capture_exceeds_authorization",
    )

    # refunds
    back = await ended(api, payment, "refunds", {"amount_minor": 150, "reason": "a shoe"}, "r2")
    assert back["operation_state"] == "APPROVED"
    assert (await ended(api, payment, "refunds", {"amount_minor": 150, "reason": "a shoe"}, "r2")) == back
    assert await refused(api, payment, "refunds", {"amount_minor": 150}, "r2") == (
        409,
        "idempotency_mismatch",
    )

    # what is left is released, with captures behind it
    rest = await ended(api, payment, "voids", {}, "v1")
    assert rest["operation_state"] == "APPROVED"
    assert await refused(api, payment, "captures", {"amount_minor": 1}, "c3") == (409, "nothing_to_capture")

    # cancel is refused once something was captured, and again with the same words
    for _ in range(2):
        assert await refused(api, payment, "cancel", {}, "x1") == (409, "already_captured")

    row = await shown(api, payment, rest["version"])
    assert (row["status"], row["captured_minor"], row["refunded_minor"]) == ("PARTIALLY_REFUNDED", 400, 150)
    assert [one["kind"] for one in row["operations"]] == ["authorize", "capture", "refund", "void"]
    assert (row["refundable_minor"], row["released_minor"]) == (250, 600)


async def test_what_was_authorized_is_voided_or_cancelled_once(stack, api):
    voided, cancelled = await paid(api, MANUAL, "AUTHORIZED"), await paid(api, MANUAL, "AUTHORIZED")

    first = await ended(api, voided, "voids", {}, "v1")
    assert (first["operation_state"], first["status"]) == ("APPROVED", "VOIDED")
    assert (await ended(api, voided, "voids", {}, "v1"))["operation_id"] == first["operation_id"]
    assert (await refused(api, voided, "voids", {}, "v2"))[0] == 409
    assert (await refused(api, voided, "captures", {}, "c1"))[0] == 409

    gone = await ended(api, cancelled, "cancel", {}, "x1")
    assert (gone["operation_state"], gone["status"]) == ("APPROVED", "VOIDED")
    assert (await ended(api, cancelled, "cancel", {}, "x1"))["operation_id"] == gone["operation_id"]
    assert await refused(api, cancelled, "cancel", {}, "x2") == (409, "already_canceled")
    assert of(stack, voided) == of(stack, cancelled) == 0

    sale = await paid(api, SALE, "CAPTURED")
    assert (await refused(api, sale, "voids", {}, "v1"))[0] == 409
    for what in ("complete-action", "status-queries"):
        code = {"complete-action": "no_action_required", "status-queries": "nothing_in_doubt"}[what]
        assert await refused(api, sale, what, {}, "a1") == (409, code)
        assert await refused(api, sale, what, {}, "a1") == (409, code)
        other = {"operation_id": f"{sale.replace('-', '')}-s1"}
        assert await refused(api, sale, what, other, "a1") == (409, "idempotency_mismatch")


async def came_back(api: Api, address: str) -> Any:
    """As a browser would, without the key."""
    path = urlsplit(address).path
    return await api.ask("GET", path, headers={"Authorization": None})


async def test_a_customer_comes_back_to_the_shop_once_or_often_and_the_payment_is_settled_once(stack, api):
    payment = await paid(api, CHALLENGED, "REQUIRES_ACTION")
    row = await shown(api, payment, 1)
    address = await simulator.challenge(row["action_url"], "pass")

    first = await came_back(api, address)
    second = await came_back(api, address)

    for response in (first, second):
        assert response.status == 303
        to = urlsplit(response.headers["Location"])
        assert (to.netloc, to.path, to.fragment) == ("shop.example", "/back", "top")
        assert parse_qs(to.query) == {"cart": ["7"], "payment_id": [payment], "status": ["CAPTURED"]}
    assert of(stack, payment) == 1
    events = (await api.get(f"/v1/payments/{payment}/events")).body["events"]
    assert [one["type"] for one in events].count("payment.customer_returned.v1") == 1


async def test_a_page_that_was_opened_too_early_does_not_use_up_the_customers_return(stack, api):
    payment = await paid(api, CHALLENGED, "REQUIRES_ACTION")
    row = await shown(api, payment, 1)
    (operation,) = row["operations"]
    until_then = datetime.fromisoformat(operation["action_until"])
    key = return_token.read_key(stack.return_key)
    address = f"/return/{return_token.make(key, operation['operation_id'], until_then)}"

    async def event_types() -> list[str]:
        return [one["type"] for one in (await api.get(f"/v1/payments/{payment}/events")).body["events"]]

    early = await came_back(api, address)
    assert parse_qs(urlsplit(early.headers["Location"]).query)["status"] == ["REQUIRES_ACTION"]
    assert urlsplit(await simulator.challenge(row["action_url"], "pass")).path == address
    # The visit itself queries the PSP, sooner than the next query by schedule.
    returned = await came_back(api, address)

    assert parse_qs(urlsplit(returned.headers["Location"]).query)["status"] == ["CAPTURED"]
    assert 2 <= (await event_types()).count("payment.customer_returned.v1") <= 4
    assert of(stack, payment) == 1


async def test_what_is_no_return_of_ours_is_a_page_that_tells_nothing(stack, api):
    payment = await paid(api, CHALLENGED, "REQUIRES_ACTION")
    action_url = (await shown(api, payment, 1))["action_url"]
    address = await simulator.challenge(action_url, "fail")
    token = urlsplit(address).path.rpartition("/")[2]

    for wrong in ("nonsense", "<script>", token[:-1] + ("a" if token[-1] != "a" else "b"), "x" * 5000):
        response = await api.ask("GET", f"/return/{wrong}", headers={"Authorization": None})
        assert response.status == 400
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        style = response.raw.partition(b"<style>")[2].partition(b"</style>")[0]
        allowed = b64encode(sha256(style).digest()).decode()
        assert f"style-src 'sha256-{allowed}'" in response.headers["Content-Security-Policy"]
        assert b'content="width=device-width, initial-scale=1"' in response.raw
        assert b"script" not in response.raw
        assert payment.encode() not in response.raw
    events = (await api.get(f"/v1/payments/{payment}/events")).body["events"]
    assert "payment.customer_returned.v1" not in [one["type"] for one in events]

    refused = await came_back(api, address)
    assert refused.headers["Location"].startswith("https://shop.example/back?")
    assert of(stack, payment) == 0


async def test_the_shop_may_say_itself_that_the_customer_came_back_or_end_the_challenge(stack, api):
    payment, other = (
        await paid(api, CHALLENGED, "REQUIRES_ACTION"),
        await paid(api, CHALLENGED, "REQUIRES_ACTION"),
    )
    row = await shown(api, payment, 1)
    await simulator.challenge(row["action_url"], "pass")

    done = await ended(api, payment, "complete-action", {}, "a1")
    assert done["status"] == "CAPTURED"
    assert (await ended(api, payment, "complete-action", {}, "a1"))["command_id"] == done["command_id"]

    gone = await ended(api, other, "cancel", {}, "x1")
    assert gone["status"] == "VOIDED"
    assert (of(stack, payment), of(stack, other)) == (1, 0)


async def test_three_refunds_at_once_give_back_no_more_than_was_captured(stack, api):
    payment = await paid(api, SALE, "CAPTURED")

    responses = await asyncio.gather(
        *(
            api.change(
                payment, "refunds", {"amount_minor": 600}, **{"Idempotency-Key": key, "Prefer": "wait=20"}
            )
            for key in ("r1", "r1", "r1", "r2", "r3")
        )
    )

    assert sorted(response.status for response in responses[:3]) in ([200] * 3, [422] * 3)
    executed = {response.body["operation_id"] for response in responses if response.status == 200}
    assert len(executed) == 1
    assert {response.body["code"] for response in responses if response.status != 200} == {
        "refund_exceeds_captured"
    }


async def test_what_is_in_doubt_is_listed_and_an_operator_decides_it_once(stack, api):
    async with simulator.failing(stack):
        response = await api.post(SALE, **{"Idempotency-Key": "order-1", "Prefer": "wait=20"})
        assert response.body["status"] == "IN_DOUBT"
        payment = response.body["payment_id"]
        operation = response.body["operations"][0]["operation_id"]
        word = {"operation_id": operation, "decision": "not_charged", "evidence": "no charge", "who": "Kim"}

        page = (await api.get("/v1/in-doubt")).body
        schemas.InDoubt.model_validate(page)
        assert [one["operation_id"] for one in page["in_doubt"]] == [operation]
        assert sum(cell["amount_minor"] for cell in page["totals"]) == 1000

        assert await refused(api, payment, "resolve", word, "d1") == (409, "not_queried_yet")

        question: dict[str, Any] = {}

        async def queried() -> bool:
            """Not within 5 s of the previous query, which a timer may have sent."""
            key = str(uuid4())
            found = await api.change(payment, "status-queries", {}, **{"Idempotency-Key": key})
            assert found.status == 202 or found.body["code"] == "queried_just_now", found.body
            question.update(found.body, key=key)
            return found.status == 202

        await until(queried, "the PSP was queried", 60)
        repeated = await api.change(payment, "status-queries", {}, **{"Idempotency-Key": question["key"]})
        assert (repeated.status, repeated.body["command_id"]) == (202, question["command_id"])
        about = {"operation_id": operation}
        conflict = await refused(api, payment, "status-queries", about, question["key"])
        assert conflict == (409, "idempotency_mismatch")
        last: dict[str, Any] = {}

        async def resolved() -> bool:
            """Once the lookup has had its response, of whatever kind."""
            key = str(uuid4())
            found = await api.change(payment, "resolve", word, **{"Idempotency-Key": key})
            last.update(found.body, key=key)
            return found.status == 200

        await until(resolved, "it was decided", 30)
        assert last["status"] == "FAILED"
        again = await ended(api, payment, "resolve", word, last["key"])
        assert (again["command_id"], again["status"]) == (last["command_id"], "FAILED")
        other = word | {"decision": "charged"}
        assert await refused(api, payment, "resolve", other, last["key"]) == (409, "idempotency_mismatch")
        for _ in range(2):
            assert await refused(api, payment, "resolve", word, "d2") == (409, "not_in_doubt")

        events = (await api.get(f"/v1/payments/{payment}/events")).body["events"]
        (decision,) = [one["data"] for one in events if one["type"] == "payment.resolved.v1"]
        assert (decision["decision"], decision["evidence"]) == ("not_charged", "no charge")
        assert decision["who"] == f"Kim (API key {api.key.split('_')[1]})"

        async def cleared() -> bool:
            return (await api.get("/v1/in-doubt")).body["in_doubt"] == []

        await until(cleared, "the list is empty", 20)
