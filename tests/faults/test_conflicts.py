"""Another writer overtakes payments of a batch: they alone are decided again, and the others are saved all
the same."""

import random
from collections.abc import Callable
from uuid import UUID

import pytest

from commands.decider import Decider
from commands.messages import CreatePayment, dump
from commands.ports import Conflict, Writes
from commands.records import Record
from infra.kafka.producers import BrokerClock, KafkaDeadLetters, producing
from infra.postgres.connections import connect
from infra.postgres.event_store import PaymentStore, Recorder
from infra.settings import DatabaseSettings, KafkaSettings
from infra.workers.command import CONFLICTS, CommandWorker
from tests.support.builders import NOW, create_payment
from tests.support.decider_harness import Accounts

pytestmark = pytest.mark.stack


class _Overtaken(PaymentStore):
    """Between a batch's decision and its save, somebody else is quicker, once."""

    def __init__(self, recorder: Recorder, other: Callable[[], object]) -> None:
        super().__init__(recorder)
        self._other = other

    def save(self, writes: Writes) -> None:
        other, self._other = self._other, lambda: None
        other()
        super().save(writes)


class _OvertakenAgainAndAgain(PaymentStore):
    """For so many saves somebody else is quicker with the payment. A refusal by the store is all that a
    writer sees."""

    def __init__(self, recorder: Recorder, payment: UUID, times: int) -> None:
        super().__init__(recorder)
        self._payment = payment
        self._left = times
        self.saved: list[UUID] = []

    def save(self, writes: Writes) -> None:
        ids = [payment.id for payment in writes.payments]
        if self._payment in ids and self._left:
            self._left -= 1
            raise Conflict("a version that is there already")
        super().save(writes)
        self.saved += ids


def _record(command: CreatePayment, offset: int) -> Record:
    return Record("payments.commands", 0, offset, str(command.payment_id).encode(), dump(command), {}, 0)


async def test_a_batch_in_which_one_payment_was_overtaken_saves_each_of_them_once(environment):
    commands = [create_payment(idempotency_key=f"order-{letter}") for letter in "abcdefghij"]
    records = [_record(command, offset) for offset, command in enumerate(commands)]
    accounts = Accounts()
    settings = environment.settings(KafkaSettings, "command")
    database = environment.settings(DatabaseSettings, "command")
    outcomes = environment.prefix + "gateways.outcomes"
    with connect(database, "test") as mine, connect(database, "test") as others:

        def decider(store: PaymentStore) -> Decider:
            return Decider(store, accounts, outcomes, lambda: NOW, random.Random(7))

        quicker = PaymentStore(Recorder.for_this_cluster(others))

        def overtake() -> None:
            works, _ = decider(quicker).read(records[3:4])
            before = decider(quicker)
            quicker.save(before.decide(before.load(works)).writes)

        store = _Overtaken(Recorder.for_this_cluster(mine), overtake)
        before = CONFLICTS._value.get()
        async with producing(settings, "test") as producer:
            letters = KafkaDeadLetters(producer, settings)
            worker = CommandWorker(
                decider(store),
                store,
                producer,
                letters,
                environment.prefix,
                partitions=4,
                broker_clock=BrokerClock(),
                chance=random.Random(7),
            )
            await worker.run_batch(records)

        rows = mine.execute(
            "SELECT originator_id, array_agg(originator_version ORDER BY originator_version) FROM payment_events"
            " GROUP BY originator_id"
        ).fetchall()
    assert CONFLICTS._value.get() - before == 1
    assert dict(rows) == {command.payment_id: [1, 2] for command in commands}


@pytest.mark.parametrize(("times", "turn"), [(2, 3), (9, 9)])
async def test_a_payment_that_is_overtaken_each_time_waits_and_holds_no_other(environment, times, turn):
    """Twice: the second conflict of one batch, so that it is saved in its turn. Nine times: longer than it is
    tried at once, so that all others are saved before it."""
    commands = [create_payment(idempotency_key=f"order-{letter}") for letter in "abcdefghij"]
    records = [_record(command, offset) for offset, command in enumerate(commands)]
    settings = environment.settings(KafkaSettings, "command")
    with connect(environment.settings(DatabaseSettings, "command"), "test") as connection:
        store = _OvertakenAgainAndAgain(Recorder.for_this_cluster(connection), commands[3].payment_id, times)
        decider = Decider(
            store, Accounts(), environment.prefix + "gateways.outcomes", lambda: NOW, random.Random(7)
        )
        async with producing(settings, "test") as producer:
            worker = CommandWorker(
                decider,
                store,
                producer,
                KafkaDeadLetters(producer, settings),
                environment.prefix,
                partitions=4,
                broker_clock=BrokerClock(),
                chance=random.Random(7),
            )
            await worker.run_batch(records)

    in_order = [command.payment_id for command in commands if command is not commands[3]]
    in_order.insert(turn, commands[3].payment_id)
    assert store.saved == in_order
