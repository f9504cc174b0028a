"""Lifecycle hooks around a send: a denial proves that nothing was sent, and no send is denied afterwards."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from aggregates.routing.health import Circuit
from commands.messages import Outcome
from gateways.agent.ports import Granted, StepResult
from gateways.agent.request import Request
from infra.postgres.claims import PostgresClaims
from tests.gateways.agent.lookups import OPERATION, STEP, MakeAgent, Reports, follow_up, started
from tests.support.fake_psp import TillServer

pytestmark = pytest.mark.stack
DENIAL = Outcome(kind="NOT_SENT", code="denied_by_hook", detail="limits (over): the daily limit is reached")

NO_VERDICT = Outcome(kind="NOT_SENT", code="hook_failed", detail="limits gave no verdict", unreached=True)


@dataclass
class Hooks:
    """Denies as long as it is told to, and keeps what it saw."""

    denial: Outcome | None = None
    before_calls: list[str] = field(default_factory=list)
    observed: list[tuple[str, str]] = field(default_factory=list)

    async def before(self, request: Request) -> Outcome | None:
        self.before_calls.append(request.call.reference)
        return self.denial

    def after(self, request: Request, result: StepResult) -> None:
        self.observed.append((request.call.reference, result.outcome.kind))


async def test_a_denied_operation_is_not_sent_even_if_a_later_delivery_would_be_allowed(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    hooks = Hooks(DENIAL)
    await make(hooks=hooks).handle(started())
    hooks.denial = None

    await make(hooks=hooks).handle(started())
    await make(hooks=hooks).handle(follow_up("repeat"))
    await make(hooks=hooks).handle(follow_up("query"))

    assert [one.outcome for one in reports.outcomes] == [DENIAL] * 4
    assert [one.tries for one in reports.outcomes] == [0] * 4
    assert (psp.sends, psp.lookups, psp.charges) == (0, 0, {})
    assert reports.samples == []


async def test_what_was_claimed_before_goes_on_whatever_the_hook_wants(
    make: MakeAgent, psp: TillServer, reports: Reports, claims: PostgresClaims
):
    claim = await claims.claim(STEP, datetime.now(UTC) + timedelta(hours=1), 3600)
    assert isinstance(claim, Granted)

    await make(hooks=Hooks(DENIAL)).handle(started())

    assert (reports.last.outcome.kind, reports.last.tries) == ("APPROVED", 2)
    assert psp.charges == {f"{OPERATION}-1": OPERATION}


async def test_only_the_first_send_of_an_operation_is_before_a_hook(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    hooks = Hooks()
    psp.responses.append("lost")
    await make(hooks=hooks).handle(started())
    hooks.denial = DENIAL

    await make(hooks=hooks).handle(follow_up("repeat"))
    await make(hooks=hooks).handle(follow_up("query"))

    assert hooks.before_calls == [OPERATION]
    assert [one.outcome.kind for one in reports.outcomes] == ["UNKNOWN", "APPROVED", "APPROVED"]
    assert hooks.observed == [(OPERATION, kind) for kind in ("UNKNOWN", "APPROVED", "APPROVED")]


@pytest.mark.parametrize("ends_unreached", [True, False])
async def test_without_a_verdict_the_step_is_closed_as_unreached_and_health_hears_nothing_of_it(
    make: MakeAgent, psp: TillServer, reports: Reports, ends_unreached: bool
):
    hooks = Hooks(NO_VERDICT)
    await make(hooks=hooks).handle(started(ends_unreached=ends_unreached))
    hooks.denial = None

    await make(hooks=hooks).handle(follow_up("repeat"))

    assert [one.outcome for one in reports.outcomes] == [NO_VERDICT] * 2
    assert (psp.sends, reports.samples) == (0, [])


@pytest.mark.parametrize("why", ["owed", "duplicate_charge", "timed"])
async def test_what_aegispay_owes_the_customer_is_given_back_without_asking_a_hook(
    make: MakeAgent, psp: TillServer, reports: Reports, why: str
):
    hooks = Hooks(DENIAL)

    await make(hooks=hooks).handle(started(**{why: True}))

    assert (hooks.before_calls, psp.sends, reports.last.outcome.kind) == ([], 1, "APPROVED")


async def test_what_an_open_circuit_gives_back_was_asked_of_the_hooks_since_its_repeat_is_not(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    reports.circuits["sale"] = Circuit("open", datetime.now(UTC), "5 calls in a row failed")
    hooks = Hooks()
    await make(hooks=hooks).handle(started())
    await make(hooks=hooks).handle(follow_up("repeat"))
    hooks.denial = DENIAL
    other = OPERATION[:-1] + "2"

    await make(hooks=hooks).handle(started(operation_id=other))

    assert hooks.before_calls == [OPERATION, other]
    assert [one.outcome.kind for one in reports.outcomes] == ["UNREACHED", "APPROVED", "NOT_SENT"]
    assert (reports.last.outcome, psp.sends) == (DENIAL, 1)


async def test_an_outcome_that_was_not_reported_is_not_observed(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    hooks = Hooks()
    reports.down = True

    with pytest.raises(ConnectionError):
        await make(hooks=hooks).handle(started())

    assert hooks.observed == []
