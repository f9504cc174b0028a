"""Operations that take several calls: each step is claimed, sent and closed by itself."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from gateways.agent.handle import GatewayAgent
from gateways.agent.ports import StepId
from infra.postgres.claims import PostgresClaims
from tests.gateways.agent.lookups import OPERATION, STEP, MakeAgent, Reports, age, follow_up, request, started
from tests.support.environment import Environment
from tests.support.fake_psp import FakePsp, TillServer

pytestmark = pytest.mark.stack

SECOND = StepId(OPERATION, "2")
PREPARES = FakePsp(ours=("2",), idle=("1",))
"""Its first call moves no money, and the second is ours."""


async def test_a_step_is_sent_under_its_own_key_with_what_the_customer_brought(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.extend(["goes_on_later", "lost"])
    agent = make(PREPARES)
    await agent.handle(started())
    assert (reports.last.outcome.kind, reports.last.outcome.next_step) == ("ACTION_REQUIRED", "2")

    await agent.handle(follow_up("continue", step="2", returned={"code": "abc"}))
    assert (reports.last.outcome.kind, reports.last.step) == ("UNKNOWN", "2")
    await agent.handle(follow_up("repeat", step="2", returned={"code": "abc"}))

    assert (reports.last.outcome.kind, reports.last.tries) == ("APPROVED", 2)
    assert list(psp.charges) == [f"{OPERATION}-2"]
    assert [sent["returned"] for sent in psp.charge_requests] == [{}, {"code": "abc"}, {"code": "abc"}]


async def test_a_query_of_a_step_that_went_well_says_so_without_a_call(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("goes_on")
    await make(PREPARES).handle(started())

    await make(PREPARES).handle(follow_up("query"))

    assert (reports.last.outcome.kind, reports.last.outcome.next_step) == ("PENDING", "2")
    assert (reports.last.source, psp.lookups) == ("stored", 0)


async def test_a_step_that_moves_no_money_is_proven_absent_by_closing_it(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("error")
    agent = make(PREPARES)
    await agent.handle(started())

    await agent.handle(follow_up("query"))
    await agent.handle(follow_up("repeat"))

    assert [r.outcome.kind for r in reports.outcomes] == ["UNKNOWN", "PROVEN_ABSENT", "PROVEN_ABSENT"]
    assert (reports.last.outcome.code, psp.sends) == ("step_moves_no_money", 1)


async def test_a_step_that_moves_no_money_is_sent_again_after_a_psp_that_was_not_available(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.extend(["away", "away", "goes_on"])
    agent = make(PREPARES)
    for record in (started(), follow_up("repeat")):
        await agent.handle(record)
        assert (reports.last.outcome.kind, reports.last.outcome.unreached) == ("UNREACHED", True)
        assert (reports.last.source, reports.last.tries) == ("call", 0)

    await agent.handle(follow_up("repeat"))

    assert (reports.last.outcome.kind, reports.last.outcome.next_step) == ("PENDING", "2")
    assert (psp.sends, psp.lookups) == (3, 0)


@pytest.mark.parametrize(("url", "away"), [("http://psp.invalid", True), (None, False)])
async def test_a_step_without_a_response_that_moves_no_money_is_no_attempt_while_the_psp_cannot_be_queried(
    make: MakeAgent, psp: TillServer, reports: Reports, url: str | None, away: bool
):
    psp.responses.append("gone")
    await make(PREPARES).handle(started())
    assert reports.last.outcome.kind == "UNKNOWN"

    await (make(PREPARES, url=url) if url else make(PREPARES)).handle(follow_up("query"))

    assert (reports.last.outcome.kind, reports.last.outcome.unreached) == ("PROVEN_ABSENT", away)


async def test_a_step_that_moves_no_money_is_closed_where_another_account_may_take_it(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("away")
    await make(PREPARES).handle(started(ends_unreached=True))
    await make(PREPARES).handle(follow_up("repeat"))

    assert [(r.outcome.kind, r.outcome.unreached) for r in reports.outcomes] == [("NOT_SENT", True)] * 2
    assert psp.sends == 1


@pytest.mark.parametrize("ends", [True, False])
async def test_a_step_that_moves_money_is_in_doubt_after_a_psp_that_was_not_available(
    make: MakeAgent, psp: TillServer, reports: Reports, ends: bool
):
    psp.responses.append("away")
    await make(FakePsp()).handle(started(ends_unreached=ends))

    assert (reports.last.outcome.kind, reports.last.outcome.unreached) == ("UNKNOWN", False)


async def test_a_cancel_closes_the_step_that_takes_money_and_it_is_never_sent(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("goes_on_later")
    agent = make(PREPARES)
    await agent.handle(started())

    await agent.handle(follow_up("cancel"))
    await agent.handle(follow_up("continue", step="2"))

    assert [(r.outcome.kind, r.step) for r in reports.outcomes[1:]] == [("EXPIRED", "x"), ("NOT_SENT", "2")]
    assert (psp.sends, psp.charges) == (1, {})


async def test_a_cancel_after_the_step_that_takes_money_finds_what_it_did(
    make: MakeAgent, psp: TillServer, reports: Reports, claims: PostgresClaims
):
    psp.responses.extend(["goes_on_later", "lost"])
    agent = make(PREPARES)
    await agent.handle(started())
    await agent.handle(follow_up("continue", step="2"))

    await agent.handle(follow_up("cancel"))

    assert (reports.last.outcome.kind, reports.last.step) == ("APPROVED", "2")
    assert (await claims.close_for_query(SECOND)).result == reports.last.outcome


async def test_a_cancel_at_the_psp_closes_the_steps_that_would_follow(
    make: MakeAgent, psp: TillServer, reports: Reports, environment: Environment
):
    psp.responses.append("lost")
    agent = make(FakePsp(ours=("2",)))
    await agent.handle(started())
    psp.finds = "challenged"
    await agent.handle(follow_up("query"))
    age(environment, 60)

    await agent.handle(follow_up("cancel", psp_id="ch_1"))
    await agent.handle(follow_up("continue", step="2", psp_id="ch_1"))

    assert [(r.outcome.kind, r.step) for r in reports.outcomes[2:]] == [("EXPIRED", "x"), ("NOT_SENT", "2")]
    assert psp.sends == 1


async def test_a_cancel_lets_go_at_the_psp_of_what_the_steps_before_hold(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("goes_on")
    psp.cancel_responses.append("error")
    agent = make(FakePsp(ours=("2",), looks_up=False))
    await agent.handle(started())

    for kind in ("UNKNOWN", "EXPIRED"):
        await agent.handle(follow_up("cancel", psp_id="ch_1"))
        assert (reports.last.outcome.kind, reports.last.step) == (kind, "x")

    await agent.handle(follow_up("cancel", psp_id="ch_1"))
    assert psp.ends == [f"{OPERATION}-x"] * 2


async def test_a_first_call_without_a_response_that_may_hold_money_is_cancelled_at_the_psp(
    make: MakeAgent, psp: TillServer, reports: Reports, claims: PostgresClaims
):
    psp.responses.append("pending")
    agent = make(FakePsp())
    await agent.handle(started())

    await agent.handle(follow_up("cancel", psp_id="ch_1"))

    assert (reports.last.outcome.kind, len(psp.ends)) == ("EXPIRED", 1)
    assert (await claims.close_for_query(STEP)).result == reports.last.outcome


async def test_without_keys_a_repeat_only_queries(make: MakeAgent, psp: TillServer, reports: Reports):
    psp.responses.append("lost")
    agent = make(FakePsp(key_s=0))
    await agent.handle(started())

    await agent.handle(follow_up("repeat"))

    assert (reports.last.outcome.kind, reports.last.source, psp.sends) == ("APPROVED", "query", 1)


async def test_an_operation_does_not_start_with_a_later_step(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    await make(PREPARES).handle(request("operation.started.v1", {}, step="2"))

    assert (len(reports.letters), psp.sends) == (1, 0)


async def test_a_later_step_that_reached_nobody_keeps_what_the_first_one_holds_and_is_sent_later(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("goes_on")
    till = FakePsp(ours=("2",))
    await make(till).handle(started())
    await make(till, url="http://psp.invalid").handle(follow_up("continue", step="2", psp_id="ch_1"))
    assert (reports.last.outcome.kind, reports.last.step, psp.ends) == ("UNREACHED", "2", [])

    await make(till).handle(follow_up("repeat", step="2", psp_id="ch_1"))

    assert (reports.last.outcome.kind, reports.last.tries, psp.ends) == ("APPROVED", 1, [])


async def _is_expired(agent: GatewayAgent) -> None:
    over = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    await agent.handle(follow_up("continue", step="2", psp_id="ch_1", expires_at=over))


async def _is_refused(agent: GatewayAgent) -> None:
    await agent.handle(follow_up("continue", step="2", psp_id="ch_1"))


async def _is_closed_by_a_query(agent: GatewayAgent) -> None:
    await agent.handle(follow_up("query", step="2", psp_id="ch_1"))


@pytest.mark.parametrize("ends", [_is_expired, _is_refused, _is_closed_by_a_query])
async def test_what_the_first_call_holds_is_released_under_a_claim_of_its_own_where_the_last_is_not_executed(
    make: MakeAgent, psp: TillServer, reports: Reports, ends: Callable[[GatewayAgent], Awaitable[None]]
):
    psp.responses.extend(["goes_on", "not_taken"])
    psp.cancel_responses.append("lost")
    agent = make(FakePsp(ours=("2",), looks_up=False))
    await agent.handle(started())
    await ends(agent)
    assert (reports.last.outcome.kind, psp.ends) == ("NOT_SENT", [])

    for kind in ("UNKNOWN", "EXPIRED", "EXPIRED"):
        await agent.handle(follow_up("release", step="2", psp_id="ch_1"))
        assert (reports.last.outcome.kind, reports.last.step) == (kind, "x")

    assert psp.ends == [f"{OPERATION}-x"] * 2


async def test_a_release_waits_until_the_last_try_can_only_have_ended_and_no_step_follows_it(
    make: MakeAgent, psp: TillServer, reports: Reports, environment: Environment
):
    psp.responses.extend(["goes_on", "gone"])
    agent = make(FakePsp(ours=("2",), looks_up=False))
    await agent.handle(started())
    await agent.handle(follow_up("continue", step="2", psp_id="ch_1"))
    await agent.handle(follow_up("release", step="2", psp_id="ch_1"))
    assert (reports.last.outcome.code, psp.ends) == ("call_under_way", [])
    age(environment, 60)

    await agent.handle(follow_up("release", step="2", psp_id="ch_1"))
    await agent.handle(follow_up("repeat", step="2", psp_id="ch_1"))

    assert (psp.ends, psp.sends) == ([f"{OPERATION}-x"], 2)


async def test_what_is_pending_at_the_psp_without_a_step_of_ours_is_cancelled_there(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("pending")
    psp.cancel_responses.append("error")
    agent = make(FakePsp(ours=("2",)))
    await agent.handle(started())

    await agent.handle(follow_up("cancel", psp_id="ch_1"))

    assert (reports.last.outcome.kind, psp.ends) == ("UNKNOWN", [f"{OPERATION}-x"])
