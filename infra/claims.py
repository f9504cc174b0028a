"""The claims of the gateway, in PostgreSQL. Invariant: no step is sent without a claim, and none after its row is closed.

Each statement serves a group: the first request goes at once, what comes while it runs forms the next group. A group is
sorted by step, and INSERT … ON CONFLICT locks its rows in that order, so two workers never wait for each other in a
circle. All times are the server's.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import orjson

from commands.messages import Outcome, dump
from gateways.ports import Closed, Ended, Granted, MayOnlyAsk, StepId
from infra.prepared import PreparedStatements, Row
from infra.settings import DatabaseSettings

_GROUP_MAX: Final = 200
_NEVER_SENT: Final = dump(Outcome(kind="NOT_SENT", code="never_sent", detail="asked for before it was sent"))
_EXPIRED: Final = dump(Outcome(kind="NOT_SENT", code="expired", detail="not sent before its expires_at"))

_ASKED: Final = "json_to_recordset($1::json) AS asked (operation_id text, step text"

# A row that is proposed as closed comes from a request that is past its expires_at.
_CLAIM: Final = f"""
INSERT INTO gateway_sends AS sent (operation_id, step, state, tries, first_try_at, last_try_at, result)
SELECT operation_id, step,
       CASE WHEN now < expires_at THEN 'open' ELSE 'closed' END,
       CASE WHEN now < expires_at THEN 1 ELSE 0 END,
       CASE WHEN now < expires_at THEN now END,
       CASE WHEN now < expires_at THEN now END,
       CASE WHEN now >= expires_at THEN $3::jsonb END
FROM {_ASKED}, expires_at timestamptz), (SELECT clock_timestamp() AS now) AS clock
ORDER BY operation_id, step
ON CONFLICT (operation_id, step) DO UPDATE
    SET tries = sent.tries + 1, last_try_at = clock_timestamp()
    WHERE sent.state = 'open' AND excluded.state = 'open'
      AND ($2::double precision IS NULL
           OR clock_timestamp() < sent.first_try_at + make_interval(secs => $2::double precision))
RETURNING operation_id, step, state, tries, first_try_at, last_try_at, result
"""  # noqa: S608  # parts of our own

_READ: Final = f"""
SELECT operation_id, step, state, tries, first_try_at, last_try_at, result
FROM {_ASKED}) JOIN gateway_sends USING (operation_id, step)
"""  # noqa: S608

# There is a row always; `tries` of the proposed one says how often the step may have been sent for this answer to
# close it.
_CLOSE: Final = f"""
INSERT INTO gateway_sends AS sent (operation_id, step, state, tries, result)
SELECT operation_id, step, 'closed', tries_max, result
FROM {_ASKED}, tries_max smallint, result jsonb)
ORDER BY operation_id, step
ON CONFLICT (operation_id, step) DO UPDATE
    SET state = 'closed', result = excluded.result
    WHERE CASE WHEN excluded.tries < 32767 THEN sent.state = 'open' AND sent.tries <= excluded.tries
               ELSE sent.result IS NULL OR sent.result ->> 'kind' IN ('PENDING', 'ACTION_REQUIRED') END
RETURNING operation_id, step
"""  # noqa: S608
_ANY_NUMBER: Final = 32767  # the largest smallint

_END: Final = f"""
INSERT INTO gateway_sends AS sent (operation_id, step, state, tries, result)
SELECT operation_id, step, 'closed', 0, $2::jsonb FROM {_ASKED})
ORDER BY operation_id, step
ON CONFLICT (operation_id, step) DO UPDATE SET state = 'closed'
RETURNING operation_id, step, state, tries, first_try_at, last_try_at, result, clock_timestamp()
"""  # noqa: S608


class _Asked(Protocol):
    @property
    def step(self) -> StepId: ...


@dataclass(frozen=True, slots=True)
class _Claim:
    step: StepId
    expires_at: datetime | None
    key_life_s: int | None


@dataclass(frozen=True, slots=True)
class _Answer:
    step: StepId
    result: Outcome
    tries_max: int


@dataclass(frozen=True, slots=True)
class _Query:
    step: StepId


A = TypeVar("A", bound=_Asked)
R = TypeVar("R")


class _Groups(Generic[A, R]):
    """Requests of one kind, one group at a time. A statement that fails fails all that wait."""

    def __init__(self, serve: Callable[[Sequence[A]], Awaitable[dict[StepId, R]]]) -> None:
        self._serve = serve
        self._waiting: list[tuple[A, asyncio.Future[R]]] = []
        self._group: dict[StepId, tuple[A, asyncio.Future[R]]] = {}
        self._serving: asyncio.Task[None] | None = None

    async def ask(self, asked: A) -> R:
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve_all())
            self._serving.add_done_callback(self._ended)
        return await future

    async def _serve_all(self) -> None:
        while self._waiting:
            self._group = self._next_group()
            results = await self._serve([asked for asked, _ in self._group.values()])
            for step, (_, future) in self._group.items():
                if not future.done():
                    future.set_result(results[step])
        self._serving = None

    def _next_group(self) -> dict[StepId, tuple[A, "asyncio.Future[R]"]]:
        """One row cannot be changed twice by one statement: the second request for a step waits for the next."""
        group: dict[StepId, tuple[A, asyncio.Future[R]]] = {}
        later = []
        for asked, future in self._waiting:
            if asked.step in group or len(group) == _GROUP_MAX:
                later.append((asked, future))
            else:
                group[asked.step] = (asked, future)
        self._waiting = later
        return group

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._serving = None
        for _, future in (*self._group.values(), *self._waiting):
            if not future.done():
                future.set_exception(error)
        self._waiting = []


class PostgresClaims:
    """Implements `gateways.ports.Claims`. Any error of a connection is fatal for the process."""

    def __init__(
        self, claiming: PreparedStatements, closing: PreparedStatements, ending: PreparedStatements
    ) -> None:
        self._claiming = claiming
        self._closing = closing
        self._ending = ending
        self._claims = _Groups[_Claim, Granted | Closed | MayOnlyAsk](self._claim_group)
        self._answers = _Groups[_Answer, bool](self._close_group)
        self._queries = _Groups[_Query, Ended](self._end_group)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: DatabaseSettings, process: str) -> AsyncIterator[Self]:
        async with (
            PreparedStatements.open(settings, process, {"claim": _CLAIM, "read": _READ}) as claiming,
            PreparedStatements.open(settings, process, {"close": _CLOSE}) as closing,
            PreparedStatements.open(settings, process, {"end": _END}) as ending,
        ):
            yield cls(claiming, closing, ending)

    async def claim(
        self, step: StepId, expires_at: datetime | None, key_life_s: int | None
    ) -> Granted | Closed | MayOnlyAsk:
        return await self._claims.ask(_Claim(step, expires_at, key_life_s))

    async def close(self, step: StepId, result: Outcome, *, only_try: bool) -> bool:
        return await self._answers.ask(_Answer(step, result, 1 if only_try else _ANY_NUMBER))

    async def end_for_query(self, step: StepId) -> Ended:
        return await self._queries.ask(_Query(step))

    async def _claim_group(self, group: Sequence[_Claim]) -> dict[StepId, Granted | Closed | MayOnlyAsk]:
        results: dict[StepId, Granted | Closed | MayOnlyAsk] = {}
        for key_life_s in {asked.key_life_s for asked in group}:
            same = [
                _fields(asked.step) | {"expires_at": asked.expires_at or "infinity"}
                for asked in group
                if asked.key_life_s == key_life_s
            ]
            life_s = None if key_life_s is None else str(key_life_s).encode()
            values = [orjson.dumps(same), life_s, _EXPIRED]
            for row in await self._claiming.run("claim", values):
                step, sent = _sent(row)
                results[step] = (
                    Granted(sent.tries, sent.first_try_at, sent.last_try_at)
                    if sent.state == b"open" and sent.first_try_at and sent.last_try_at
                    else _refused(sent)
                )
        if refused := [_fields(asked.step) for asked in group if asked.step not in results]:
            for row in await self._claiming.run("read", [orjson.dumps(refused)]):
                step, sent = _sent(row)
                results[step] = _refused(sent)
        return results

    async def _close_group(self, group: Sequence[_Answer]) -> dict[StepId, bool]:
        answers = [
            _fields(answer.step)
            | {"tries_max": answer.tries_max, "result": orjson.Fragment(dump(answer.result))}
            for answer in group
        ]
        rows = await self._closing.run("close", [orjson.dumps(answers)])
        closed = {_step(row) for row in rows}
        return {answer.step: answer.step in closed for answer in group}

    async def _end_group(self, group: Sequence[_Query]) -> dict[StepId, Ended]:
        steps = orjson.dumps([_fields(query.step) for query in group])
        results = {}
        for row in await self._ending.run("end", [steps, _NEVER_SENT]):
            step, sent = _sent(row)
            now = _time(row[7])
            assert now is not None
            results[step] = Ended(sent.result, sent.tries, sent.first_try_at, sent.last_try_at, now)
        return results


@dataclass(frozen=True, slots=True)
class _Sent:
    state: bytes | None
    tries: int
    first_try_at: datetime | None
    last_try_at: datetime | None
    result: Outcome | None


def _fields(step: StepId) -> dict[str, Any]:
    return {"operation_id": step.operation_id, "step": step.step}


def _step(row: Row) -> StepId:
    operation_id, step, *_ = row
    assert operation_id is not None
    assert step is not None
    return StepId(operation_id.decode(), step.decode())


def _sent(row: Row) -> tuple[StepId, _Sent]:
    _, _, state, tries, first_try_at, last_try_at, result, *_ = row
    outcome = None if result is None else Outcome.model_validate_json(result)
    return _step(row), _Sent(state, int(tries or 0), _time(first_try_at), _time(last_try_at), outcome)


def _time(text: bytes | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text.decode())


def _refused(sent: _Sent) -> Closed | MayOnlyAsk:
    if sent.state == b"closed" and sent.result is not None:
        return Closed(sent.result, sent.tries, sent.first_try_at)
    return MayOnlyAsk()
