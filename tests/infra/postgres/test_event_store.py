"""The recorder on a real PostgreSQL."""

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.application import AggregateNotFoundError

from aggregates import attempts, outcomes
from aggregates.payment import Payment
from aggregates.routing.route import Route
from aggregates.status import Status
from commands.ports import Conflict, Parking, Refusal, Timer, Writes
from commands.records import Record
from commands.stored_events import EventMapper
from infra.errors import Misconfigured
from infra.postgres.connections import connect
from infra.postgres.event_store import PaymentStore, Recorder, repository
from infra.settings import DatabaseSettings
from tests.support.builders import NOW, PSP, ROUTE, cause, operation_of, payment_request, report
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack


@pytest.fixture
def environment(database):
    return database


@pytest.fixture
def connection(environment):
    with connect(environment.settings(DatabaseSettings, "command"), "test") as connection:
        yield connection


@pytest.fixture
def recorder(connection):
    return Recorder.for_this_cluster(connection)


@pytest.fixture
def store(recorder):
    return PaymentStore(recorder)


def new(payment_id: UUID | None = None) -> Payment:
    return attempts.request(payment_id or uuid4(), payment_request(), ROUTE, cause(fingerprint="f"))


def test_what_is_saved_is_loaded_with_the_same_state(store):
    made = new()
    store.save(Writes(payments=[made]))

    loaded = store.load([made.id, other := uuid4()], [])

    assert loaded[made.id].payment == made
    assert (loaded[other].payment, loaded[other].parked) == (None, False)


def test_the_librarys_repository_reads_any_version(store, recorder):
    made = new()
    outcomes.take(made, report(operation_of(made)), ROUTE, cause())
    store.save(Writes(payments=[made]))
    payments = repository(recorder)

    assert payments.get(made.id).status is Status.CAPTURED
    assert payments.get(made.id, version=2).status is Status.PROCESSING
    with pytest.raises(AggregateNotFoundError):
        payments.get(uuid4())


def test_a_conflict_saves_nothing_of_the_batch(store):
    first = new()
    store.save(Writes(payments=[first]))
    bystander, again = new(), new(first.id)

    with pytest.raises(Conflict):
        store.save(Writes(payments=[bystander, again], timers=[Timer(bystander.id, 2, NOW)]))

    assert store.load([bystander.id], [])[bystander.id].payment is None
    assert store.load([first.id], [])[first.id].payment == first


def test_two_writers_of_one_new_stream_leave_one(environment):
    ids = [uuid4() for _ in range(20)]
    ends: list[str] = []
    barrier = threading.Barrier(2)

    def write(account: str) -> None:
        with connect(environment.settings(DatabaseSettings, "command"), "test") as connection:
            store = PaymentStore(Recorder.for_this_cluster(connection))
            for payment_id in ids:
                route = Route((replace(PSP, account=account),))
                made = attempts.request(payment_id, payment_request(), route, cause(fingerprint="f"))
                barrier.wait()
                try:
                    store.save(Writes(payments=[made]))
                    ends.append("saved")
                except Conflict:
                    ends.append("conflict")

    writers = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert sorted(ends) == ["conflict"] * 20 + ["saved"] * 20


def test_a_later_version_never_carries_an_older_transaction_id(environment, store, connection):
    """Loading takes no transaction id, so a stream's ids rise with its versions even while others write."""
    older = psycopg.connect(environment.dsn("admin"))
    older.execute("SELECT pg_current_xact_id()")
    made = new()
    store.save(Writes(payments=[made]))
    loaded = store.load([made.id], [])[made.id].payment
    outcomes.take(loaded, report(operation_of(loaded)), ROUTE, cause())
    store.save(Writes(payments=[loaded]))
    older.rollback()
    older.close()

    rows = connection.execute(
        "SELECT tx::text::bigint FROM payment_events WHERE originator_id = %s ORDER BY originator_version",
        (made.id,),
    ).fetchall()
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert rows[0] == rows[1] != rows[2]


def test_the_writing_transaction_has_no_savepoint_and_reads_no_stream(store, connection, monkeypatch):
    made = new()
    statements: list[str] = []
    execute = psycopg.Connection.execute

    def listen(self: psycopg.Connection, query: str, *args: object, **more: object) -> object:
        statements.append(str(query))
        return execute(self, query, *args, **more)

    monkeypatch.setattr(psycopg.Connection, "execute", listen)
    store.save(Writes(payments=[made], timers=[Timer(made.id, made.version, NOW)]))

    assert statements
    assert not [text for text in statements if "SAVEPOINT" in text.upper() or "FROM payment_events" in text]


@pytest.mark.parametrize("topic", ["os:system", "payment.unheard_of.v1"])
def test_a_stored_topic_that_is_not_registered_breaks_that_stream_alone(environment, store, topic):
    broken, sound = new(), new()
    store.save(Writes(payments=[broken, sound]))
    with psycopg.connect(environment.dsn("admin"), autocommit=True) as admin:
        admin.execute(
            f"UPDATE {environment.schema}.payment_events SET topic = %s WHERE originator_id = %s AND originator_version = 2",
            (topic, broken.id),
        )

    loaded = store.load([broken.id, sound.id], [])

    assert loaded[broken.id].broken == f"UnknownEvent at version 2, {topic}"
    assert loaded[sound.id].payment == sound


def test_a_stream_with_a_version_missing_breaks_that_stream_alone(environment, store):
    broken, sound = new(), new()
    outcomes.take(broken, report(operation_of(broken)), ROUTE, cause())
    store.save(Writes(payments=[broken, sound]))
    with psycopg.connect(environment.dsn("admin"), autocommit=True) as admin:
        admin.execute(
            f"DELETE FROM {environment.schema}.payment_events WHERE originator_id = %s AND originator_version = 2",
            (broken.id,),
        )

    loaded = store.load([broken.id, sound.id], [])

    assert "version 3" in loaded[broken.id].broken
    assert loaded[sound.id].payment == sound


def timer(connection: psycopg.Connection, payment_id: UUID) -> tuple:
    return connection.execute(
        "SELECT version, wake_at, leases, suspended FROM payment_timers WHERE payment_id = %s", (payment_id,)
    ).fetchone()


def test_an_older_version_never_moves_the_timer_and_the_same_one_may(store, connection):
    payment_id = uuid4()
    store.save(Writes(timers=[Timer(payment_id, 3, NOW)]))
    store.save(Writes(timers=[Timer(payment_id, 2, NOW + timedelta(hours=9))]))
    assert timer(connection, payment_id)[:2] == (3, NOW)

    store.save(Writes(timers=[Timer(payment_id, 3, NOW + timedelta(hours=1))]))
    assert timer(connection, payment_id)[:2] == (3, NOW + timedelta(hours=1))

    store.save(Writes(timers=[Timer(payment_id, 4, None)]))
    assert timer(connection, payment_id)[:2] == (4, None)


def record(offset: int) -> Record:
    return Record("payments.commands", 0, offset, b"key", b"{}", {"correlation_id": b"c-1"}, 0)


def test_a_parked_stream_queues_its_records_in_order_and_once_and_suspends_its_timer(store, connection):
    made = new()
    store.save(Writes(payments=[made], timers=[Timer(made.id, made.version, NOW)]))
    store.save(
        Writes(parked=[Parking(made.id, "ValueError")], queued=[(made.id, record(5)), (made.id, record(6))])
    )
    store.save(Writes(queued=[(made.id, record(6)), (made.id, record(7))]))

    assert store.load([made.id], [])[made.id].parked
    assert [waiting.offset for waiting in store.queue_of(made.id)] == [5, 6, 7]
    assert store.queue_of(made.id)[0].header("correlation_id") == "c-1"
    assert timer(connection, made.id)[3]

    store.save(Writes(unparked=[(made.id, 2)]))
    assert store.load([made.id], [])[made.id].parked, "a record came since its queue was read"

    store.save(Writes(unparked=[(made.id, 3)]))

    assert not store.load([made.id], [])[made.id].parked
    assert store.queue_of(made.id) == []
    assert not timer(connection, made.id)[3]


@pytest.mark.parametrize("table", ["command_refusals", "parked_records"])
async def test_two_workers_that_save_the_same_rows_in_opposite_orders_do_not_wait_in_a_circle(
    environment, table
):
    """Both wait for a third writer's row, which lies between their first and their last."""
    first, middle, last = sorted(uuid4() for _ in range(3))

    def rows(*ids: UUID) -> Writes:
        if table == "command_refusals":
            return Writes(refusals=[Refusal(one, one, "f", b"{}") for one in ids])
        return Writes(queued=[(one, record(one.int % 1000)) for one in ids])

    def save(writes: Writes) -> None:
        with connect(environment.settings(DatabaseSettings, "command"), "test") as connection:
            PaymentStore(Recorder.for_this_cluster(connection)).save(writes)

    await asyncio.to_thread(
        save, Writes(parked=[Parking(one, "ValueError") for one in (first, middle, last)])
    )
    with connect(environment.settings(DatabaseSettings, "command"), "third") as third:
        with third.transaction():
            PaymentStore(Recorder.for_this_cluster(third)).save(rows(middle))
            workers = [
                asyncio.create_task(asyncio.to_thread(save, rows(*ids)))
                for ids in ((first, middle, last), (last, middle, first))
            ]
            await until(lambda: _waiting_for_locks(environment) == 2)
        await asyncio.gather(*workers)


def _waiting_for_locks(environment: Environment) -> int:
    with psycopg.connect(environment.dsn()) as conn:
        row = conn.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted").fetchone()
    assert row is not None
    return int(row[0])


def test_an_event_is_stored_as_plain_json_without_python_names():
    made = new()
    stored = EventMapper().to_stored_event(made.pending_events[1])

    assert stored.topic == "operation.started.v1"
    assert b"originator" not in stored.state
    assert b"aggregates" not in stored.state


def test_no_event_is_written_on_a_cluster_that_the_log_does_not_know(environment, connection):
    with psycopg.connect(environment.dsn("admin"), autocommit=True) as admin:
        admin.execute(f"UPDATE {environment.schema}.log_generation SET system_identifier = 1")

    with pytest.raises(Misconfigured, match="aegispay relay rebase"):
        Recorder.for_this_cluster(connection)
