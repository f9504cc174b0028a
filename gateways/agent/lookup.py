"""Queries of a step's status at the PSP.

Invariant: a query closes the step first, so that no later try makes the PSP's response untrue; absence is
proven only once nothing of the step can still arrive.
"""

from commands.messages import Outcome
from gateways.agent.ports import FINAL, Claims, Ended, StepId, StepResult
from gateways.agent.request import Request
from gateways.agent.session import Calls
from gateways.contract import DEADLINE_S, FIRST_BYTE_WITHIN_S, Call, Gateway


class StatusQuery:
    """Finds out how a step has ended: from its claim where that is stored, else from the PSP."""

    def __init__(self, gateway: Gateway, claims: Claims, calls: Calls) -> None:
        self._gateway = gateway
        self._claims = claims
        self._calls = calls

    async def query(self, request: Request) -> StepResult:
        """Closes the step and returns its stored result; without a final one it queries the PSP."""
        step = request.step
        # The step is closed before the query: a try that begins after it would make the PSP's response
        # untrue.
        ended = await self._claims.close_for_query(step)
        if ended.result is not None:
            return StepResult.stored(step, ended.result, ended)
        if ended.stored is not None and ended.stored.kind == "PENDING" and ended.stored.next_step is not None:
            # The step succeeded, and its report has not reached the payment yet.
            return StepResult.stored(step, ended.stored, ended)
        outcome, call_ms = await self._look_up(request, ended)
        if outcome.kind in FINAL and not await self._claims.close(step, outcome, only_try=False):
            # A call that was under way has stored its result since. The PSP's present response is reported
            # all the same, except that it knew nothing a moment ago, which proves nothing any more.
            outcome = await self._stored(step) if outcome.kind == "PROVEN_ABSENT" else outcome
        return StepResult(step.step, outcome, "query", ended.tries, ended.first_try_at, call_ms)

    async def confirm(self, request: Request) -> StepResult:
        """Asks the PSP whatever is stored: two results contradict each other, and one of them is the stored
        one."""
        ended = await self._claims.close_for_query(request.step)
        outcome, call_ms = await self._look_up(request, ended)
        return StepResult(request.step.step, outcome, "query", ended.tries, ended.first_try_at, call_ms)

    async def _look_up(self, request: Request, ended: Ended) -> tuple[Outcome, float | None]:
        call = request.call
        exchange = await self._calls.exchange(
            "query",
            request.account,
            call,
            build=self._gateway.lookup,
            interpret=self._gateway.found,
            first_byte_before=None,
        )
        if exchange.outcome is None:
            return self._not_found(call, ended), exchange.call_ms
        outcome = undecided(exchange.outcome)
        # The step's claim is closed, and what it may have left at the PSP takes no money: the operation may
        # end as absent.
        if outcome.kind == "UNKNOWN" and ended.stored is None and not self._gateway.moves_money(call):
            absent = Outcome(kind="PROVEN_ABSENT", code="step_moves_no_money", unreached=exchange.away)
            return absent, exchange.call_ms
        return outcome, exchange.call_ms

    def _not_found(self, call: Call, ended: Ended) -> Outcome:
        """Returns the outcome where the lookup found nothing. Absence is proven once the last try can neither
        arrive at the PSP any more nor be on its way into what the PSP looks up."""
        if ended.last_try_at is None:
            return Outcome(kind="PROVEN_ABSENT", code="never_sent", unreached=True)
        if not self._gateway.moves_money(call):
            return Outcome(kind="PROVEN_ABSENT", code="step_moves_no_money")
        delay_s = self._gateway.absence_delay_s(call)
        if delay_s is None:
            return Outcome(kind="UNKNOWN", code="not_found", detail="this PSP never proves absence")
        # PostgreSQL's clock gives both times, so no difference between two machines' clocks enters a proof.
        # The last try's first byte is written within 5 s of its claim, the PSP has it within the deadline of
        # the call, and what it then took in shows after the adapter's delay.
        waited_s = (ended.now - ended.last_try_at).total_seconds()
        if waited_s > FIRST_BYTE_WITHIN_S + DEADLINE_S + delay_s:
            return Outcome(kind="PROVEN_ABSENT", code="not_found")
        return Outcome(kind="UNKNOWN", code="not_found_yet")

    async def _stored(self, step: StepId) -> Outcome:
        ended = await self._claims.close_for_query(step)
        return ended.result or Outcome(kind="UNKNOWN", code="not_found_yet")


def undecided(outcome: Outcome) -> Outcome:
    """The outcome of a query or a cancel, where NOT_SENT proves nothing about the operation: it is
    UNKNOWN."""
    if outcome.kind != "NOT_SENT":
        return outcome
    return outcome.model_copy(update={"kind": "UNKNOWN", "unreached": False})
