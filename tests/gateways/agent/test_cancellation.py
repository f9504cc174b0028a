"""Challenges and operations that are ended at the PSP under a key of their own."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.postgres.claims import PostgresClaims
from tests.gateways.agent.lookups import (
    CANCEL,
    OPERATION,
    STEP,
    MakeAgent,
    Reports,
    age,
    follow_up,
    started,
)
from tests.support.environment import Environment
from tests.support.fake_psp import TillServer

pytestmark = pytest.mark.stack


async def test_an_open_challenge_is_ended_at_the_psp_under_a_key_of_its_own(
    make: MakeAgent, psp: TillServer, reports: Reports, claims: PostgresClaims
):
    psp.responses.append("challenged")
    await make().handle(started())

    await make().handle(follow_up("cancel", psp_id="ch_1"))

    report = reports.last
    assert (report.outcome.kind, report.step, report.source, report.tries) == ("EXPIRED", "x", "call", 1)
    assert report.call_ms is not None
    assert psp.ends == [f"{OPERATION}-x"]
    assert [(await claims.close_for_query(step)).result for step in (STEP, CANCEL)] == [report.outcome] * 2


async def test_after_a_confirmed_cancel_nothing_is_sent_whatever_is_delivered_again(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("challenged")
    await make().handle(started())
    await make().handle(follow_up("cancel", psp_id="ch_1"))

    for record in (started(), follow_up("repeat"), follow_up("query"), follow_up("cancel", psp_id="ch_1")):
        await make().handle(record)

    assert {(report.outcome.kind, report.source) for report in reports.outcomes[2:]} == {
        ("EXPIRED", "stored")
    }
    assert (psp.sends, psp.lookups, len(psp.ends)) == (1, 0, 1)


async def test_a_cancel_before_any_call_ends_the_operation_without_one(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    await make().handle(follow_up("cancel", psp_id="ch_1"))
    await make().handle(started())

    assert [report.outcome.code for report in reports.outcomes] == ["never_sent", "never_sent"]
    assert (psp.sends, psp.lookups, psp.ends) == (0, 0, [])


async def test_a_cancel_of_what_has_ended_gets_its_end_as_the_result(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    await make().handle(started())
    await make().handle(follow_up("cancel", psp_id="ch_1"))

    report = reports.last
    assert (report.outcome.kind, report.step, report.source) == ("APPROVED", "1", "stored")
    assert psp.ends == []


@pytest.mark.parametrize(
    ("response", "kind"), [("approved", "APPROVED"), ("declined", "DECLINED_SOFT"), ("pending", "PENDING")]
)
async def test_a_cancel_that_came_too_late_says_how_the_operation_stands(
    make: MakeAgent, psp: TillServer, reports: Reports, claims: PostgresClaims, *, response: str, kind: str
):
    psp.responses.append("challenged")
    psp.cancel_responses.append(response)
    await make().handle(started())

    await make().handle(follow_up("cancel", psp_id="ch_1"))

    assert (reports.last.outcome.kind, reports.last.step) == (kind, "x")
    ended = await claims.close_for_query(STEP)
    assert (ended.result is not None) == (kind != "PENDING")


@pytest.mark.parametrize("response", ["lost", "gone", "error", "not_taken"])
async def test_a_cancel_whose_response_leaves_out_the_operation_leaves_it_unknown_and_may_be_sent_again(
    make: MakeAgent, psp: TillServer, reports: Reports, response: str
):
    psp.responses.append("challenged")
    psp.cancel_responses.append(response)
    await make().handle(started())

    await make().handle(follow_up("cancel", psp_id="ch_1"))
    assert (reports.last.outcome.kind, reports.last.step) == ("UNKNOWN", "x")

    await make().handle(follow_up("cancel", psp_id="ch_1"))
    assert (reports.last.outcome.kind, reports.last.tries) == ("EXPIRED", 2)
    assert psp.ends == [f"{OPERATION}-x"] * 2
    assert psp.sends == 1


async def test_a_cancel_that_was_not_written_is_unknown_and_not_called_not_sent(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("challenged")
    await make().handle(started())

    await make(url="http://psp.invalid").handle(follow_up("cancel", psp_id="ch_1"))

    assert (reports.last.outcome.kind, reports.last.outcome.code) == ("UNKNOWN", "dns_failed")
    assert reports.last.source == "none"


@pytest.mark.parametrize(
    ("asking", "code"),
    [
        ({"psp_id": None}, "psp_id_unknown"),
        ({"psp_id": "ch_1", "account": "elsewhere"}, "account_not_configured"),
    ],
)
async def test_a_cancel_that_cannot_be_requested_is_unknown(
    make: MakeAgent, psp: TillServer, reports: Reports, asking: dict[str, Any], code: str
):
    psp.responses.append("challenged")
    await make().handle(started())

    await make().handle(follow_up("cancel", **asking))

    assert (reports.last.outcome.kind, reports.last.outcome.code) == ("UNKNOWN", code)
    assert psp.ends == []


async def test_a_cancel_waits_until_the_last_try_can_only_have_ended(
    make: MakeAgent, environment: Environment, psp: TillServer, reports: Reports
):
    psp.responses.append("lost")
    await make().handle(started())
    age(environment, 5 + 10 - 2)
    await make().handle(follow_up("cancel", psp_id="ch_1"))
    assert (reports.last.outcome.kind, reports.last.outcome.code) == ("UNKNOWN", "call_under_way")
    assert psp.ends == []

    age(environment, 3)
    await make().handle(follow_up("cancel", psp_id="ch_1"))
    assert reports.last.outcome.kind == "EXPIRED"
    assert psp.sends == 1


async def test_a_money_call_is_never_sent_behind_its_cancel(
    make: MakeAgent, environment: Environment, psp: TillServer, reports: Reports
):
    psp.responses.append("lost")
    psp.cancel_responses.append("gone")
    await make().handle(started())
    age(environment, 20)
    await make().handle(follow_up("cancel", psp_id="ch_1"))

    await make().handle(started())
    await make().handle(follow_up("repeat"))

    assert {report.source for report in reports.outcomes[2:]} == {"query", "stored"}
    assert psp.sends == 1


async def test_a_cancel_may_be_sent_again_when_its_key_is_over_for_it_moves_no_money(
    make: MakeAgent, environment: Environment, psp: TillServer, reports: Reports
):
    psp.responses.append("challenged")
    psp.cancel_responses.append("lost")
    await make().handle(started())
    await make().handle(follow_up("cancel", psp_id="ch_1"))
    age(environment, 3601)

    await make().handle(follow_up("cancel", psp_id="ch_1"))

    assert (reports.last.outcome.kind, reports.last.source) == ("EXPIRED", "call")
    assert len(psp.ends) == 2


async def test_a_cancel_may_be_sent_when_the_payment_has_expired(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("challenged")
    await make().handle(started())

    over = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    await make().handle(follow_up("cancel", psp_id="ch_1", expires_at=over))

    assert reports.last.outcome.kind == "EXPIRED"
