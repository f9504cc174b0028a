"""Calls the lifecycle hooks of a gateway worker.

Invariant: `before` is called for an operation's first send only, before its claim, and a denial is a NOT_SENT
of which no byte can ever be sent. `after` never delays a report and never takes a thread of `before`: each
hook has a bounded queue and one thread for it, and what does not fit, or comes while a call hangs, is counted
and not shown.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from aggregates.hooks import DENIED_BEFORE_SENT, FAILED
from commands.hooks import Accept, Lifecycle, Operation, OperationOutcome, Refuse
from commands.messages import Outcome
from gateways.agent.hooks import NoHooks, OperationHooks
from gateways.agent.ports import StepResult
from gateways.agent.request import Request
from infra.hooks import metrics
from infra.hooks.calls import Calls, Failed
from infra.hooks.words import fit

# At 100 outcomes a second a hook may be silent for 10 s.
_QUEUE_MAX: Final = 1000

_log = structlog.get_logger()


class LifecycleHooks:
    """Implements `gateways.agent.hooks.OperationHooks`."""

    def __init__(self, gateway: str, hooks: Sequence[Lifecycle], threads: int) -> None:
        self._gateway = gateway
        self._calls = Calls(threads)
        self._before = [one for one in hooks if one.before is not None]
        self._after = [
            (one, Calls(1), asyncio.Queue[_Reported](_QUEUE_MAX)) for one in hooks if one.after is not None
        ]

    async def before(self, request: Request) -> Outcome | None:
        """Returns the denial of the first hook that does not let the operation go, or that fails closed;
        None: all let it go."""
        operation = self._operation(request)
        for hook in self._before:
            assert hook.before is not None, "chosen for it"
            result = await self._calls.call(hook, hook.before, operation, gives=(Accept, Refuse))
            if isinstance(result, Failed):
                if hook.on_failure == "closed":
                    return _failure(f"{hook.name} gave no verdict ({result.why}), and it fails closed")
            elif isinstance(result.value, Refuse):
                words = fit(result.value.detail, [operation.payment_method]) or "no reason given"
                return _denial(f"{hook.name} ({result.value.code}): {words}")
        return None

    def after(self, request: Request, result: StepResult) -> None:
        """Puts the outcome into each hook's queue, or counts it where a queue is full."""
        if not self._after:
            return
        outcome = result.outcome
        reported = (
            self._operation(request),
            OperationOutcome(
                outcome=outcome.kind,
                code=outcome.code,
                detail=outcome.detail,
                psp_id=outcome.psp_id,
                amount_minor=outcome.amount_minor,
                source=result.source,
                call_ms=result.call_ms,
            ),
        )
        for hook, _, queue in self._after:
            try:
                queue.put_nowait(reported)
            except asyncio.QueueFull:
                metrics.UNOBSERVED.labels(hook.name).inc()

    async def run(self) -> None:
        """Shows each hook its outcomes, one at a time in their order, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for hook, calls, queue in self._after:
                tasks.create_task(_show(hook, calls, queue))

    async def shown(self) -> None:
        """Returns when every hook has seen what is in its queue."""
        for *_, queue in self._after:
            await queue.join()

    def _operation(self, request: Request) -> Operation:
        call = request.call
        return Operation(
            payment_id=request.payment_id,
            operation_id=call.reference,
            kind=call.kind,
            amount_minor=call.amount_minor,
            currency=call.currency,
            gateway=self._gateway,
            account=request.account,
            payment_method=call.payment_method,
            target_operation_id=call.target_reference,
        )


_Reported = tuple[Operation, OperationOutcome]


@asynccontextmanager
async def running(
    gateway: str, hooks: Sequence[Lifecycle], threads: int, drain_s: float
) -> AsyncIterator[OperationHooks]:
    """Yields the hooks, whose `after` run beside the caller. At the end they get `drain_s` seconds for what
    is in their queues."""
    if not hooks:
        yield NoHooks()
        return
    made = LifecycleHooks(gateway, hooks, threads)
    _log.info("hooks", names=[f"{one.KIND}:{one.name}" for one in hooks])
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        await asyncio.wait([asyncio.create_task(made.shown())], timeout=drain_s)
        task.cancel()
        await asyncio.wait({task})


async def _show(hook: Lifecycle, calls: Calls, queue: "asyncio.Queue[_Reported]") -> None:
    assert hook.after is not None, "chosen for it"
    while True:
        reported = await queue.get()
        if calls.late:
            metrics.UNOBSERVED.labels(hook.name).inc()
        else:
            await calls.call(hook, hook.after, *reported, gives=(type(None),))
            # One that is only late loses nothing of what follows; from then on it counts as hanging.
            await calls.wait_late(hook.within_s)
        queue.task_done()


def _failure(detail: str) -> Outcome:
    # Like a call that reached nobody: it is no attempt, and only the operation's time bounds the tries.
    return Outcome(kind="NOT_SENT", code=FAILED, detail=detail, unreached=True)


def _denial(detail: str) -> Outcome:
    return Outcome(kind="NOT_SENT", code=DENIED_BEFORE_SENT, detail=detail)
