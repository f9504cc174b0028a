"""A small world in which all four sources agree; then each of them is made wrong, and the verdict has to
name it."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from aggregates.operation import OperationState
from commands.ports import Writes
from tests.infra.tools.audit.world import (
    CAPTURED,
    DECLINED,
    EXPIRED,
    IN_DOUBT,
    LIVED,
    World,
    faults_of,
    next_step,
    payment_of,
    refund_command,
    refusals,
    report_outcome,
)
from tests.support.builders import create_payment as a_command
from tests.support.builders import operation_of

pytestmark = pytest.mark.stack


async def test_four_sources_that_agree_are_clean_and_what_is_in_doubt_is_named(world):
    verdict = await world.verdict()

    assert verdict.ok, verdict.found
    assert faults_of(verdict) == {}
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
        "escalated": 0,
        "frozen": 0,
        "parked": 0,
        "duplicate_charge": 0,
        "dispute": 0,
        "webhook": 0,
    }
    assert shown["found"]["in_doubt"] == [
        {"payment_id": str(IN_DOUBT), "reasons": [f"the outcome of {IN_DOUBT.hex}-s1 is not known yet"]}
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
            assert faults_of(verdict) == expected
            assert verdict.as_json()[kind] == 1
    assert (await world.verdict()).ok


async def test_a_stream_that_is_gone_is_lost_charged_and_still_shown(world):
    world.execute("DELETE FROM {store}.payment_events WHERE originator_id = %s", LIVED)

    verdict = await world.verdict()

    assert faults_of(verdict) == {"lost_payments": [str(LIVED)], "read_model_mismatches": [str(LIVED)]}
    whys = verdict.found["lost_payments"][str(LIVED)]
    assert any("no stream records it" in why for why in whys)
    assert any("was acknowledged, and there is no stream" in why for why in whys)
    assert any("capture_payment.v1" in why and "left no event" in why for why in whys)
    assert verdict.by_status["NOT_DECIDED"] == 1


async def test_creates_of_one_key_in_every_partition_are_judged_by_the_one_that_was_decided(
    world, environment
):
    decided = a_command(idempotency_key="everywhere", command_id=uuid4())
    payment = payment_of(decided)
    report_outcome(payment, OperationState.APPROVED)
    amounts = (5, 6, decided.amount_minor, 7)
    others = [decided.model_copy(update={"command_id": uuid4(), "amount_minor": one}) for one in amounts]
    for number, other in enumerate(others[:2]):
        await world.send(other, partition=number % environment.partitions)
    await world.send(decided)
    for number, other in enumerate(others[2:]):
        await world.send(other, partition=number % environment.partitions)
    writes = Writes(payments=[payment])
    for other in others:
        writes.refusals += refusals(other, payment)
    world.save(writes)
    await world.project()
    world.move("captured", f"{payment.id.hex}-s1")

    assert faults_of(await world.verdict()) == {}
    world.execute("DELETE FROM {store}.command_refusals WHERE command_id = %s", others[3].command_id)
    assert faults_of(await world.verdict()) == {"lost_payments": [str(payment.id)]}


async def test_what_nobody_requested_is_named(world):
    stray = a_command(idempotency_key="stray")
    payment = payment_of(stray)
    report_outcome(payment, OperationState.APPROVED)
    world.save(Writes(payments=[payment]))
    world.move("captured", operation_of(payment))
    captured = a_command(idempotency_key="refunded")
    await world.send(captured)
    payment = payment_of(captured)
    report_outcome(payment, OperationState.APPROVED)
    world.move("captured", operation_of(payment))
    assert next_step(refund_command(payment.id), payment).payment is payment
    report_outcome(payment, OperationState.APPROVED)
    world.move("refunded", operation_of(payment), of=f"{payment.id.hex}-s1")
    world.save(Writes(payments=[payment]))
    await world.project()

    faults = faults_of(await world.verdict())

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

    behind = refund_command(command.payment_id)
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
