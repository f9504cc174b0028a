"""The count of statuses that are new, in the response to whichever call."""

import pytest

from gateways.agent.metrics import UNLISTED
from tests.gateways.agent.lookups import MakeAgent, Reports, follow_up, started
from tests.support.fake_psp import FakePsp, TillServer

pytestmark = pytest.mark.stack

NEW = "teleported"


def counted() -> float:
    value: float = UNLISTED.labels("till", NEW)._value.get()
    return value


async def test_a_new_status_is_counted_in_the_calls_response(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    before = counted()
    psp.responses.append(NEW)

    await make().handle(started())

    assert (reports.last.outcome.kind, reports.last.source) == ("UNKNOWN", "call")
    assert counted() == before + 1


async def test_a_new_status_is_counted_in_a_lookup_whatever_is_concluded_from_it(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    before = counted()
    psp.responses.append("lost")
    psp.finds = NEW
    await make().handle(started())

    await make().handle(follow_up("query"))
    await make(FakePsp(idle=("1",))).handle(follow_up("query"))

    assert [one.outcome.kind for one in reports.outcomes[1:]] == ["UNKNOWN", "PROVEN_ABSENT"]
    assert counted() == before + 2


async def test_a_new_status_is_counted_in_the_response_to_a_cancel_and_not_again_where_it_is_stored(
    make: MakeAgent, psp: TillServer, reports: Reports
):
    before = counted()
    psp.responses.append("challenged")
    psp.cancel_responses.append(NEW)
    await make().handle(started())

    await make().handle(follow_up("cancel", psp_id="ch_1"))

    assert reports.last.outcome.code == NEW
    assert counted() == before + 1
