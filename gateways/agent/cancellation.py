"""Cancels operations that await the customer or cannot be queried.

Invariant: no byte of the step that takes money follows its cancel.
"""

import time
from typing import Final

from aggregates.operation import CANCEL_STEP
from commands.failpoints import reached
from commands.messages import Outcome
from gateways.agent import metrics
from gateways.agent.lookup import StatusQuery, undecided
from gateways.agent.ports import Claims, Closed, Ended, Granted, MayOnlyQuery, Source, StepResult
from gateways.agent.request import Request
from gateways.agent.session import Calls
from gateways.contract import FIRST_BYTE_WITHIN_S, Gateway

_ENDS: Final = frozenset({"EXPIRED", "APPROVED", "DECLINED_SOFT", "DECLINED_HARD"})
"""The outcomes that end an operation whose cancel was sent."""


class Cancellation:
    """Ends an operation by closing the claims of its steps, and by a call to the PSP where that is not
    enough."""

    def __init__(self, gateway: Gateway, claims: Claims, calls: Calls, status_query: StatusQuery) -> None:
        self._gateway = gateway
        self._claims = claims
        self._calls = calls
        self._status_query = status_query

    async def cancel(self, request: Request) -> StepResult:
        """Cancels the operation. The claim of the step that takes money is closed first: nothing of it may
        follow."""
        ended = await self._claims.close_for_query(request.step)
        if ended.result is not None:
            return StepResult.stored(request.step, ended.result, ended)
        call = request.call
        later = [request.of_step(step) for step in self._gateway.steps_we_send(call) if step > call.step]
        # Only a later step of ours takes money, so closing its claim before the first send cancels the
        # operation.
        # A later step that was sent may have taken the money: a query shows what became of it.
        for following in later:
            closed = await self._claims.close_for_query(following.step)
            if closed.tries:
                return await self._status_query.query(following)
        # A try of before the close may be on its way still. A cancel that overtakes it would find nothing to
        # cancel, and the call would then succeed: the payment comes back with the next query of its schedule.
        if ended.under_way_until is not None and ended.now < ended.under_way_until:
            return _under_way(ended)
        if later and (self._awaits_our_step(ended.stored) or not self._gateway.moves_money(call)):
            return await self._ended_by_us(request, ended)
        result = await self._cancel_at_psp(request)
        if result is None:
            return await self._status_query.query(request)
        # The cancel's own claim is closed by then. Killed in between, the cancel is read again, finds its
        # stored result there, and comes here once more.
        if result.outcome.kind in _ENDS:
            await self._claims.close(request.step, result.outcome, only_try=False)
        return result

    def _awaits_our_step(self, stored: Outcome | None) -> bool:
        """True where only a later step of ours takes the money, and nothing is held until then. A PSP without
        a status API is cancelled all the same: it releases what it has authorized only when a cancel reaches
        it."""
        if stored is None or stored.kind == "ACTION_REQUIRED":
            return stored is not None
        return stored.next_step is not None and self._gateway.facts.looks_up

    async def release(self, request: Request) -> StepResult:
        """Has the PSP release what the earlier steps hold. The payment knows that the last step was not
        executed: its claim, and those that would follow, are closed first."""
        for step in sorted({request.call.step, *self._gateway.steps_we_send(request.call)}):
            if step >= request.call.step:
                ended = await self._claims.close_for_query(request.of_step(step).step)
                if ended.under_way_until is not None and ended.now < ended.under_way_until:
                    return _under_way(ended)
        unknown = Outcome(kind="UNKNOWN", code="release_without_response")
        return await self._cancel_at_psp(request) or StepResult(CANCEL_STEP, unknown, "none", 0, None)

    async def _ended_by_us(self, request: Request, ended: Ended) -> StepResult:
        outcome = Outcome(kind="EXPIRED", code="ended_before_its_last_step")
        await self._claims.close(request.step, outcome, only_try=False)
        return StepResult(CANCEL_STEP, outcome, "none", ended.tries, ended.first_try_at)

    async def _cancel_at_psp(self, request: Request) -> StepResult | None:
        """Sends the cancel under a claim of its own. None: it may not be sent any more."""
        cancel = request.of_step(CANCEL_STEP)
        reached("gateway.before_claim")
        # The 5 s count from before the claim, as for a step that moves money.
        first_byte_before = time.monotonic() + FIRST_BYTE_WITHIN_S
        # A cancel moves no money, so it may be repeated at any time, with a key or without.
        claim = await self._claims.claim(cancel.step, None, None)
        match claim:
            case Closed():
                metrics.claimed(self._gateway.facts.name, "closed")
                return StepResult.stored(cancel.step, claim.result, claim)
            case MayOnlyQuery():
                metrics.claimed(self._gateway.facts.name, "may_only_query")
                return None
            case Granted():
                metrics.claimed(self._gateway.facts.name, "cancel")
        reached("gateway.after_claim")
        exchange = await self._calls.exchange(
            "cancel",
            request.account,
            cancel.call,
            build=self._gateway.cancel,
            interpret=self._gateway.cancelled,
            first_byte_before=first_byte_before,
        )
        reached("gateway.after_response")
        assert exchange.outcome is not None, "only a lookup finds nothing"
        outcome = undecided(exchange.outcome)
        if outcome.kind in _ENDS:
            await self._claims.close(cancel.step, outcome, only_try=False)
        source: Source = "none" if exchange.call_ms is None else "call"
        return StepResult(CANCEL_STEP, outcome, source, claim.tries, claim.first_try_at, exchange.call_ms)


def _under_way(ended: Ended) -> StepResult:
    waits = Outcome(kind="UNKNOWN", code="call_under_way", detail="cancelled once it can only have ended")
    return StepResult(CANCEL_STEP, waits, "none", ended.tries, ended.first_try_at)
