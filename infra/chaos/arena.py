"""A whole local stack to do harm to: each process can be signalled, kept down, armed, given another clock, and cut off
from PostgreSQL. Nothing of it outlives `async with Arena(...)`.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import aiohttp
import psycopg

from infra.chaos.faults import CrashPoint, CutCommit
from infra.chaos.plan import Plan
from infra.chaos.proxy import Proxy
from infra.local.children import Program
from infra.local.ports import HOST
from infra.local.settings import StackSettings
from infra.local.stack import Stack
from infra.local.state import StackState
from infra.local.supervisor import Watched
from infra.target import of_stack
from infra.verify import VerifySettings

_LOOK_EVERY_S: Final = 0.05
_READY_WITHIN_S: Final = 60.0


class NotDone(Exception):
    """The fault could not be brought about. Says why."""


class Arena:
    def __init__(self, plan: Plan, folder: Path, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._folder = folder
        self._say = say
        self._proxies: dict[str, Proxy] = {}
        self._open = AsyncExitStack()
        self._stack = Stack(_settings(plan, folder / "data"), say=say, dress=self._dress)

    async def __aenter__(self) -> Self:
        try:
            for name in sorted({f.process for f in self._plan.faults if isinstance(f, CutCommit)}):
                self._proxies[name] = await self._open.enter_async_context(Proxy.serving())
            await self._open.enter_async_context(self._stack)
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._stack.watched:
            _signal(one, signal.SIGCONT)  # what is stopped could not stop
        await self._open.aclose()

    @property
    def state(self) -> StackState:
        return self._stack.state

    @property
    def settings(self) -> VerifySettings:
        return of_stack(VerifySettings, self.state, "audit")

    async def admin(self) -> psycopg.AsyncConnection:
        """In autocommit, in the installation's schemas."""
        options = f"-c search_path={self.state.database_schema},{self.state.database_schema}_read"
        return await psycopg.AsyncConnection.connect(
            self.state.database_admin_url, options=options, autocommit=True, connect_timeout=5
        )

    # Processes

    def of_kind(self, *kinds: str) -> list[str]:
        return [
            one.program.name for one in self._stack.watched if one.program.name.partition("-")[0] in kinds
        ]

    def signal(self, name: str, number: signal.Signals) -> None:
        _signal(self._one(name), number)

    def pid(self, name: str) -> int:
        return self._one(name).child.pid

    async def down(self, names: Iterable[str], *, gently: bool) -> None:
        """Ends them; they stay down until `up`."""
        chosen = [self._one(name) for name in names]
        for one in chosen:
            one.may_start.clear()
            if not gently:
                _signal(one, signal.SIGKILL)
        await asyncio.gather(*(one.child.stop() for one in chosen))

    async def up(self, names: Iterable[str]) -> None:
        """Lets them start; returns when they are ready."""
        chosen = [self._one(name) for name in names]
        for one in chosen:
            one.may_start.set()
        for one in chosen:
            await self.ready(one.program.name)

    async def ready(self, name: str) -> None:
        """Waits for it, whoever has taken it down."""
        await self.until(lambda: _ready(self._one(name)), f"{name} ready")

    async def all_up(self) -> None:
        """Whatever a fault did to them."""
        for one in self._stack.watched:
            _signal(one, signal.SIGCONT)
        await self.up([one.program.name for one in self._stack.watched])

    async def until(
        self, condition: Callable[[], Awaitable[object]], what: str, seconds: float = _READY_WITHIN_S
    ) -> None:
        """Raises `NotDone` where it does not come true in time."""
        try:
            async with asyncio.timeout(seconds):
                while not await condition():  # noqa: ASYNC110  # it comes true in another process
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            raise NotDone(f"not within {seconds:g} s: {what}") from None

    def restarts(self) -> dict[str, int]:
        return {one.program.name: one.restarts for one in self._stack.watched}

    def _one(self, name: str) -> Watched:
        return next(one for one in self._stack.watched if one.program.name == name)

    # What only a test may do to a process

    def set_clock(self, name: str, offset_s: float) -> None:
        file = self._clock_file(name)
        unfinished = file.with_suffix(".new")
        unfinished.write_text(str(offset_s))
        unfinished.replace(file)

    def proxy(self, name: str) -> Proxy:
        return self._proxies[name]

    def fired(self, name: str, point: str) -> bool:
        return (self._marks(name) / point).exists()

    def stopped(self, name: str) -> bool:
        """Whether a signal stopped it: state T of proc(5)."""
        try:
            stat = Path("/proc", str(self.pid(name)), "stat").read_text()
        except FileNotFoundError:
            return False
        return stat.rpartition(")")[2].split()[0] == "T"

    async def tell_simulator(self, change: dict[str, Any]) -> None:
        url = f"{self.state.simulator_url}/_simulator"
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http,
                http.post(url, json=change) as answer,
            ):
                if answer.status >= 300:
                    raise NotDone(f"the simulator answered {answer.status}: {await answer.text()}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotDone(f"the simulator does not answer: {type(error).__name__}") from error

    def _dress(self, program: Program) -> Program:
        name = program.name
        env = dict(program.env) | {"AEGISPAY_ENVIRONMENT": "test"}
        clock = self._clock_file(name)
        clock.parent.mkdir(exist_ok=True)
        clock.write_text("0")
        env["AEGISPAY_CLOCK_OFFSET_S"] = str(clock)
        if points := [f.spec for f in self._plan.faults if isinstance(f, CrashPoint) and f.where == name]:
            self._marks(name).mkdir(parents=True)
            env["AEGISPAY_CRASH_POINTS"] = ",".join(points)
            env["AEGISPAY_CRASH_MARKS"] = str(self._marks(name))
        if proxy := self._proxies.get(name):
            there = urlsplit(env["AEGISPAY_DATABASE_URL"])
            proxy.server_port = there.port or 5432
            login = there.netloc.rpartition("@")[0]
            through = there._replace(netloc=f"{login}@{HOST}:{proxy.port}")
            env["AEGISPAY_DATABASE_URL"] = through.geturl()
        return replace(program, env=env)

    def _marks(self, name: str) -> Path:
        return self._folder / "marks" / name

    def _clock_file(self, name: str) -> Path:
        return self._folder / "clocks" / name


async def _ready(one: Watched) -> bool:
    # Asked of itself: the supervisor notes only that it once was.
    return one.state == "ready" and one.child.exit_code is None and await one.program.ready()


def _signal(one: Watched, number: signal.Signals) -> None:
    if one.child.exit_code is None:
        one.child.signal(number)


def _settings(plan: Plan, data: Path) -> StackSettings:
    stack = plan.stack
    return StackSettings(
        data=data,
        partitions=stack.partitions,
        command_workers=stack.command_workers,
        gateway_workers=stack.gateway_workers,
        # What a chaos plan orders goes to one PSP, which is asked.
        all_gateways=False,
        webhooks=False,
        relays=stack.relays,
        read_model_workers=stack.read_model_workers,
        simulator_latency_ms=stack.simulator_latency_ms,
        postgres_port=0,
        kafka_port=0,
        api_port=0,
        simulator_port=0,
    )


def folder_for_all(path: Path) -> None:
    """As root, PostgreSQL runs as another user, who has to pass through."""
    path.chmod(0o711 if os.geteuid() == 0 else 0o700)
