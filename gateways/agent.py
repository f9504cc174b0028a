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
from prometheus_client import Counter, Histogram
from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from aggregates.operation import payment_id_of
from commands.messages import Amount, Currency, Id, InvalidMessage, Outcome, RecordOutcome, Token, dump
from commands.records import DeadLetter, DeadLetters, Record
from gateways.contract import DEADLINE_S, FIRST_BYTE_WITHIN_S, Call, Credentials, Gateway
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
    StepId,
)

STARTED: Final = "operation.started.v1"
ASKED: Final = "operation.asked.v1"

OUTCOMES = Counter(
    "aegispay_gateway_outcomes", "Reported, by where they come from", ["gateway", "kind", "source"]
)
CALLS = Counter("aegispay_gateway_calls", "HTTP calls, by what came back", ["gateway", "what", "result"])
CALL_SECONDS = Histogram(
    "aegispay_gateway_call_seconds",
    "From a call's first byte to its answer's last",
    ["gateway", "what"],
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
CLAIMS = Counter("aegispay_gateway_claims", "Claims, by result", ["gateway", "result"])
CONFIG_ALARMS = Counter(
    "aegispay_gateway_config_alarms",
    "A PSP refused our credentials or permissions: a person must look",
    ["gateway"],
)
LETTERS = Counter("aegispay_gateway_dead_letters", "Requests that could not be read", ["code"])

_ANSWERED: Final = FINAL - {"NOT_SENT"} | {"PENDING", "ACTION_REQUIRED"}
"""What the PSP itself says of a step: it closes the claim whatever the number of tries."""

_log: Any = structlog.get_logger(agent="gateway")

Source = Literal["call", "query", "stored", "none"]


class Request(BaseModel):
    """What the agent needs of `operation.started.v1` and `operation.asked.v1`; an event may have more fields."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    operation_id: Id
    kind: Literal["sale"]
    step: Id
    account: Id
    amount_minor: Amount
    currency: Currency
    payment_method: Token
    description: str | None = None
    psp_id: Token | None = None
    expires_at: AwareDatetime
    key_life_s: int | None = None
    how: Literal["repeat", "query"] | None = None


_REQUEST: Final = TypeAdapter(Request)


@dataclass(frozen=True, slots=True)
class _Known:
    """An outcome, and how it came to be known."""

    outcome: Outcome
    source: Source
    tries: int
    first_try_at: datetime | None
    call_ms: float | None = None


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
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._gateway = gateway
        self._claims = claims
        self._http = http
        self._outcomes = outcomes
        self._letters = letters
        self._credentials_of = credentials_of
        self._now = now

    async def handle(self, record: Record) -> None:
        """Returns when the outcome, or the dead letter, is with the broker: then the record may be acknowledged."""
        try:
            request, payment_id = _read(record)
        except InvalidMessage as why:
            LETTERS.labels(why.code).inc()
            await self._letters.send(DeadLetter.of(record, why))
            return
        known = await (self._query(request) if request.how == "query" else self._send(request))
        await self._report(record, request, payment_id, known)

    # A send, first or repeated

    async def _send(self, request: Request) -> _Known:
        step = StepId(request.operation_id, request.step)
        before_claim = time.monotonic()
        key_life_s = self._gateway.key_life_s
        if request.key_life_s is not None:
            key_life_s = min(request.key_life_s, key_life_s)
        claim = await self._claims.claim(step, request.expires_at, key_life_s)
        match claim:
            case Closed():
                self._count_claim("closed")
                source: Source = "stored" if claim.tries else "none"
                return _Known(claim.result, source, claim.tries, claim.first_try_at)
            case MayOnlyAsk():
                self._count_claim("may_only_ask")
                return await self._query(request)
            case Granted():
                self._count_claim("first" if claim.tries == 1 else "repeat")
                left_s = (request.expires_at - claim.last_try_at).total_seconds()
                first_byte_before = before_claim + min(FIRST_BYTE_WITHIN_S, left_s)
                outcome, source, call_ms = await self._call(request, claim, first_byte_before)
                return await self._settle(step, claim, outcome, source, call_ms)

    async def _call(
        self, request: Request, claim: Granted, first_byte_before: float
    ) -> tuple[Outcome, Source, float | None]:
        credentials = self._credentials_of(request.account)
        if credentials is None:
            return _unknown_account("NOT_SENT"), "none", None
        call = _call_of(request, claim.first_try_at)
        built = self._gateway.request(call, credentials)
        if isinstance(built, Outcome):
            return built, "none", None
        result = await self._http.send(credentials.base_url, built, first_byte_before)
        self._count_call("send", result)
        match result:
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
        return _Known(outcome, source, claim.tries, claim.first_try_at, call_ms)

    # A question

    async def _query(self, request: Request) -> _Known:
        step = StepId(request.operation_id, request.step)
        ended = await self._claims.end_for_query(step)
        if ended.result is not None:
            return _Known(ended.result, "stored" if ended.tries else "none", ended.tries, ended.first_try_at)
        credentials = self._credentials_of(request.account)
        if credentials is None:
            return _Known(_unknown_account("UNKNOWN"), "none", ended.tries, ended.first_try_at)
        outcome, call_ms = await self._ask(request, credentials, ended.first_try_at)
        if outcome is None:
            outcome = self._not_found(ended.last_try_at, ended.now)
        if outcome.kind in FINAL and not await self._claims.close(step, outcome, only_try=False):
            # A call that was still under way has stored its answer since. What the PSP says now is reported all
            # the same; that it knew nothing a moment ago proves nothing any more.
            outcome = await self._stored(step) if outcome.kind == "PROVEN_ABSENT" else outcome
        return _Known(outcome, "query", ended.tries, ended.first_try_at, call_ms)

    async def _ask(
        self, request: Request, credentials: Credentials, first_try_at: datetime | None
    ) -> tuple[Outcome | None, float | None]:
        """None: the PSP does not know the operation."""
        call = _call_of(request, first_try_at)
        result = await self._http.send(
            credentials.base_url, self._gateway.lookup(call, credentials), first_byte_before=None
        )
        self._count_call("query", result)
        match result:
            case Answered():
                found = self._gateway.found(call, result.answer)
                # A question is not a step: that it was not taken in says nothing of the step.
                if found is not None and found.kind == "NOT_SENT":
                    found = found.model_copy(update={"kind": "UNKNOWN"})
                return found, result.call_ms
            case NotWritten():
                return Outcome(kind="UNKNOWN", code=result.code), None
            case Lost():
                return Outcome(kind="UNKNOWN", code=result.code), result.call_ms

    def _not_found(self, last_try_at: datetime | None, asked_at: datetime) -> Outcome:
        """Proof, once the last try can no longer arrive at the PSP nor be on its way into what the PSP looks up."""
        assert last_try_at is not None, "a step without a try ends as never_sent"
        waited_s = (asked_at - last_try_at).total_seconds()
        if waited_s > FIRST_BYTE_WITHIN_S + DEADLINE_S + self._gateway.absence_delay_s:
            return Outcome(kind="PROVEN_ABSENT", code="not_found")
        return Outcome(kind="UNKNOWN", code="not_found_yet")

    async def _stored(self, step: StepId) -> Outcome:
        ended = await self._claims.end_for_query(step)
        return ended.result or Outcome(kind="UNKNOWN", code="not_found_yet")

    # The report

    async def _report(self, record: Record, request: Request, payment_id: UUID, known: _Known) -> None:
        outcome = known.outcome
        message = RecordOutcome(
            command_id=uuid5(NAMESPACE_URL, f"{record.header('ce_id')}#{dump(outcome).decode()}"),
            payment_id=payment_id,
            operation_id=request.operation_id,
            step=request.step,
            gateway=self._gateway.name,
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
            CONFIG_ALARMS.labels(self._gateway.name).inc()
            _log.error(
                "the PSP refuses our configuration", operation_id=request.operation_id, code=outcome.code
            )
        OUTCOMES.labels(self._gateway.name, outcome.kind, known.source).inc()
        # One line for each call: with it a payment is found in the logs by its producer's correlation id.
        _log.info(
            "outcome",
            correlation_id=record.header("correlation_id"),
            operation_id=request.operation_id,
            step=request.step,
            kind=outcome.kind,
            code=outcome.code,
            source=known.source,
            tries=known.tries,
            call_ms=known.call_ms,
        )

    def _count_claim(self, result: str) -> None:
        CLAIMS.labels(self._gateway.name, result).inc()

    def _count_call(self, what: Literal["send", "query"], result: Answered | NotWritten | Lost) -> None:
        match result:
            case Answered():
                came_back = f"{result.answer.status // 100}xx"
            case NotWritten() | Lost():
                came_back = result.code
        CALLS.labels(self._gateway.name, what, came_back).inc()
        if not isinstance(result, NotWritten):
            CALL_SECONDS.labels(self._gateway.name, what).observe(result.call_ms / 1000)


def _read(record: Record) -> tuple[Request, UUID]:
    """Raises `InvalidMessage`."""
    if record.header("ce_type") not in {STARTED, ASKED}:
        raise InvalidMessage("type_unknown", "ce_type", "a gateway takes no requests of this type")
    if record.value is None:
        raise InvalidMessage("value_missing", None, "the record has no value")
    try:
        request = _REQUEST.validate_json(record.value)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise InvalidMessage("field_invalid", path or None, f"not valid here ({first['type']})") from None
    if record.header("ce_type") == ASKED and request.how is None:
        raise InvalidMessage("field_missing", "how", "this field is required")
    try:
        payment_id = payment_id_of(request.operation_id)
    except ValueError:
        raise InvalidMessage("field_invalid", "operation_id", "not an operation's id") from None
    if record.key != str(payment_id).encode():
        raise InvalidMessage("wrong_key", None, "the record's key is not the payment's id")
    return request, payment_id


def _call_of(request: Request, first_try_at: datetime | None) -> Call:
    return Call(
        reference=request.operation_id,
        step=request.step,
        kind=request.kind,
        amount_minor=request.amount_minor,
        currency=request.currency,
        payment_method=request.payment_method,
        description=request.description,
        psp_id=request.psp_id,
        first_try_at=first_try_at,
    )


def _unknown_account(kind: Literal["NOT_SENT", "UNKNOWN"]) -> Outcome:
    return Outcome(kind=kind, code="account_not_configured", hint="CONFIG")


def _passed_on(record: Record) -> Sequence[tuple[str, bytes]]:
    return [(name, record.headers[name]) for name in ("correlation_id", "traceparent") if record.header(name)]
