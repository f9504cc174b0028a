import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from prometheus_client import REGISTRY

from aggregates import outcomes
from commands.records import DeadLetter, Record
from infra.kafka import topics
from infra.kafka.producers import producer
from infra.process import clock
from infra.process.runtime import Process
from infra.settings import ReadModelSettings
from infra.workers.read_models import InDoubtGauges, PaymentReadModel, Sweep
from projections import batch
from tests.support import builders, event_stories
from tests.support.builders import NOW
from tests.support.environment import Environment
from tests.support.event_stories import (
    captured,
    doubtful,
    event_of,
    put_into_store,
    read_model,
    read_models_connection,
    record_of,
    stored,
)

pytestmark = pytest.mark.stack

LOG = Process("test").log


class Letters:
    """A dead.letters in memory."""

    def __init__(self) -> None:
        self.sent: list[DeadLetter] = []

    async def send(self, letter: DeadLetter) -> None:
        self.sent.append(letter)


async def test_what_is_no_event_becomes_a_dead_letter_and_the_rest_is_applied(environment):
    story, letters = captured(), Letters()
    poison = record_of(story[0], value=b"not json", offset=3)

    async with read_models_connection(environment) as conn:
        await PaymentReadModel(conn, letters, LOG).handle([poison, *map(record_of, story)])

    (letter,) = letters.sent
    assert (letter.topic, letter.offset, letter.code) == ("payments.events", 3, "event_invalid")
    assert read_model(environment, story[0].originator_id)["version"] == 3


async def test_a_batch_of_poison_alone_is_no_failure(environment):
    letters = Letters()

    async with read_models_connection(environment) as conn:
        await PaymentReadModel(conn, letters, LOG).handle([record_of(captured()[0], key=None)])

    assert len(letters.sent) == 1


async def test_a_sweep_finds_what_was_lost_at_the_tail(environment):
    whole, tail_lost, all_lost = captured(), doubtful(), captured()
    put_into_store(environment, [*whole, *tail_lost, *all_lost])
    async with read_models_connection(environment) as conn:
        await batch.apply(conn, map(event_of, [*whole, *tail_lost[:2]]), {}, NOW)
        sweep = Sweep(conn, LOG)

        found = [await sweep.run_once(), await sweep.run_once(), await sweep.run_once()]

    assert found == [0, 2, 0]  # the first one only marks how far the log goes
    assert read_model(environment, tail_lost[0].originator_id)["version"] == 5
    assert read_model(environment, all_lost[0].originator_id)["version"] == 3


async def test_a_sweep_leaves_what_is_still_on_its_way(environment):
    async with read_models_connection(environment) as conn:
        sweep = Sweep(conn, LOG)
        await sweep.run_once()
        put_into_store(environment, captured())

        assert await sweep.run_once() == 0


async def test_a_sweep_goes_through_a_long_log_page_by_page(environment, monkeypatch):
    monkeypatch.setattr("infra.workers.read_models._SWEEP_PAGE", 4)
    stories = [captured() for _ in range(7)]
    put_into_store(environment, [event for story in stories for event in story])
    async with read_models_connection(environment) as conn:
        sweep = Sweep(conn, LOG)
        await sweep.run_once()
        await sweep.run_once()

    assert {read_model(environment, story[0].originator_id)["version"] for story in stories} == {3}


@pytest.fixture
def true_clock_afterwards():
    yield
    clock.set_offset("")


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"aegispay_{name}", labels) or 0.0


async def test_what_an_operator_has_to_hear_of_is_counted_once(environment):
    story = stored(event_stories.charged_twice())
    names = ("contradictions_total", "duplicate_charges_total")
    before = [metric(name) for name in names]
    async with read_models_connection(environment) as conn:
        view = PaymentReadModel(conn, Letters(), LOG)
        for _ in range(2):
            await view.handle([record_of(one) for one in story])

    assert [metric(name) - was for name, was in zip(names, before, strict=True)] == [1, 1]


async def test_the_figures_of_what_is_in_doubt_go_up_and_down(environment, true_clock_afterwards):
    payment = event_stories.in_doubt()
    clock.set_offset(str((NOW + timedelta(hours=25) - clock.now()).total_seconds()))
    async with read_models_connection(environment) as conn:
        gauges = InDoubtGauges(conn)
        await batch.apply(conn, map(event_of, stored(payment)), {}, NOW)
        await gauges.run_once()
        risen = [
            metric("in_doubt_payments"),
            metric("in_doubt_amount_minor", gateway="stripe", currency="EUR"),
        ]
        oldest_s, manual = metric("in_doubt_oldest_seconds"), metric("manual_queue_payments")
        reported = builders.report(builders.operation_of(payment))
        outcomes.take(payment, reported, builders.ROUTE, builders.cause(NOW, uuid4()))
        await batch.apply(conn, map(event_of, stored(payment)), {}, NOW)
        await gauges.run_once()
        fallen = [
            metric("in_doubt_payments"),
            metric("in_doubt_amount_minor", gateway="stripe", currency="EUR"),
        ]

    assert (risen, fallen) == ([1, 1099], [0, 0])
    assert (oldest_s, manual) == (pytest.approx(25 * 3600, abs=120), 1)


async def test_one_process_at_a_time_sweeps(environment):
    put_into_store(environment, captured())
    async with read_models_connection(environment) as conn, read_models_connection(environment) as other:
        sweep = Sweep(conn, LOG)
        await sweep.run_once()
        async with other.transaction():
            await other.execute("SELECT FROM sweep_cursor FOR UPDATE")

            assert await sweep.run_once() == 0


async def publish(environment: Environment, records: list[Record]) -> None:
    sender = producer(environment.settings(ReadModelSettings, "read_models"), "test")
    await sender.start()
    for record in records:
        await sender.send(
            environment.prefix + topics.EVENTS,
            record.value,
            key=record.key,
            headers=list(record.headers.items()),
        )
    await sender.flush()
    await sender.stop()


async def test_the_worker_brings_the_topic_into_the_tables_and_stops_on_a_signal(environment):
    story, doubted = captured(), doubtful()
    duplicated = [*story, *story, *doubted[:2], *doubted[3:]]
    put_into_store(environment, doubted)
    records = [record_of(one) for one in duplicated]
    poison = replace(records[0], value=b"\xff", key=records[0].key)
    await publish(environment, [poison, *records])
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "infra.workers.read_models",
        env=os.environ | environment.env("read_models"),
        stdout=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(60):
            while True:
                rows = [read_model(environment, one[0].originator_id) for one in (story, doubted)]
                if all(row and row["status"] == "CAPTURED" for row in rows):
                    break
                await asyncio.wait([asyncio.create_task(worker.wait())], timeout=0.2)
                assert worker.returncode is None
        worker.send_signal(signal.SIGTERM)
        async with asyncio.timeout(12):
            assert await worker.wait() == 0
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()

    assert [row["version"] for row in rows] == [3, 5]
    assert await dead_letters(environment) == 1


async def dead_letters(environment: Environment) -> int:
    consumer = AIOKafkaConsumer(
        environment.prefix + topics.DEAD_LETTERS,
        bootstrap_servers=environment.kafka,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        return sum(ends.values())
    finally:
        await consumer.stop()
