"""The agent with our adapter and the simulator: nothing is taken without our step, whatever is lost or
ended."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from commands.messages import Outcome
from gateways.agent.handle import GatewayAgent
from gateways.simulator.core.ledger import read_movements
from infra.postgres.claims import PostgresClaims
from infra.psp.http_client import HttpClient
from tests.gateways.agent.lookups import OPERATION, Reports, age, follow_up, started
from tests.gateways.simulator.paypal.client import ADAPTER, BACK, SECRET, Client
from tests.support.environment import Environment

pytestmark = pytest.mark.stack

KINDS = pytest.mark.parametrize("kind", ["sale", "authorize"])


class Worker:
    """Hands the agent its requests, each with what the payment has learnt by then."""

    def __init__(self, agent: GatewayAgent, reports: Reports, token: str, kind: str = "sale") -> None:
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        self._of_payment = {
            "operation_id": OPERATION.replace("-s1", f"-{kind[0]}1"),
            "payment_method": token,
            "currency": "USD",
            "kind": kind,
            "action_until": until,
        }
        self._agent = agent
        self._reports = reports
        self._psp_id: str | None = None

    async def start(self) -> Outcome:
        return await self._handled(started(**self._of_payment))

    async def ask(self, how: str, step: str) -> Outcome:
        return await self._handled(follow_up(how, step=step, psp_id=self._psp_id, **self._of_payment))

    async def _handled(self, record: Any) -> Outcome:
        await self._agent.handle(record)
        outcome = self._reports.last.outcome
        self._psp_id = outcome.psp_id or self._psp_id
        return outcome


@pytest.fixture
async def work(
    claims: PostgresClaims, reports: Reports, paypal: Client
) -> AsyncIterator[Callable[..., Worker]]:
    async with HttpClient.open(10) as http:

        def worker(token: str, kind: str = "sale", secret: str = SECRET) -> Worker:
            known = replace(paypal.credentials, secret=secret, access_token="")
            agent = GatewayAgent(
                ADAPTER,
                claims=claims,
                http=http,
                outcomes=reports,
                letters=reports,
                samples=reports,
                circuits=reports,
                credentials_of=lambda account: known,
                return_url_of=lambda operation_id, until: BACK,
            )
            return Worker(agent, reports, token, kind)

        yield worker


@pytest.fixture
def moves(ledger_file: Path) -> Callable[[], list[str]]:
    return lambda: [one.kind for one in read_movements(ledger_file)]


@KINDS
async def test_a_vaulted_card_is_taken_by_the_second_step_and_once(work: Any, moves: Any, kind: str):
    worker = work("card:sim_ok", kind)

    prepared, taken, again = (
        await worker.start(),
        await worker.ask("continue", "2"),
        await worker.ask("repeat", "2"),
    )

    assert (prepared.kind, prepared.next_step) == ("PENDING", "2")
    assert (taken.kind, again) == ("APPROVED", taken)
    assert moves() == ["authorized" if kind == "authorize" else "captured"]


async def test_a_payer_who_agreed_and_never_came_back_is_taken_from_all_the_same(
    work: Any, moves: Any, paypal: Client
):
    worker = work("paypal")
    waits = await worker.start()
    await paypal.decides(waits.action_url)

    agreed = await worker.ask("query", "1")

    assert (agreed.kind, agreed.next_step) == ("PENDING", "2")
    assert (await worker.ask("continue", "2")).kind == "APPROVED"
    assert moves() == ["captured"]


async def test_a_lost_response_is_requested_again_with_its_key(work: Any, moves: Any):
    worker = work("card:sim_lost")
    await worker.start()

    lost, again = await worker.ask("continue", "2"), await worker.ask("repeat", "2")

    assert (lost.kind, again.kind, moves()) == ("UNKNOWN", "APPROVED", ["captured"])


@KINDS
async def test_a_lost_response_is_found_in_the_order(work: Any, moves: Any, kind: str):
    worker = work("card:sim_lost", kind)
    await worker.start()
    await worker.ask("continue", "2")

    assert (await worker.ask("query", "2")).kind == "APPROVED"
    assert len(moves()) == 1


async def test_a_step_that_never_arrived_is_proven_absent_and_is_not_sent_any_more(
    work: Any, moves: Any, environment: Environment
):
    worker = work("card:sim_reset_before")
    await worker.start()
    await worker.ask("continue", "2")

    soon = await worker.ask("query", "2")
    age(environment, 4000)
    later = await worker.ask("query", "2")

    assert (soon.kind, soon.code) == ("UNKNOWN", "not_found_yet")
    assert (later.kind, later.code) == ("PROVEN_ABSENT", "not_found")
    assert (await worker.ask("repeat", "2")).kind == "PROVEN_ABSENT"
    assert moves() == []


async def test_an_order_that_waits_for_its_payer_is_ended_by_closing_our_steps(
    work: Any, moves: Any, paypal: Client
):
    worker = work("paypal")
    waits = await worker.start()

    ended = await worker.ask("cancel", "1")
    await paypal.decides(waits.action_url)
    late = await worker.ask("continue", "2")

    assert (ended.kind, late.kind, moves()) == ("EXPIRED", "NOT_SENT", [])


async def test_a_card_that_waits_for_3d_secure_is_ended_by_closing_our_steps(
    work: Any, moves: Any, paypal: Client
):
    worker = work("card:sim_3ds")
    await worker.start()
    waits = await worker.ask("continue", "2")

    ended = await worker.ask("cancel", "2")
    await paypal.decides(waits.action_url)
    late = await worker.ask("continue", "3")

    assert (waits.kind, ended.kind, late.kind, moves()) == ("ACTION_REQUIRED", "EXPIRED", "NOT_SENT", [])


async def test_a_card_that_passed_3d_secure_goes_on_without_the_browser(
    work: Any, moves: Any, paypal: Client
):
    worker = work("card:sim_3ds")
    await worker.start()
    waits = await worker.ask("continue", "2")
    await paypal.decides(waits.action_url)

    passed = await worker.ask("query", "2")

    assert (passed.kind, passed.next_step) == ("PENDING", "3")
    assert (await worker.ask("continue", "3")).kind == "APPROVED"
    assert moves() == ["captured"]


async def test_a_payer_who_did_not_agree_is_sent_there_again_and_then_taken_from(
    work: Any, moves: Any, paypal: Client
):
    worker = work("paypal")
    await worker.start()
    again = await worker.ask("continue", "2")
    assert (again.kind, again.next_step) == ("ACTION_REQUIRED", None)
    await paypal.decides(again.action_url)

    assert (await worker.ask("query", "2")).next_step == "3"
    assert (await worker.ask("continue", "3")).kind == "APPROVED"
    assert moves() == ["captured"]


@pytest.mark.parametrize(
    ("token", "end"), [("card:sim_lost", "APPROVED"), ("card:sim_reset_before", "PROVEN_ABSENT")]
)
async def test_a_cancel_after_a_lost_step_proves_nothing_and_the_lookup_ends_it(
    work: Any, environment: Environment, token: str, end: str
):
    worker = work(token)
    await worker.start()
    await worker.ask("continue", "2")
    age(environment, 4000)

    cancelled = await worker.ask("cancel", "2")

    assert (cancelled.kind, cancelled.code) == ("UNKNOWN", "ended_by_us")
    assert (await worker.ask("query", "2")).kind == end


async def test_a_refused_sign_in_sends_nothing(work: Any, moves: Any):
    refused = await work("card:sim_ok", secret="wrong").start()

    assert (refused.kind, refused.code, refused.hint) == ("NOT_SENT", "sign_in_refused", "CONFIG")
    assert moves() == []
