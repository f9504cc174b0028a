"""Another writer overtakes one payment of a batch: it alone is decided again, and the others are saved all the same."""

import random
from collections.abc import Callable

import pytest

from commands.batch import Decider
from commands.messages import CreatePayment, dump
from commands.ports import Writes
from commands.records import Record
from infra.broker import KafkaDeadLetters, producing
from infra.command_worker import CONFLICTS, CommandWorker
from infra.database import connect
from infra.event_store import PaymentStore, Recorder
from infra.settings import DatabaseSettings, KafkaSettings
from tests.commands.desk import Accounts
from tests.controls import NOW, create_payment

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


def _record(command: CreatePayment, offset: int) -> Record:
    return Record("payments.commands", 0, offset, str(command.payment_id).encode(), dump(command), {}, 0)


async def test_a_batch_in_which_one_payment_was_overtaken_saves_each_of_them_once(place):
    commands = [create_payment(idempotency_key=f"order-{letter}") for letter in "abcdefghij"]
    records = [_record(command, offset) for offset, command in enumerate(commands)]
    accounts = Accounts()
    settings = place.settings(KafkaSettings, "command")
    database = place.settings(DatabaseSettings, "command")
    outcomes = place.prefix + "gateways.outcomes"
    with connect(database, "test") as mine, connect(database, "test") as others:

        def decider(store: PaymentStore) -> Decider:
            return Decider(store, accounts, outcomes, lambda: NOW, random.Random(7))

        quicker = PaymentStore(Recorder.for_this_cluster(others))

        def overtake() -> None:
            works, _ = decider(quicker).read(records[3:4])
            quicker.save(decider(quicker).decide(works).writes)

        store = _Overtaken(Recorder.for_this_cluster(mine), overtake)
        before = CONFLICTS._value.get()
        async with producing(settings, "test") as producer:
            letters = KafkaDeadLetters(producer, settings)
            worker = CommandWorker(
                decider(store), store, producer, letters, place.prefix + "payments.replies"
            )
            await worker.run_batch(records)

        rows = mine.execute(
            "SELECT originator_id, array_agg(originator_version ORDER BY originator_version) FROM payment_events"
            " GROUP BY originator_id"
        ).fetchall()
    assert CONFLICTS._value.get() - before == 1
    assert dict(rows) == {command.payment_id: [1, 2] for command in commands}
