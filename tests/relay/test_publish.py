import random
from uuid import uuid4

import orjson
import pytest
from aiokafka.partitioner import DefaultPartitioner

from infra.kafka import topics
from relay.log import Entry
from relay.publish import headers, partition
from tests.relay.history import Written, drain, ids_of, payments, records_of, relay_of, write
from tests.support.environment import Environment

_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _entry(event: Written) -> Entry:
    return Entry(1, "700", 1, str(event.payment_id), event.version, event.topic, event.state)


def test_an_event_becomes_a_cloud_event_that_names_its_payment_version_and_cause() -> None:
    event = Written(uuid4(), 3, "operation.approved.v1")
    content = orjson.loads(event.state) | {"traceparent": _TRACE}

    made = dict(headers(_entry(event), content))

    assert made == {
        "ce_specversion": b"1.0",
        "ce_source": b"/aegispay/payments",
        "ce_id": f"{event.payment_id}/3".encode(),
        "ce_type": b"operation.approved.v1",
        "ce_subject": str(event.payment_id).encode(),
        "ce_time": b"2026-11-22T12:00:00+00:00",
        "content-type": b"application/json",
        "correlation_id": f"correlation-{event.payment_id}".encode(),
        "causation_id": str(event.payment_id).encode(),
        "traceparent": _TRACE.encode(),
    }


def test_without_a_trace_there_is_no_traceparent() -> None:
    event = Written(uuid4(), 1)

    assert "traceparent" not in dict(headers(_entry(event), orjson.loads(event.state)))


@pytest.mark.parametrize("partitions", [1, 4, 12])
def test_a_payment_has_the_partition_that_every_kafka_producer_gives_its_key(partitions: int) -> None:
    for _ in range(50):
        payment_id = str(uuid4())

        given = partition(payment_id, partitions)

        assert given == DefaultPartitioner()(payment_id.encode(), list(range(partitions)), [])


@pytest.mark.stack
async def test_a_started_operation_is_also_a_request_to_its_gateway_with_the_same_body(
    environment: Environment,
) -> None:
    payment_id = uuid4()
    with environment.connect() as connection:
        write(
            connection,
            [
                Written(payment_id, 1),
                Written(payment_id, 2, "operation.started.v1"),
                Written(payment_id, 3, "operation.follow_up_requested.v1"),
                Written(payment_id, 4, "operation.approved.v1"),
            ],
        )

    async with relay_of(environment) as relay:
        published = await drain(relay)

    events = await records_of(environment)
    requests = await records_of(environment, topics.requests("stripe"))
    assert published == 4
    assert ids_of(events) == [f"{payment_id}/{version}" for version in (1, 2, 3, 4)]
    assert [(r.key, r.headers, r.value) for r in requests] == [
        (r.key, r.headers, r.value) for r in events[1:3]
    ]
    assert events[0].key == str(payment_id).encode()
    assert events[0].value == Written(payment_id, 1).state


@pytest.mark.stack
async def test_a_page_larger_than_the_producers_batches_keeps_the_order_per_payment(
    environment: Environment,
) -> None:
    ids = [uuid4() for _ in range(3)]
    sizes = random.Random(7)
    with environment.connect() as connection:
        for version in range(1, 31):
            for payment_id in ids:
                state = orjson.loads(Written(payment_id, version).state)
                state["description"] = "x" * sizes.choice([10, 10_000, 60_000])
                connection.execute(
                    "INSERT INTO payment_events (originator_id, originator_version, topic, state, generation)"
                    " VALUES (%s, %s, 'operation.started.v1', %s, 1)",
                    (payment_id, version, orjson.dumps(state)),
                )

    async with relay_of(environment) as relay:
        published = await relay.run_once()

    assert published == 90
    for name in (topics.EVENTS, topics.requests("stripe")):
        found = ids_of(await records_of(environment, name))
        for payment_id in ids:
            own = [one for one in found if one.startswith(str(payment_id))]
            assert own == [f"{payment_id}/{version}" for version in range(1, 31)]


@pytest.mark.stack
async def test_every_event_is_published_once_while_nothing_goes_wrong(environment: Environment) -> None:
    with environment.connect() as connection:
        written = write(connection, payments(40, versions=3))

    async with relay_of(environment, page=7) as relay:
        await drain(relay)

    assert sorted(ids_of(await records_of(environment))) == sorted(event.id for event in written)
