"""The gateway agent: one request of one payment in, one outcome out. Invariant: no step is sent without a claim, and
what was not proven either way is UNKNOWN.

It may be killed at any line. Before the claim nothing happened; between the claim and its close the request is read
again and sent again with the same key, or only asked for; after the close the stored answer is published again.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

import structlog

from commands.crash_points import reached
from commands.messages import InvalidMessage, Outcome, RecordOutcome, dump
from commands.records import DeadLetter, DeadLetters, Record
from gateways import agent_metrics as metrics
from gateways.asking import Asking
from gateways.calls import Calls
from gateways.contract import (
    FIRST_BYTE_WITHIN_S,
    FIRST_STEP,
    Gateway,
)
from gateways.ending import Ending
from gateways.known import Known, Source
from gateways.ports import (
    FINAL,
    Answered,
    Claims,
    Closed,
    CredentialsOf,
    Granted,
    Http,
    Lost,
    MayOnlyAsk,
    NotWritten,
    Outcomes,
    ReturnUrlOf,
    StepId,
)
from gateways.quoted import without_tokens
from gateways.request import Request, read

_ANSWERED: Final = FINAL - {"NOT_SENT"} | {"PENDING", "ACTION_REQUIRED"}
"""What the PSP itself says of a step: it closes the claim whatever the number of tries."""
_NOT_TAKEN: Final = frozenset({"NOT_SENT", "DECLINED_SOFT", "DECLINED_HARD"})

_log: Any = structlog.get_logger(agent="gateway")


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
        self._asking = Asking(gateway, claims, self._calls)
        self._ending = Ending(gateway, claims, self._asking)
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

    async def _known(self, request: Request) -> Known:
        match request.how:
            case "query":
                return await self._asking.query(request)
            case "confirm":
                return await self._asking.confirm(request)
            case "cancel":
                return await self._ending.cancel(request)
            case "continue" | "repeat" | None:
                return await self._send(request)

    # A send, first or repeated

    async def _send(self, request: Request) -> Known:
        step = StepId(request.operation_id, request.step)
        reached("gateway.before_claim")
        before_claim = time.monotonic()
        claim = await self._claims.claim(step, request.expires_at, self._key_life_s(request))
        match claim:
            case Closed():
                metrics.claimed(self._gateway.facts.name, "closed")
                return await self._letting_go(request, Known.stored(step.step, claim.result, claim))
            case MayOnlyAsk():
                metrics.claimed(self._gateway.facts.name, "may_only_ask")
                return await self._asking.query(request)
            case Granted():
                metrics.claimed(self._gateway.facts.name, "first" if claim.tries == 1 else "repeat")
                reached("gateway.after_claim")
                left_s = (request.expires_at - claim.last_try_at).total_seconds()
                first_byte_before = before_claim + min(FIRST_BYTE_WITHIN_S, left_s)
                outcome, source, call_ms = await self._call(request, claim, first_byte_before)
                reached("gateway.after_answer")
                known = await self._settle(step, claim, outcome, source, call_ms)
                return await self._letting_go(request, known)

    async def _letting_go(self, request: Request, known: Known) -> Known:
        if request.taking and request.step != FIRST_STEP and known.outcome.kind in _NOT_TAKEN:
            await self._ending.let_go(request)
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
                outcome = without_tokens(self._gateway.outcome(call, result.answer), call)
                return outcome, "call", result.call_ms
            case NotWritten():
                return Outcome(kind="NOT_SENT", code=result.code), "none", None
            case Lost():
                return Outcome(kind="UNKNOWN", code=result.code), "call", result.call_ms

    async def _settle(
        self, step: StepId, claim: Granted, outcome: Outcome, source: Source, call_ms: float | None
    ) -> Known:
        """The claim is closed by what the PSP said; and by NOT_SENT, if this was the only try."""
        if outcome.kind in _ANSWERED:
            # Reported even where another answer is stored already: the payment has to see that they differ.
            await self._claims.close(step, outcome, only_try=False)
        elif outcome.kind == "NOT_SENT" and not await self._claims.close(step, outcome, only_try=True):
            # An earlier try may have been executed, whatever became of this one.
            outcome = outcome.model_copy(update={"kind": "UNKNOWN"})
        return Known(step.step, outcome, source, claim.tries, claim.first_try_at, call_ms)

    def _key_life_s(self, request: Request) -> int:
        """As recorded when the operation started, and as the adapter says now of this step: the shorter one. Without
        credentials nothing is sent."""
        credentials = self._credentials_of(request.account)
        if credentials is None:
            return request.key_life_s or 0
        declared = self._gateway.key_life_s(request.call(step=request.step), credentials)
        return declared if request.key_life_s is None else min(request.key_life_s, declared)

    # The report

    async def _report(self, record: Record, request: Request, payment_id: UUID, known: Known) -> None:
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


def _passed_on(record: Record) -> Sequence[tuple[str, bytes]]:
    return [(name, record.headers[name]) for name in ("correlation_id", "traceparent") if record.header(name)]
