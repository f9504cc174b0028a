"""Ten scenarios in which a known implementation of this idea loses or doubles money. Black box: Kafka, HTTP,
the PSP."""

import asyncio
import urllib.request
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from aggregates.payment import Payment
from aggregates.routing.retries import RetryPolicy
from commands.client import Refused
from commands.ids import payment_id
from commands.messages import RefundPayment, dump
from commands.reply import Reply
from infra.kafka import topics
from infra.postgres.connections import connect
from infra.postgres.event_store import Recorder, repository
from infra.settings import DatabaseSettings
from tests.support.http_api import api_client
from tests.support.movements import minor
from tests.support.processes import Running
from tests.support.until import until

pytestmark = pytest.mark.stack

CARD: dict[str, Any] = {"amount_minor": 1099, "currency": "EUR", "payment_method": "pm_card_visa"}


async def metric(url: str, **labels: str) -> float:
    """The sum over all samples with these labels."""
    name, _, url = url.partition("@")

    def read() -> float:
        with urllib.request.urlopen(url, timeout=5) as response:
            lines = response.read().decode().splitlines()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in lines
            if line.startswith(f"{name}{{") and all(label in line for label in wanted)
        )

    return await asyncio.to_thread(read)


async def test_1_five_creates_with_one_key_at_once_are_one_payment(stack):
    async with stack.client() as client, api_client(stack) as http:
        by_kafka = [client.create_payment(idempotency_key="one", **CARD) for _ in range(5)]
        by_http = [http.post("/v1/payments", CARD, "one") for _ in range(5)]
        replies = await asyncio.gather(*by_kafka, *by_http)

        await stack.has_status(replies[0].payment_id, "CAPTURED")
        ids = {str(reply.payment_id) for reply in replies[:5]} | {
            body["payment_id"] for _, body in replies[5:]
        }
        assert ids == {str(replies[0].payment_id)}
        assert {status for status, _ in replies[5:]} <= {200, 201, 202}
        assert len(stack.charges(replies[0].payment_id)) == 1
        assert (await stack.verdict()).ok


async def test_2_the_same_key_with_another_amount_is_refused_and_the_first_stands(stack):
    async with stack.client() as client, api_client(stack) as http:
        first = await client.pay(idempotency_key="two", **CARD)
        other = CARD | {"amount_minor": 9999}

        with pytest.raises(Refused) as refused:
            await client.create_payment(idempotency_key="two", **other)
        status, problem = await http.post("/v1/payments", other, "two", wait_s=5)

        assert refused.value.code == problem["code"] == "idempotency_mismatch"
        assert status == 409
        await stack.has_status(first.payment_id, "CAPTURED")
        shown = "SELECT amount_minor, status FROM payments WHERE payment_id = %s"
        assert await stack.rows(shown, first.payment_id) == [(1099, "CAPTURED")]
        assert first.status == "CAPTURED"
        assert [minor(charge) for charge in stack.charges(first.payment_id)] == [1099]


async def test_3_three_requests_at_once_to_take_the_money_take_it_once(stack):
    async with stack.client() as client:
        created = await client.pay(idempotency_key="three", capture="manual", **CARD)
        payment = created.payment_id
        assert payment is not None

        async def capture(number: int) -> str:
            try:
                await client.capture(payment, idempotency_key=f"capture-{number}")
            except Refused as no:
                return no.code
            return "accepted"

        replies = Counter(await asyncio.gather(*map(capture, range(3))))

        await stack.has_status(payment, "CAPTURED")
        assert replies["accepted"] == 1
        assert sum(replies.values()) == 3
        assert [minor(charge) for charge in stack.charges(payment)] == [1099]
        assert (await stack.verdict()).ok


async def test_4_what_the_psp_refuses_for_now_is_tried_again_ever_later_within_the_limits_and_counted(stack):
    limits = RetryPolicy()
    url = f"aegispay_gateway_outcomes_total@{stack.metrics_url('gateway')}"
    counted_before = await metric(url, kind="NOT_SENT", source="call")
    async with stack.client() as client:
        card = CARD | {"payment_method": "pm_sim_429"}
        created = [
            await client.create_payment(idempotency_key=f"four-{number}", **card) for number in range(8)
        ]
        for reply in created:
            await stack.has_status(reply.payment_id, "FAILED")

        payments = [reply.payment_id for reply in created]
        tried = "SELECT count(*) FROM operations WHERE payment_id = ANY(%s) GROUP BY payment_id"
        assert await stack.rows(tried, payments) == [(3,)] * 8
        assert await metric(url, kind="NOT_SENT", source="call") - counted_before == 24
        async with api_client(stack) as http:
            for payment in payments:
                _, history = await http.get(f"/v1/payments/{payment}/events")
                waits = [
                    datetime.fromisoformat(event["data"]["retry_at"]) - datetime.fromisoformat(event["time"])
                    for event in history["events"]
                    if event["type"] == "payment.retry_scheduled.v1"
                ]
                least = [timedelta(seconds=limits.delay_s(attempts, jitter=0)) for attempts in (1, 2)]
                most = [timedelta(seconds=limits.delay_s(attempts, jitter=1)) for attempts in (1, 2)]
                assert len(waits) == limits.attempts_max - 1
                assert least[0] <= waits[0] <= most[0] <= least[1] <= waits[1] <= most[1]
                (end,) = [e["data"] for e in history["events"] if e["type"] == "payment.attempts_ended.v1"]
                assert end["reason"] == "no further attempt because 3 were made"
        assert [charge for payment in payments for charge in stack.charges(payment)] == []

        again = await client.pay(
            idempotency_key="four-again", **CARD | {"payment_method": "pm_sim_429_once"}, timeout_s=60
        )
        assert again.status == "CAPTURED"
        assert len(stack.charges(again.payment_id)) == 1


async def test_5_a_charge_whose_response_was_lost_is_one_charge_and_captured_in_the_end(stack):
    async with stack.client() as client:
        reply = await client.create_payment(
            idempotency_key="five", **CARD | {"payment_method": "pm_sim_lost"}
        )

        await stack.has_status(reply.payment_id, "CAPTURED")
        assert len(stack.charges(reply.payment_id)) == 1


async def test_6_requests_that_differ_in_a_nested_field_only_are_not_the_same_request(stack):
    async with stack.client() as client, api_client(stack) as http:
        first = await client.pay(idempotency_key="six", metadata={"cart": "a", "size": "42"}, **CARD)
        other = {"metadata": {"cart": "a", "size": "43"}}

        with pytest.raises(Refused) as refused:
            await client.create_payment(idempotency_key="six", **CARD, **other)
        _, problem = await http.post("/v1/payments", CARD | other, "six", wait_s=5)

        assert refused.value.code == problem["code"] == "idempotency_mismatch"
        assert len(stack.charges(first.payment_id)) == 1


async def test_7_one_command_executed_three_times_at_once_is_executed_once_with_three_equal_replies(stack):
    async with stack.client() as client:
        created = await client.pay(idempotency_key="seven", **CARD)
        assert created.payment_id is not None
        command = RefundPayment(
            command_id=uuid4(), payment_id=created.payment_id, merchant_id="demo", amount_minor=300
        )
        replies = await _send(stack, command, times=3)

        await stack.has_status(created.payment_id, "PARTIALLY_REFUNDED")
        assert len({(one.result, one.operation_id, one.code) for one in replies}) == 1
        assert replies[0].result == "accepted"
        refunds = [minor(m) for m in stack.movements(created.payment_id) if m.kind == "refunded"]
        assert refunds == [300]


async def _send(stack: Running, command: RefundPayment, times: int) -> list[Reply]:
    """As a producer that knows nothing of the client: the same record, so often, and the replies to it."""
    replies = AIOKafkaConsumer(
        stack.environment.prefix + topics.REPLIES,
        bootstrap_servers=stack.environment.kafka,
        auto_offset_reset="earliest",
        group_id=None,
    )
    producer = AIOKafkaProducer(bootstrap_servers=stack.environment.kafka)
    await producer.start()
    await replies.start()
    try:
        topic, key = stack.environment.prefix + topics.COMMANDS, str(command.payment_id).encode()
        await asyncio.gather(*[producer.send_and_wait(topic, dump(command), key=key) for _ in range(times)])
        received: list[Reply] = []
        async with asyncio.timeout(60):
            async for record in replies:
                reply = Reply.model_validate_json(record.value)
                if reply.command_id == command.command_id and reply.kind == "decision":
                    received.append(reply)
                if len(received) == times:
                    return received
    finally:
        await producer.stop()
        await replies.stop()
    raise AssertionError


async def _sold_and_given_back(stack: Running) -> UUID | None:
    async with stack.client() as client:
        created = await client.pay(idempotency_key="eight-sale", **CARD)
        assert created.payment_id is not None
        await client.wait(await client.refund(created.payment_id, idempotency_key="r", amount_minor=400))
    return created.payment_id


async def _captured_in_parts_and_voided(stack: Running) -> UUID | None:
    async with stack.client(merchant_id="multicapture") as client:
        created = await client.pay(idempotency_key="eight-parts", capture="manual", **CARD)
        payment = created.payment_id
        assert payment is not None
        for key, amount in (("c1", 300), ("c2", 500)):
            await client.wait(await client.capture(payment, idempotency_key=key, amount_minor=amount))
        await client.wait(await client.void(payment, idempotency_key="v"))
    return payment


async def _failed_over(stack: Running) -> UUID | None:
    async with stack.client(merchant_id="failover") as client:
        soft = CARD | {"payment_method": "pm_sim_soft_here"}
        return (await client.pay(idempotency_key="eight-failover", **soft)).payment_id


# Status, authorized/captured/released/refunded, and the operations.
_STATES = {
    _sold_and_given_back: [
        "REQUESTED 0/0/0/0",
        "PROCESSING 0/0/0/0 s1 1099 STARTED",
        "CAPTURED 1099/1099/0/0 s1 1099 APPROVED",
        "CAPTURED 1099/1099/0/0 s1 1099 APPROVED r2 400 STARTED",
        "PARTIALLY_REFUNDED 1099/1099/0/400 s1 1099 APPROVED r2 400 APPROVED",
    ],
    _captured_in_parts_and_voided: [
        "REQUESTED 0/0/0/0",
        "PROCESSING 0/0/0/0 a1 1099 STARTED",
        "AUTHORIZED 1099/0/0/0 a1 1099 APPROVED",
        "AUTHORIZED 1099/0/0/0 a1 1099 APPROVED c2 300 STARTED",
        "PARTIALLY_CAPTURED 1099/300/0/0 a1 1099 APPROVED c2 300 APPROVED",
        "PARTIALLY_CAPTURED 1099/300/0/0 a1 1099 APPROVED c2 300 APPROVED c3 500 STARTED",
        "PARTIALLY_CAPTURED 1099/800/0/0 a1 1099 APPROVED c2 300 APPROVED c3 500 APPROVED",
        "PARTIALLY_CAPTURED 1099/800/0/0 a1 1099 APPROVED c2 300 APPROVED c3 500 APPROVED v4 299 STARTED",
        "PARTIALLY_CAPTURED 1099/800/299/0 a1 1099 APPROVED c2 300 APPROVED c3 500 APPROVED v4 299 APPROVED",
    ],
    _failed_over: [
        "REQUESTED 0/0/0/0",
        "PROCESSING 0/0/0/0 s1 1099 STARTED",
        "PROCESSING 0/0/0/0 s1 1099 DECLINED_SOFT",
        "PROCESSING 0/0/0/0 s1 1099 DECLINED_SOFT s2 1099 STARTED",
        "CAPTURED 1099/1099/0/0 s1 1099 DECLINED_SOFT s2 1099 APPROVED",
    ],
}


def _state(payment: Payment) -> str:
    total = payment.totals
    totals = f"{total.authorized}/{total.captured}/{total.released}/{total.refunded}"
    operations = [f"{o.id.partition('-')[2]} {o.amount.minor} {o.state}" for o in payment.operations.values()]
    return " ".join([payment.status, totals, *operations])


@pytest.mark.parametrize("story", _STATES, ids=lambda story: story.__name__[1:])
async def test_8_the_history_replayed_gives_the_state_at_every_version_and_now(stack, story):
    payment = await story(stack)
    with connect(stack.environment.settings(DatabaseSettings, "command"), "test") as connection:
        replay = repository(Recorder.for_this_cluster(connection))
        last = replay.get(payment)
        seen = [replay.get(payment, version=version) for version in range(1, last.version + 1)]

    assert [past.version for past in seen] == list(range(1, last.version + 1))
    assert [_state(past) for past in seen] == _STATES[story]
    assert _state(last) == _STATES[story][-1]
    await stack.has_status(payment, last.status)
    shown = (
        "SELECT status, version, authorized_minor, captured_minor, released_minor, refunded_minor"
        " FROM payments WHERE payment_id = %s AND version >= %s"
    )
    await until(lambda: stack.rows(shown, payment, last.version), "the read model has the last version")
    total = last.totals
    assert await stack.rows(shown, payment, last.version) == [
        (last.status, last.version, total.authorized, total.captured, total.released, total.refunded)
    ]
    operations = await stack.rows(
        "SELECT operation_id, state, amount_minor, approved_minor, account FROM operations"
        " WHERE payment_id = %s ORDER BY ordinal",
        payment,
    )
    assert operations == [
        (o.id, o.state, o.amount.minor, o.approved_minor, o.psp.account) for o in last.operations.values()
    ]


async def test_9_recovery_after_a_crash_asks_the_psp_and_charges_nothing_again(stack, tmp_path):
    payment = payment_id("demo", "nine")
    sent = "SELECT state, tries FROM gateway_sends WHERE operation_id = %s"
    async with stack.client() as client:
        async with stack.without("gateway"):
            await stack.start("gateway", failpoints="gateway.after_response:kill", failpoint_marks=tmp_path)
            await client.create_payment(idempotency_key="nine", **CARD)
            await stack.died("gateway")
            assert len(stack.charges(payment)) == 1
            assert await stack.rows(sent, f"{payment.hex}-s1") == [("open", 1)]

        await stack.has_status(payment, "CAPTURED")
    assert len(stack.charges(payment)) == 1
    assert await stack.rows(sent, f"{payment.hex}-s1") == [("closed", 2)]
    assert (await stack.verdict()).ok


@pytest.mark.parametrize("point", ["command.before_save", "command.after_save"])
async def test_10_state_and_outgoing_event_are_both_there_or_neither_when_killed_between(
    stack, tmp_path, point
):
    payment = payment_id("demo", point)
    async with stack.client(reply_timeout_s=60) as client:
        async with stack.without("command"):
            await stack.start("command", failpoints=f"{point}:kill", failpoint_marks=tmp_path)
            asking = asyncio.create_task(client.create_payment(idempotency_key=point, **CARD))
            await stack.died("command")

            stored = await _stored(stack, payment)
            assert len(stored) == (0 if point == "command.before_save" else 2)
            if stored:
                await until(lambda: _published(stack, payment, len(stored)), "what is stored is published")
            assert await _published(stack, payment, 1) == bool(stored)

        reply = await asking
        await stack.has_status(payment, "CAPTURED")
    assert reply.payment_id == payment
    assert len(stack.charges(payment)) == 1
    assert await _published(stack, payment, len(await _stored(stack, payment)))
    assert (await stack.verdict()).ok


async def _stored(stack: Running, payment: UUID) -> list[tuple]:
    return await stack.rows(
        "SELECT originator_id, originator_version FROM payment_events WHERE originator_id = %s", payment
    )


async def _published(stack: Running, payment: UUID, count: int) -> bool:
    """Whether at least so many of its events stand on the topic, each of them in the store too."""
    consumer = AIOKafkaConsumer(
        stack.environment.prefix + topics.EVENTS,
        bootstrap_servers=stack.environment.kafka,
        auto_offset_reset="earliest",
        group_id=None,
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        records = []
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for fetched in (await consumer.getmany(timeout_ms=500)).values():
                records += fetched
    finally:
        await consumer.stop()
    records = [record for record in records if record.key == str(payment).encode()]
    seen = {dict(record.headers)["ce_id"].decode() for record in records}
    assert all(orjson.loads(record.value)["command_id"] for record in records)
    stored = {f"{payment}/{version}" for payment, version in await _stored(stack, payment)}
    assert seen <= stored
    return len(seen) >= count
