"""Deciding batches against the real store: what one batch does, a second delivery of it must not do again."""

from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from aggregates import attempts
from aggregates.status import Status
from commands.messages import RetryParked, Wake, payment_id
from commands.records import Record
from tests.commands.desk import OUTCOMES, captured
from tests.controls import NOW, ROUTE, asked, cause, create_payment, record_outcome

pytestmark = pytest.mark.stack


# CreatePayment: accepted, refused, repeated, conflicting


def test_a_create_is_accepted_and_starts_its_operation(desk):
    command = create_payment()
    result = desk.run(desk.record(command))

    reply = result.replies[0]
    assert (reply.kind, reply.result, reply.status, reply.version) == ("answer", "accepted", "PROCESSING", 2)
    assert reply.command_id == command.command_id
    assert desk.payment(command.payment_id).status is Status.PROCESSING


def test_a_create_that_expired_in_the_queue_is_refused_and_its_stream_says_so(desk):
    command = create_payment(expires_at=NOW - timedelta(seconds=1))
    result = desk.run(desk.record(command))

    assert (result.replies[0].result, result.replies[0].code) == ("refused", "expired")
    assert desk.payment(command.payment_id).version == 2
    assert desk.payment(command.payment_id).operations == {}


def test_a_repeat_gets_the_same_answer_and_writes_nothing(desk):
    command = create_payment()
    first = desk.run(desk.record(command)).replies[0]
    before = desk.versions()

    again = desk.run(desk.record(command), desk.record(create_payment(command_id=uuid4()))).replies

    assert desk.versions() == before
    assert [(reply.result, reply.status) for reply in again] == [(first.result, first.status)] * 2


def test_a_repeat_after_the_expiry_gets_the_first_answer(desk):
    command = create_payment()
    desk.run(desk.record(command))
    desk.now = NOW + timedelta(days=1)

    assert desk.run(desk.record(command)).replies[0].result == "accepted"


def test_fifty_creates_of_one_key_in_one_batch_are_one_payment(desk):
    creates = [create_payment(command_id=uuid4()) for _ in range(50)]
    result = desk.run(*[desk.record(command) for command in creates])

    assert {reply.command_id for reply in result.replies} == {command.command_id for command in creates}
    assert {reply.result for reply in result.replies} == {"accepted"}
    assert desk.versions() == 2


def test_the_same_key_with_other_content_is_refused_recorded_and_the_first_stands(desk):
    desk.run(desk.record(create_payment()))
    other = create_payment(amount_minor=5, command_id=uuid4())
    replies = [desk.run(desk.record(other)).replies[0] for _ in range(2)]

    assert [(reply.result, reply.code) for reply in replies] == [("refused", "idempotency_mismatch")] * 2
    assert desk.payment(other.payment_id).amount.minor == 1099
    rows = desk.connection.execute("SELECT command_id FROM command_refusals").fetchall()
    assert rows == [(other.command_id,)]


def test_an_id_that_the_key_does_not_give_is_an_unknown_payment(desk):
    wrong = create_payment(payment_id=payment_id("other", "order-1"))
    result = desk.run(desk.record(wrong))

    assert (result.replies[0].code, result.letters[0].code) == ("payment_not_found", "payment_not_found")
    assert desk.versions() == 0


def test_a_record_under_another_payments_key_is_an_unknown_payment(desk):
    result = desk.run(desk.record(create_payment(), key=uuid4()))

    assert result.replies[0].code == "payment_not_found"
    assert desk.versions() == 0


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"amount_minor": 0}, "amount_not_positive", "amount_minor"),
        ({"amount_minor": 10**9}, "amount_above_bound", "amount_minor"),
        ({"currency": "XXX"}, "currency_unknown", "currency"),
    ],
)
def test_an_amount_that_no_payment_may_have_is_refused_with_its_field(desk, fields, code, path):
    result = desk.run(desk.record(create_payment(**fields)))

    assert (result.replies[0].code, result.replies[0].path) == (code, path)
    assert desk.versions() == 0


def test_poison_goes_to_the_dead_letters_and_the_rest_goes_on(desk):
    card = (
        b'{"type":"create_payment.v1","command_id":"%s","payment_method":"4242424242424242"}'
        % str(uuid4()).encode()
    )
    result = desk.run(desk.record(b"\x00"), desk.record(card), desk.record(create_payment()))

    assert [letter.code for letter in result.letters] == ["not_json", "sensitive_data"]
    assert [bool(letter.sha256) for letter in result.letters] == [True, False]
    assert "4242" not in repr(result.letters) + repr(result.replies)
    assert desk.versions() == 2


# RecordOutcome


def test_an_approval_captures_and_tells_the_one_who_created_the_payment(desk):
    command = create_payment()
    desk.run(desk.record(command))
    result = desk.run(desk.record(record_outcome(desk.payment(command.payment_id)), topic=OUTCOMES))

    reply = result.replies[0]
    assert (reply.kind, reply.command_id, reply.status) == ("update", command.command_id, "CAPTURED")
    rows = desk.connection.execute("SELECT account, psp_id, payment_id FROM gateway_ids").fetchall()
    assert rows == [("sim-eu", "pi_1", command.payment_id)]


def test_a_repeated_outcome_writes_nothing_and_tells_again(desk):
    """Whoever read it before may have been killed between its commit and its reply."""
    payment = captured(desk)
    before = desk.versions()
    result = desk.run(desk.record(record_outcome(desk.payment(payment)), topic=OUTCOMES))

    assert desk.versions() == before
    assert [(reply.kind, reply.status) for reply in result.replies] == [("update", "CAPTURED")]


def test_an_outcome_of_an_unknown_payment_is_a_dead_letter(desk):
    stranger = attempts.request(uuid4(), asked(), ROUTE, cause(fingerprint="f"))
    result = desk.run(desk.record(record_outcome(stranger), topic=OUTCOMES))

    assert result.letters[0].code == "payment_not_found"
    assert desk.versions() == 0


def test_a_header_that_may_not_be_passed_on_enters_no_event(desk):
    record = desk.record(create_payment())
    card = b"4242424242424242"
    headers = {"correlation_id": b"order " + card, "traceparent": card + b" 123"}
    result = desk.run(Record(record.topic, 0, 99, record.key, record.value, headers, 0))

    assert "4242" not in repr(result.replies)
    states = desk.connection.execute("SELECT state FROM payment_events").fetchall()
    assert states
    assert not any(card in state for (state,) in states)


# Wake


def test_a_wake_that_is_due_asks_the_psp_and_one_that_is_not_only_moves_the_timer(desk):
    command = create_payment()
    desk.run(desk.record(command))
    early = Wake(command_id=uuid4(), payment_id=command.payment_id, due_at=NOW)
    desk.run(desk.record(early))
    assert desk.versions() == 2

    desk.now = NOW + timedelta(seconds=31)
    desk.run(desk.record(early))
    assert desk.versions() == 3
    wake_at = desk.connection.execute("SELECT wake_at FROM payment_timers").fetchone()[0]
    assert wake_at > desk.now


def test_a_wake_that_moved_nothing_keeps_its_lease(desk, database):
    """With a clock behind the database's the timer is due there and not here: it must not come at once again."""
    command = create_payment()
    desk.run(desk.record(command))
    with psycopg.connect(database.dsn("admin"), autocommit=True) as admin:
        admin.execute(
            f"UPDATE {database.schema}.payment_timers SET leases = 3, leased_until = clock_timestamp() + interval '1 hour'"
        )
    desk.run(desk.record(Wake(command_id=uuid4(), payment_id=command.payment_id, due_at=NOW)))

    assert desk.connection.execute("SELECT leases, leased_until IS NULL FROM payment_timers").fetchone() == (
        3,
        False,
    )


def test_a_wake_that_ended_the_payment_and_is_read_again_tells_again(desk):
    command = create_payment()
    desk.run(desk.record(command))
    refused = record_outcome(
        desk.payment(command.payment_id), kind="NOT_SENT", code="connect_failed", psp_id=None
    )
    desk.run(desk.record(refused, topic=OUTCOMES))
    desk.now = NOW + timedelta(hours=2)
    wake = desk.record(Wake(command_id=uuid4(), payment_id=command.payment_id, due_at=NOW))

    told = [desk.run(wake).replies for _ in range(2)]

    assert [[reply.status for reply in replies] for replies in told] == [["EXPIRED"], ["EXPIRED"]]


# Parked streams


def break_stream(database, payment: UUID) -> None:
    with psycopg.connect(database.dsn("admin"), autocommit=True) as admin:
        admin.execute(
            f"UPDATE {database.schema}.payment_events SET topic = 'broken.v1'"
            " WHERE originator_id = %s AND originator_version = 2",
            (payment,),
        )


def mend_stream(database, payment: UUID) -> None:
    with psycopg.connect(database.dsn("admin"), autocommit=True) as admin:
        admin.execute(
            f"UPDATE {database.schema}.payment_events SET topic = 'operation.started.v1'"
            " WHERE originator_id = %s AND originator_version = 2",
            (payment,),
        )


def test_a_stream_that_cannot_be_read_is_parked_and_everything_else_goes_on(desk, database):
    sick, sound = create_payment(), create_payment(idempotency_key="order-2")
    desk.run(desk.record(sick))
    outcome = record_outcome(desk.payment(sick.payment_id))
    break_stream(database, sick.payment_id)

    result = desk.run(desk.record(outcome, topic=OUTCOMES), desk.record(sound))

    assert [reply.payment_id for reply in result.replies] == [sound.payment_id]
    reason = desk.connection.execute("SELECT reason FROM parked_streams").fetchone()[0]
    assert reason == "UnknownEvent at version 2, broken.v1"


def test_a_parked_stream_is_retried_in_order_and_once(desk, database):
    command = create_payment()
    desk.run(desk.record(command))
    wake = desk.record(Wake(command_id=uuid4(), payment_id=command.payment_id, due_at=NOW))
    outcome = desk.record(record_outcome(desk.payment(command.payment_id)), topic=OUTCOMES)
    repeat = create_payment(command_id=uuid4())
    again = desk.record(repeat)
    desk.now = NOW + timedelta(seconds=30)  # the outcome is overdue: a wake asks for it unless it comes first
    break_stream(database, command.payment_id)
    desk.run(wake)
    desk.run(wake, outcome)
    desk.run(outcome, again)
    retry = RetryParked(command_id=uuid4(), payment_id=command.payment_id)

    still = desk.run(desk.record(retry)).replies
    mend_stream(database, command.payment_id)
    drained = desk.run(desk.record(retry)).replies

    assert [reply.code for reply in still] == ["still_parked"]
    assert [(reply.kind, reply.status) for reply in drained] == [
        ("update", "CAPTURED"),
        ("answer", "CAPTURED"),
        ("answer", "CAPTURED"),
    ]
    assert [reply.command_id for reply in drained[1:]] == [repeat.command_id, retry.command_id]
    topics = "SELECT topic FROM payment_events ORDER BY originator_version"
    assert [topic for (topic,) in desk.connection.execute(topics)] == [
        "payment.requested.v1",
        "operation.started.v1",
        "operation.asked.v1",
        "operation.approved.v1",
    ]
    assert desk.connection.execute("SELECT count(*) FROM parked_streams").fetchone()[0] == 0
