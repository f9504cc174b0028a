import asyncio
import shutil
import signal
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from aggregates import attempts, reports
from commands.messages import MESSAGE_BYTES_MAX, fingerprint, parse_command, payment_id
from infra import topic_admin
from infra.api import shapes
from infra.local.children import Child
from infra.local.kafka import Kafka, new_cluster_id
from infra.settings import ApiSettings, KafkaSettings
from projections import batch
from tests import controls, ports
from tests.controls import NOW
from tests.infra.api.conftest import served
from tests.projections.stories import event_of, put_into_store, stored, views_connection

pytestmark = pytest.mark.stack

BODY = {
    "amount_minor": 1099,
    "currency": "EUR",
    "payment_method": "pm_card_visa",
    "customer_id": "customer-1",
    "country": "DE",
    "description": "Order 1",
    "metadata": {"order": "1"},
    "capture": "manual",
    "statement_text": "ORDER 1",
    "stored_credential": {"use": "store", "initiator": "customer", "customer_token": "cus_1"},
    "return_page": "https://shop.example/back",
}
PAN = "4111111111111111"


async def test_a_create_is_published_as_a_producer_would(place, api, worker):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    answer = await api.post(BODY, **{"X-Correlation-Id": "checkout-1", "traceparent": trace})
    record = await worker.record()
    command = parse_command(record.value)

    id_ = payment_id("demo", "order-1")
    assert answer.status == 202
    assert shapes.Accepted.model_validate(answer.body).payment_id == id_
    assert answer.headers["Location"] == f"/v1/payments/{id_}"
    assert record.key == str(id_).encode()
    assert dict(record.headers) == {"correlation_id": b"checkout-1", "traceparent": trace.encode()}
    assert command.model_dump(include=set(BODY)) == BODY
    assert (command.payment_id, command.merchant_id, command.idempotency_key) == (id_, "demo", "order-1")
    assert str(command.command_id) == answer.body["command_id"]
    assert timedelta(minutes=59) < command.expires_at - datetime.now(UTC) <= timedelta(hours=1)


async def test_a_repeat_is_the_same_payment_with_the_same_fingerprint(api, worker):
    first, second = await api.post(BODY), await api.post(BODY)

    commands = [await worker.command(), await worker.command()]

    assert first.body["payment_id"] == second.body["payment_id"]
    assert commands[0].command_id != commands[1].command_id
    assert fingerprint(commands[0]) == fingerprint(commands[1])


async def test_the_callers_own_expiry_is_taken(api, worker):
    await api.post(BODY | {"expires_at": "2030-01-01T00:00:00Z"})

    assert (await worker.command()).expires_at == datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "status", "code", "path"),
    [
        ({"amount_minor": 0}, 422, "amount_not_positive", "amount_minor"),
        ({"amount_minor": -1}, 422, "amount_not_positive", "amount_minor"),
        ({"amount_minor": 10**12}, 422, "amount_above_bound", "amount_minor"),
        ({"amount_minor": 10**30}, 422, "field_invalid", "amount_minor"),
        ({"amount_minor": 10.5}, 422, "field_invalid", "amount_minor"),
        ({"amount_minor": "1099"}, 422, "field_invalid", "amount_minor"),
        ({"amount_minor": None}, 422, "field_invalid", "amount_minor"),
        ({"currency": "XXX"}, 422, "currency_unknown", "currency"),
        ({"currency": "eur"}, 422, "field_invalid", "currency"),
        ({"payment_method": PAN}, 422, "sensitive_data", "payment_method"),
        ({"description": f"card {PAN[:4]} {PAN[4:8]}-{PAN[8:]}"}, 422, "sensitive_data", "description"),
        ({"metadata": {"note": PAN}}, 422, "sensitive_data", "metadata.note"),
        ({"metadata": {PAN: "x"}}, 422, "sensitive_data", "metadata.(unprintable)"),
        ({"cvv": "123"}, 422, "sensitive_data", "cvv"),
        ({"merchant_id": "stranger"}, 422, "field_unknown", "merchant_id"),
        ({"payment_id": str(uuid4())}, 422, "field_unknown", "payment_id"),
        ({"extra": 1}, 422, "field_unknown", "extra"),
        ({"expires_at": "soon"}, 422, "field_invalid", "expires_at"),
        ({"capture": "later"}, 422, "field_invalid", "capture"),
        ({"statement_text": "12345"}, 422, "field_invalid", "statement_text"),
        ({"return_page": "javascript:alert(1)"}, 422, "field_invalid", "return_page"),
        ({"return_page": "http://shop.example/back"}, 422, "field_invalid", "return_page"),
        ({"stored_credential": {"use": "store"}}, 422, "field_missing", "stored_credential.initiator"),
        ({"metadata": {str(n): "x" for n in range(21)}}, 422, "field_invalid", "metadata"),
    ],
)
async def test_bad_content_is_refused_with_its_place_and_not_repeated(api, change, status, code, path):
    answer = await api.post(BODY | change)

    assert (answer.status, answer.body["code"], answer.body["path"]) == (status, code, path)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert PAN.encode() not in answer.raw


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "not_json"),
        (b"\xff", {}, 400, "not_json"),
        (b"[]", {}, 400, "not_an_object"),
        (b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}", {}, 422, "request_invalid"),
        (b'{"description":"' + b"x" * MESSAGE_BYTES_MAX + b'"}', {}, 413, "message_too_large"),
        (b"{}", {}, 422, "field_missing"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "media_type"),
        (b"{}", {"Content-Type": None}, 415, "media_type"),
        (b"{}", {"Idempotency-Key": None}, 400, "idempotency_key_missing"),
        (b"{}", {"Idempotency-Key": "x" * 129}, 422, "field_invalid"),
        (b"{}", {"Idempotency-Key": PAN}, 422, "sensitive_data"),
    ],
)
async def test_a_bad_request_is_refused_with_a_problem_document(api, body, headers, status, code):
    answer = await api.post(body, **headers)

    assert (answer.status, answer.body["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert PAN.encode() not in answer.raw


async def test_a_body_without_a_length_is_bounded_too(api):
    async def chunks():
        for _ in range(70):
            yield b" " * 1024

    headers = {
        "Authorization": f"Bearer {api.key}",
        "Idempotency-Key": "k",
        "Content-Type": "application/json",
    }
    async with api.http.post("/v1/payments", data=chunks(), headers=headers) as response:
        assert response.status == 413
        assert response.headers["Content-Type"] == "application/problem+json"


async def test_a_key_that_may_only_read_takes_no_payment(api, new_key):
    answer = await api.post(BODY, key=new_key(scopes=["payments:read"]))

    assert (answer.status, answer.body["code"]) == (403, "scope_missing")


async def project(place, payment) -> None:
    events = stored(payment)
    put_into_store(place, events)
    async with views_connection(place) as conn:
        await batch.apply(conn, map(event_of, events), {}, NOW)


def made_by(command):
    """The payment that this command makes, captured."""
    asked = controls.asked(merchant_id=command.merchant_id, idempotency_key=command.idempotency_key)
    cause = controls.cause(command_id=command.command_id, fingerprint=fingerprint(command))
    payment = attempts.request(command.payment_id, asked, controls.ROUTE, cause)
    report = controls.report(controls.operation_of(payment))
    reports.take(payment, report, controls.ROUTE, controls.cause(command_id=uuid4()))
    return payment


async def test_wait_answers_with_the_payment_at_rest(place, api, worker):
    asked = asyncio.create_task(api.post(BODY, Prefer="wait=20"))
    command = await worker.command()
    payment = made_by(command)
    await worker.reply(command, status="PROCESSING", version=2)
    await worker.reply(command, kind="update", status="CAPTURED", version=3)
    await project(place, payment)

    answer = await asked

    assert answer.status == 201
    assert shapes.Payment.model_validate(answer.body).status == "CAPTURED"
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert answer.headers["Location"] == f"/v1/payments/{command.payment_id}"


async def test_a_repeat_that_waits_is_told_of_the_first_ones_payment(place, api, worker):
    first = asyncio.create_task(api.post(BODY, Prefer="wait=20"))
    original = await worker.command()
    second = asyncio.create_task(api.post(BODY, Prefer="wait=20"))
    repeat = await worker.command()
    await project(place, made_by(original))
    await worker.reply(original, status="PROCESSING", version=2)
    await worker.reply(repeat, status="PROCESSING", version=2)
    await worker.reply(original, kind="update", status="CAPTURED", version=3)

    assert ((await first).status, (await second).status) == (201, 200)
    assert (await second).body["payment_id"] == (await first).body["payment_id"]


async def test_an_update_for_the_first_says_nothing_about_a_repeat_that_is_refused(api, worker):
    original = asyncio.create_task(api.post(BODY, Prefer="wait=2"))
    command = await worker.command()
    other = asyncio.create_task(api.post(BODY | {"amount_minor": 5}, Prefer="wait=20"))
    mismatch = await worker.command()
    await worker.reply(command, kind="update", status="CAPTURED", version=3)
    await worker.reply(mismatch, result="refused", code="idempotency_mismatch", path="idempotency_key")

    answer = await other

    assert (answer.status, answer.body["code"]) == (409, "idempotency_mismatch")
    assert answer.body["path"] == "Idempotency-Key"
    assert (await original).status == 202  # its own answer never came


async def test_a_payment_that_was_rejected_is_a_problem_with_its_address(api, worker):
    asked = asyncio.create_task(api.post(BODY, Prefer="wait=20"))
    command = await worker.command()
    await worker.reply(command, result="refused", code="expired", status="REJECTED", version=2)

    answer = await asked

    assert (answer.status, answer.body["code"]) == (422, "expired")
    assert answer.headers["Location"] == f"/v1/payments/{command.payment_id}"


async def test_replies_that_are_none_of_ours_are_passed_over(place, api, worker):
    asked = asyncio.create_task(api.post(BODY, Prefer="wait=20"))
    command = await worker.command()
    await project(place, made_by(command))
    await worker.raw_reply(str(command.payment_id).encode(), b"garbage")
    await worker.reply(command, command_id=uuid4(), result="refused", code="expired")
    await worker.reply(command, payment_id=None, status="CAPTURED", version=3)
    await worker.reply(command, status="CAPTURED", version=3)

    assert (await asked).status == 201


async def test_a_wait_in_vain_ends_with_accepted(api, worker):
    answer = await api.post(BODY, Prefer="respond-async, wait=1")

    assert answer.status == 202
    assert answer.headers["Preference-Applied"] == "wait=1"


@pytest.mark.parametrize("prefer", ["wait=0", "wait=x", "wait=-1", "return=minimal"])
async def test_a_preference_that_makes_no_sense_is_ignored(api, prefer):
    answer = await api.post(BODY, Prefer=prefer)

    assert answer.status == 202
    assert "Preference-Applied" not in answer.headers


@pytest.fixture
async def own_kafka():
    """A broker that may be stopped."""
    folder = Path(tempfile.mkdtemp(prefix="aegispay-test-kafka-"))
    kafka_port, controller_port = ports.free(2)
    kafka = Kafka(folder / "kafka", kafka_port, controller_port, new_cluster_id(), folder / "kafka.log")
    await kafka.prepare()
    child = Child(kafka.program())
    await child.ready_within(60)
    yield kafka, child
    child.signal(signal.SIGCONT)
    await child.stop()
    shutil.rmtree(folder)


async def test_without_kafka_a_create_is_refused_soon_and_taken_again_once_it_is_back(
    place, new_key, own_kafka
):
    kafka, child = own_kafka
    (port,) = ports.free(1)
    settings = place.settings(ApiSettings, "api", api_port=port, kafka=kafka.bootstrap)
    await topic_admin.create(place.settings(KafkaSettings, "admin", kafka=kafka.bootstrap))
    async with served(settings, new_key()) as api:
        child.signal(signal.SIGSTOP)

        refused = await api.post(BODY, Prefer="wait=20")
        not_ready = await api.get("/ready")
        readable = await api.get("/v1/customers/customer-1/payments")
        child.signal(signal.SIGCONT)
        async with asyncio.timeout(30):
            while (await api.get("/ready")).status != 200:
                await api.process.stopped_within(0.1)
        taken = await api.post(BODY)

    assert (refused.status, refused.body["code"]) == (503, "kafka_unavailable")
    assert refused.headers["Retry-After"] == "2"
    assert not_ready.body == {"state": "waiting for Kafka"}
    assert readable.status == 200
    assert taken.status == 202


async def test_a_stop_ends_the_waiting_with_accepted(place, new_key, worker):
    (port,) = ports.free(1)
    async with served(place.settings(ApiSettings, "api", api_port=port), new_key()) as api:
        asked = asyncio.create_task(api.post(BODY, Prefer="wait=30"))
        await worker.command()
        api.process.stop.set()

        assert (await asked).status == 202
