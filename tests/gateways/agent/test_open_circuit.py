"""Requests that were queued for an account whose circuit is open, with real claims."""

from datetime import UTC, datetime
from typing import Any

import pytest

from aggregates.operation import Kind
from aggregates.routing.health import Circuit, CircuitState
from infra.postgres.claims import PostgresClaims
from tests.gateways.agent.lookups import OPERATION, STEP, MakeAgent, Reports, follow_up, started
from tests.support.fake_psp import TillServer

pytestmark = pytest.mark.stack


def circuit(state: CircuitState) -> Circuit:
    return Circuit(state, datetime.now(UTC), "5 calls in a row failed", 0.1)


@pytest.mark.parametrize("state", ["open", "half_open"])
async def test_a_first_send_is_given_back_without_a_call_and_its_step_is_closed(
    make: MakeAgent, psp: TillServer, reports: Reports, claims: PostgresClaims, state: CircuitState
):
    reports.circuits["sale"] = circuit(state)
    await make().handle(started(ends_unreached=True))

    outcome = reports.last.outcome
    assert (outcome.kind, outcome.code, outcome.unreached) == ("NOT_SENT", "circuit_open", True)
    assert psp.sends == 0
    assert not reports.samples, "our own circuit says nothing of the PSP"
    reports.circuits.clear()
    await make().handle(started(ends_unreached=True))
    assert reports.last.outcome == outcome, "what was proven stays: no byte of it is ever sent"
    assert psp.sends == 0


async def test_where_no_other_account_waits_for_the_proof_the_step_stays_to_be_sent_later(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    reports.circuits["sale"] = circuit("open")
    await make().handle(started())

    outcome = reports.last.outcome
    assert (outcome.kind, outcome.code, outcome.unreached) == ("UNREACHED", "circuit_open", True)
    assert reports.last.tries == 0
    for number in range(3):
        await make().handle(follow_up("repeat", follow_up=0, number=number))
        assert (reports.last.outcome, reports.last.tries) == (outcome, 0)
    assert psp.sends == 0
    reports.circuits["sale"] = circuit("closed")
    await make().handle(follow_up("repeat", follow_up=0))
    assert reports.last.outcome.kind == "APPROVED"
    assert psp.sends == 1


@pytest.mark.parametrize("kind", ["capture", "refund", "void"])
async def test_a_capture_refund_or_void_waits_as_long_as_the_circuit_is_open_and_is_then_sent_once(
    make: MakeAgent, psp: TillServer, reports: Reports, kind: Kind
):
    of = {"kind": kind, "target_operation_id": OPERATION, "target_psp_id": "ch_1", "target_minor": 1099}
    of["operation_id"] = f"{OPERATION[:-2]}{kind[0]}2"
    reports.circuits[kind] = circuit("open")
    await make().handle(started(**of))
    for _ in range(3):
        await make().handle(follow_up("repeat", follow_up=0, **of))

    assert [one.outcome.kind for one in reports.outcomes] == ["UNREACHED"] * 4
    assert (psp.sends, reports.samples) == (0, [])
    reports.circuits.clear()
    await make().handle(follow_up("repeat", follow_up=0, **of))
    assert psp.sends == 1


async def test_a_repeat_of_what_may_have_been_sent_goes_out_and_no_wait_can_take_its_claim_away(
    make: MakeAgent, psp: TillServer, reports: Reports, claims: PostgresClaims
):
    """The payment takes it for unsent, but another worker has claimed it since."""
    await claims.claim(STEP, datetime.now(UTC).replace(year=2099), 3600)
    reports.circuits["sale"] = circuit("open")

    await make().handle(follow_up("repeat", follow_up=0))
    await make().handle(follow_up("repeat", follow_up=2))

    assert [one.outcome.kind for one in reports.outcomes] == ["APPROVED"] * 2
    assert reports.outcomes[0].tries == 2


async def test_a_probe_passes(make: MakeAgent, psp: TillServer, reports: Reports):
    reports.circuits["sale"] = circuit("half_open")
    await make().handle(started(probe=True))

    assert reports.last.outcome.kind == "APPROVED"
    ((account, sample),) = reports.samples
    assert (account, sample.outcome, sample.probe) == ("fake-eu", "approved", True)


@pytest.mark.parametrize("circuits", [{}, {"sale": circuit("closed")}, {"capture": circuit("open")}])
async def test_only_the_circuit_of_its_own_kind_holds_a_request_back(
    make: MakeAgent, psp: TillServer, reports: Reports, circuits: dict[str, Any]
):
    reports.circuits = circuits
    await make().handle(started())

    assert reports.last.outcome.kind == "APPROVED"


async def test_what_an_earlier_try_may_have_sent_is_repeated_whatever_the_circuit_says(
    make: MakeAgent, psp: TillServer, reports: Reports, claims: PostgresClaims
):
    """Another worker claimed the step, and was killed before it reported."""
    await claims.claim(STEP, datetime.now(UTC).replace(year=2099), 3600)
    reports.circuits["sale"] = circuit("open")

    await make().handle(started(ends_unreached=True))

    assert reports.last.outcome.kind == "APPROVED"
    assert reports.last.tries == 2
    assert psp.sends == 1


@pytest.mark.parametrize("how", ["query", "cancel"])
async def test_queries_and_cancels_go_on(make: MakeAgent, psp: TillServer, reports: Reports, how: str):
    await make().handle(started())
    reports.circuits["sale"] = circuit("open")

    await make().handle(follow_up(how, psp_id="ch_1"))

    assert reports.last.outcome.code != "circuit_open"


async def test_each_call_feeds_health_and_a_stored_result_does_not(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    psp.responses.append("declined")
    await make().handle(started(segment="sale/card/EUR/eea"))
    await make().handle(started(segment="sale/card/EUR/eea"))

    ((account, sample),) = reports.samples
    assert (account, sample.kind, sample.segment) == ("fake-eu", "sale", "sale/card/EUR/eea")
    assert (sample.outcome, sample.error) == ("declined", None)
    assert sample.latency_ms == reports.outcomes[0].call_ms
