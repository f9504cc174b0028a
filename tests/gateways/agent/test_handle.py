import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gateways.agent.ports import Granted
from infra.postgres.claims import PostgresClaims
from tests.gateways.agent.lookups import (
    OPERATION,
    PAYMENT,
    STEP,
    MakeAgent,
    Reports,
    age,
    follow_up,
    started,
)
from tests.infra.kafka.agents import until
from tests.support.environment import Environment
from tests.support.fake_psp import TillServer

pytestmark = pytest.mark.stack


async def test_a_started_operation_is_sent_once_and_reported(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    await make().handle(started())

    report = reports.last
    assert (report.outcome.kind, report.outcome.psp_id) == ("APPROVED", "ch_1")
    assert (report.source, report.tries, report.gateway, report.account) == ("call", 1, "till", "fake-eu")
    assert (str(report.payment_id), report.operation_id) == (PAYMENT, OPERATION)
    assert report.first_try_at is not None
    assert report.call_ms is not None
    assert [name for name, _ in reports.headers] == ["correlation_id", "traceparent"]
    assert psp.charges == {f"{OPERATION}-1": OPERATION}


@pytest.mark.parametrize("response", ["approved", "declined", "pending"])
async def test_a_request_delivered_again_gets_the_result_stored_with_the_claim(
    make: MakeAgent, psp: TillServer, reports: Reports, response: str
):
    psp.responses.append(response)
    await make().handle(started())
    await make().handle(started())

    first, second = reports.outcomes
    assert (first.source, second.source) == ("call", "stored")
    assert first.outcome == second.outcome
    assert first.command_id == second.command_id
    assert psp.sends == 1


async def test_a_request_whose_outcome_was_not_published_gets_the_result_stored_with_the_claim(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    reports.down = True
    with pytest.raises(ConnectionError):
        await make().handle(started())
    reports.down = False

    await make().handle(started())

    assert (reports.last.outcome.kind, reports.last.source) == ("APPROVED", "stored")
    assert psp.sends == 1


async def test_a_worker_killed_after_its_claim_is_followed_by_a_second_try_with_the_same_key(
    make: MakeAgent, psp: TillServer, reports: Reports, claims: PostgresClaims
):
    claim = await claims.claim(STEP, datetime.now(UTC) + timedelta(hours=1), 3600)
    assert isinstance(claim, Granted)

    await make().handle(started())

    assert (reports.last.outcome.kind, reports.last.tries) == ("APPROVED", 2)
    assert reports.last.first_try_at == claim.first_try_at
    assert list(psp.charges) == [f"{OPERATION}-1"]


async def test_a_lost_response_is_unknown_and_the_repeated_call_finds_the_one_charge(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("lost")
    await make().handle(started())
    assert (reports.last.outcome.kind, reports.last.source, reports.last.tries) == ("UNKNOWN", "call", 1)

    await make().handle(follow_up("repeat"))

    assert (reports.last.outcome.kind, reports.last.tries) == ("APPROVED", 2)
    assert reports.outcomes[0].command_id != reports.outcomes[1].command_id
    assert len(psp.charges) == 1


async def test_a_lost_response_is_found_by_a_query_and_the_step_is_never_sent_again(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("lost")
    await make().handle(started())

    await make().handle(follow_up("query"))
    assert (reports.last.outcome.kind, reports.last.source) == ("APPROVED", "query")

    await make().handle(started())
    await make().handle(follow_up("repeat"))
    await make().handle(follow_up("query"))
    assert [report.source for report in reports.outcomes[2:]] == ["stored"] * 3
    assert (psp.sends, psp.lookups) == (1, 1)


async def test_what_reached_nobody_is_closed_where_another_account_may_take_it(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    await make(url="http://psp.invalid").handle(started(ends_unreached=True))
    first = reports.last.outcome
    assert (first.kind, first.code, first.unreached) == ("NOT_SENT", "dns_failed", True)

    await make().handle(started(ends_unreached=True))

    assert (reports.last.outcome, reports.last.source) == (first, "stored")
    assert psp.sends == 0


async def test_what_waits_for_its_psp_is_ended_by_a_question_and_never_sent(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    await make(url="http://psp.invalid").handle(started())
    await make().handle(follow_up("query"))
    assert (reports.last.outcome.kind, reports.last.outcome.code) == ("NOT_SENT", "never_sent")
    assert reports.last.outcome.unreached

    await make().handle(started())
    await make().handle(follow_up("repeat"))

    assert (psp.sends, psp.lookups) == (0, 0)


async def test_what_waited_longer_than_its_time_is_not_sent(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    await make(url="http://psp.invalid").handle(started())
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    await make().handle(follow_up("repeat", expires_at=past))

    assert (reports.last.outcome.kind, reports.last.outcome.code) == ("NOT_SENT", "expired")
    assert psp.sends == 0


@pytest.mark.parametrize("again", ["dns", "not_taken"])
async def test_a_repeat_that_was_not_sent_is_unknown_since_the_first_may_have_been_executed(
    make: MakeAgent, psp: TillServer, reports: Reports, again: str
):
    psp.responses.extend(["lost", "not_taken"])
    await make().handle(started())

    await make(url="http://psp.invalid" if again == "dns" else None).handle(follow_up("repeat"))

    assert (reports.last.outcome.kind, reports.last.tries) == ("UNKNOWN", 2)
    await make().handle(follow_up("query"))
    assert reports.last.outcome.kind == "APPROVED"


async def test_what_the_psp_lists_as_not_taken_is_not_sent(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("not_taken")
    await make().handle(started())
    await make().handle(started())

    assert [report.outcome.kind for report in reports.outcomes] == ["NOT_SENT", "NOT_SENT"]
    assert psp.sends == 1


async def test_what_the_interface_cannot_express_is_not_sent(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    await make().handle(started(currency="XXX"))

    assert (reports.last.outcome.kind, reports.last.outcome.code) == ("NOT_SENT", "currency_not_supported")
    assert psp.sends == 0


async def test_an_expired_request_is_not_sent(make: MakeAgent, psp: TillServer, reports: Reports):
    await make().handle(started(expires_at=(datetime.now(UTC) - timedelta(seconds=1)).isoformat()))

    assert (reports.last.outcome.kind, reports.last.outcome.code) == ("NOT_SENT", "expired")
    assert (reports.last.source, reports.last.tries) == ("none", 0)
    assert psp.sends == 0


@pytest.mark.parametrize("why", ["expired", "key"])
async def test_a_repeat_that_may_not_be_sent_any_more_queries_instead(
    make: MakeAgent, environment: Environment, psp: TillServer, reports: Reports, why: str
):
    psp.responses.append("lost")
    await make().handle(started())
    now = datetime.now(UTC)
    if why == "key":
        age(environment, 3600)

    expires_at = now + timedelta(hours=1 if why == "key" else -1)
    await make().handle(follow_up("repeat", expires_at=expires_at.isoformat()))

    assert (reports.last.outcome.kind, reports.last.source) == ("APPROVED", "query")
    assert psp.sends == 1


async def test_a_new_owner_repeats_with_the_same_key_while_the_old_one_is_still_calling(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.hold = asyncio.Event()
    async with asyncio.TaskGroup() as both:
        both.create_task(make().handle(started()))
        await until(lambda: psp.sends == 1)
        both.create_task(make().handle(started()))
        await until(lambda: psp.sends == 2)
        psp.hold.set()

    assert sorted(report.tries for report in reports.outcomes) == [1, 2]
    assert {report.outcome.kind for report in reports.outcomes} == {"APPROVED"}
    assert list(psp.charges) == [f"{OPERATION}-1"]


async def test_a_call_that_ends_after_a_query_still_reports_and_keeps_what_it_learnt(
    make: MakeAgent, psp: TillServer, reports: Reports, claims: PostgresClaims
):
    psp.hold = asyncio.Event()
    psp.responses.append("declined")
    async with asyncio.TaskGroup() as both:
        both.create_task(make().handle(started()))
        await until(lambda: psp.sends == 1)
        await make().handle(follow_up("query"))
        assert reports.last.outcome.code == "not_found_yet"
        psp.hold.set()

    assert (reports.last.outcome.kind, reports.last.source) == ("DECLINED_SOFT", "call")
    assert (await claims.close_for_query(STEP)).result == reports.last.outcome


@pytest.mark.parametrize("kind", ["authorize", "capture", "void", "refund"])
async def test_every_kind_of_operation_is_sent_with_its_target_and_under_its_own_key(
    make: MakeAgent, psp: TillServer, reports: Reports, kind: str
):
    target = {"target_operation_id": OPERATION, "target_psp_id": "pi_7"}
    await make().handle(started(kind=kind, **target))

    (content,) = psp.charge_requests
    assert (content["kind"], content["target"], content["reference"]) == (kind, "pi_7", OPERATION)
    assert list(psp.charges) == [f"{OPERATION}-1"]
    assert reports.last.outcome.kind == "APPROVED"


@pytest.mark.parametrize(("kind", "comes_back"), [("authorize", True), ("sale", True), ("refund", False)])
async def test_a_customer_comes_back_to_the_page_of_the_operation_where_there_can_be_a_challenge(
    make: MakeAgent, psp: TillServer, kind: str, comes_back: bool
):
    await make().handle(started(kind=kind, action_until="2027-01-01T00:00:00+00:00"))
    await make().handle(started(kind=kind, operation_id=OPERATION + "7"))

    page = f"https://shop.example/{OPERATION}/2027"
    assert [content["back"] for content in psp.charge_requests] == [page if comes_back else None, None]


async def test_what_cannot_be_looked_up_stays_unknown_without_a_call(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("lost")
    await make().handle(started(kind="refund"))

    await make().handle(follow_up("query", kind="refund"))

    assert (reports.last.outcome.kind, reports.last.outcome.code) == ("UNKNOWN", "target_unknown")
    assert psp.lookups == 0
