"""Questions to the PSP about a step. Invariant: a question closes the step first, so that what the PSP says of it stays
true; absence is proven only once nothing of it can still arrive.
"""

from collections.abc import Callable
from typing import Literal

from commands.messages import Outcome
from gateways.calls import Calls
from gateways.contract import (
    DEADLINE_S,
    FIRST_BYTE_WITHIN_S,
    Call,
    Credentials,
    Gateway,
    HttpAnswer,
    HttpRequest,
)
from gateways.known import Known
from gateways.ports import FINAL, Answered, Claims, Ended, Lost, NotWritten, StepId
from gateways.quoted import without_tokens
from gateways.request import Request


class Asking:
    def __init__(self, gateway: Gateway, claims: Claims, calls: Calls) -> None:
        self._gateway = gateway
        self._claims = claims
        self._calls = calls

    async def query(self, request: Request) -> Known:
        step = StepId(request.operation_id, request.step)
        ended = await self._claims.end_for_query(step)
        if ended.result is not None:
            return Known.stored(step.step, ended.result, ended)
        if ended.stored is not None and ended.stored.kind == "PENDING" and ended.stored.next_step is not None:
            # It went well, and the payment does not know it yet.
            return Known.stored(step.step, ended.stored, ended)
        outcome, call_ms = await self._look_up(request, ended)
        if outcome.kind in FINAL and not await self._claims.close(step, outcome, only_try=False):
            # A call that was still under way has stored its answer since. What the PSP says now is reported all
            # the same; that it knew nothing a moment ago proves nothing any more.
            outcome = await self._stored(step) if outcome.kind == "PROVEN_ABSENT" else outcome
        return Known(step.step, outcome, "query", ended.tries, ended.first_try_at, call_ms)

    async def confirm(self, request: Request) -> Known:
        """What the PSP says now, whatever is stored: two answers contradict each other, and one of them was stored."""
        step = StepId(request.operation_id, request.step)
        ended = await self._claims.end_for_query(step)
        outcome, call_ms = await self._look_up(request, ended)
        return Known(step.step, outcome, "query", ended.tries, ended.first_try_at, call_ms)

    async def _look_up(self, request: Request, ended: Ended) -> tuple[Outcome, float | None]:
        call = request.call(step=request.step, first_try_at=ended.first_try_at)
        outcome, call_ms = await self.exchange(
            "query",
            request.account,
            call,
            build=self._gateway.lookup,
            interpret=self._gateway.found,
            first_byte_before=None,
        )
        if outcome is None:
            return self._not_found(call, ended), call_ms
        if outcome.kind == "UNKNOWN" and ended.stored is None and not self._gateway.moves_money(call):
            return Outcome(kind="PROVEN_ABSENT", code="step_moves_no_money"), call_ms
        return outcome, call_ms

    def _not_found(self, call: Call, ended: Ended) -> Outcome:
        """Proof, once the last try can no longer arrive at the PSP nor be on its way into what the PSP looks up."""
        if ended.last_try_at is None:
            return Outcome(kind="PROVEN_ABSENT", code="never_sent")
        if not self._gateway.moves_money(call):
            return Outcome(kind="PROVEN_ABSENT", code="step_moves_no_money")
        delay_s = self._gateway.absence_delay_s(call)
        if delay_s is None:
            return Outcome(kind="UNKNOWN", code="not_found", detail="this PSP never proves absence")
        waited_s = (ended.now - ended.last_try_at).total_seconds()
        if waited_s > FIRST_BYTE_WITHIN_S + DEADLINE_S + delay_s:
            return Outcome(kind="PROVEN_ABSENT", code="not_found")
        return Outcome(kind="UNKNOWN", code="not_found_yet")

    async def _stored(self, step: StepId) -> Outcome:
        ended = await self._claims.end_for_query(step)
        return ended.result or Outcome(kind="UNKNOWN", code="not_found_yet")

    async def exchange(
        self,
        what: Literal["query", "cancel"],
        account: str,
        call: Call,
        *,
        build: Callable[[Call, Credentials], HttpRequest | Outcome],
        interpret: Callable[[Call, HttpAnswer], Outcome | None],
        first_byte_before: float | None,
    ) -> tuple[Outcome | None, float | None]:
        """Of a call that moves no money: that it was not taken in says nothing of the operation. None: not found."""
        result = await self._calls.call(what, account, lambda known: build(call, known), first_byte_before)
        match result:
            case Outcome():
                return _not_decided(result), None
            case Answered():
                found = interpret(call, result.answer)
                said = None if found is None else without_tokens(found, call)
                return _not_decided(said), result.call_ms
            case NotWritten():
                return Outcome(kind="UNKNOWN", code=result.code), None
            case Lost():
                return Outcome(kind="UNKNOWN", code=result.code), result.call_ms


def _not_decided(outcome: Outcome | None) -> Outcome | None:
    if outcome is not None and outcome.kind == "NOT_SENT":
        return outcome.model_copy(update={"kind": "UNKNOWN"})
    return outcome
