"""The gateway agent: one request of one payment in, one outcome out.

Invariant: no step is sent without a claim, and what was not proven either way is UNKNOWN.

A request is read (`request`), waits for one of the account's calls (`session`), and then is
- sent: claim, call, close the claim (this file);
- queried or confirmed: close the claim, look up (`lookup`);
- cancelled or released: close the claims, call (`cancellation`).

Then its outcome is reported. The agent may be killed at any line. Before the claim nothing has happened.
Between the claim and its close the request is read again, and sent again with the same key or only queried.
After the close the stored result is published again.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import structlog

from commands.failpoints import reached
from commands.messages import InvalidMessage, Outcome, RecordOutcome, dump
from commands.records import TRACEPARENT, DeadLetter, DeadLetters, Record
from gateways.agent import metrics
from gateways.agent.cancellation import Cancellation
from gateways.agent.circuit import GIVEN_BACK, holds_back
from gateways.agent.hooks import NoHooks, OperationHooks
from gateways.agent.lookup import StatusQuery
from gateways.agent.ports import (
    FINAL,
    Circuits,
    Claims,
    Closed,
    CredentialsOf,
    Granted,
    Http,
    MayOnlyQuery,
    Outcomes,
    ReturnUrlOf,
    Samples,
    Source,
    StepResult,
)
from gateways.agent.request import Request, read
from gateways.agent.sampling import sample_of
from gateways.agent.session import Calls, Exchange
from gateways.contract import FIRST_BYTE_WITHIN_S, Call, Gateway

_DECIDED: Final = FINAL - {"NOT_SENT"} | {"PENDING", "ACTION_REQUIRED"}
"""The outcomes in which the PSP itself speaks of a step: they close its claim whatever the number of
tries."""

_log: Any = structlog.get_logger(agent="gateway")


class GatewayAgent:
    """Handles the requests to one PSP."""

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
        samples: Samples,
        circuits: Circuits,
        hooks: OperationHooks | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._gateway = gateway
        self._claims = claims
        self._calls = Calls(gateway, http, credentials_of)
        self._status_query = StatusQuery(gateway, claims, self._calls)
        self._cancellation = Cancellation(gateway, claims, self._calls, self._status_query)
        self._outcomes = outcomes
        self._letters = letters
        self._credentials_of = credentials_of
        self._return_url_of = return_url_of
        self._samples = samples
        self._circuits = circuits
        self._hooks = hooks or NoHooks()
        self._now = now

    async def handle(self, record: Record) -> None:
        """Returns once the broker has the outcome, or the dead letter: only then may the record be
        acknowledged."""
        try:
            request = read(record, self._return_url_of)
        except InvalidMessage as invalid:
            metrics.LETTERS.labels(invalid.code).inc()
            # A record that cannot be read names no payment to report about. The payment's timer finds that
            # its outcome is missing.
            await self._letters.send(DeadLetter.of(record, invalid))
            return
        result = await self._handled(request)
        reached("gateway.after_close")
        await self._report(record, request, result)
        reached("gateway.after_publish")
        # After the report: what health gets to know late is no payment's loss.
        if (sample := sample_of(request, result, self._now())) is not None:
            self._samples.add(request.account, sample)
        self._hooks.after(request, result)

    async def _handled(self, request: Request) -> StepResult:
        # Before the slot, which a slow hook would keep from other calls, and whatever the circuit says: what
        # is given back comes again as a repeat, about which no hook is consulted.
        if (denied := await self._denied(request)) is not None:
            return denied
        if not self._is_held_back(request):
            # A request waits for its slot before it claims: from the claim on the first byte has 5 s.
            async with self._calls.slot(request.account):
                # The circuit may have opened while the calls before it were waited for.
                if not self._is_held_back(request):
                    return await self._perform(request)
        return await self._give_back(request)

    async def _denied(self, request: Request) -> StepResult | None:
        """Consults the hooks about a first send. None: none denies it, or it was claimed before, and then
        goes on as the claim stands: a request that is read again may have been sent."""
        # What AegisPay itself owes the customer goes back in any case.
        if request.how is not None or request.owed:
            return None
        denial = await self._hooks.before(request)
        if denial is None or not await self._claims.refuse(request.step, denial):
            return None
        return StepResult(request.step.step, denial, "none", 0, None)

    async def _perform(self, request: Request) -> StepResult:
        match request.how:
            case "continue" | "repeat" | None:
                return await self._send(request)
            case "query":
                return await self._status_query.query(request)
            case "confirm":
                return await self._status_query.confirm(request)
            case "cancel":
                return await self._cancellation.cancel(request)
            case "release":
                return await self._cancellation.release(request)

    # A send, first or repeated

    async def _send(self, request: Request, *, held_back: bool = False) -> StepResult:
        reached("gateway.before_claim")
        # The 5 s count from before the statement: a process that is stopped in between writes nothing when it
        # goes on, since a lookup of another worker may by then have proven the step absent.
        before_claim = time.monotonic()
        claim = await self._claims.claim(request.step, request.expires_at, self._key_life_s(request))
        match claim:
            case Closed():
                metrics.claimed(self._gateway.facts.name, "closed")
                return StepResult.stored(request.step, claim.result, claim)
            case MayOnlyQuery():
                metrics.claimed(self._gateway.facts.name, "may_only_query")
                return await self._status_query.query(request)
            case Granted():
                metrics.claimed(self._gateway.facts.name, "first" if claim.tries == 1 else "repeat")
        reached("gateway.after_claim")
        if not held_back:
            return await self._call(request, claim, before_claim)
        if claim.tries == 1:
            # This claim is the only one, and nothing is sent under it.
            outcome = await self._settle(request, GIVEN_BACK)
            return StepResult(request.step.step, outcome, "none", 0, None)
        # An earlier try may have reached the PSP: it is repeated, whatever the circuit says.
        async with self._calls.slot(request.account):
            return await self._call(request, claim, before_claim)

    async def _call(self, request: Request, claim: Granted, before_claim: float) -> StepResult:
        # PostgreSQL's clock gives the time for which the request is still valid, ours measures from before
        # the claim.
        left_s = (request.expires_at - claim.last_try_at).total_seconds()
        exchange = await self._calls.exchange(
            "send",
            request.account,
            request.call,
            build=self._gateway.request,
            interpret=self._gateway.outcome,
            first_byte_before=before_claim + min(FIRST_BYTE_WITHIN_S, left_s),
        )
        reached("gateway.after_response")
        # The claim is closed before the report: an agent killed in between reports the stored result when it
        # reads the request again. The other way round, an open claim would let a redelivered request call the
        # PSP for what the payment has recorded.
        outcome = await self._settle(request, self._sent(request.call, exchange))
        source: Source = "none" if exchange.call_ms is None else "call"
        # A try that was withdrawn is none.
        tries, first_try_at = (0, None) if outcome.kind == "UNREACHED" else (claim.tries, claim.first_try_at)
        return StepResult(request.step.step, outcome, source, tries, first_try_at, exchange.call_ms)

    # An open circuit

    def _is_held_back(self, request: Request) -> bool:
        return holds_back(self._circuits, request, self._now())

    async def _give_back(self, request: Request) -> StepResult:
        """Gives the request back as if nobody could be reached. It is claimed first, so that its end is
        proven as that of any other: the claim is closed, or withdrawn."""
        return await self._send(request, held_back=True)

    def _sent(self, call: Call, exchange: Exchange) -> Outcome:
        """The outcome of a send. A step that moves no money has done nothing where the PSP is not available,
        even if it has begun."""
        assert exchange.outcome is not None, "only a lookup finds nothing"
        outcome = exchange.outcome
        if outcome.kind != "UNKNOWN" or not exchange.unavailable or self._gateway.moves_money(call):
            return outcome
        return outcome.model_copy(update={"kind": "NOT_SENT", "unreached": True, "repeat_is_useless": False})

    async def _settle(self, request: Request, outcome: Outcome) -> Outcome:
        """Closes the claim where the outcome decides, and returns what is left of the outcome.

        NOT_SENT decides only if this was the only try. Where nobody was reached, or the PSP was not
        available, and no other account waits for the proof, the claim is withdrawn instead: UNREACHED.
        """
        if outcome.kind in _DECIDED:
            # Reported even where another result is stored already: the payment has to see that they differ.
            await self._claims.close(request.step, outcome, only_try=False)
            return outcome
        if outcome.kind != "NOT_SENT":
            return outcome
        if outcome.unreached and not request.ends_unreached:
            # A withdrawn step may be sent later, a closed one never. If another worker has claimed it in
            # between, the outcome is UNKNOWN: that try may reach the PSP.
            withdrawn = await self._claims.withdraw(request.step)
            return outcome.model_copy(update={"kind": "UNREACHED" if withdrawn else "UNKNOWN"})
        # One statement decides: a second claim may come at any moment, from a worker that has the request
        # once more.
        if await self._claims.close(request.step, outcome, only_try=True):
            return outcome
        # An earlier try may have been executed, whatever became of this one.
        return outcome.model_copy(update={"kind": "UNKNOWN"})

    def _key_life_s(self, request: Request) -> int:
        """The shorter of what was recorded when the operation started and what the adapter gives now for this
        step, in seconds. Without credentials nothing is sent."""
        credentials = self._credentials_of(request.account)
        if credentials is None:
            return request.key_life_s or 0
        # An account's settings may have become shorter since the start; a longer life now is not one that the
        # PSP had promised to the first try.
        declared = self._gateway.key_life_s(request.call, credentials)
        return declared if request.key_life_s is None else min(request.key_life_s, declared)

    # The report

    async def _report(self, record: Record, request: Request, result: StepResult) -> None:
        outcome = result.outcome
        message = RecordOutcome(
            # The same request with the same outcome is a repeat; with another outcome it is new. `ce_id`
            # names the event that requested the call.
            command_id=uuid5(NAMESPACE_URL, f"{record.header('ce_id')}#{dump(outcome).decode()}"),
            payment_id=request.payment_id,
            operation_id=request.call.reference,
            step=result.step,
            gateway=self._gateway.facts.name,
            account=request.account,
            outcome=outcome,
            source=result.source,
            tries=result.tries,
            first_try_at=result.first_try_at,
            # This process's clock, after the response: `aggregates.received` orders reports by it.
            observed_at=self._now(),
            call_ms=result.call_ms,
        )
        await self._outcomes.publish(message, _passed_on(record))
        if outcome.hint == "CONFIG":
            metrics.CONFIG_ALARMS.labels(self._gateway.facts.name).inc()
            _log.error(
                "the PSP refuses our configuration", operation_id=request.call.reference, code=outcome.code
            )
        metrics.OUTCOMES.labels(self._gateway.facts.name, outcome.kind, result.source).inc()
        # One line for each request: by it a payment is found in the logs under its producer's correlation id.
        _log.info(
            "outcome",
            correlation_id=record.header("correlation_id"),
            operation_id=request.call.reference,
            step=result.step,
            kind=outcome.kind,
            code=outcome.code,
            source=result.source,
            tries=result.tries,
            call_ms=result.call_ms,
        )


def _passed_on(record: Record) -> Sequence[tuple[str, bytes]]:
    passed = (("correlation_id", record.header("correlation_id")), (TRACEPARENT, record.traceparent))
    return [(name, value.encode()) for name, value in passed if value]
