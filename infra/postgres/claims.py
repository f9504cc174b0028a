"""Claims of steps, in PostgreSQL. Invariant: no step is sent without a claim, and none after its row is
closed.

Each statement serves a group: the first request goes at once, what comes while it runs forms the next group.
A group is sorted by step, and INSERT … ON CONFLICT locks its rows in that order, so two workers never wait
for each other in a circle. All times are the server's.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import orjson

from commands.messages import Outcome, dump
from commands.sql import statements
from gateways.agent.ports import Closed, Ended, Granted, MayOnlyQuery, StepId
from infra.postgres.prepared import PreparedStatements, Row
from infra.settings import DatabaseSettings

# Steps in one statement. The others wait for the next one, which begins as soon as this one has ended.
_GROUP_MAX: Final = 200
_NEVER_SENT: Final = dump(
    Outcome(kind="NOT_SENT", code="never_sent", detail="queried before it was sent", unreached=True)
)
_EXPIRED: Final = dump(Outcome(kind="NOT_SENT", code="expired", detail="not sent before its expires_at"))

_ANY_NUMBER: Final = 32767  # the largest smallint

_SQL: Final = statements(__file__)
_CLAIM: Final = _SQL["claim"]
_READ: Final = _SQL["read"]
_CLOSE: Final = _SQL["close"]
_WITHDRAW: Final = _SQL["withdraw"]
_END: Final = _SQL["end"]


class _Request(Protocol):
    @property
    def step(self) -> StepId: ...


@dataclass(frozen=True, slots=True)
class _Claim:
    step: StepId
    expires_at: datetime | None
    key_life_s: int | None


@dataclass(frozen=True, slots=True)
class _Result:
    step: StepId
    result: Outcome
    tries_max: int


@dataclass(frozen=True, slots=True)
class _Query:
    step: StepId


@dataclass(frozen=True, slots=True)
class _Withdrawal:
    step: StepId


A = TypeVar("A", bound=_Request)
R = TypeVar("R")


class _Groups(Generic[A, R]):
    """Serves requests of one kind, one group at a time. A statement that fails fails every request that
    waits."""

    def __init__(self, serve: Callable[[Sequence[A]], Awaitable[dict[StepId, R]]]) -> None:
        self._serve = serve
        self._waiting: list[tuple[A, asyncio.Future[R]]] = []
        self._group: dict[StepId, tuple[A, asyncio.Future[R]]] = {}
        self._serving: asyncio.Task[None] | None = None

    async def submit(self, request: A) -> R:
        # Nothing waits for a group to fill: alone, a claim costs one round trip; under load a group grows by
        # itself to what came during the round trip before it.
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._serving is None:
            # A task of its own: a requester that is cancelled cancels its future only, and never the
            # statement, which would leave the connection in the middle of it.
            self._serving = asyncio.create_task(self._serve_all())
            self._serving.add_done_callback(self._ended)
        return await future

    async def _serve_all(self) -> None:
        while self._waiting:
            self._group = self._next_group()
            results = await self._serve([request for request, _ in self._group.values()])
            for step, (_, future) in self._group.items():
                # A requester that is cancelled leaves what the statement did. Its record was not
                # acknowledged, and whoever reads it again finds the claim.
                if not future.done():
                    future.set_result(results[step])
        # No await since the loop's last look at `_waiting`: a request that came in between would find a task
        # that serves nobody any more, and wait for ever.
        self._serving = None

    def _next_group(self) -> dict[StepId, tuple[A, "asyncio.Future[R]"]]:
        """One row cannot be changed twice by one statement: the second request for a step waits for the
        next."""
        group: dict[StepId, tuple[A, asyncio.Future[R]]] = {}
        later = []
        for request, future in self._waiting:
            if request.step in group or len(group) == _GROUP_MAX:
                later.append((request, future))
            else:
                group[request.step] = (request, future)
        self._waiting = later
        return group

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        # Nobody knows whether the statement was committed before its connection broke. So every requester
        # gets the error: the process ends without acknowledging, and its successor finds what was done.
        self._serving = None
        for _, future in (*self._group.values(), *self._waiting):
            if not future.done():
                future.set_exception(error)
        self._waiting = []


class PostgresClaims:
    """Implements `gateways.agent.ports.Claims`. Any error of a connection is fatal for the process."""

    def __init__(
        self,
        claiming: PreparedStatements,
        closing: PreparedStatements,
        ending: PreparedStatements,
        withdrawing: PreparedStatements,
    ) -> None:
        self._claiming = claiming
        self._closing = closing
        self._ending = ending
        self._withdrawing = withdrawing
        self._claims = _Groups[_Claim, Granted | Closed | MayOnlyQuery](self._claim_group)
        self._results = _Groups[_Result, bool](self._close_group)
        self._queries = _Groups[_Query, Ended](self._end_group)
        self._withdrawals = _Groups[_Withdrawal, bool](self._withdraw_group)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: DatabaseSettings, process: str) -> AsyncIterator[Self]:
        """Opens a connection for each of the four kinds of statement, so that none waits for another."""
        async with (
            PreparedStatements.open(settings, process, {"claim": _CLAIM, "read": _READ}) as claiming,
            PreparedStatements.open(settings, process, {"close": _CLOSE}) as closing,
            PreparedStatements.open(settings, process, {"end": _END}) as ending,
            PreparedStatements.open(settings, process, {"withdraw": _WITHDRAW}) as withdrawing,
        ):
            yield cls(claiming, closing, ending, withdrawing)

    async def claim(
        self, step: StepId, expires_at: datetime | None, key_life_s: int | None
    ) -> Granted | Closed | MayOnlyQuery:
        """Claims one try of a step, unless it is closed, past `expires_at` (None: never), or its key's
        life is over.

        `key_life_s`: from the first try on; None: a key that is always good.
        """
        return await self._claims.submit(_Claim(step, expires_at, key_life_s))

    async def close(self, step: StepId, result: Outcome, *, only_try: bool) -> bool:
        """Stores the step's result and closes it, unless a final one is stored. `only_try`: only if it is
        open and was claimed once. Returns whether this call did it."""
        return await self._results.submit(_Result(step, result, 1 if only_try else _ANY_NUMBER))

    async def refuse(self, step: StepId, result: Outcome) -> bool:
        """Closes a step that was never claimed, with this result. Returns False if there is a row of it."""
        return await self._results.submit(_Result(step, result, 0))

    async def withdraw(self, step: StepId) -> bool:
        """Takes back a claim of which nothing was sent. Returns False if it was claimed again or closed
        meanwhile."""
        return await self._withdrawals.submit(_Withdrawal(step))

    async def close_for_query(self, step: StepId) -> Ended:
        """Closes a step before the PSP is queried, so that nothing of it is sent any more, and returns
        what is known of it."""
        return await self._queries.submit(_Query(step))

    async def _claim_group(self, group: Sequence[_Claim]) -> dict[StepId, Granted | Closed | MayOnlyQuery]:
        results: dict[StepId, Granted | Closed | MayOnlyQuery] = {}
        while remaining := [request for request in group if request.step not in results]:
            results |= await self._granted_or_expired(remaining)
            # A row may be closed between the two statements, and is then seen as closed, which is never
            # wrong. One that `withdraw` deletes in between is in neither result, and is claimed anew.
            if refused := [_fields(request.step) for request in group if request.step not in results]:
                for row in await self._claiming.run("read", [orjson.dumps(refused)]):
                    step, sent = _sent(row)
                    results[step] = _refused(sent)
        return results

    async def _granted_or_expired(
        self, group: Sequence[_Claim]
    ) -> dict[StepId, Granted | Closed | MayOnlyQuery]:
        """Returns the claims of all rows that the statement wrote: those of the others are refused."""
        results: dict[StepId, Granted | Closed | MayOnlyQuery] = {}
        # The statement takes one life of a key for all its rows, so each life has a statement, and a
        # transaction, of its own. The locks of one are gone before the next takes its own: the order by step
        # holds all the same.
        for key_life_s in {request.key_life_s for request in group}:
            same = [
                # PostgreSQL compares it with its own clock in the statement: ours may be minutes wrong.
                _fields(request.step) | {"expires_at": request.expires_at or "infinity"}
                for request in group
                if request.key_life_s == key_life_s
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
        return results

    async def _close_group(self, group: Sequence[_Result]) -> dict[StepId, bool]:
        results = [
            _fields(result.step)
            # A fragment: the outcome is JSON already, and is not parsed to be written again.
            | {"tries_max": result.tries_max, "result": orjson.Fragment(dump(result.result))}
            for result in group
        ]
        rows = await self._closing.run("close", [orjson.dumps(results)])
        closed = {_step(row) for row in rows}
        return {result.step: result.step in closed for result in group}

    async def _withdraw_group(self, group: Sequence[_Withdrawal]) -> dict[StepId, bool]:
        rows = await self._withdrawing.run(
            "withdraw", [orjson.dumps([_fields(request.step) for request in group])]
        )
        gone = {_step(row) for row in rows}
        return {request.step: request.step in gone for request in group}

    async def _end_group(self, group: Sequence[_Query]) -> dict[StepId, Ended]:
        steps = orjson.dumps([_fields(query.step) for query in group])
        results = {}
        for row in await self._ending.run("end", [steps, _NEVER_SENT]):
            step, sent = _sent(row)
            # PostgreSQL gives both `last_try_at` and this time, whose difference proves absence
            # (gateways/agent/lookup.py).
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
    # PostgreSQL's text in DateStyle ISO, `2026-11-30 14:48:13.5+00`: its offset needs Python 3.11.
    return None if text is None else datetime.fromisoformat(text.decode())


def _refused(sent: _Sent) -> Closed | MayOnlyQuery:
    # A closed row without a result was queried, and the PSP gave no final one. The try of an open row may
    # have been executed, but its key's life, or `expires_at`, is over. Either way the PSP has to be queried.
    if sent.state == b"closed" and sent.result is not None:
        return Closed(sent.result, sent.tries, sent.first_try_at)
    return MayOnlyQuery()
