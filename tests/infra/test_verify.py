"""A small world in which all four sources agree; then each of them is made wrong, and the verdict has to name it."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from psycopg import sql

from aggregates.operation import OperationState
from aggregates.payment import Payment
from commands.handlers import Context, create_payment
from commands.messages import CreatePayment, dump, payment_id
from commands.ports import Writes
from gateways.simulator.ledger import Ledger
from gateways.simulator.rows import Intent, Moved
from infra import topics
from infra.command_worker import GROUP
from infra.database import connect, connect_async
from infra.event_store import PaymentStore, Recorder
from infra.settings import DatabaseSettings
from infra.verify import Verdict, VerifySettings, verify
from projections import batch
from tests.controls import NOW, PSP, cause, operation_of, report
from tests.controls import create_payment as a_command
from tests.place import Place

pytestmark = pytest.mark.stack

CAPTURED, CAPTURED_TOO, DECLINED, EXPIRED, IN_DOUBT = (payment_id("demo", f"order-{n}") for n in range(5))
_VIEWS = ("payments", "operations")


class _Accounts:
    def for_payment(self, merchant_id, currency):
        return PSP


@dataclass
class World:
    place: Place
    ledger: Path

    async def verdict(self, settle_s: float = 0.0) -> Verdict:
        settings = self.place.settings(VerifySettings, "audit", simulator_ledger=self.ledger)
        return await verify(settings, settle_s)

    def execute(self, statement: str, *values: object) -> None:
        names = {
            "store": sql.Identifier(self.place.schema),
            "read": sql.Identifier(f"{self.place.schema}_read"),
        }
        with psycopg.connect(self.place.dsn(), autocommit=True) as connection:
            assert connection.execute(sql.SQL(statement).format(**names), values).rowcount > 0

    def in_ledger(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.ledger, isolation_level=None)) as db:
            assert db.execute(statement, values).rowcount > 0

    @contextmanager
    def undone(self) -> Iterator[None]:
        """All that is changed inside is as before afterwards: a world of its own for each change takes too long."""
        tables = [(self.place.schema, "payment_events"), *((f"{self.place.schema}_read", t) for t in _VIEWS)]
        kept = shutil.copy(self.ledger, f"{self.ledger}.kept")
        with psycopg.connect(self.place.dsn(), autocommit=True) as connection:
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

    async def send(self, *commands: CreatePayment, read: bool = True) -> None:
        """To Kafka; and acknowledged, as the command worker does it, unless it has not `read` them."""
        topic = self.place.prefix + topics.COMMANDS
        async with AIOKafkaProducer(bootstrap_servers=self.place.kafka, acks="all") as producer:
            for command in commands:
                await producer.send_and_wait(topic, dump(command), key=str(command.payment_id).encode())
        if not read:
            return
        worker = AIOKafkaConsumer(
            bootstrap_servers=self.place.kafka, group_id=self.place.prefix + GROUP, enable_auto_commit=False
        )
        worker.assign([TopicPartition(topic, number) for number in range(self.place.partitions)])
        async with worker:
            await worker.commit(await worker.end_offsets(worker.assignment()))

    def save(self, *payments: Payment) -> None:
        with connect(self.place.settings(DatabaseSettings, "command"), "test") as connection:
            store = PaymentStore(Recorder.for_this_cluster(connection))
            store.save(Writes(payments=list(payments)))

    async def project(self) -> None:
        with psycopg.connect(self.place.dsn()) as connection:
            query = sql.SQL("SELECT originator_id::text, max(originator_version) FROM {} GROUP BY 1")
            events = sql.Identifier(self.place.schema, "payment_events")
            heads = dict(connection.execute(query.format(events)).fetchall())
        async with await connect_async(self.place.settings(DatabaseSettings, "views"), "test") as views:
            await batch.apply(views, [], heads, NOW)

    def charge(self, payment: UUID, *, reference: str | None = None) -> None:
        """Of 10.99 EUR, as the simulator enters it."""
        intent = Intent(
            id=f"pi_{uuid4().hex}",
            client_secret=uuid4().hex,
            reference=reference or f"{payment.hex}-s1",
            amount=1099,
            currency="eur",
            status="succeeded",
            payment_method="pm_card_visa",
            description=None,
            metadata="{}",
            return_url=None,
            action_url=None,
            failure=None,
            created=0,
            moves=1,
        )
        with closing(Ledger(self.ledger)) as ledger, ledger.writing():
            ledger.add_intent(intent)
            moved = [Moved("captured", f"ch_{uuid4().hex}", intent.reference, intent.amount)]
            ledger.add_movements(intent, moved, 0.0)


@pytest.fixture
async def world(place: Place, tmp_path: Path) -> World:
    """Five payments: two captured, one declined, one expired, one in doubt; and three commands that are none."""
    Ledger(tmp_path / "ledger.sqlite").close()
    world = World(place, tmp_path / "ledger.sqlite")
    commands = [a_command(idempotency_key=f"order-{n}", command_id=uuid4()) for n in range(5)]
    commands[3] = commands[3].model_copy(update={"expires_at": NOW - timedelta(seconds=1)})
    payments = [_decided(command) for command in commands]
    for number, state in enumerate(
        (OperationState.APPROVED, OperationState.APPROVED, OperationState.DECLINED_HARD)
    ):
        payments[number].report(report(operation_of(payments[number]), state), 0.5, cause())
    payments[4].report(report(operation_of(payments[4]), OperationState.UNKNOWN), 0.5, cause())
    free = a_command(idempotency_key="free", amount_minor=0)
    another_id = a_command(idempotency_key="another-id", payment_id=uuid4())
    same_key = commands[0].model_copy(update={"command_id": uuid4(), "amount_minor": 5})
    await world.send(*commands, free, another_id, same_key, commands[1])
    world.save(*payments)
    await world.project()
    for name in (CAPTURED, CAPTURED_TOO, IN_DOUBT):
        world.charge(name)
    return world


def _decided(command: CreatePayment) -> Payment:
    decided = create_payment(command, None, Context(NOW, 0.5, None, None, _Accounts()))
    assert decided.payment is not None
    return decided.payment


def _faults(verdict: Verdict) -> dict[str, list[str]]:
    found = {kind: list(payments) for kind, payments in verdict.found.items() if payments}
    assert found.pop("in_doubt") == [str(IN_DOUBT)]
    return found


async def test_four_sources_that_agree_are_clean_and_what_is_in_doubt_is_named(world):
    verdict = await world.verdict()

    assert verdict.ok
    assert _faults(verdict) == {}
    shown = verdict.as_json()
    assert (shown["payments"], shown["streams"], shown["gateway_charges"]) == (5, 5, 3)
    assert shown["by_status"] == {"CAPTURED": 2, "FAILED": 1, "IN_DOUBT": 1, "REJECTED": 1}
    assert shown["double_charges"] == shown["lost_payments"] == shown["amount_mismatches"] == 0
    assert shown["found"]["in_doubt"] == [
        {"payment_id": str(IN_DOUBT), "why": [f"the outcome of {IN_DOUBT.hex}-s1 is not known yet"]}
    ]


# Each changes one source behind the others' back: (what is done, the kind of fault, whose)
WRONGS: dict[str, tuple[Callable[[World], None], str, UUID]] = {
    "a second charge": (lambda w: w.charge(CAPTURED), "double_charges", CAPTURED),
    "a charge for an operation that nobody started": (
        lambda w: w.charge(DECLINED, reference=f"{DECLINED.hex}-s2"),
        "lost_payments",
        DECLINED,
    ),
    "a charge for a payment that failed": (lambda w: w.charge(DECLINED), "lost_payments", DECLINED),
    "a charge for a payment that was rejected": (lambda w: w.charge(EXPIRED), "lost_payments", EXPIRED),
    "a charge for no payment of ours": (
        lambda w: w.charge(UUID(int=0), reference="someone else's"),
        "lost_payments",
        UUID(int=0),
    ),
    "a captured payment without its charge": (
        lambda w: w.in_ledger("DELETE FROM movements WHERE reference = ?", f"{CAPTURED.hex}-s1"),
        "lost_payments",
        CAPTURED,
    ),
    "a charge of another amount": (
        lambda w: w.in_ledger("UPDATE movements SET amount = 1100 WHERE reference = ?", f"{CAPTURED.hex}-s1"),
        "amount_mismatches",
        CAPTURED,
    ),
    "a charge in another currency": (
        lambda w: w.in_ledger(
            "UPDATE movements SET currency = 'usd' WHERE reference = ?", f"{CAPTURED.hex}-s1"
        ),
        "amount_mismatches",
        CAPTURED,
    ),
    "a charge that is no whole number of the currency's units": (
        lambda w: w.in_ledger(
            "UPDATE movements SET currency = 'isk', amount = 1099 WHERE reference = ?", f"{CAPTURED.hex}-s1"
        ),
        "amount_mismatches",
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
    "a read model that is marked stale": (
        lambda w: w.execute("UPDATE {read}.payments SET stale_since = now() WHERE payment_id = %s", CAPTURED),
        "read_model_mismatches",
        CAPTURED,
    ),
    "a read model with another amount": (
        lambda w: w.execute("UPDATE {read}.payments SET amount_minor = 1 WHERE payment_id = %s", CAPTURED),
        "amount_mismatches",
        CAPTURED,
    ),
    "an operation shown with another amount": (
        lambda w: w.execute("UPDATE {read}.operations SET amount_minor = 1 WHERE payment_id = %s", CAPTURED),
        "read_model_mismatches",
        CAPTURED,
    ),
}


async def test_what_is_wrong_in_one_source_is_named_and_nothing_else(world, subtests):
    for wrong, (act, kind, payment) in WRONGS.items():
        with subtests.test(wrong), world.undone():
            act(world)

            verdict = await world.verdict()

            assert not verdict.ok
            expected = {kind: [str(payment)]}
            if "written to" in wrong:
                # The read model was made from the stream as it was before.
                expected["read_model_mismatches"] = [str(payment)]
            assert _faults(verdict) == expected
            assert verdict.as_json()[kind] == 1
    assert (await world.verdict()).ok


async def test_a_stream_that_is_gone_is_lost_charged_and_still_shown(world):
    world.execute("DELETE FROM {store}.payment_events WHERE originator_id = %s", CAPTURED)

    verdict = await world.verdict()

    assert _faults(verdict) == {"lost_payments": [str(CAPTURED)], "read_model_mismatches": [str(CAPTURED)]}
    whys = verdict.found["lost_payments"][str(CAPTURED)]
    assert any("no stream records it" in why for why in whys)
    assert any("was acknowledged, and there is no stream" in why for why in whys)
    assert verdict.by_status["NOT_DECIDED"] == 1


async def test_a_command_that_was_not_read_yet_is_unsettled_and_not_lost(world):
    late = a_command(idempotency_key="late")
    await world.send(late, read=False)

    assert _faults(await world.verdict()) == {"unsettled": [str(late.payment_id)]}

    await world.send(a_command(idempotency_key="later"))

    faults = _faults(await world.verdict())
    assert set(faults) == {"lost_payments"}
    assert str(late.payment_id) in faults["lost_payments"]


async def test_a_payment_that_goes_on_is_unsettled(world):
    command = a_command(idempotency_key="going-on")
    await world.send(command)
    world.save(_decided(command))
    await world.project()

    assert _faults(await world.verdict()) == {"unsettled": [str(command.payment_id)]}


async def test_a_stream_that_nobody_asked_for_is_named(world):
    world.save(_decided(stray := a_command(idempotency_key="stray")))
    await world.project()

    faults = _faults(await world.verdict())

    assert faults.pop("unasked_payments") == [str(stray.payment_id)]
    assert set(faults) == {"unsettled"}


async def test_a_parked_payment_is_in_doubt_and_no_fault(world):
    command = a_command(idempotency_key="parked")
    await world.send(command)
    world.execute(
        "INSERT INTO {store}.parked_streams (payment_id, reason) VALUES (%s, 'KeyError at apply:1')",
        command.payment_id,
    )

    verdict = await world.verdict()

    assert verdict.ok
    assert verdict.found["in_doubt"][str(command.payment_id)] == ["parked: KeyError at apply:1"]


async def test_settling_waits_for_what_is_in_flight_and_no_longer(world):
    command = a_command(idempotency_key="in-flight")
    await world.send(command)
    payment = _decided(command)
    payment.report(report(operation_of(payment)), 0.5, cause())
    world.save(payment)
    world.charge(payment.id)
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
