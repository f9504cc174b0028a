"""Lifecycle hooks around a send: a denial proves that nothing was sent, and no send is denied afterwards."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from commands.messages import Outcome
from gateways.agent.ports import Granted, StepResult
from gateways.agent.request import Request
from infra.postgres.claims import PostgresClaims
from tests.gateways.agent.lookups import OPERATION, STEP, MakeAgent, Reports, follow_up, started
from tests.support.fake_psp import TillServer

pytestmark = pytest.mark.stack
DENIAL = Outcome(kind="NOT_SENT", code="denied_by_hook", detail="limits (over): the daily limit is reached")


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


async def test_an_outcome_that_was_not_reported_is_not_observed(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    hooks = Hooks()
    reports.down = True

    with pytest.raises(ConnectionError):
        await make(hooks=hooks).handle(started())

    assert hooks.observed == []
