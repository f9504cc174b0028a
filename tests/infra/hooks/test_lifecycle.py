"""The lifecycle hooks of a gateway worker: who denies, and who only observes."""

import asyncio
import threading
from datetime import UTC, datetime
from uuid import UUID

import pytest

from aggregates.hooks import DENIED_BEFORE_SENT, FAILED
from commands.hooks import Accept, Lifecycle, Refuse
from commands.messages import Outcome
from gateways.agent.hooks import NoHooks
from gateways.agent.ports import StepResult
from gateways.agent.request import Request
from infra.hooks.lifecycle import LifecycleHooks, running
from infra.hooks.metrics import LATE, UNOBSERVED
from tests.support.psp_calls import sale
from tests.support.until import until

CALL = sale("pm_card_visa")
REQUEST = Request(
    payment_id=UUID(CALL.reference[:32]),
    account="sim-eu",
    how=None,
    expires_at=datetime(2030, 1, 1, tzinfo=UTC),
    key_life_s=3600,
    ends_unreached=False,
    segment="",
    probe=False,
    call=CALL,
)
RESULT = StepResult("1", Outcome(kind="APPROVED", psp_id="pi_1", amount_minor=1099), "call", 1, None, 20.0)


def before(run, on_failure="closed", name="limits") -> Lifecycle:
    return Lifecycle(name=name, before=run, on_failure=on_failure, within_s=0.05)


async def denial(*hooks: Lifecycle) -> Outcome | None:
    return await LifecycleHooks("stripe", hooks, 2).before(REQUEST)


async def test_the_first_denial_counts_and_names_its_hook():
    seen = []

    def allows(operation):
        seen.append(operation)
        return Accept()

    denied = await denial(
        before(allows), before(lambda _: Refuse("over_limit", "100 of 100 used")), before(lambda _: 1 / 0)
    )

    assert denied == Outcome(
        kind="NOT_SENT", code=DENIED_BEFORE_SENT, detail="limits (over_limit): 100 of 100 used"
    )
    (operation,) = seen
    assert (operation.kind, operation.amount_minor, operation.currency) == ("sale", 1099, "USD")
    assert (operation.gateway, operation.account) == ("stripe", "sim-eu")


@pytest.mark.parametrize(("mode", "detail"), [("open", None), ("closed", "raised ZeroDivisionError")])
async def test_a_hook_that_fails_denies_only_where_it_is_closed(mode, detail):
    denied = await denial(before(lambda _: 1 / 0, mode))

    assert (denied is None) if detail is None else (detail in denied.detail)


async def test_without_a_verdict_the_operation_is_one_that_reached_nobody_and_not_one_that_was_denied():
    release = threading.Event()

    denied = await denial(before(lambda _: release.wait(30) and Accept()))

    release.set()
    assert (denied.kind, denied.code, denied.unreached) == ("NOT_SENT", FAILED, True)
    assert denied.detail == "limits gave no verdict (timed out after 50 ms), and it fails closed"


async def test_words_with_the_token_are_withheld():
    denied = await denial(before(lambda one: Refuse("no", f"{one.payment_method} is blocked")))

    assert "pm_card_visa" not in denied.detail


async def test_outcomes_are_shown_in_their_order_beside_the_report():
    seen = []
    hook = Lifecycle(
        name="ledger", after=lambda one, outcome: seen.append(outcome.call_ms), on_failure="open"
    )

    async with running("stripe", [hook], 2, drain_s=5) as hooks:
        for number in range(20):
            hooks.after(REQUEST, StepResult("1", RESULT.outcome, "call", 1, None, float(number)))

    assert seen == [float(number) for number in range(20)]


async def test_a_hook_that_hangs_loses_what_does_not_fit_and_delays_nothing():
    release = threading.Event()
    hook = Lifecycle(name="stuck", after=lambda *_: release.wait(30) and None, on_failure="open", within_s=10)
    lost = UNOBSERVED.labels("stuck")

    async with running("stripe", [hook], 1, drain_s=0) as hooks:
        for _ in range(1500):
            hooks.after(REQUEST, RESULT)
        assert lost._value.get() == 500
    release.set()


async def test_an_observer_that_hangs_keeps_no_verdict_from_another_hook():
    release = threading.Event()
    stuck = Lifecycle(
        name="hangs", after=lambda *_: release.wait(30) and None, on_failure="open", within_s=0.01
    )
    limits = Lifecycle(name="limits", before=lambda _: Accept(), on_failure="closed", within_s=5)
    lost, late = UNOBSERVED.labels("hangs"), LATE.labels("lifecycle", "hangs")

    async with running("stripe", [stuck, limits], 8, drain_s=5) as hooks:
        for _ in range(20):
            hooks.after(REQUEST, RESULT)
        await hooks.shown()

        assert await hooks.before(REQUEST) is None
        assert (lost._value.get(), late._value.get()) == (19, 1)
        release.set()
        await until(lambda: _is(late._value.get() == 0), "the observer returned", 5)
        hooks.after(REQUEST, RESULT)
        await hooks.shown()
        assert lost._value.get() == 19


async def test_an_async_observer_that_is_late_loses_only_what_it_was_shown():
    seen = []

    async def slow_at_first(_operation, outcome):
        seen.append(outcome.call_ms)
        if outcome.call_ms == 0:
            await asyncio.Event().wait()

    hook = Lifecycle(name="slow", after=slow_at_first, on_failure="open", within_s=0.05)

    async with running("stripe", [hook], 1, drain_s=5) as hooks:
        for number in range(3):
            hooks.after(REQUEST, StepResult("1", RESULT.outcome, "call", 1, None, float(number)))

    assert seen == [0.0, 1.0, 2.0]
    assert UNOBSERVED.labels("slow")._value.get() == 0


async def _is(value: bool) -> bool:
    return value


async def test_without_hooks_nothing_is_consulted():
    async with running("stripe", [], 1, drain_s=0) as hooks:
        assert isinstance(hooks, NoHooks)
        assert await hooks.before(REQUEST) is None
