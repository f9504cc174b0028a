"""A small world in which all four sources agree; then each of them is made wrong, and the verdict has to
name it."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from psycopg import sql

from aggregates import outcomes, timers
from aggregates.operation import OperationState
from aggregates.payment import Payment
from commands.handlers import Context, Decided, handle
from commands.ids import payment_id
from commands.messages import AnyCommand, CapturePayment, CreatePayment, RefundPayment, dump
from commands.ports import Refusal, Timer, Writes
from gateways.simulator.core import rows
from gateways.simulator.core.ledger import Ledger
from infra.kafka import topics
from infra.postgres.connections import connect, connect_async
from infra.postgres.event_store import PaymentStore, Recorder
from infra.settings import DatabaseSettings
from infra.tools.audit.verify import Verdict, VerifySettings, verify
from projections import batch
from tests.support.controls import NOW, ROUTE, cause, operation_of, report
from tests.support.controls import create_payment as a_command
from tests.support.environment import Environment

pytestmark = pytest.mark.stack

CAPTURED, LIVED, DECLINED, EXPIRED, IN_DOUBT = (payment_id("demo", f"order-{n}") for n in range(5))
_VIEWS = ("payments", "operations")


class _Accounts:
    def stray_prefix(self, merchant_id, payment_method):
        return None

    def for_payment(self, merchant_id, currency, payment_method):
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
            *((f"{self.environment.schema}_read", table) for table in _VIEWS),
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


@pytest.fixture
async def world(environment: Environment, tmp_path: Path) -> World:
    """Five payments: one captured, one with a life of its own, one declined, one expired, one in doubt;
    and four commands that lead to nothing."""
    Ledger(tmp_path / "ledger.sqlite").close()
    world = World(environment, tmp_path / "ledger.sqlite")
    commands = [a_command(idempotency_key=f"order-{n}", command_id=uuid4()) for n in range(5)]
    commands[1] = commands[1].model_copy(update={"capture": "manual"})
    commands[3] = commands[3].model_copy(update={"expires_at": NOW - timedelta(seconds=1)})
    payments = [_decided(command) for command in commands]
    for number, state in ((0, OperationState.APPROVED), (2, OperationState.DECLINED_HARD)):
        _report(payments[number], state)
    _report(payments[4], OperationState.UNKNOWN)
    writes = Writes(payments=payments)
    life = await _live(world, payments[1], writes)
    free = a_command(idempotency_key="free", amount_minor=0)
    another_id = a_command(idempotency_key="another-id", payment_id=uuid4())
    same_key = commands[0].model_copy(update={"command_id": uuid4(), "amount_minor": 5})
    writes.refusals += _refusals(same_key, payments[0])
    await world.send(*commands, free, another_id, same_key, commands[1], *life)
    await world.send(_refund(uuid4()), letters=True)
    world.save(writes)
    await world.project()
    for name in (CAPTURED, IN_DOUBT):
        world.move("captured", f"{name.hex}-s1")
    return world


async def _live(world: World, payment: Payment, writes: Writes) -> list[AnyCommand]:
    """Authorized, captured in part, refunded in part, and a refund of too much refused."""
    _report(payment, OperationState.APPROVED)
    asked = [
        CapturePayment(command_id=uuid4(), payment_id=LIVED, merchant_id="demo", amount_minor=1000),
        _refund(LIVED, 300),
        _refund(LIVED, 701),
    ]
    for command in asked:
        writes.refusals += _refusals(command, payment)
        _report(payment, OperationState.APPROVED)
    a1, c2, r3 = payment.operations
    world.move("authorized", a1)
    world.move("captured", c2, of=a1, amount=1000)
    world.move("released", c2, of=a1, amount=99)
    world.move("refunded", r3, of=a1, amount=300)
    return asked


def _refund(payment: UUID, amount_minor: int | None = None) -> RefundPayment:
    return RefundPayment(
        command_id=uuid4(), payment_id=payment, merchant_id="demo", amount_minor=amount_minor
    )


def _refusals(command: AnyCommand, payment: Payment) -> list[Refusal]:
    """Decides the command, and returns what the table of refusals gets of it."""
    refusal = _next(command, payment).refusal
    return [] if refusal is None else [refusal]


def _next(command: AnyCommand, payment: Payment | None) -> Decided:
    return handle(command, payment, Context(NOW, 0.5, None, None, _Accounts(), {}))


def _decided(command: CreatePayment) -> Payment:
    decided = _next(command, None)
    assert decided.payment is not None
    return decided.payment


def _report(payment: Payment, state: OperationState) -> None:
    """Of its newest operation."""
    name = operation_of(payment)
    operation = payment.operations[name]
    psp_id = f"pi_{name[-2:]}{name[:8]}" if operation.is_charge_attempt else f"re_{name[-2:]}"
    said = report(name, state, psp_id=psp_id, amount_minor=operation.amount.minor)
    outcomes.take(payment, said, ROUTE, cause())


def _faults(verdict: Verdict) -> dict[str, list[str]]:
    found = {kind: list(payments) for kind, payments in verdict.found.items() if payments}
    assert found.pop("in_doubt") == [str(IN_DOUBT)]
    return found


async def test_four_sources_that_agree_are_clean_and_what_is_in_doubt_is_named(world):
    verdict = await world.verdict()

    assert verdict.ok, verdict.found
    assert _faults(verdict) == {}
    shown = verdict.as_json()
    assert (shown["payments"], shown["streams"], shown["gateway_charges"]) == (5, 5, 3)
    assert shown["gateway_movements"] == {"authorized": 1, "captured": 3, "released": 1, "refunded": 1}
    assert shown["commands"] == {
        "capture_payment.v1": 1,
        "create_payment.v1": 1,  # with a key that was used for another
        "refund_payment.v1": 3,
    }
    assert shown["by_status"] == {
        "CAPTURED": 1,
        "FAILED": 1,
        "IN_DOUBT": 1,
        "PARTIALLY_REFUNDED": 1,
        "REJECTED": 1,
    }
    assert shown["double_charges"] == shown["lost_payments"] == shown["amount_mismatches"] == 0
    assert shown["duplicate_charges_returned"] == 0
    assert shown["in_doubt_by"] == {
        "unknown": 1,
        "manual_queue": 0,
        "frozen": 0,
        "parked": 0,
        "duplicate_charge": 0,
        "dispute": 0,
        "webhook": 0,
    }
    assert shown["found"]["in_doubt"] == [
        {"payment_id": str(IN_DOUBT), "why": [f"the outcome of {IN_DOUBT.hex}-s1 is not known yet"]}
    ]


# Each changes one source behind the others' back: (what is done, the kind of fault, whose)
WRONGS: dict[str, tuple[Callable[[World], None], str, UUID]] = {
    "a second charge": (
        lambda w: w.move("captured", f"{CAPTURED.hex}-s1", of=f"{CAPTURED.hex}-s2"),
        "double_charges",
        CAPTURED,
    ),
    "a charge for a payment that failed": (
        lambda w: w.move("captured", f"{DECLINED.hex}-s1"),
        "lost_payments",
        DECLINED,
    ),
    "a charge for a payment that was rejected": (
        lambda w: w.move("captured", f"{EXPIRED.hex}-s1"),
        "lost_payments",
        EXPIRED,
    ),
    "a charge for no payment of ours": (
        lambda w: w.move("captured", "someone else's"),
        "lost_payments",
        UUID(int=0),
    ),
    "a captured payment without its charge": (
        lambda w: w.in_ledger("DELETE FROM movements WHERE reference = ?", f"{CAPTURED.hex}-s1"),
        "lost_payments",
        CAPTURED,
    ),
    "a refund that is gone from the ledger": (
        lambda w: w.in_ledger("DELETE FROM movements WHERE reference = ?", f"{LIVED.hex}-r3"),
        "lost_payments",
        LIVED,
    ),
    "a refund of another amount": (
        lambda w: w.in_ledger("UPDATE movements SET mills = 10 WHERE reference = ?", f"{LIVED.hex}-r3"),
        "amount_mismatches",
        LIVED,
    ),
    "a charge in another currency": (
        lambda w: w.in_ledger(
            "UPDATE movements SET currency = 'USD' WHERE reference = ?", f"{CAPTURED.hex}-s1"
        ),
        "amount_mismatches",
        CAPTURED,
    ),
    "a charge that is no whole number of the currency's units": (
        lambda w: w.in_ledger(
            "UPDATE movements SET currency = 'ISK', mills = 10995 WHERE reference = ?", f"{CAPTURED.hex}-s1"
        ),
        "amount_mismatches",
        CAPTURED,
    ),
    "a refusal that is gone": (
        lambda w: w.execute("DELETE FROM {store}.command_refusals WHERE payment_id = %s", LIVED),
        "lost_payments",
        LIVED,
    ),
    "the refusal of a key used twice that is gone": (
        lambda w: w.execute("DELETE FROM {store}.command_refusals WHERE payment_id = %s", CAPTURED),
        "lost_payments",
        CAPTURED,
    ),
    "a missing event in the middle of a stream": (
        lambda w: w.execute(
            "DELETE FROM {store}.payment_events WHERE originator_id = %s AND originator_version = 2", CAPTURED
        ),
        "lost_payments",
        CAPTURED,
    ),
    "a stream that another amount was written to": (
        lambda w: w.execute(
            "UPDATE {store}.payment_events SET state = convert_to(replace(convert_from(state, 'UTF8'), '1099', '1098'),"
            " 'UTF8') WHERE originator_id = %s",
            CAPTURED,
        ),
        "amount_mismatches",
        CAPTURED,
    ),
    "a stream of other content": (
        lambda w: w.execute(
            "UPDATE {store}.payment_events SET state = convert_to(regexp_replace(convert_from(state, 'UTF8'),"
            """ '"fingerprint":"....', '"fingerprint":"0000'), 'UTF8')"""
            " WHERE originator_id = %s AND originator_version = 1",
            CAPTURED,
        ),
        "content_mismatches",
        CAPTURED,
    ),
    "a capture that another command was written to": (
        lambda w: w.execute(
            "UPDATE {store}.payment_events SET state = convert_to(regexp_replace(convert_from(state, 'UTF8'),"
            """ '"fingerprint":"....', '"fingerprint":"0000'), 'UTF8')"""
            " WHERE originator_id = %s AND originator_version = 4",
            LIVED,
        ),
        "content_mismatches",
        LIVED,
    ),
    "a read model without the payment": (
        lambda w: w.execute("DELETE FROM {read}.payments WHERE payment_id = %s", CAPTURED),
        "read_model_mismatches",
        CAPTURED,
    ),
    "a read model without the operation": (
        lambda w: w.execute("DELETE FROM {read}.operations WHERE payment_id = %s", CAPTURED),
        "read_model_mismatches",
        CAPTURED,
    ),
    "a read model with another status": (
        lambda w: w.execute("UPDATE {read}.payments SET status = 'FAILED' WHERE payment_id = %s", CAPTURED),
        "read_model_mismatches",
        CAPTURED,
    ),
    "a read model with another sum": (
        lambda w: w.execute("UPDATE {read}.payments SET refunded_minor = 1 WHERE payment_id = %s", LIVED),
        "read_model_mismatches",
        LIVED,
    ),
    "a read model that is behind": (
        lambda w: w.execute("UPDATE {read}.payments SET version = 2 WHERE payment_id = %s", CAPTURED),
        "read_model_mismatches",
        CAPTURED,
    ),
    "a read model that shows the payment to another merchant": (
        lambda w: w.execute("UPDATE {read}.payments SET merchant_id = 'x' WHERE payment_id = %s", CAPTURED),
        "read_model_mismatches",
        CAPTURED,
    ),
    "a read model that shows the payment to another customer": (
        lambda w: w.execute("UPDATE {read}.payments SET customer_id = 'x' WHERE payment_id = %s", CAPTURED),
        "read_model_mismatches",
        CAPTURED,
    ),
    "a read model that is marked stale": (
        lambda w: w.execute("UPDATE {read}.payments SET stale_since = now() WHERE payment_id = %s", CAPTURED),
        "read_model_mismatches",
        CAPTURED,
    ),
    "an operation shown with another amount": (
        lambda w: w.execute("UPDATE {read}.operations SET approved_minor = 1 WHERE payment_id = %s", LIVED),
        "read_model_mismatches",
        LIVED,
    ),
}


async def test_what_is_wrong_in_one_source_is_named_and_nothing_else(world, subtests):
    for wrong, (act, kind, payment) in WRONGS.items():
        with subtests.test(wrong), world.undone():
            act(world)

            verdict = await world.verdict()

            assert not verdict.ok
            expected = {kind: [str(payment)]}
            if "written to" in wrong and payment == CAPTURED:
                # The read model was made from the stream as it was before.
                expected["read_model_mismatches"] = [str(payment)]
            assert _faults(verdict) == expected
            assert verdict.as_json()[kind] == 1
    assert (await world.verdict()).ok


async def test_a_stream_that_is_gone_is_lost_charged_and_still_shown(world):
    world.execute("DELETE FROM {store}.payment_events WHERE originator_id = %s", LIVED)

    verdict = await world.verdict()

    assert _faults(verdict) == {"lost_payments": [str(LIVED)], "read_model_mismatches": [str(LIVED)]}
    whys = verdict.found["lost_payments"][str(LIVED)]
    assert any("no stream records it" in why for why in whys)
    assert any("was acknowledged, and there is no stream" in why for why in whys)
    assert any("capture_payment.v1" in why and "left no event" in why for why in whys)
    assert verdict.by_status["NOT_DECIDED"] == 1


@pytest.mark.parametrize("kind", ["create", "refund"])
async def test_a_command_that_was_not_read_yet_is_unsettled_and_not_lost(world, kind):
    late = a_command(idempotency_key="late") if kind == "create" else _refund(CAPTURED, 1)
    await world.send(late, read=False)

    assert _faults(await world.verdict()) == {"unsettled": [str(late.payment_id)]}

    await world.send(a_command(idempotency_key="later"))

    faults = _faults(await world.verdict())
    assert set(faults) == {"lost_payments"}
    assert str(late.payment_id) in faults["lost_payments"]


async def test_creates_of_one_key_in_every_partition_are_judged_by_the_one_that_was_decided(
    world, environment
):
    decided = a_command(idempotency_key="everywhere", command_id=uuid4())
    payment = _decided(decided)
    _report(payment, OperationState.APPROVED)
    amounts = (5, 6, decided.amount_minor, 7)
    others = [decided.model_copy(update={"command_id": uuid4(), "amount_minor": one}) for one in amounts]
    for number, other in enumerate(others[:2]):
        await world.send(other, partition=number % environment.partitions)
    await world.send(decided)
    for number, other in enumerate(others[2:]):
        await world.send(other, partition=number % environment.partitions)
    writes = Writes(payments=[payment])
    for other in others:
        writes.refusals += _refusals(other, payment)
    world.save(writes)
    await world.project()
    world.move("captured", f"{payment.id.hex}-s1")

    assert _faults(await world.verdict()) == {}
    world.execute("DELETE FROM {store}.command_refusals WHERE command_id = %s", others[3].command_id)
    assert _faults(await world.verdict()) == {"lost_payments": [str(payment.id)]}


async def test_a_payment_that_goes_on_is_unsettled(world):
    command = a_command(idempotency_key="going-on")
    await world.send(command)
    world.save(Writes(payments=[_decided(command)]))
    await world.project()

    assert _faults(await world.verdict()) == {"unsettled": [str(command.payment_id)]}


async def test_what_nobody_asked_for_is_named(world):
    stray = a_command(idempotency_key="stray")
    payment = _decided(stray)
    _report(payment, OperationState.APPROVED)
    world.save(Writes(payments=[payment]))
    world.move("captured", operation_of(payment))
    captured = a_command(idempotency_key="refunded")
    await world.send(captured)
    payment = _decided(captured)
    _report(payment, OperationState.APPROVED)
    world.move("captured", operation_of(payment))
    assert _next(_refund(payment.id), payment).payment is payment
    _report(payment, OperationState.APPROVED)
    world.move("refunded", operation_of(payment), of=f"{payment.id.hex}-s1")
    world.save(Writes(payments=[payment]))
    await world.project()

    faults = _faults(await world.verdict())

    assert set(faults) == {"unrequested_payments"}
    assert set(faults["unrequested_payments"]) == {str(stray.payment_id), str(payment.id)}


async def test_a_parked_payment_is_in_doubt_and_what_waits_behind_it_is_not_lost(world):
    command = a_command(idempotency_key="parked")
    await world.send(command)
    world.execute(
        "INSERT INTO {store}.parked_streams (payment_id, reason) VALUES (%s, 'KeyError at apply:1')",
        command.payment_id,
    )

    verdict = await world.verdict()

    assert verdict.ok
    assert verdict.found["in_doubt"][str(command.payment_id)] == ["parked: KeyError at apply:1"]
    assert verdict.doubts["parked"] == 1

    behind = _refund(command.payment_id)
    await world.send(behind)
    assert "left no event" in str((await world.verdict()).found["lost_payments"])

    place = await world.place_of(behind)
    world.execute(
        "INSERT INTO {store}.parked_records (payment_id, topic, partition, record_offset, correlation_id, message)"
        " VALUES (%s, %s, %s, %s, '', '')",
        command.payment_id,
        *place,
    )
    assert (await world.verdict()).ok


async def test_settling_waits_for_what_is_in_flight_and_no_longer(world):
    command = a_command(idempotency_key="in-flight")
    await world.send(command)
    payment = _decided(command)
    _report(payment, OperationState.APPROVED)
    world.save(Writes(payments=[payment]))
    world.move("captured", operation_of(payment))
    waiting = asyncio.create_task(world.verdict(settle_s=60))
    done, _ = await asyncio.wait({waiting}, timeout=1)
    assert not done

    await world.project()
    verdict = await waiting

    assert verdict.ok
    assert verdict.settled_s is not None
    assert verdict.settled_s < 30


async def test_settling_gives_up_in_time_and_says_so(world):
    world.execute(
        "INSERT INTO {store}.payment_timers (payment_id, version, wake_at) VALUES (%s, 3, %s)",
        IN_DOUBT,
        datetime.now(UTC),
    )

    verdict = await world.verdict(settle_s=0.3)

    assert verdict.settled_s is None


@pytest.mark.parametrize("being_asked", [False, True])
async def test_a_payment_that_waits_for_its_customer_is_not_waited_for_unless_its_psp_is_being_asked(
    world, being_asked
):
    command = a_command(idempotency_key="challenged")
    await world.send(command)
    payment = _decided(command)
    _report(payment, OperationState.ACTION_REQUIRED)
    if being_asked:
        timers.wake(payment, ROUTE, cause(NOW + timedelta(seconds=10)))
    world.save(Writes(payments=[payment], timers=[Timer(payment.id, payment.version, datetime.now(UTC))]))
    await world.project()

    verdict = await world.verdict(settle_s=0.3)

    assert verdict.ok
    assert (verdict.settled_s is None) == being_asked
    assert verdict.by_status["REQUIRES_ACTION"] == 1


@pytest.mark.parametrize(
    ("goes_on", "waited_for"), [("", False), ("its PSP is asked", True), ("a refund is under way", True)]
)
async def test_a_frozen_payment_is_listed_and_not_waited_for_unless_something_of_ours_goes_on(
    world, goes_on, waited_for
):
    command = a_command(idempotency_key="frozen")
    await world.send(command)
    payment = _decided(command)
    sale = operation_of(payment)
    _report(payment, OperationState.APPROVED)
    world.move("captured", sale)
    writes = Writes()
    if goes_on == "a refund is under way":
        refund = _refund(payment.id, 300)
        await world.send(refund)
        _next(refund, payment)
    _gone(payment, sale, "query", 2)
    assert payment.frozen
    if goes_on == "its PSP is asked":
        _gone(payment, sale, "webhook", 3)
        timers.wake(payment, ROUTE, cause(NOW + timedelta(seconds=60)))
    writes.payments.append(payment)
    writes.timers.append(Timer(payment.id, payment.version, datetime.now(UTC)))
    world.save(writes)
    await world.project()

    verdict = await world.verdict(settle_s=0.3)

    assert (verdict.settled_s is None) == waited_for
    assert verdict.doubts["frozen"] == 1
    assert str(payment.id) in verdict.found["in_doubt"]


def _gone(payment: Payment, sale: str, source: str, at_s: float) -> None:
    """The PSP says that a sale which went well has failed."""
    at = NOW + timedelta(seconds=at_s)
    said = report(sale, OperationState.DECLINED_HARD, source=source, observed_at=at)
    outcomes.take(payment, said, ROUTE, cause(at))
