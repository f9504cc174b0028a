"""Deciding batches against the real store: what one batch does, a second delivery of it must not do again."""

from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from aggregates import attempts
from aggregates.status import Status
from commands.balances import Balances, Move
from commands.ids import payment_id
from commands.messages import ResolvePayment, RetryParked, Wake, dump
from commands.records import Record
from tests.support.builders import NOW, ROUTE, cause, create_payment, payment_request, record_outcome
from tests.support.decider_harness import OUTCOMES, captured

pytestmark = pytest.mark.stack


# CreatePayment: accepted, refused, repeated, conflicting


def test_a_create_is_accepted_and_starts_its_operation(harness):
    command = create_payment()
    result = harness.run(harness.record(command))

    reply = result.replies[0]
    assert (reply.kind, reply.result, reply.status, reply.version) == (
        "decision",
        "accepted",
        "PROCESSING",
        2,
    )
    assert reply.command_id == command.command_id
    assert harness.payment(command.payment_id).status is Status.PROCESSING


def test_a_create_that_expired_in_the_queue_is_refused_and_its_stream_says_so(harness):
    command = create_payment(expires_at=NOW - timedelta(seconds=1))
    result = harness.run(harness.record(command))

    assert (result.replies[0].result, result.replies[0].code) == ("refused", "expired")
    assert harness.payment(command.payment_id).version == 2
    assert harness.payment(command.payment_id).operations == {}


def test_a_repeat_gets_the_same_reply_and_writes_nothing(harness):
    command = create_payment()
    first = harness.run(harness.record(command)).replies[0]
    before = harness.versions()

    again = harness.run(harness.record(command), harness.record(create_payment(command_id=uuid4()))).replies

    assert harness.versions() == before
    assert [(reply.result, reply.status) for reply in again] == [(first.result, first.status)] * 2


def test_a_repeat_after_the_expiry_gets_the_first_reply(harness):
    command = create_payment()
    harness.run(harness.record(command))
    harness.now = NOW + timedelta(days=1)

    assert harness.run(harness.record(command)).replies[0].result == "accepted"


def test_fifty_creates_of_one_key_in_one_batch_are_one_payment(harness):
    creates = [create_payment(command_id=uuid4()) for _ in range(50)]
    result = harness.run(*[harness.record(command) for command in creates])

    assert {reply.command_id for reply in result.replies} == {command.command_id for command in creates}
    assert {reply.result for reply in result.replies} == {"accepted"}
    assert harness.versions() == 2


def test_the_same_key_with_other_content_is_refused_recorded_and_the_first_stands(harness):
    harness.run(harness.record(create_payment()))
    other = create_payment(amount_minor=5, command_id=uuid4())
    replies = [harness.run(harness.record(other)).replies[0] for _ in range(2)]

    assert [(reply.result, reply.code) for reply in replies] == [("refused", "idempotency_mismatch")] * 2
    assert harness.payment(other.payment_id).amount.minor == 1099
    rows = harness.connection.execute("SELECT command_id FROM command_refusals").fetchall()
    assert rows == [(other.command_id,)]


def test_an_id_that_the_key_does_not_give_is_refused_with_the_right_one(harness):
    wrong = create_payment(payment_id=payment_id("other", "order-1"))
    result = harness.run(harness.record(wrong))

    assert (result.replies[0].code, result.letters[0].code) == ("payment_id_wrong", "payment_id_wrong")
    assert str(create_payment().payment_id) in result.replies[0].detail
    assert harness.versions() == 0


def test_a_token_of_a_psp_that_there_is_not_is_refused_and_its_key_may_be_used_again(harness):
    result = harness.run(harness.record(create_payment(payment_method="strip:pm_card_visa")))

    assert (result.replies[0].code, result.replies[0].path) == ("gateway_unknown", "payment_method")
    assert "stripe:…" in result.replies[0].detail
    assert result.letters[0].code == "gateway_unknown"
    assert harness.versions() == 0
    assert harness.run(harness.record(create_payment())).replies[0].result == "accepted"


@pytest.mark.parametrize("token", ["stripe:", "razorpay:", "paypal:card:"])
def test_a_psps_name_without_a_token_is_refused_with_what_to_write(harness, token: str):
    raw = dump(create_payment()).replace(b'"pm_card_visa"', f'"{token}"'.encode())
    result = harness.run(harness.record(raw, key=create_payment().payment_id))

    (reply,) = result.replies
    assert (reply.result, reply.code, reply.path) == ("refused", "field_invalid", "payment_method")
    assert "e.g. stripe:pm_card_visa" in reply.detail
    assert harness.versions() == 0


def test_a_record_under_another_payments_key_is_an_unknown_payment(harness):
    result = harness.run(harness.record(create_payment(), key=uuid4()))

    assert result.replies[0].code == "payment_not_found"
    assert "send payment_id as text" in result.replies[0].detail
    assert harness.versions() == 0


@pytest.mark.parametrize("spell", [lambda payment: str(payment).upper(), lambda payment: payment.hex])
def test_a_key_that_spells_the_payments_id_in_another_way_is_refused_with_that_reason(harness, spell):
    command = create_payment()
    result = harness.run(harness.record(command, key=spell(command.payment_id)))

    assert result.replies[0].code == "payment_not_found"
    assert "write the UUID in lower case, with its hyphens" in result.replies[0].detail
    assert harness.versions() == 0


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"amount_minor": 0}, "amount_not_positive", "amount_minor"),
        ({"amount_minor": 10**9}, "amount_above_bound", "amount_minor"),
        ({"currency": "XXX"}, "currency_unknown", "currency"),
    ],
)
def test_an_amount_that_no_payment_may_have_is_refused_with_its_field(harness, fields, code, path):
    result = harness.run(harness.record(create_payment(**fields)))

    assert (result.replies[0].code, result.replies[0].path) == (code, path)
    assert harness.versions() == 0


def test_poison_goes_to_the_dead_letters_and_the_rest_goes_on(harness):
    card = (
        b'{"type":"create_payment.v1","command_id":"%s","payment_method":"4242424242424242"}'
        % str(uuid4()).encode()
    )
    result = harness.run(harness.record(b"\x00"), harness.record(card), harness.record(create_payment()))

    assert [letter.code for letter in result.letters] == ["not_json", "sensitive_data"]
    assert "4242" not in repr(result.letters) + repr(result.replies)
    assert harness.versions() == 2


# RecordOutcome


def test_an_approval_captures_and_tells_the_one_who_created_the_payment(harness):
    command = create_payment()
    harness.run(harness.record(command))
    result = harness.run(harness.record(record_outcome(harness.payment(command.payment_id)), topic=OUTCOMES))

    reply = result.replies[0]
    assert (reply.kind, reply.command_id, reply.status) == ("update", command.command_id, "CAPTURED")
    rows = harness.connection.execute("SELECT account, psp_id, payment_id FROM gateway_ids").fetchall()
    assert rows == [("sim-eu", "pi_1", command.payment_id)]


def test_what_else_the_psp_calls_a_charge_or_an_external_move_leads_to_its_operation(harness):
    command = create_payment()
    harness.run(harness.record(command))
    outcome = record_outcome(harness.payment(command.payment_id))
    changed = outcome.outcome.model_copy(update={"known_as": ("ch_1",)})
    harness.run(harness.record(outcome.model_copy(update={"outcome": changed}), topic=OUTCOMES))
    given = Move(kind="refund", psp_id="orders/1/refunds/2", known_as=("refunds/2",), amount_minor=400)
    for source, seconds, balances in (("webhook", 1, None), ("query", 2, (given,))):
        shown = (
            None if balances is None else Balances(captured_minor=1099, refunded_minor=400, moves=balances)
        )
        kind = "UNKNOWN" if balances is None else "APPROVED"
        news = {
            "command_id": uuid4(),
            "source": source,
            "observed_at": outcome.observed_at + timedelta(seconds=seconds),
            "outcome": changed.model_copy(update={"kind": kind, "balances": shown}),
        }
        harness.run(harness.record(outcome.model_copy(update=news), topic=OUTCOMES))

    rows = harness.connection.execute("SELECT psp_id, operation_id FROM gateway_ids").fetchall()
    sale = f"{command.payment_id.hex}-s1"
    moved = f"{command.payment_id.hex}-r2"
    assert set(rows) == {
        ("pi_1", sale),
        ("ch_1", sale),
        ("orders/1/refunds/2", moved),
        ("refunds/2", moved),
    }


def test_the_id_that_an_operator_names_leads_a_webhook_of_it_to_its_operation(harness):
    command = create_payment()
    harness.run(harness.record(command))
    sale = f"{command.payment_id.hex}-s1"
    decision = ResolvePayment(
        command_id=uuid4(),
        payment_id=command.payment_id,
        merchant_id=command.merchant_id,
        operation_id=sale,
        decision="charged",
        psp_id="pi_9",
        evidence="seen on the PSP's page",
        who="ada",
    )

    result = harness.run(harness.record(decision))

    assert [reply.result for reply in result.replies if reply.command_id == decision.command_id] == [
        "accepted"
    ]
    rows = harness.connection.execute("SELECT account, psp_id, operation_id FROM gateway_ids").fetchall()
    assert rows == [("sim-eu", "pi_9", sale)]
    assert harness.payment(command.payment_id).operations[sale].psp_id == "pi_9"


def test_a_repeated_outcome_writes_nothing_and_tells_again(harness):
    """Whoever read it before may have been killed between its commit and its reply."""
    payment = captured(harness)
    before = harness.versions()
    result = harness.run(harness.record(record_outcome(harness.payment(payment)), topic=OUTCOMES))

    assert harness.versions() == before
    assert [(reply.kind, reply.status) for reply in result.replies] == [("update", "CAPTURED")]


def test_a_webhook_that_repeats_an_outcome_sends_no_second_update(harness):
    payment = captured(harness)
    again = record_outcome(harness.payment(payment)).model_copy(
        update={"command_id": UUID("c0ffee00-0000-4000-8000-0000000000ff"), "source": "webhook"}
    )

    result = harness.run(harness.record(again, topic=OUTCOMES))

    assert result.replies == []


def test_an_outcome_of_an_unknown_payment_is_a_dead_letter(harness):
    stranger = attempts.request(uuid4(), payment_request(), ROUTE, cause(fingerprint="f"))
    result = harness.run(harness.record(record_outcome(stranger), topic=OUTCOMES))

    assert result.letters[0].code == "payment_not_found"
    assert harness.versions() == 0


def test_a_header_that_may_not_be_passed_on_enters_no_event(harness):
    record = harness.record(create_payment())
    card = b"4242424242424242"
    headers = {"correlation_id": b"order " + card, "traceparent": card + b" 123"}
    result = harness.run(Record(record.topic, 0, 99, record.key, record.value, headers, 0))

    assert "4242" not in repr(result.replies)
    states = harness.connection.execute("SELECT state FROM payment_events").fetchall()
    assert states
    assert not any(card in state for (state,) in states)


# Wake


def test_a_wake_that_is_due_asks_the_psp_and_one_that_is_not_only_moves_the_timer(harness):
    command = create_payment()
    harness.run(harness.record(command))
    early = Wake(command_id=uuid4(), payment_id=command.payment_id, due_at=NOW)
    harness.run(harness.record(early))
    assert harness.versions() == 2

    harness.now = NOW + timedelta(seconds=31)
    harness.run(harness.record(early))
    assert harness.versions() == 3
    wake_at = harness.connection.execute("SELECT wake_at FROM payment_timers").fetchone()[0]
    assert wake_at > harness.now


def test_a_wake_that_moved_nothing_keeps_its_lease(harness, database):
    """With a clock behind the database's the timer is due there and not here: it must not come at once
    again."""
    command = create_payment()
    harness.run(harness.record(command))
    with psycopg.connect(database.dsn("admin"), autocommit=True) as admin:
        admin.execute(
            f"UPDATE {database.schema}.payment_timers SET leases = 3, leased_until = clock_timestamp() + interval '1 hour'"
        )
    harness.run(harness.record(Wake(command_id=uuid4(), payment_id=command.payment_id, due_at=NOW)))

    assert harness.connection.execute(
        "SELECT leases, leased_until IS NULL FROM payment_timers"
    ).fetchone() == (
        3,
        False,
    )


def test_a_wake_that_ended_the_payment_and_is_read_again_tells_again(harness):
    command = create_payment()
    harness.run(harness.record(command))
    refused = record_outcome(
        harness.payment(command.payment_id), kind="NOT_SENT", code="connect_failed", psp_id=None
    )
    harness.run(harness.record(refused, topic=OUTCOMES))
    harness.now = NOW + timedelta(hours=2)
    wake = harness.record(Wake(command_id=uuid4(), payment_id=command.payment_id, due_at=NOW))

    replies_of_each = [harness.run(wake).replies for _ in range(2)]

    assert [[reply.status for reply in replies] for replies in replies_of_each] == [["EXPIRED"], ["EXPIRED"]]


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


def test_a_stream_that_cannot_be_read_is_parked_and_everything_else_goes_on(harness, database):
    sick, sound = create_payment(), create_payment(idempotency_key="order-2")
    harness.run(harness.record(sick))
    outcome = record_outcome(harness.payment(sick.payment_id))
    break_stream(database, sick.payment_id)

    result = harness.run(harness.record(outcome, topic=OUTCOMES), harness.record(sound))

    assert [reply.payment_id for reply in result.replies] == [sound.payment_id]
    reason = harness.connection.execute("SELECT reason FROM parked_streams").fetchone()[0]
    assert reason == "UnknownEvent at version 2, broken.v1"


def test_a_parked_stream_is_retried_in_order_and_once(harness, database):
    command = create_payment()
    harness.run(harness.record(command))
    wake = harness.record(Wake(command_id=uuid4(), payment_id=command.payment_id, due_at=NOW))
    outcome = harness.record(record_outcome(harness.payment(command.payment_id)), topic=OUTCOMES)
    repeat = create_payment(command_id=uuid4())
    again = harness.record(repeat)
    harness.now = NOW + timedelta(
        seconds=30
    )  # the outcome is overdue: a wake asks for it unless it comes first
    break_stream(database, command.payment_id)
    harness.run(wake)
    harness.run(wake, outcome)
    harness.run(outcome, again)
    retry = RetryParked(command_id=uuid4(), payment_id=command.payment_id)

    still = harness.run(harness.record(retry)).replies
    mend_stream(database, command.payment_id)
    drained = harness.run(harness.record(retry)).replies

    assert [reply.code for reply in still] == ["still_parked"]
    assert [(reply.kind, reply.status) for reply in drained] == [
        ("update", "CAPTURED"),
        ("decision", "CAPTURED"),
        ("decision", "CAPTURED"),
    ]
    assert [reply.command_id for reply in drained[1:]] == [repeat.command_id, retry.command_id]
    topics = "SELECT topic FROM payment_events ORDER BY originator_version"
    assert [topic for (topic,) in harness.connection.execute(topics)] == [
        "payment.requested.v1",
        "operation.started.v1",
        "operation.follow_up_requested.v1",
        "operation.approved.v1",
    ]
    assert harness.connection.execute("SELECT count(*) FROM parked_streams").fetchone()[0] == 0
