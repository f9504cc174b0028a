"""The agent with our adapter and the simulator: nothing is taken without our capture, whatever is lost or
ended.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commands.messages import Outcome
from gateways.agent.handle import GatewayAgent
from infra.postgres.claims import PostgresClaims
from infra.psp.http_client import HttpClient
from tests.gateways.agent.lookups import OPERATION, Reports, age, follow_up, started
from tests.gateways.simulator.razorpay.merchant import RAZORPAY, Merchant, begin
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack

SALE = begin("sale", "token_visa", reference=OPERATION)


class Worker:
    """Hands the agent its requests, each with what the payment has learnt by then."""

    def __init__(self, agent: GatewayAgent, reports: Reports, token: str, kind: str) -> None:
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        self._of_payment = {
            "operation_id": OPERATION.replace("-s1", f"-{kind[0]}1"),
            "payment_method": token,
            "currency": "INR",
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

    async def begin(self) -> Outcome:
        """To the bank."""
        assert (await self.start()).next_step == "2"
        return await self.ask("continue", "2")

    async def _handled(self, record: Any) -> Outcome:
        await self._agent.handle(record)
        outcome = self._reports.last.outcome
        self._psp_id = outcome.psp_id or self._psp_id
        return outcome


@pytest.fixture
async def agent(claims: PostgresClaims, reports: Reports, merchant: Merchant) -> AsyncIterator[GatewayAgent]:
    async with HttpClient.open(10) as http:
        yield GatewayAgent(
            RAZORPAY,
            claims=claims,
            http=http,
            outcomes=reports,
            letters=reports,
            samples=reports,
            circuits=reports,
            credentials_of=lambda account: merchant.credentials,
            return_url_of=lambda operation_id, until: merchant.return_url,
        )


async def test_a_sale_goes_through_its_three_steps(agent: GatewayAgent, reports: Reports, merchant: Merchant):
    worker = Worker(agent, reports, "token_visa", "sale")
    action = await worker.begin()
    await merchant.at_the_bank(action.action_url, otp="1234")

    held = await worker.ask("query", "2")
    taken = await worker.ask("continue", "3")
    again = await worker.ask("repeat", "3")

    assert (action.kind, held.kind, held.next_step) == ("ACTION_REQUIRED", "PENDING", "3")
    assert (taken.kind, again) == ("APPROVED", taken)
    assert merchant.movements(SALE) == [("captured", "s1", 1099)]


async def test_a_sale_that_was_ended_at_the_bank_is_never_taken(
    agent: GatewayAgent, reports: Reports, merchant: Merchant
):
    worker = Worker(agent, reports, "token_visa", "sale")
    action = await worker.begin()

    ended = await worker.ask("cancel", "2")
    await merchant.at_the_bank(action.action_url, otp="1234")
    late = await worker.ask("continue", "3")

    assert ended.kind == "EXPIRED"
    assert late.kind != "APPROVED"
    assert merchant.movements(SALE) == []


async def test_a_sale_is_never_taken_after_its_end_though_the_banks_address_was_lost(
    agent: GatewayAgent, reports: Reports, merchant: Merchant, environment: Environment
):
    await merchant.control(faults=[{"on": "continue", "do": "lost", "next": 1}])
    worker = Worker(agent, reports, "token_visa", "sale")
    assert (await worker.begin()).kind == "UNKNOWN"
    assert (await worker.ask("query", "2")).kind == "ACTION_REQUIRED"

    age(environment, 60)
    ended = await worker.ask("cancel", "2")
    late = await worker.ask("continue", "3")

    assert ended.kind == "EXPIRED"
    assert late.kind != "APPROVED"
    assert merchant.movements(SALE) == []


@pytest.mark.parametrize("options", [{"uncaptured_life_s": "1"}])
async def test_an_authorization_that_was_ended_is_given_back_when_its_customer_still_passes(
    agent: GatewayAgent, reports: Reports, merchant: Merchant
):
    worker = Worker(agent, reports, "token_visa", "authorize")
    action = await worker.begin()

    ended = await worker.ask("cancel", "2")
    await merchant.at_the_bank(action.action_url, otp="1234")

    assert (ended.kind, ended.code) == ("EXPIRED", "only_our_capture_takes_money")
    assert (await worker.ask("query", "2")).kind == "EXPIRED"
    await until(lambda: ("released", "", 1099) in merchant.movements(SALE), "given back", 10)


async def test_an_order_that_was_lost_is_adopted_and_not_created_again(
    agent: GatewayAgent, reports: Reports, merchant: Merchant
):
    await merchant.control(faults=[{"on": "create", "do": "lost", "next": 1}])
    worker = Worker(agent, reports, "token_frictionless", "sale")
    assert (await worker.start()).kind == "UNKNOWN"

    adopted = await worker.ask("repeat", "1")
    _, orders = await merchant.ask("GET", f"/v1/orders?receipt={OPERATION}")

    assert (adopted.kind, adopted.next_step) == ("PENDING", "2")
    assert orders["count"] == 1


async def test_a_capture_that_was_lost_is_queried_and_not_sent_again(
    agent: GatewayAgent, reports: Reports, merchant: Merchant
):
    worker = Worker(agent, reports, "token_sim_capture_lost", "sale")
    await worker.begin()
    assert (await worker.ask("query", "2")).next_step == "3"
    assert (await worker.ask("continue", "3")).kind == "UNKNOWN"

    asked_for = await worker.ask("repeat", "3")

    assert asked_for.kind == "APPROVED"
    assert merchant.movements(SALE) == [("captured", "s1", 1099)]


async def test_a_capture_that_never_arrived_is_proven_absent_in_time(
    agent: GatewayAgent, reports: Reports, merchant: Merchant, environment: Environment
):
    worker = Worker(agent, reports, "token_sim_capture_reset_before", "sale")
    await worker.begin()
    await worker.ask("query", "2")
    assert (await worker.ask("continue", "3")).kind == "UNKNOWN"
    assert (await worker.ask("query", "3")).code == "not_found_yet"

    age(environment, 90)

    assert (await worker.ask("query", "3")).kind == "PROVEN_ABSENT"
    assert (await worker.ask("continue", "3")).kind == "PROVEN_ABSENT"
    assert merchant.movements(SALE) == []


async def test_what_is_authorized_late_goes_on(agent: GatewayAgent, reports: Reports, merchant: Merchant):
    worker = Worker(agent, reports, "token_late", "sale")
    assert (await worker.begin()).kind == "UNKNOWN"

    async def late() -> bool:
        return (await worker.ask("query", "2")).next_step == "3"

    await until(late, "authorized late", 10)
    assert (await worker.ask("continue", "3")).kind == "APPROVED"
    assert merchant.movements(SALE) == [("captured", "s1", 1099)]
