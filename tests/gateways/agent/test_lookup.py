"""Status queries: they close the step first, and what they prove."""

import asyncio

import pytest

from commands.messages import Outcome
from commands.records import Record
from infra.postgres.claims import PostgresClaims
from tests.gateways.agent.lookups import (
    OPERATION,
    PAYMENT,
    STEP,
    MakeAgent,
    Reports,
    age,
    follow_up,
    request,
    started,
)
from tests.infra.kafka.agents import until
from tests.support.environment import Environment
from tests.support.fake_psp import FakePsp, TillServer

pytestmark = pytest.mark.stack


async def test_a_query_closes_the_step_even_when_it_learns_nothing(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("gone")
    await make().handle(started())

    await make().handle(follow_up("query"))
    assert (reports.last.outcome.kind, reports.last.outcome.code) == ("UNKNOWN", "not_found_yet")

    await make().handle(follow_up("repeat"))
    assert (reports.last.outcome.kind, reports.last.source) == ("UNKNOWN", "query")
    assert psp.sends == 1


async def test_a_query_for_what_was_never_sent_ends_it_without_a_call(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    await make().handle(follow_up("query"))
    assert (reports.last.outcome.kind, reports.last.outcome.code) == ("NOT_SENT", "never_sent")

    await make().handle(started())

    assert (reports.last.outcome.code, reports.last.source) == ("never_sent", "none")
    assert (psp.sends, psp.lookups) == (0, 0)


async def test_not_found_is_proof_only_after_the_last_try_can_have_no_effect_any_more(
    make: MakeAgent, environment: Environment, psp: TillServer, reports: Reports
):
    psp.responses.append("gone")
    await make().handle(started())
    age(environment, 5 + 10 + 59)
    await make().handle(follow_up("query"))
    assert reports.last.outcome.kind == "UNKNOWN"

    age(environment, 2)
    await make().handle(follow_up("query"))
    assert reports.last.outcome.kind == "PROVEN_ABSENT"

    await make().handle(started())
    assert (reports.last.outcome.kind, reports.last.source) == ("PROVEN_ABSENT", "stored")
    assert psp.sends == 1


async def test_a_psp_that_never_proves_absence_leaves_it_unknown(
    make: MakeAgent, environment: Environment, psp: TillServer, reports: Reports
):
    psp.responses.append("gone")
    till = FakePsp(proves_absence_after_s=None)
    await make(till).handle(started())
    age(environment, 3000)

    await make(till).handle(follow_up("query"))

    assert (reports.last.outcome.kind, reports.last.outcome.code) == ("UNKNOWN", "not_found")


async def test_what_reached_nobody_stays_open_and_is_sent_later_as_if_for_the_first_time(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    for record in (started(), follow_up("repeat"), follow_up("repeat")):
        await make(url="http://psp.invalid").handle(record)
        assert (reports.last.outcome.kind, reports.last.outcome.code) == ("UNREACHED", "dns_failed")
        assert (reports.last.tries, reports.last.first_try_at, reports.last.outcome.unreached) == (
            0,
            None,
            True,
        )

    psp.responses.append("not_taken")
    await make().handle(follow_up("repeat"))

    assert (reports.last.outcome.kind, reports.last.tries) == ("NOT_SENT", 1)
    assert not reports.last.outcome.unreached
    assert psp.sends == 1


async def test_a_response_that_differs_from_the_stored_one_is_reported(
    make: MakeAgent, psp: TillServer, reports: Reports, claims: PostgresClaims
):
    psp.hold = asyncio.Event()
    absent = Outcome(kind="PROVEN_ABSENT", code="not_found")
    async with asyncio.TaskGroup() as both:
        both.create_task(make().handle(started()))
        await until(lambda: psp.sends == 1)
        await claims.close(STEP, absent, only_try=False)
        psp.hold.set()

    assert reports.last.outcome.kind == "APPROVED"
    assert (await claims.close_for_query(STEP)).result == absent


async def test_a_confirmation_queries_the_psp_whatever_is_stored(
    make: MakeAgent, psp: TillServer, reports: Reports, claims: PostgresClaims
):
    await make().handle(started())
    stored = (await claims.close_for_query(STEP)).result
    assert stored is not None
    psp.charges.clear()

    await make().handle(follow_up("query"))
    assert (reports.last.outcome, reports.last.source) == (stored, "stored")

    await make().handle(follow_up("confirm"))
    assert (reports.last.outcome.kind, reports.last.source) == ("UNKNOWN", "query"), "just now is no proof"
    assert psp.sends == 1
    assert (await claims.close_for_query(STEP)).result == stored


async def test_an_account_that_is_not_configured_sends_nothing(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    await make().handle(started(account="elsewhere"))

    assert (reports.last.outcome.kind, reports.last.outcome.hint) == ("NOT_SENT", "CONFIG")
    assert psp.sends == 0


@pytest.mark.parametrize(
    ("record", "code", "path"),
    [
        (
            Record("r", 0, 1, PAYMENT.encode(), b"{", {"ce_type": b"operation.started.v1"}, 0),
            "field_invalid",
            None,
        ),
        (
            Record("r", 0, 1, PAYMENT.encode(), None, {"ce_type": b"operation.started.v1"}, 0),
            "value_missing",
            None,
        ),
        (
            Record("r", 0, 1, PAYMENT.encode(), b"{}", {"ce_type": b"payment.requested.v1"}, 0),
            "type_unknown",
            "ce_type",
        ),
        (Record("r", 0, 1, PAYMENT.encode(), b"{}", {}, 0), "type_unknown", "ce_type"),
        (started(amount_minor="many"), "field_invalid", "amount_minor"),
        (started(operation_id="no-operation"), "field_invalid", "operation_id"),
        (started(operation_id=OPERATION.replace("c", "d")), "wrong_key", None),
        (request("operation.follow_up_requested.v1", {}), "field_missing", "how"),
        (started(kind="payout"), "field_invalid", "kind"),
        (started(step="x"), "field_invalid", "step"),
        (started(step="2"), "field_invalid", "step"),
        (follow_up("repeat", step="x"), "field_invalid", "step"),
        (follow_up("cancel", kind="capture"), "field_invalid", "how"),
        (started(stored_credential={"use": "sell"}), "field_invalid", "stored_credential.use"),
    ],
)
async def test_a_request_that_cannot_be_read_becomes_a_dead_letter(
    make: MakeAgent, reports: Reports, record: Record, code: str, path: str | None
):
    await make().handle(record)

    (letter,) = reports.letters
    assert (letter.code, letter.path, letter.topic, letter.offset) == (
        code,
        path,
        record.topic,
        record.offset,
    )
    assert reports.outcomes == []
