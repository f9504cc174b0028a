"""The command worker: a release that cannot decide anything, and hooks that are consulted once."""

import random
from contextlib import nullcontext
from uuid import UUID, uuid4

import psycopg
import pytest

from aggregates.fees import NO_FEES
from aggregates.hooks import DENIED, Verdict
from aggregates.status import Status
from commands.decider import Decider
from commands.hooks import Deny, FraudCheck, NewPayment
from commands.messages import RetryParked, dump
from commands.records import Record
from infra.hooks.discovery import Hooks
from infra.hooks.new_payments import NewPaymentHooks
from infra.kafka.producers import BrokerClock, KafkaDeadLetters, producing
from infra.postgres.connections import connect
from infra.postgres.event_store import PaymentStore, Recorder
from infra.psp.accounts import Accounts
from infra.settings import DatabaseSettings, KafkaSettings
from infra.workers.command import CommandWorker, TooManyParked
from tests.support.builders import NOW, create_payment
from tests.support.decider_harness import DeciderHarness

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
            "",
            partitions=4,
            broker_clock=BrokerClock(),
            chance=random.Random(7),
        )
        with nullcontext() if parked else pytest.raises(TooManyParked):
            await worker.run_batch(records)

    assert len(_parked(connection)) == parked


class _Overtaken:
    """A fraud check that is slow enough for another worker to create the same payment meanwhile."""

    def __init__(self, environment) -> None:
        self._environment = environment
        self.calls = 0

    def check(self, payment: NewPayment) -> Deny:
        self.calls += 1
        with connect(self._environment.settings(DatabaseSettings, "command"), "test") as connection:
            harness = DeciderHarness(connection)
            harness.run(harness.record(create_payment(idempotency_key=payment.idempotency_key)))
        return Deny("too late: another worker has decided", 1.0)


async def test_a_payment_that_another_worker_made_meanwhile_stands_and_its_hooks_are_called_once(
    environment,
):
    settings = environment.settings(KafkaSettings, "command")
    overtaken = _Overtaken(environment)
    hooks = NewPaymentHooks.of(
        Hooks(fraud=(FraudCheck(name="slow", run=overtaken.check, within_s=10),)), 4, 4
    )
    command = create_payment(idempotency_key="contested")
    with connect(environment.settings(DatabaseSettings, "command"), "test") as connection:
        harness = DeciderHarness(connection)
        async with producing(settings, "test") as producer:
            worker = CommandWorker(
                harness.decider,
                harness.store,
                producer,
                KafkaDeadLetters(producer, settings),
                environment.prefix,
                partitions=4,
                broker_clock=BrokerClock(),
                chance=random.Random(7),
                hooks=hooks,
            )
            for _ in range(2):
                await worker.run_batch([harness.record(command)])
        made = harness.payment(command.payment_id)

    assert (overtaken.calls, made.status) == (1, Status.PROCESSING)
    assert [one.kind for one in made.operations.values()] == ["sale"]


def test_a_new_payment_that_no_hook_was_consulted_about_is_parked_and_charges_nobody(connection):
    harness = DeciderHarness(connection)
    command = create_payment(idempotency_key="unconsulted")
    works, _ = harness.decider.read([harness.record(command)])

    decided = harness.decider.decide(harness.decider.load(works), {})

    assert [one.payment_id for one in decided.writes.parked] == [command.payment_id]
    assert decided.writes.payments == []
    harness.store.save(decided.writes)
    # What waited behind it is consulted about when an operator retries it.
    retry = RetryParked(command_id=uuid4(), payment_id=command.payment_id)
    works, _ = harness.decider.read([harness.record(retry)])
    streams = harness.decider.load(works)
    assert harness.decider.new_payments(streams) == [command]
    verdicts = {command.command_id: [Verdict("risk", "fraud", "deny", 1.0, reason="a stolen card")]}
    harness.store.save(harness.decider.decide(streams, verdicts).writes)
    assert harness.payment(command.payment_id).rejected == DENIED


def test_hooks_are_consulted_about_the_create_that_makes_the_payment_and_no_other(connection):
    harness = DeciderHarness(connection)
    known = create_payment(idempotency_key="known")
    harness.run(harness.record(known))
    new = [create_payment(idempotency_key="new", command_id=uuid4()) for _ in range(2)]
    stray = create_payment(idempotency_key="stray", payment_method="strip:pm_1", command_id=uuid4())
    valid = create_payment(idempotency_key="stray", command_id=uuid4())

    works, _ = harness.decider.read([harness.record(one) for one in (known, *new, stray, valid)])

    found = harness.decider.new_payments(harness.decider.load(works))
    assert [one.command_id for one in found] == [new[0].command_id, valid.command_id]
