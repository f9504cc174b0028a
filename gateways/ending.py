"""The end of what waits for its customer, or cannot be asked for. Invariant: no byte of the step that takes money follows
its cancel.
"""

import time
from typing import Final

from commands.crash_points import reached
from commands.messages import Outcome
from gateways import agent_metrics as metrics
from gateways.asking import Asking
from gateways.contract import CANCEL_STEP, FIRST_BYTE_WITHIN_S, Gateway
from gateways.known import Known, Source
from gateways.ports import Claims, Closed, Ended, Granted, MayOnlyAsk, StepId
from gateways.request import Request

_ENDS: Final = frozenset({"EXPIRED", "APPROVED", "DECLINED_SOFT", "DECLINED_HARD"})
"""How an operation can stand when the PSP was told to end it."""


class Ending:
    def __init__(self, gateway: Gateway, claims: Claims, asking: Asking) -> None:
        self._gateway = gateway
        self._claims = claims
        self._asking = asking

    async def cancel(self, request: Request) -> Known:
        """The claim of the money's step is closed first: no byte of it may follow the cancel."""
        money = StepId(request.operation_id, request.step)
        ended = await self._claims.end_for_query(money)
        if ended.result is not None:
            return Known.stored(money.step, ended.result, ended)
        call = request.call(step=request.step)
        later = [step for step in self._gateway.our_steps(call) if step > request.step]
        # Nothing is taken without a step that only we can send: closed before it was sent, it never is.
        for step in later:
            closed = await self._claims.end_for_query(StepId(request.operation_id, step))
            if closed.tries:
                return await self._asking.query(request.model_copy(update={"step": step}))
        if ended.under_way_until is not None and ended.now < ended.under_way_until:
            waits = Outcome(
                kind="UNKNOWN", code="call_under_way", detail="cancelled once it can only have ended"
            )
            return Known(CANCEL_STEP, waits, "none", ended.tries, ended.first_try_at)
        if later and (_waits_for_us(ended.stored) or not self._gateway.moves_money(call)):
            return await self._ended_by_us(request, ended)
        return await self._at_the_psp(request, money)

    async def _ended_by_us(self, request: Request, ended: Ended) -> Known:
        outcome = Outcome(kind="EXPIRED", code="ended_before_its_last_step")
        await self._claims.close(StepId(request.operation_id, request.step), outcome, only_try=False)
        await self.let_go(request)
        return Known(CANCEL_STEP, outcome, "none", ended.tries, ended.first_try_at)

    async def let_go(self, request: Request) -> None:
        """Of what the steps before hold, where the step that takes it is closed. Where that fails, or the process dies
        before, the PSP does it when the authorization lapses: nothing is taken either way."""
        await self._asking.exchange(
            "cancel",
            request.account,
            request.call(step=CANCEL_STEP),
            build=self._gateway.cancel,
            interpret=self._gateway.cancelled,
            first_byte_before=None,
        )

    async def _at_the_psp(self, request: Request, money: StepId) -> Known:
        step = StepId(request.operation_id, CANCEL_STEP)
        reached("gateway.before_claim")
        first_byte_before = time.monotonic() + FIRST_BYTE_WITHIN_S
        # It moves no money: without its key it is only asked for once more.
        claim = await self._claims.claim(step, None, None)
        match claim:
            case Closed():
                metrics.claimed(self._gateway.facts.name, "closed")
                return Known.stored(step.step, claim.result, claim)
            case MayOnlyAsk():
                metrics.claimed(self._gateway.facts.name, "may_only_ask")
                return await self._asking.query(request)
            case Granted():
                metrics.claimed(self._gateway.facts.name, "cancel")
        reached("gateway.after_claim")
        call = request.call(step=CANCEL_STEP, first_try_at=claim.first_try_at)
        outcome, call_ms = await self._asking.exchange(
            "cancel",
            request.account,
            call,
            build=self._gateway.cancel,
            interpret=self._gateway.cancelled,
            first_byte_before=first_byte_before,
        )
        reached("gateway.after_answer")
        assert outcome is not None, "only a look-up finds nothing"
        if outcome.kind in _ENDS:
            # The money's step first: whoever finds the cancel's answer needs no other.
            await self._claims.close(money, outcome, only_try=False)
            await self._claims.close(step, outcome, only_try=False)
        source: Source = "none" if call_ms is None else "call"
        return Known(step.step, outcome, source, claim.tries, claim.first_try_at, call_ms)


def _waits_for_us(stored: Outcome | None) -> bool:
    """What was answered is taken by a later step of ours, and by nothing else."""
    return stored is not None and (stored.next_step is not None or stored.kind == "ACTION_REQUIRED")
