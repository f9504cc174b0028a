"""A small world of five payments in which all four sources agree."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from psycopg import sql

from aggregates import outcomes
from aggregates.fees import NO_FEES, FeeBook
from aggregates.operation import OperationState
from aggregates.payment import Payment
from commands.handlers import Context, Decided, handle
from commands.ids import payment_id
from commands.messages import AnyCommand, CapturePayment, CreatePayment, RefundPayment, dump
from commands.ports import Refusal, Writes
from gateways.simulator.core import rows
from gateways.simulator.core.ledger import Ledger
from infra.kafka import topics
from infra.postgres.connections import connect, connect_async
from infra.postgres.event_store import PaymentStore, Recorder
from infra.settings import DatabaseSettings
from infra.tools.audit.verify import Verdict, VerifySettings, verify
from projections import batch
from tests.support.builders import NOW, ROUTE, cause, operation_of, report
from tests.support.builders import create_payment as a_command
from tests.support.environment import Environment

CAPTURED, LIVED, DECLINED, EXPIRED, IN_DOUBT = (payment_id("demo", f"order-{n}") for n in range(5))
VIEWS = ("payments", "operations")


@dataclass(frozen=True)
class _Accounts:
    fees: FeeBook = NO_FEES

    def stray_prefix(self, merchant_id, payment_method):
        return None

    def stray_name(self, payment_methods):
        return None

    def for_payment(self, merchant_id, currency, payment_method, payment_methods):
        return ROUTE


@dataclass
class World:
    environment: Environment
    ledger: Path

    async def verdict(self, settle_s: float = 0.0) -> Verdict:
        settings = self.environment.settings(VerifySettings, "audit", simulator_ledger=self.ledger)
        return await verify(settings, settle_s)

    def execute(self, statement: str, *values: object) -> None:
        names = {
            "store": sql.Identifier(self.environment.schema),
            "read": sql.Identifier(f"{self.environment.schema}_read"),
        }
        with psycopg.connect(self.environment.dsn(), autocommit=True) as connection:
            assert connection.execute(sql.SQL(statement).format(**names), values).rowcount > 0

    def in_ledger(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.ledger, isolation_level=None)) as db:
            assert db.execute(statement, values).rowcount > 0

    @contextmanager
    def undone(self) -> Iterator[None]:
        """All that is changed inside is as before afterwards: a world of its own for each change takes too
        long."""
        store = ("payment_events", "command_refusals")
        tables = [
            *((self.environment.schema, table) for table in store),
            *((f"{self.environment.schema}_read", table) for table in VIEWS),
        ]
        kept = shutil.copy(self.ledger, f"{self.ledger}.kept")
        with psycopg.connect(self.environment.dsn(), autocommit=True) as connection:
            for table in tables:
                names = {"kept": sql.Identifier(f"kept_{table[1]}"), "table": sql.Identifier(*table)}
                connection.execute(sql.SQL("CREATE TEMP TABLE {kept} AS TABLE {table}").format(**names))
            yield
            for table in tables:
                names = {"kept": sql.Identifier(f"kept_{table[1]}"), "table": sql.Identifier(*table)}
                connection.execute(sql.SQL("DELETE FROM {table}").format(**names))
                copy = "INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE {kept}"
                connection.execute(sql.SQL(copy).format(**names))
        shutil.copy(kept, self.ledger)

    async def send(
        self, *commands: AnyCommand, read: bool = True, letters: bool = False, partition: int | None = None
    ) -> None:
        """To Kafka; and acknowledged, as the command worker does it, unless it has not `read` them.
        `letters`: as one that it could not use. `partition`: another than the key gives."""
        topic = self.environment.prefix + topics.COMMANDS
        async with AIOKafkaProducer(bootstrap_servers=self.environment.kafka, acks="all") as producer:
            for command in commands:
                key = str(command.payment_id).encode()
                sent = await producer.send_and_wait(topic, dump(command), key=key, partition=partition)
                if letters:
                    place = {"topic": sent.topic, "partition": sent.partition, "offset": sent.offset}
                    letter = orjson.dumps(place | {"code": "payment_not_found"})
                    await producer.send_and_wait(self.environment.prefix + topics.DEAD_LETTERS, letter)
        if not read:
            return
        worker = AIOKafkaConsumer(
            bootstrap_servers=self.environment.kafka,
            group_id=self.environment.prefix + topics.COMMAND_GROUP,
            enable_auto_commit=False,
        )
        worker.assign([TopicPartition(topic, number) for number in range(self.environment.partitions)])
        async with worker:
            await worker.commit(await worker.end_offsets(worker.assignment()))

    async def place_of(self, command: AnyCommand) -> tuple[str, int, int]:
        """Where the newest record of its partition stands."""
        topic = self.environment.prefix + topics.COMMANDS
        async with AIOKafkaProducer(bootstrap_servers=self.environment.kafka) as producer:
            key = str(command.payment_id).encode()
            partitions = await producer.partitions_for(topic)
            number = producer._partitioner(key, sorted(partitions), sorted(partitions))
        async with AIOKafkaConsumer(bootstrap_servers=self.environment.kafka) as consumer:
            place = TopicPartition(topic, number)
            return topic, number, (await consumer.end_offsets([place]))[place] - 1

    def save(self, writes: Writes) -> None:
        with connect(self.environment.settings(DatabaseSettings, "command"), "test") as connection:
            PaymentStore(Recorder.for_this_cluster(connection)).save(writes)

    async def project(self) -> None:
        with psycopg.connect(self.environment.dsn()) as connection:
            query = sql.SQL("SELECT originator_id::text, max(originator_version) FROM {} GROUP BY 1")
            events = sql.Identifier(self.environment.schema, "payment_events")
            heads = dict(connection.execute(query.format(events)).fetchall())
        async with await connect_async(
            self.environment.settings(DatabaseSettings, "read_models"), "test"
        ) as writer:
            await batch.apply(writer, [], heads, NOW)

    def move(self, kind: str, reference: str, *, of: str | None = None, amount: int = 1099) -> None:
        """Of EUR in minor units, as the simulator enters it. `of`: the operation that the intent is for."""
        with closing(sqlite3.connect(self.ledger, isolation_level=None)) as db:
            of = of or reference
            intent = f"pi_{of[-2:]}"
            (ordinal,) = db.execute("SELECT count(*) + 1 FROM movements").fetchone()
            psp_id = f"re_{reference[-2:]}" if kind == "refunded" else "ch_1"
            row = (
                "stripe",
                intent + of[:8],
                ordinal,
                kind,
                "sim-eu",
                psp_id,
                reference,
                of,
                amount * 10,
                "EUR",
                0.0,
            )
            db.execute(rows.INSERT_MOVEMENT, row)


async def build(environment: Environment, folder: Path) -> World:
    """Five payments: one captured, one with a life of its own, one declined, one expired, one in doubt;
    and four commands that lead to nothing."""
    Ledger(folder / "ledger.sqlite").close()
    world = World(environment, folder / "ledger.sqlite")
    commands = [a_command(idempotency_key=f"order-{n}", command_id=uuid4()) for n in range(5)]
    commands[1] = commands[1].model_copy(update={"capture": "manual"})
    commands[3] = commands[3].model_copy(update={"expires_at": NOW - timedelta(seconds=1)})
    payments = [payment_of(command) for command in commands]
    for number, state in ((0, OperationState.APPROVED), (2, OperationState.DECLINED_HARD)):
        report_outcome(payments[number], state)
    report_outcome(payments[4], OperationState.UNKNOWN)
    writes = Writes(payments=payments)
    life = await live(world, payments[1], writes)
    free = a_command(idempotency_key="free", amount_minor=0)
    another_id = a_command(idempotency_key="another-id", payment_id=uuid4())
    same_key = commands[0].model_copy(update={"command_id": uuid4(), "amount_minor": 5})
    writes.refusals += refusals(same_key, payments[0])
    await world.send(*commands, free, another_id, same_key, commands[1], *life)
    await world.send(refund_command(uuid4()), letters=True)
    world.save(writes)
    await world.project()
    for name in (CAPTURED, IN_DOUBT):
        world.move("captured", f"{name.hex}-s1")
    return world


async def live(world: World, payment: Payment, writes: Writes) -> list[AnyCommand]:
    """Authorized, captured in part, refunded in part, and a refund of too much refused."""
    report_outcome(payment, OperationState.APPROVED)
    commands = [
        CapturePayment(command_id=uuid4(), payment_id=LIVED, merchant_id="demo", amount_minor=1000),
        refund_command(LIVED, 300),
        refund_command(LIVED, 701),
    ]
    for command in commands:
        writes.refusals += refusals(command, payment)
        report_outcome(payment, OperationState.APPROVED)
    a1, c2, r3 = payment.operations
    world.move("authorized", a1)
    world.move("captured", c2, of=a1, amount=1000)
    world.move("released", c2, of=a1, amount=99)
    world.move("refunded", r3, of=a1, amount=300)
    return commands


def refund_command(payment: UUID, amount_minor: int | None = None) -> RefundPayment:
    return RefundPayment(
        command_id=uuid4(), payment_id=payment, merchant_id="demo", amount_minor=amount_minor
    )


def refusals(command: AnyCommand, payment: Payment) -> list[Refusal]:
    """Decides the command, and returns what the table of refusals gets of it."""
    refusal = next_step(command, payment).refusal
    return [] if refusal is None else [refusal]


def next_step(command: AnyCommand, payment: Payment | None, fees: FeeBook = NO_FEES) -> Decided:
    return handle(command, payment, Context(NOW, 0.5, None, None, _Accounts(fees), {}))


def payment_of(command: CreatePayment, fees: FeeBook = NO_FEES) -> Payment:
    decided = next_step(command, None, fees)
    assert decided.payment is not None
    return decided.payment


def report_outcome(payment: Payment, state: OperationState) -> None:
    """Of its newest operation."""
    name = operation_of(payment)
    operation = payment.operations[name]
    psp_id = f"pi_{name[-2:]}{name[:8]}" if operation.is_charge_attempt else f"re_{name[-2:]}"
    reported = report(name, state, psp_id=psp_id, amount_minor=operation.amount.minor)
    outcomes.take(payment, reported, ROUTE, cause())


def faults_of(verdict: Verdict) -> dict[str, list[str]]:
    found = {kind: list(payments) for kind, payments in verdict.found.items() if payments}
    assert found.pop("in_doubt") == [str(IN_DOUBT)]
    return found
