"""A command worker's decisions against the real store, without its Kafka."""

import random
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import psycopg

from aggregates.fees import NO_FEES
from aggregates.hooks import Verdict
from aggregates.payment import Payment
from aggregates.routing.route import Route
from commands.decider import Decider, Result
from commands.messages import Wake, dump
from commands.records import Record
from commands.reply import Reply
from infra.postgres.event_store import PaymentStore, Recorder
from tests.support.builders import NOW, REVIEW, ROUTE, create_payment, record_outcome

COMMANDS, OUTCOMES = "payments.commands", "gateways.outcomes"


class Accounts:
    fees = NO_FEES

    def stray_prefix(self, merchant_id: str, payment_method: str) -> str | None:
        return "write stripe:…" if payment_method.startswith("strip:") else None

    def stray_name(self, payment_methods: Mapping[str, str]) -> str | None:
        return "the names are stripe" if payment_methods.keys() - {"stripe", "adyen"} else None

    def for_payment(
        self,
        merchant_id: str,
        currency: str,
        payment_method: str | None,
        payment_methods: Mapping[str, str] | None,
    ) -> Route:
        return ROUTE if merchant_id == "demo" else Route(())


class DeciderHarness:
    """A command worker without its Kafka."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.store = PaymentStore(Recorder.for_this_cluster(connection))
        self.now = NOW
        self.decider = Decider(self.store, Accounts(), OUTCOMES, lambda: self.now, random.Random(7))
        self.offset = 0
        self.verdicts: dict[UUID, list[Verdict]] | None = None

    def record(self, message: object, *, topic: str = COMMANDS, key: object = None) -> Record:
        self.offset += 1
        raw = message if isinstance(message, bytes) else dump(message)
        key = key or getattr(message, "payment_id", None)
        return Record(topic, 0, self.offset, str(key).encode(), raw, {"correlation_id": b"c-1"}, 0)

    def run(self, *records: Record) -> Result:
        works, result = self.decider.read(records)
        streams = self.decider.load(works)
        verdicts = self.verdicts
        if verdicts is not None:
            of_new = {one.command_id for one in self.decider.new_payments(streams)}
            verdicts = {id_: verdicts.get(id_, []) for id_ in of_new}
        result.add(self.decider.decide(streams, verdicts))
        self.store.save(result.writes)
        return result

    def payment(self, payment: UUID) -> Payment:
        loaded = self.store.load([payment], [])[payment].payment
        assert loaded is not None
        return loaded

    def wake(self, payment: UUID) -> Result:
        return self.run(self.record(Wake(command_id=uuid4(), payment_id=payment, due_at=self.now)))

    def versions(self) -> int:
        return self.connection.execute("SELECT count(*) FROM payment_events").fetchone()[0]


def captured(harness: DeciderHarness, key: str = "order-1") -> UUID:
    command = create_payment(idempotency_key=key)
    harness.run(harness.record(command))
    harness.run(harness.record(record_outcome(harness.payment(command.payment_id)), topic=OUTCOMES))
    return command.payment_id


def held(harness: DeciderHarness, key: str = "order-1") -> UUID:
    """By a fraud hook, until somebody reviews it."""
    command = create_payment(idempotency_key=key)
    harness.verdicts = {command.command_id: [REVIEW]}
    harness.run(harness.record(command))
    return command.payment_id


def authorized(harness: DeciderHarness, key: str = "order-1") -> UUID:
    command = create_payment(idempotency_key=key, capture="manual")
    harness.run(harness.record(command))
    harness.run(harness.record(record_outcome(harness.payment(command.payment_id)), topic=OUTCOMES))
    return command.payment_id


def say(harness: DeciderHarness, payment: UUID, **outcome: Any) -> list[Reply]:
    """Of its newest operation, about all that was requested."""
    stands = harness.payment(payment)
    newest = list(stands.operations.values())[-1]
    fields = {"amount_minor": newest.amount.minor, "psp_id": f"psp_{newest.ordinal}"} | outcome
    message = record_outcome(stands, **fields).model_copy(update={"command_id": uuid4()})
    return harness.run(harness.record(message, topic=OUTCOMES)).replies
