"""The claims of the gateway, in PostgreSQL. Invariant: no step is sent without a claim, and none after its row is closed.

Each statement serves a group: the first request goes at once, what comes while it runs forms the next group. A group is
sorted by step, and INSERT … ON CONFLICT locks its rows in that order, so two workers never wait for each other in a
circle. All times are the server's.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import psycopg
from psycopg.rows import TupleRow

from commands.messages import Outcome, dump
from gateways.ports import FINAL, Closed, Ended, Granted, MayOnlyAsk, StepId
from infra.database import connect_async
from infra.settings import DatabaseSettings

_GROUP_MAX: Final = 200
_NEVER_SENT: Final = dump(Outcome(kind="NOT_SENT", code="never_sent", detail="asked for before it was sent"))
_EXPIRED: Final = dump(Outcome(kind="NOT_SENT", code="expired", detail="not sent before its expires_at"))

# A row that is proposed as closed comes from a request that is past its expires_at.
_CLAIM: Final = """
INSERT INTO gateway_sends AS sent (operation_id, step, state, tries, first_try_at, last_try_at, result)
SELECT operation_id, step,
       CASE WHEN now < expires_at THEN 'open' ELSE 'closed' END,
       CASE WHEN now < expires_at THEN 1 ELSE 0 END,
       CASE WHEN now < expires_at THEN now END,
       CASE WHEN now < expires_at THEN now END,
       CASE WHEN now >= expires_at THEN %(expired)s::jsonb END
FROM unnest(%(operations)s::text[], %(steps)s::text[], %(expire)s::timestamptz[])
         AS asked (operation_id, step, expires_at),
     (SELECT clock_timestamp() AS now) AS clock
ORDER BY operation_id, step
ON CONFLICT (operation_id, step) DO UPDATE
    SET tries = sent.tries + 1, last_try_at = clock_timestamp()
    WHERE sent.state = 'open' AND excluded.state = 'open'
      AND clock_timestamp() < sent.first_try_at + make_interval(secs => %(key_life_s)s)
RETURNING operation_id, step, state, tries, first_try_at, last_try_at, result
"""

_READ: Final = """
SELECT operation_id, step, state, tries, first_try_at, result
FROM unnest(%(operations)s::text[], %(steps)s::text[]) AS asked (operation_id, step)
JOIN gateway_sends USING (operation_id, step)
"""

# There is a row always; `tries` of the proposed one says how often the step may have been sent for this answer to
# close it.
_CLOSE: Final = """
INSERT INTO gateway_sends AS sent (operation_id, step, state, tries, result)
SELECT operation_id, step, 'closed', tries_max, result
FROM unnest(%(operations)s::text[], %(steps)s::text[], %(tries_max)s::smallint[], %(results)s::jsonb[])
         AS answered (operation_id, step, tries_max, result)
ORDER BY operation_id, step
ON CONFLICT (operation_id, step) DO UPDATE
    SET state = 'closed', result = excluded.result
    WHERE CASE WHEN excluded.tries < 32767 THEN sent.state = 'open' AND sent.tries <= excluded.tries
               ELSE sent.result IS NULL OR sent.result ->> 'kind' IN ('PENDING', 'ACTION_REQUIRED') END
RETURNING operation_id, step
"""
_ANY_NUMBER: Final = 32767  # the largest smallint

_END: Final = """
INSERT INTO gateway_sends AS sent (operation_id, step, state, tries, result)
SELECT operation_id, step, 'closed', 0, %(never_sent)s::jsonb
FROM unnest(%(operations)s::text[], %(steps)s::text[]) AS ended (operation_id, step)
ORDER BY operation_id, step
ON CONFLICT (operation_id, step) DO UPDATE SET state = 'closed'
RETURNING operation_id, step, tries, first_try_at, last_try_at, result, clock_timestamp()
"""


class _Asked(Protocol):
    @property
    def step(self) -> StepId: ...


@dataclass(frozen=True, slots=True)
class _Claim:
    step: StepId
    expires_at: datetime
    key_life_s: int


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
    """Implements `gateways.ports.Claims`. Any error of the connection is fatal for the process."""

    def __init__(
        self,
        claiming: psycopg.AsyncConnection[TupleRow],
        closing: psycopg.AsyncConnection[TupleRow],
    ) -> None:
        self._claiming = claiming
        self._closing = closing
        self._claims = _Groups[_Claim, Granted | Closed | MayOnlyAsk](self._claim_group)
        self._answers = _Groups[_Answer, bool](self._close_group)
        self._queries = _Groups[_Query, Ended](self._end_group)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: DatabaseSettings, process: str) -> AsyncIterator[Self]:
        async with AsyncExitStack() as stack:
            connections = [
                await stack.enter_async_context(await connect_async(settings, process)) for _ in range(2)
            ]
            for connection in connections:
                connection.prepare_threshold = 0
            yield cls(*connections)

    async def claim(
        self, step: StepId, expires_at: datetime, key_life_s: int
    ) -> Granted | Closed | MayOnlyAsk:
        return await self._claims.ask(_Claim(step, expires_at, key_life_s))

    async def close(self, step: StepId, result: Outcome, *, only_try: bool) -> bool:
        return await self._answers.ask(_Answer(step, result, 1 if only_try else _ANY_NUMBER))

    async def end_for_query(self, step: StepId) -> Ended:
        return await self._queries.ask(_Query(step))

    async def _claim_group(self, group: Sequence[_Claim]) -> dict[StepId, Granted | Closed | MayOnlyAsk]:
        results: dict[StepId, Granted | Closed | MayOnlyAsk] = {}
        for key_life_s in {asked.key_life_s for asked in group}:
            same = [asked for asked in group if asked.key_life_s == key_life_s]
            rows = await self._rows(
                self._claiming,
                _CLAIM,
                same,
                expire=[asked.expires_at for asked in same],
                key_life_s=key_life_s,
                expired=_EXPIRED.decode(),
            )
            for operation, step, state, tries, first, last, result in rows:
                results[StepId(operation, step)] = (
                    Granted(tries, first, last)
                    if state == "open"
                    else Closed(Outcome.model_validate(result), tries, first)
                )
        refused = [asked for asked in group if asked.step not in results]
        if refused:
            for operation, step, state, tries, first, result in await self._rows(
                self._claiming, _READ, refused
            ):
                answered = state == "closed" and result is not None
                results[StepId(operation, step)] = (
                    Closed(Outcome.model_validate(result), tries, first) if answered else MayOnlyAsk()
                )
        return results

    async def _close_group(self, group: Sequence[_Answer]) -> dict[StepId, bool]:
        rows = await self._rows(
            self._closing,
            _CLOSE,
            group,
            tries_max=[answer.tries_max for answer in group],
            results=[dump(answer.result).decode() for answer in group],
        )
        closed = {StepId(operation, step) for operation, step in rows}
        return {answer.step: answer.step in closed for answer in group}

    async def _end_group(self, group: Sequence[_Query]) -> dict[StepId, Ended]:
        rows = await self._rows(self._claiming, _END, group, never_sent=_NEVER_SENT.decode())
        return {
            StepId(operation, step): Ended(_final(result), tries, first, last, now)
            for operation, step, tries, first, last, result, now in rows
        }

    async def _rows(
        self,
        connection: psycopg.AsyncConnection[TupleRow],
        statement: Any,
        group: Sequence[_Asked],
        **more: Any,
    ) -> list[TupleRow]:
        asked = {
            "operations": [one.step.operation_id for one in group],
            "steps": [one.step.step for one in group],
        }
        cursor = await connection.execute(statement, asked | more)
        return await cursor.fetchall()


def _final(result: Any) -> Outcome | None:
    """PENDING and ACTION_REQUIRED answer a send, but not the question how it ended."""
    outcome = None if result is None else Outcome.model_validate(result)
    return outcome if outcome is not None and outcome.kind in FINAL else None
