"""The gateway agent: one request of one payment in, one outcome out. Invariant: no step is sent without a claim, and
what was not proven either way is UNKNOWN.

It may be killed at any line. Before the claim nothing happened; between the claim and its close the request is read
again and sent again with the same key, or only asked for; after the close the stored answer is published again.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

import structlog

from commands.crash_points import reached
from commands.messages import InvalidMessage, Outcome, RecordOutcome, dump
from commands.records import DeadLetter, DeadLetters, Record
from gateways import agent_metrics as metrics
from gateways.calls import Calls
from gateways.contract import (
    CANCEL_STEP,
    DEADLINE_S,
    FIRST_BYTE_WITHIN_S,
    FIRST_STEP,
    Call,
    Credentials,
    Gateway,
    HttpAnswer,
    HttpRequest,
)
from gateways.ports import (
    FINAL,
    Answered,
    Claims,
    Closed,
    CredentialsOf,
    Ended,
    Granted,
    Http,
    Lost,
    MayOnlyAsk,
    NotWritten,
    Outcomes,
    ReturnUrlOf,
    StepId,
)
from gateways.request import Request, read

_ANSWERED: Final = FINAL - {"NOT_SENT"} | {"PENDING", "ACTION_REQUIRED"}
"""What the PSP itself says of a step: it closes the claim whatever the number of tries."""
_ENDS: Final = frozenset({"EXPIRED", "APPROVED", "DECLINED_SOFT", "DECLINED_HARD"})
"""How an operation can stand when the PSP was told to end it."""

_NOT_TAKEN: Final = frozenset({"NOT_SENT", "DECLINED_SOFT", "DECLINED_HARD"})

_log: Any = structlog.get_logger(agent="gateway")

Source = Literal["call", "query", "stored", "none"]


@dataclass(frozen=True, slots=True)
class _Known:
    """An outcome, and how it came to be known."""

    step: str
    outcome: Outcome
    source: Source
    tries: int
    first_try_at: datetime | None
    call_ms: float | None = None

    @classmethod
    def stored(cls, step: str, outcome: Outcome, claim: Closed | Ended) -> "_Known":
        return cls(step, outcome, "stored" if claim.tries else "none", claim.tries, claim.first_try_at)


class Agent:
    def __init__(
        self,
        gateway: Gateway,
        *,
        claims: Claims,
        http: Http,
        outcomes: Outcomes,
        letters: DeadLetters,
        credentials_of: CredentialsOf,
        return_url_of: ReturnUrlOf,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._gateway = gateway
        self._claims = claims
        self._calls = Calls(gateway, http, credentials_of)
        self._outcomes = outcomes
        self._letters = letters
        self._credentials_of = credentials_of
        self._return_url_of = return_url_of
        self._now = now

    async def handle(self, record: Record) -> None:
        """Returns when the outcome, or the dead letter, is with the broker: then the record may be acknowledged."""
        try:
            request, payment_id = read(record)
        except InvalidMessage as why:
            metrics.LETTERS.labels(why.code).inc()
            await self._letters.send(DeadLetter.of(record, why))
            return
        async with self._calls.slot(request.account):
            known = await self._known(request)
        reached("gateway.after_close")
        await self._report(record, request, payment_id, known)
        reached("gateway.after_publish")

    async def _known(self, request: Request) -> _Known:
        match request.how:
            case "query":
                return await self._query(request)
            case "confirm":
                return await self._confirm(request)
            case "cancel":
                return await self._cancel(request)
            case "continue" | "repeat" | None:
                return await self._send(request)

    # A send, first or repeated

    async def _send(self, request: Request) -> _Known:
        step = StepId(request.operation_id, request.step)
        reached("gateway.before_claim")
        before_claim = time.monotonic()
        claim = await self._claims.claim(step, request.expires_at, self._key_life_s(request))
        match claim:
            case Closed():
                metrics.claimed(self._gateway.facts.name, "closed")
                return _Known.stored(step.step, claim.result, claim)
            case MayOnlyAsk():
                metrics.claimed(self._gateway.facts.name, "may_only_ask")
                return await self._query(request)
            case Granted():
                metrics.claimed(self._gateway.facts.name, "first" if claim.tries == 1 else "repeat")
                reached("gateway.after_claim")
                left_s = (request.expires_at - claim.last_try_at).total_seconds()
                first_byte_before = before_claim + min(FIRST_BYTE_WITHIN_S, left_s)
                outcome, source, call_ms = await self._call(request, claim, first_byte_before)
                reached("gateway.after_answer")
                known = await self._settle(step, claim, outcome, source, call_ms)
                if request.taking and request.step != FIRST_STEP and known.outcome.kind in _NOT_TAKEN:
                    await self._let_go(request)
                return known

    async def _call(
        self, request: Request, claim: Granted, first_byte_before: float
    ) -> tuple[Outcome, Source, float | None]:
        return_url = None
        if request.taking and request.action_until is not None:
            return_url = self._return_url_of(request.operation_id, request.action_until)
        call = request.call(step=request.step, first_try_at=claim.first_try_at, return_url=return_url)
        result = await self._calls.call(
            "send", request.account, lambda known: self._gateway.request(call, known), first_byte_before
        )
        match result:
            case Outcome():
                return result, "none", None
            case Answered():
                return self._gateway.outcome(call, result.answer), "call", result.call_ms
            case NotWritten():
                return Outcome(kind="NOT_SENT", code=result.code), "none", None
            case Lost():
                return Outcome(kind="UNKNOWN", code=result.code), "call", result.call_ms

    async def _settle(
        self, step: StepId, claim: Granted, outcome: Outcome, source: Source, call_ms: float | None
    ) -> _Known:
        """The claim is closed by what the PSP said; and by NOT_SENT, if this was the only try."""
        if outcome.kind in _ANSWERED:
            # Reported even where another answer is stored already: the payment has to see that they differ.
            await self._claims.close(step, outcome, only_try=False)
        elif outcome.kind == "NOT_SENT" and not await self._claims.close(step, outcome, only_try=True):
            # An earlier try may have been executed, whatever became of this one.
            outcome = outcome.model_copy(update={"kind": "UNKNOWN"})
        return _Known(step.step, outcome, source, claim.tries, claim.first_try_at, call_ms)

    # A question

    async def _query(self, request: Request) -> _Known:
        step = StepId(request.operation_id, request.step)
        ended = await self._claims.end_for_query(step)
        if ended.result is not None:
            return _Known.stored(step.step, ended.result, ended)
        if ended.stored is not None and ended.stored.kind == "PENDING" and ended.stored.next_step is not None:
            # It went well, and the payment does not know it yet.
            return _Known.stored(step.step, ended.stored, ended)
        outcome, call_ms = await self._look_up(request, ended)
        if outcome.kind in FINAL and not await self._claims.close(step, outcome, only_try=False):
            # A call that was still under way has stored its answer since. What the PSP says now is reported all
            # the same; that it knew nothing a moment ago proves nothing any more.
            outcome = await self._stored(step) if outcome.kind == "PROVEN_ABSENT" else outcome
        return _Known(step.step, outcome, "query", ended.tries, ended.first_try_at, call_ms)

    async def _confirm(self, request: Request) -> _Known:
        """What the PSP says now, whatever is stored: two answers contradict each other, and one of them was stored."""
        step = StepId(request.operation_id, request.step)
        ended = await self._claims.end_for_query(step)
        outcome, call_ms = await self._look_up(request, ended)
        return _Known(step.step, outcome, "query", ended.tries, ended.first_try_at, call_ms)

    async def _look_up(self, request: Request, ended: Ended) -> tuple[Outcome, float | None]:
        call = request.call(step=request.step, first_try_at=ended.first_try_at)
        outcome, call_ms = await self._exchange(
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

    # The end of a challenge

    async def _cancel(self, request: Request) -> _Known:
        """The claim of the money's step is closed first: no byte of it may follow the cancel."""
        money = StepId(request.operation_id, request.step)
        ended = await self._claims.end_for_query(money)
        if ended.result is not None:
            return _Known.stored(money.step, ended.result, ended)
        if ended.under_way_until is not None and ended.now < ended.under_way_until:
            waits = Outcome(
                kind="UNKNOWN", code="call_under_way", detail="cancelled once it can only have ended"
            )
            return _Known(CANCEL_STEP, waits, "none", ended.tries, ended.first_try_at)
        call = request.call(step=request.step)
        if ended.stored is not None or not self._gateway.moves_money(call):
            steps = [step for step in self._gateway.our_steps(call) if step > request.step]
            if steps:
                return await self._close(request, steps, ended)
        return await self._cancel_at_the_psp(request, money)

    async def _close(self, request: Request, steps: list[str], ended: Ended) -> _Known:
        """Nothing is taken without a step that only we can send: closed before it was sent, it never is."""
        for step in steps:
            closed = await self._claims.end_for_query(StepId(request.operation_id, step))
            if closed.tries:
                return await self._query(request.model_copy(update={"step": step}))
        outcome = Outcome(kind="EXPIRED", code="ended_before_its_last_step")
        await self._claims.close(StepId(request.operation_id, request.step), outcome, only_try=False)
        await self._let_go(request)
        return _Known(CANCEL_STEP, outcome, "none", ended.tries, ended.first_try_at)

    async def _let_go(self, request: Request) -> None:
        """Of what the steps before hold, where the step that takes it is closed. Where that fails, or the process dies
        before, the PSP does it when the authorization lapses: nothing is taken either way."""
        await self._exchange(
            "cancel",
            request.account,
            request.call(step=CANCEL_STEP),
            build=self._gateway.cancel,
            interpret=self._gateway.cancelled,
            first_byte_before=None,
        )

    async def _cancel_at_the_psp(self, request: Request, money: StepId) -> _Known:
        step = StepId(request.operation_id, CANCEL_STEP)
        reached("gateway.before_claim")
        first_byte_before = time.monotonic() + FIRST_BYTE_WITHIN_S
        # It moves no money: without its key it is only asked for once more.
        claim = await self._claims.claim(step, None, None)
        match claim:
            case Closed():
                metrics.claimed(self._gateway.facts.name, "closed")
                return _Known.stored(step.step, claim.result, claim)
            case MayOnlyAsk():
                metrics.claimed(self._gateway.facts.name, "may_only_ask")
                return await self._query(request)
            case Granted():
                metrics.claimed(self._gateway.facts.name, "cancel")
        reached("gateway.after_claim")
        call = request.call(step=CANCEL_STEP, first_try_at=claim.first_try_at)
        outcome, call_ms = await self._exchange(
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
        return _Known(step.step, outcome, source, claim.tries, claim.first_try_at, call_ms)

    async def _exchange(
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
                return _not_decided(interpret(call, result.answer)), result.call_ms
            case NotWritten():
                return Outcome(kind="UNKNOWN", code=result.code), None
            case Lost():
                return Outcome(kind="UNKNOWN", code=result.code), result.call_ms

    def _key_life_s(self, request: Request) -> int:
        """As recorded when the operation started, and as the adapter says now of this step: the shorter one. Without
        credentials nothing is sent."""
        credentials = self._credentials_of(request.account)
        if credentials is None:
            return request.key_life_s or 0
        declared = self._gateway.key_life_s(request.call(step=request.step), credentials)
        return declared if request.key_life_s is None else min(request.key_life_s, declared)

    # The report

    async def _report(self, record: Record, request: Request, payment_id: UUID, known: _Known) -> None:
        outcome = known.outcome
        message = RecordOutcome(
            command_id=uuid5(NAMESPACE_URL, f"{record.header('ce_id')}#{dump(outcome).decode()}"),
            payment_id=payment_id,
            operation_id=request.operation_id,
            step=known.step,
            gateway=self._gateway.facts.name,
            account=request.account,
            outcome=outcome,
            source=known.source,
            tries=known.tries,
            first_try_at=known.first_try_at,
            observed_at=self._now(),
            call_ms=known.call_ms,
        )
        await self._outcomes.publish(message, _passed_on(record))
        if outcome.hint == "CONFIG":
            metrics.CONFIG_ALARMS.labels(self._gateway.facts.name).inc()
            _log.error(
                "the PSP refuses our configuration", operation_id=request.operation_id, code=outcome.code
            )
        if outcome.unlisted:
            metrics.UNLISTED.labels(self._gateway.facts.name, outcome.code or "none").inc()
        metrics.OUTCOMES.labels(self._gateway.facts.name, outcome.kind, known.source).inc()
        # One line for each call: with it a payment is found in the logs by its producer's correlation id.
        _log.info(
            "outcome",
            correlation_id=record.header("correlation_id"),
            operation_id=request.operation_id,
            step=known.step,
            kind=outcome.kind,
            code=outcome.code,
            source=known.source,
            tries=known.tries,
            call_ms=known.call_ms,
        )


def _not_decided(outcome: Outcome | None) -> Outcome | None:
    if outcome is not None and outcome.kind == "NOT_SENT":
        return outcome.model_copy(update={"kind": "UNKNOWN"})
    return outcome


def _passed_on(record: Record) -> Sequence[tuple[str, bytes]]:
    return [(name, record.headers[name]) for name in ("correlation_id", "traceparent") if record.header(name)]
