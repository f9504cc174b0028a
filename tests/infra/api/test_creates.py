import asyncio
import json
import shutil
import signal
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from aggregates import attempts, outcomes
from commands.ids import fingerprint, payment_id
from commands.parsing import MESSAGE_BYTES_MAX, parse_command
from infra.api import schemas
from infra.kafka import topic_admin
from infra.settings import ApiSettings, KafkaSettings
from infra.tools.local.kafka import Kafka, new_cluster_id
from infra.tools.local.subprocesses import Child
from projections import batch
from tests.support import builders, ports
from tests.support.api import served
from tests.support.builders import NOW
from tests.support.event_stories import event_of, put_into_store, read_models_connection, stored

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
    "method": "wallet",
    "card": {"bin": "42424242", "country": "DE", "scheme": "visa", "funding": "debit"},
}
PAN = "4111111111111111"


async def test_a_create_is_published_as_a_producer_would(environment, api, worker):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    response = await api.post(BODY, **{"X-Correlation-Id": "checkout-1", "traceparent": trace})
    record = await worker.record()
    command = parse_command(record.value)

    id_ = payment_id("demo", "order-1")
    assert response.status == 202
    assert schemas.Accepted.model_validate(response.body).payment_id == id_
    assert response.headers["Location"] == f"/v1/payments/{id_}"
    assert record.key == str(id_).encode()
    assert dict(record.headers) == {"correlation_id": b"checkout-1", "traceparent": trace.encode()}
    assert command.model_dump(include=set(BODY)) == BODY
    assert (command.payment_id, command.merchant_id, command.idempotency_key) == (id_, "demo", "order-1")
    assert str(command.command_id) == response.body["command_id"]
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
        ({"payment_method": "stripe:"}, 422, "field_invalid", "payment_method"),
        ({"payment_method": "paypal:card:"}, 422, "field_invalid", "payment_method"),
        ({"payment_method": "adyen: "}, 422, "field_invalid", "payment_method"),
        ({"payment_method": "adyn:8416"}, 422, "gateway_unknown", "payment_method"),
        ({"capture": "later"}, 422, "field_invalid", "capture"),
        ({"statement_text": "12345"}, 422, "field_invalid", "statement_text"),
        ({"return_page": "javascript:alert(1)"}, 422, "field_invalid", "return_page"),
        ({"return_page": "http://shop.example/back"}, 422, "field_invalid", "return_page"),
        ({"stored_credential": {"use": "store"}}, 422, "field_missing", "stored_credential.initiator"),
        ({"metadata": {str(n): "x" for n in range(21)}}, 422, "field_invalid", "metadata"),
    ],
)
async def test_bad_content_is_refused_with_its_place_and_not_repeated(api, change, status, code, path):
    response = await api.post(BODY | change)

    assert (response.status, response.body["code"], response.body["path"]) == (status, code, path)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert PAN.encode() not in response.raw


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
    response = await api.post(body, **headers)

    assert (response.status, response.body["code"]) == (status, code)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert PAN.encode() not in response.raw


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
    response = await api.post(BODY, key=new_key(scopes=["payments:read"]))

    assert (response.status, response.body["code"]) == (403, "scope_missing")


async def project(environment, payment) -> None:
    events = stored(payment)
    put_into_store(environment, events)
    async with read_models_connection(environment) as conn:
        await batch.apply(conn, map(event_of, events), {}, NOW)


def made_by(command):
    """The payment that this command makes, captured."""
    request = builders.payment_request(
        merchant_id=command.merchant_id, idempotency_key=command.idempotency_key
    )
    cause = builders.cause(command_id=command.command_id, fingerprint=fingerprint(command))
    payment = attempts.request(command.payment_id, request, builders.ROUTE, cause)
    report = builders.report(builders.operation_of(payment))
    outcomes.take(payment, report, builders.ROUTE, builders.cause(command_id=uuid4()))
    return payment


async def test_wait_returns_the_settled_payment(environment, api, worker):
    request = asyncio.create_task(api.post(BODY, Prefer="wait=20"))
    command = await worker.command()
    payment = made_by(command)
    await worker.reply(command, status="PROCESSING", version=2)
    await worker.reply(command, kind="update", status="CAPTURED", version=3)
    await project(environment, payment)

    response = await request

    assert response.status == 201
    assert schemas.Payment.model_validate(response.body).status == "CAPTURED"
    assert response.headers["Preference-Applied"] == "wait=20"
    assert response.headers["Location"] == f"/v1/payments/{command.payment_id}"


async def test_a_repeat_that_waits_gets_the_first_ones_payment(environment, api, worker):
    first = asyncio.create_task(api.post(BODY, Prefer="wait=20"))
    original = await worker.command()
    second = asyncio.create_task(api.post(BODY, Prefer="wait=20"))
    repeat = await worker.command()
    await project(environment, made_by(original))
    await worker.reply(original, status="PROCESSING", version=2)
    await worker.reply(repeat, status="PROCESSING", version=2)
    await worker.reply(original, kind="update", status="CAPTURED", version=3)

    assert ((await first).status, (await second).status) == (201, 200)
    assert (await second).body["payment_id"] == (await first).body["payment_id"]


async def test_the_same_key_with_other_content_is_a_conflict_for_those_who_do_not_wait_too(
    environment, api, worker
):
    """From the event store: no read model has seen the payment."""
    assert (await api.post(BODY)).status == 202
    first = await worker.command()
    put_into_store(environment, stored(made_by(first)))

    other = await api.post(BODY | {"amount_minor": 1100})
    same = await api.post(BODY)

    assert (other.status, other.body["code"], other.body["path"]) == (
        409,
        "idempotency_mismatch",
        "Idempotency-Key",
    )
    assert other.headers["Location"] == f"/v1/payments/{first.payment_id}"
    assert same.status == 202
    # The next command on Kafka is the repeat's: nothing was sent for the other.
    assert (await worker.command()).amount_minor == BODY["amount_minor"]


ACCOUNTS = """
[merchants.demo]
accounts = ["first", "second"]
[accounts.first]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "first.key"
[accounts.second]
gateway = "paypal"
base_url = "https://api-m.paypal.com"
secret_file = "second.key"
options = { client_id = "c", webhook_id = "w" }
"""


async def test_a_part_of_another_psps_token_is_refused_before_it_is_accepted_but_for_a_repeat(
    environment, new_key, worker, tmp_path
):
    """`card:` is PayPal's, and a token without a name is one of the first account's: Stripe's."""
    (tmp_path / "accounts.toml").write_text(ACCOUNTS)
    (port,) = ports.free(1)
    settings = environment.settings(
        ApiSettings, "api", api_port=port, accounts_file=tmp_path / "accounts.toml"
    )

    async with served(settings, new_key()) as api:
        stray = await api.post(BODY | {"payment_method": "card:8kk8451t"})
        named = await api.post(BODY | {"payment_method": "paypal:card:8kk8451t"})
        put_into_store(environment, stored(made_by(await worker.command())))
        repeat = await api.post(BODY | {"payment_method": "paypal:card:8kk8451t"})
        before = BODY | {"payment_method": "card:an-older-one"}
        put_into_store(environment, stored(made_by(_decided_earlier(before))))
        older = await api.post(before, **{"Idempotency-Key": "order-0"})

    assert (stray.status, stray.body["code"], stray.body["path"]) == (
        422,
        "gateway_unknown",
        "payment_method",
    )
    assert (named.status, repeat.status, older.status) == (202, 202, 202)
    # They are in partitions of their own.
    methods = {(await worker.command()).payment_method for _ in range(2)}
    assert methods == {"paypal:card:8kk8451t", "card:an-older-one"}


def _decided_earlier(body):
    """What the merchant's first account took, before the order of the accounts changed."""
    ours = {"type": "create_payment.v1", "command_id": str(uuid4()), "merchant_id": "demo"}
    id_ = str(payment_id("demo", "order-0"))
    later = {"idempotency_key": "order-0", "payment_id": id_, "expires_at": "2030-01-01T00:00:00Z"}
    return parse_command(json.dumps(body | ours | later).encode())


async def test_an_update_for_the_first_does_not_end_a_repeat_that_is_refused(api, worker):
    original = asyncio.create_task(api.post(BODY, Prefer="wait=2"))
    command = await worker.command()
    other = asyncio.create_task(api.post(BODY | {"amount_minor": 5}, Prefer="wait=20"))
    mismatch = await worker.command()
    await worker.reply(command, kind="update", status="CAPTURED", version=3)
    await worker.reply(mismatch, result="refused", code="idempotency_mismatch", path="idempotency_key")

    response = await other

    assert (response.status, response.body["code"]) == (409, "idempotency_mismatch")
    assert response.body["path"] == "Idempotency-Key"
    assert (await original).status == 202  # its own reply never came


async def test_a_payment_that_was_rejected_is_a_problem_with_its_address(api, worker):
    request = asyncio.create_task(api.post(BODY, Prefer="wait=20"))
    command = await worker.command()
    await worker.reply(command, result="refused", code="expired", status="REJECTED", version=2)

    response = await request

    assert (response.status, response.body["code"]) == (422, "expired")
    assert response.headers["Location"] == f"/v1/payments/{command.payment_id}"


async def test_replies_that_are_none_of_ours_are_passed_over(environment, api, worker):
    request = asyncio.create_task(api.post(BODY, Prefer="wait=20"))
    command = await worker.command()
    await project(environment, made_by(command))
    await worker.raw_reply(str(command.payment_id).encode(), b"garbage")
    await worker.reply(command, command_id=uuid4(), result="refused", code="expired")
    await worker.reply(command, payment_id=None, status="CAPTURED", version=3)
    await worker.reply(command, status="CAPTURED", version=3)

    assert (await request).status == 201


async def test_a_wait_in_vain_ends_with_accepted(api, worker):
    response = await api.post(BODY, Prefer="respond-async, wait=1")

    assert response.status == 202
    assert response.headers["Preference-Applied"] == "wait=1"


@pytest.mark.parametrize("prefer", ["wait=0", "wait=x", "wait=-1", "return=minimal"])
async def test_a_preference_that_makes_no_sense_is_ignored(api, prefer):
    response = await api.post(BODY, Prefer=prefer)

    assert response.status == 202
    assert "Preference-Applied" not in response.headers


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
    environment, new_key, own_kafka
):
    kafka, child = own_kafka
    (port,) = ports.free(1)
    settings = environment.settings(ApiSettings, "api", api_port=port, kafka=kafka.bootstrap)
    await topic_admin.create(environment.settings(KafkaSettings, "admin", kafka=kafka.bootstrap))
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


async def test_a_stop_ends_the_waiting_with_accepted(environment, new_key, worker):
    (port,) = ports.free(1)
    async with served(environment.settings(ApiSettings, "api", api_port=port), new_key()) as api:
        request = asyncio.create_task(api.post(BODY, Prefer="wait=30"))
        await worker.command()
        api.process.stop.set()

        assert (await request).status == 202
