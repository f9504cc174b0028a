"""Operations that take several calls: each step is claimed, sent and closed by itself."""

from datetime import UTC, datetime, timedelta

import pytest

from gateways.ports import StepId
from infra.claims import PostgresClaims
from tests.gateways.asking import OPERATION, STEP, MakeAgent, Reports, age, asked, request, started
from tests.gateways.till import Till, TillServer
from tests.place import Place

pytestmark = pytest.mark.stack

SECOND = StepId(OPERATION, "2")
PREPARES = Till(ours=("2",), idle=("1",))
"""Its first call moves no money, and the second is ours."""


async def test_a_step_is_sent_under_its_own_key_with_what_the_customer_brought(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.says.extend(["goes_on_later", "lost"])
    agent = make(PREPARES)
    await agent.handle(started())
    assert (reports.last.outcome.kind, reports.last.outcome.next_step) == ("ACTION_REQUIRED", "2")

    await agent.handle(asked("continue", step="2", returned={"code": "abc"}))
    assert (reports.last.outcome.kind, reports.last.step) == ("UNKNOWN", "2")
    await agent.handle(asked("repeat", step="2", returned={"code": "abc"}))

    assert (reports.last.outcome.kind, reports.last.tries) == ("APPROVED", 2)
    assert list(psp.charges) == [f"{OPERATION}-2"]
    assert [sent["returned"] for sent in psp.asked] == [{}, {"code": "abc"}, {"code": "abc"}]


async def test_a_query_of_a_step_that_went_well_says_so_without_a_call(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.says.append("goes_on")
    await make(PREPARES).handle(started())

    await make(PREPARES).handle(asked("query"))

    assert (reports.last.outcome.kind, reports.last.outcome.next_step) == ("PENDING", "2")
    assert (reports.last.source, psp.lookups) == ("stored", 0)


async def test_a_step_that_moves_no_money_is_proven_absent_by_closing_it(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.says.append("error")
    agent = make(PREPARES)
    await agent.handle(started())

    await agent.handle(asked("query"))
    await agent.handle(asked("repeat"))

    assert [r.outcome.kind for r in reports.outcomes] == ["UNKNOWN", "PROVEN_ABSENT", "PROVEN_ABSENT"]
    assert (reports.last.outcome.code, psp.sends) == ("step_moves_no_money", 1)


async def test_a_cancel_closes_the_step_that_takes_money_and_it_is_never_sent(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.says.append("goes_on_later")
    agent = make(PREPARES)
    await agent.handle(started())

    await agent.handle(asked("cancel"))
    await agent.handle(asked("continue", step="2"))

    assert [(r.outcome.kind, r.step) for r in reports.outcomes[1:]] == [("EXPIRED", "x"), ("NOT_SENT", "2")]
    assert (psp.sends, psp.charges) == (1, {})


async def test_a_cancel_after_the_step_that_takes_money_finds_what_it_did(
    make: MakeAgent, psp: TillServer, reports: Reports, claims: PostgresClaims
):
    psp.says.extend(["goes_on_later", "lost"])
    agent = make(PREPARES)
    await agent.handle(started())
    await agent.handle(asked("continue", step="2"))

    await agent.handle(asked("cancel"))

    assert (reports.last.outcome.kind, reports.last.step) == ("APPROVED", "2")
    assert (await claims.end_for_query(SECOND)).result == reports.last.outcome


async def test_a_cancel_at_the_psp_closes_the_steps_that_would_follow(
    make: MakeAgent, psp: TillServer, reports: Reports, place: Place
):
    psp.says.append("lost")
    agent = make(Till(ours=("2",)))
    await agent.handle(started())
    psp.finds = "challenged"
    await agent.handle(asked("query"))
    age(place, 60)

    await agent.handle(asked("cancel", psp_id="ch_1"))
    await agent.handle(asked("continue", step="2", psp_id="ch_1"))

    assert [(r.outcome.kind, r.step) for r in reports.outcomes[2:]] == [("EXPIRED", "x"), ("NOT_SENT", "2")]
    assert psp.sends == 1


async def test_a_cancel_lets_go_at_the_psp_of_what_the_steps_before_hold(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.says.append("goes_on")
    agent = make(Till(ours=("2",)))
    await agent.handle(started())

    await agent.handle(asked("cancel", psp_id="ch_1"))

    assert (reports.last.outcome.kind, psp.ends) == ("EXPIRED", [f"{OPERATION}-x"])


async def test_a_first_call_without_an_answer_that_may_hold_money_is_cancelled_at_the_psp(
    make: MakeAgent, psp: TillServer, reports: Reports, claims: PostgresClaims
):
    psp.says.append("pending")
    agent = make(Till())
    await agent.handle(started())

    await agent.handle(asked("cancel", psp_id="ch_1"))

    assert (reports.last.outcome.kind, len(psp.ends)) == ("EXPIRED", 1)
    assert (await claims.end_for_query(STEP)).result == reports.last.outcome


async def test_without_keys_a_repeat_only_asks(make: MakeAgent, psp: TillServer, reports: Reports):
    psp.says.append("lost")
    agent = make(Till(key_s=0))
    await agent.handle(started())

    await agent.handle(asked("repeat"))

    assert (reports.last.outcome.kind, reports.last.source, psp.sends) == ("APPROVED", "query", 1)


async def test_an_operation_does_not_start_with_a_later_step(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    await make(PREPARES).handle(request("operation.started.v1", {}, step="2"))

    assert (len(reports.letters), psp.sends) == (1, 0)


@pytest.mark.parametrize(("says", "kind"), [("not_taken", "NOT_SENT"), ("declined", "DECLINED_SOFT")])
async def test_what_the_first_call_holds_is_let_go_where_the_one_that_takes_it_is_refused(
    make: MakeAgent, psp: TillServer, reports: Reports, *, says: str, kind: str
):
    psp.says.extend(["goes_on", says])
    agent = make(Till(ours=("2",)))
    await agent.handle(started())

    await agent.handle(asked("continue", step="2", psp_id="ch_1"))

    assert (reports.last.outcome.kind, psp.ends) == (kind, [f"{OPERATION}-x"])


async def test_what_is_pending_at_the_psp_without_a_step_of_ours_is_cancelled_there(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.says.append("pending")
    psp.says_to_end.append("error")
    agent = make(Till(ours=("2",)))
    await agent.handle(started())

    await agent.handle(asked("cancel", psp_id="ch_1"))

    assert (reports.last.outcome.kind, psp.ends) == ("UNKNOWN", [f"{OPERATION}-x"])


async def test_a_step_that_came_too_late_lets_go_of_what_the_one_before_it_holds(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.says.append("goes_on")
    agent = make(Till(ours=("2",)))
    await agent.handle(started())
    over = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()

    await agent.handle(asked("continue", step="2", psp_id="ch_1", expires_at=over))

    assert (reports.last.outcome.kind, reports.last.outcome.code) == ("NOT_SENT", "expired")
    assert psp.ends == [f"{OPERATION}-x"]
