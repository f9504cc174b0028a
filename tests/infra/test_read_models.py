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

from aggregates import reports
from commands.records import DeadLetter, Record
from infra import clock, topics
from infra.broker import producer
from infra.process import Process
from infra.read_models import Board, PaymentsView, Sweep
from infra.settings import ReadModelSettings
from projections import batch
from tests import controls
from tests.controls import NOW
from tests.place import Place
from tests.projections import stories
from tests.projections.stories import (
    captured,
    doubtful,
    event_of,
    put_into_store,
    read_model,
    record_of,
    stored,
    views_connection,
)

pytestmark = pytest.mark.stack

LOG = Process("test").log


class Letters:
    """A dead.letters in memory."""

    def __init__(self) -> None:
        self.sent: list[DeadLetter] = []

    async def send(self, letter: DeadLetter) -> None:
        self.sent.append(letter)


async def test_what_is_no_event_becomes_a_dead_letter_and_the_rest_is_applied(place):
    story, letters = captured(), Letters()
    poison = record_of(story[0], value=b"not json", offset=3)

    async with views_connection(place) as conn:
        await PaymentsView(conn, letters, LOG).handle([poison, *map(record_of, story)])

    (letter,) = letters.sent
    assert (letter.topic, letter.offset, letter.code) == ("payments.events", 3, "event_invalid")
    assert read_model(place, story[0].originator_id)["version"] == 3


async def test_a_batch_of_poison_alone_is_no_failure(place):
    letters = Letters()

    async with views_connection(place) as conn:
        await PaymentsView(conn, letters, LOG).handle([record_of(captured()[0], key=None)])

    assert len(letters.sent) == 1


async def test_a_sweep_finds_what_was_lost_at_the_tail(place):
    whole, tail_lost, all_lost = captured(), doubtful(), captured()
    put_into_store(place, [*whole, *tail_lost, *all_lost])
    async with views_connection(place) as conn:
        await batch.apply(conn, map(event_of, [*whole, *tail_lost[:2]]), {}, NOW)
        sweep = Sweep(conn, LOG)

        found = [await sweep.run_once(), await sweep.run_once(), await sweep.run_once()]

    assert found == [0, 2, 0]  # the first one only marks how far the log goes
    assert read_model(place, tail_lost[0].originator_id)["version"] == 5
    assert read_model(place, all_lost[0].originator_id)["version"] == 3


async def test_a_sweep_leaves_what_is_still_on_its_way(place):
    async with views_connection(place) as conn:
        sweep = Sweep(conn, LOG)
        await sweep.run_once()
        put_into_store(place, captured())

        assert await sweep.run_once() == 0


async def test_a_sweep_goes_through_a_long_log_page_by_page(place, monkeypatch):
    monkeypatch.setattr("infra.read_models._SWEEP_PAGE", 4)
    stories = [captured() for _ in range(7)]
    put_into_store(place, [event for story in stories for event in story])
    async with views_connection(place) as conn:
        sweep = Sweep(conn, LOG)
        await sweep.run_once()
        await sweep.run_once()

    assert {read_model(place, story[0].originator_id)["version"] for story in stories} == {3}


@pytest.fixture
def true_clock_afterwards():
    yield
    clock.set_offset("")


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"aegispay_{name}", labels) or 0.0


async def test_what_an_operator_has_to_hear_of_is_counted_once(place):
    story = stored(stories.charged_twice())
    names = ("contradictions_total", "extra_charges_total")
    before = [metric(name) for name in names]
    async with views_connection(place) as conn:
        view = PaymentsView(conn, Letters(), LOG)
        for _ in range(2):
            await view.handle([record_of(one) for one in story])

    assert [metric(name) - was for name, was in zip(names, before, strict=True)] == [1, 1]


async def test_the_figures_of_what_is_in_doubt_go_up_and_down(place, true_clock_afterwards):
    payment = stories.in_doubt()
    clock.set_offset(str((NOW + timedelta(hours=25) - clock.now()).total_seconds()))
    async with views_connection(place) as conn:
        board = Board(conn)
        await batch.apply(conn, map(event_of, stored(payment)), {}, NOW)
        await board.run_once()
        risen = [
            metric("in_doubt_payments"),
            metric("in_doubt_amount_minor", gateway="stripe", currency="EUR"),
        ]
        oldest_s, manual = metric("in_doubt_oldest_seconds"), metric("manual_queue_payments")
        said = controls.report(controls.operation_of(payment))
        reports.take(payment, said, controls.ROUTE, controls.cause(NOW, uuid4()))
        await batch.apply(conn, map(event_of, stored(payment)), {}, NOW)
        await board.run_once()
        fallen = [
            metric("in_doubt_payments"),
            metric("in_doubt_amount_minor", gateway="stripe", currency="EUR"),
        ]

    assert (risen, fallen) == ([1, 1099], [0, 0])
    assert (oldest_s, manual) == (pytest.approx(25 * 3600, abs=120), 1)


async def test_one_process_at_a_time_sweeps(place):
    put_into_store(place, captured())
    async with views_connection(place) as conn, views_connection(place) as other:
        sweep = Sweep(conn, LOG)
        await sweep.run_once()
        async with other.transaction():
            await other.execute("SELECT FROM sweep_cursor FOR UPDATE")

            assert await sweep.run_once() == 0


async def publish(place: Place, records: list[Record]) -> None:
    sender = producer(place.settings(ReadModelSettings, "views"), "test")
    await sender.start()
    for record in records:
        await sender.send(
            place.prefix + topics.EVENTS, record.value, key=record.key, headers=list(record.headers.items())
        )
    await sender.flush()
    await sender.stop()


async def test_the_worker_brings_the_topic_into_the_tables_and_stops_when_asked(place):
    story, doubted = captured(), doubtful()
    duplicated = [*story, *story, *doubted[:2], *doubted[3:]]
    put_into_store(place, doubted)
    records = [record_of(one) for one in duplicated]
    poison = replace(records[0], value=b"\xff", key=records[0].key)
    await publish(place, [poison, *records])
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "infra.read_models",
        env=os.environ | place.env("views"),
        stdout=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(60):
            while True:
                rows = [read_model(place, one[0].originator_id) for one in (story, doubted)]
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
    assert await dead_letters(place) == 1


async def dead_letters(place: Place) -> int:
    consumer = AIOKafkaConsumer(
        place.prefix + topics.DEAD_LETTERS, bootstrap_servers=place.kafka, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        return sum(ends.values())
    finally:
        await consumer.stop()
