"""A release that cannot decide anything ends its worker, and parks nothing on the way."""

import random
from contextlib import nullcontext
from uuid import UUID

import psycopg
import pytest

from aggregates.fees import NO_FEES
from commands.decider import Decider
from commands.messages import dump
from commands.records import Record
from infra.kafka.producers import BrokerClock, KafkaDeadLetters, producing
from infra.postgres.connections import connect
from infra.postgres.event_store import PaymentStore, Recorder
from infra.psp.accounts import Accounts
from infra.settings import DatabaseSettings, KafkaSettings
from infra.workers.command import CommandWorker, TooManyParked
from tests.support.builders import NOW, create_payment

pytestmark = pytest.mark.stack


@pytest.fixture
def connection(database):
    with connect(database.settings(DatabaseSettings, "command"), "test") as connection:
        yield connection


def _sick(database, count: int) -> list[Record]:
    """Creates whose streams hold an event that no release knows."""
    commands = [create_payment(idempotency_key=f"order-{number}") for number in range(count)]
    with psycopg.connect(database.dsn(), autocommit=True) as admin, admin.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {database.schema}.payment_events (originator_id, originator_version, topic, state, generation)"
            " VALUES (%s, 1, 'unheard.of.v1', '{}', 1)",
            [(command.payment_id,) for command in commands],
        )
    return [
        Record("payments.commands", 0, offset, str(command.payment_id).encode(), dump(command), {}, 0)
        for offset, command in enumerate(commands)
    ]


def _parked(connection: psycopg.Connection) -> set[UUID]:
    return {row[0] for row in connection.execute("SELECT payment_id FROM parked_streams")}


@pytest.mark.parametrize(("count", "parked"), [(20, 20), (21, 0)])
async def test_more_than_twenty_to_park_in_a_minute_are_refused_before_anything_is_saved(
    database, connection, count, parked
):
    settings = database.settings(KafkaSettings, "command")
    store = PaymentStore(Recorder.for_this_cluster(connection))
    decider = Decider(store, Accounts({}, NO_FEES), "gateways.outcomes", lambda: NOW, random.Random(7))
    records = _sick(database, count)

    async with producing(settings, "test") as producer:
        letters = KafkaDeadLetters(producer, settings)
        worker = CommandWorker(
            decider,
            store,
            producer,
            letters,
            "payments.replies",
            partitions=4,
            broker_clock=BrokerClock(),
            chance=random.Random(7),
        )
        with nullcontext() if parked else pytest.raises(TooManyParked):
            await worker.run_batch(records)

    assert len(_parked(connection)) == parked
