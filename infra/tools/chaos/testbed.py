"""A local stack for fault injection: each process can be signalled, kept down, armed with failpoints, given
another clock, and cut off from PostgreSQL.

Invariant: nothing of it outlives `async with Testbed(...)`.
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

from infra.tools.audit.verify import VerifySettings
from infra.tools.chaos import faults
from infra.tools.chaos.faults import CrashPoint, CutCommit
from infra.tools.chaos.plan import ChaosPlan
from infra.tools.chaos.proxy import Proxy
from infra.tools.local.ports import HOST
from infra.tools.local.settings import StackSettings
from infra.tools.local.stack import Stack
from infra.tools.local.state import StackState
from infra.tools.local.subprocesses import Program
from infra.tools.local.supervisor import WatchedProgram
from infra.tools.local.target import of_stack

_LOOK_EVERY_S: Final = 0.05
_READY_WITHIN_S: Final = 60.0


class FaultNotInjected(Exception):
    """Raised where the fault could not be injected. Its text gives the reason."""


class Testbed:
    """Runs a plan's stack in `folder` and gives access to its processes. `say` receives progress in words
    for an operator."""

    def __init__(self, plan: ChaosPlan, folder: Path, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._folder = folder
        self._say = say
        self._proxies: dict[str, Proxy] = {}
        self._open = AsyncExitStack()
        self._stack = Stack(_settings(plan, folder / "data"), say=say, configure=self._configure)

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
            _signal(one, signal.SIGCONT)  # a stopped process cannot end
        await self._open.aclose()

    @property
    def state(self) -> StackState:
        """The addresses, credentials and processes of the running stack."""
        return self._stack.state

    @property
    def settings(self) -> VerifySettings:
        """The stack's settings for a role that reads everything."""
        return of_stack(VerifySettings, self.state, "audit")

    async def admin(self) -> psycopg.AsyncConnection:
        """Opens a connection as the schema's owner, in autocommit, with the installation's schemas on its
        search path."""
        options = f"-c search_path={self.state.database_schema},{self.state.database_schema}_read"
        return await psycopg.AsyncConnection.connect(
            self.state.database_admin_url, options=options, autocommit=True, connect_timeout=5
        )

    # Processes

    def of_kind(self, *kinds: str) -> list[str]:
        """Returns the names of all processes of these kinds, such as `command` and `command-2`."""
        return [one.program.name for one in self._stack.watched if faults.kind_of(one.program.name) in kinds]

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends the signal, unless the process has ended."""
        _signal(self._one(name), number)

    def pid(self, name: str) -> int:
        """Returns the id of the process that currently runs under this name."""
        return self._one(name).child.pid

    async def down(self, names: Iterable[str], *, gently: bool) -> None:
        """Ends the processes and keeps them down until `up`: with SIGTERM if `gently`, otherwise with
        SIGKILL."""
        chosen = [self._one(name) for name in names]
        for one in chosen:
            one.may_start.clear()
            if not gently:
                _signal(one, signal.SIGKILL)
        await asyncio.gather(*(one.child.stop() for one in chosen))

    async def up(self, names: Iterable[str]) -> None:
        """Lets the processes start and returns when all are ready. Raises `FaultNotInjected` after 60 s."""
        chosen = [self._one(name) for name in names]
        for one in chosen:
            one.may_start.set()
        for one in chosen:
            await self.ready(one.program.name)

    async def ready(self, name: str) -> None:
        """Waits until the process is ready, whoever has taken it down. Raises `FaultNotInjected` after
        60 s."""
        await self.until(lambda: _ready(self._one(name)), f"{name} ready")

    async def all_up(self) -> None:
        """Resumes stopped processes and returns when all are ready, whatever a fault did to them."""
        for one in self._stack.watched:
            _signal(one, signal.SIGCONT)
        await self.up([one.program.name for one in self._stack.watched])

    async def until(
        self, condition: Callable[[], Awaitable[object]], what: str, seconds: float = _READY_WITHIN_S
    ) -> None:
        """Polls the condition until it is true. Raises `FaultNotInjected`, which names `what`, after
        `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while not await condition():  # noqa: ASYNC110  # it comes true in another process
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            raise FaultNotInjected(f"not within {seconds:g} s: {what}") from None

    def restarts(self) -> dict[str, int]:
        """Returns how often the supervisor has restarted each process."""
        return {one.program.name: one.restarts for one in self._stack.watched}

    def _one(self, name: str) -> WatchedProgram:
        return next(one for one in self._stack.watched if one.program.name == name)

    # Faults within a process

    def set_clock(self, name: str, offset_s: float) -> None:
        """Sets the process's clock ahead by `offset_s` seconds, or back where that is negative."""
        file = self._clock_file(name)
        unfinished = file.with_suffix(".new")
        unfinished.write_text(str(offset_s))
        unfinished.replace(file)

    def proxy(self, name: str) -> Proxy:
        """Returns the proxy between this process and PostgreSQL."""
        return self._proxies[name]

    def fired(self, name: str, point: str) -> bool:
        """True once the process has passed its armed failpoint."""
        return (self._marks(name) / point).exists()

    def stopped(self, name: str) -> bool:
        """True while a signal keeps the process stopped (state T in proc(5))."""
        try:
            stat = Path("/proc", str(self.pid(name)), "stat").read_text()
        except FileNotFoundError:
            return False
        return stat.rpartition(")")[2].split()[0] == "T"

    async def change_simulator(self, change: dict[str, Any]) -> None:
        """Posts the change to the simulator's control interface (docs/simulator.md). Raises
        `FaultNotInjected` on any error."""
        url = f"{self.state.simulator_url}/_simulator"
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http,
                http.post(url, json=change) as response,
            ):
                if response.status >= 300:
                    raise FaultNotInjected(
                        f"the simulator responded with {response.status}: {await response.text()}"
                    )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise FaultNotInjected(f"the simulator does not respond: {type(error).__name__}") from error

    def _configure(self, program: Program) -> Program:
        name = program.name
        env = dict(program.env) | {"AEGISPAY_ENVIRONMENT": "test"}
        env["AEGISPAY_SESSION_TIMEOUT_S"] = str(self._plan.stack.session_timeout_s)
        # A fault opens the circuit of the only account there is. Open for a minute, the payments would wait
        # for it, and the faults that come next would find nothing in flight.
        env["AEGISPAY_CIRCUIT_OPEN_S"], env["AEGISPAY_CIRCUIT_OPEN_MAX_S"] = "1", "2"
        clock = self._clock_file(name)
        clock.parent.mkdir(exist_ok=True)
        clock.write_text("0")
        env["AEGISPAY_CLOCK_OFFSET_S"] = str(clock)
        if points := [f.spec for f in self._plan.faults if isinstance(f, CrashPoint) and f.where == name]:
            self._marks(name).mkdir(parents=True)
            env["AEGISPAY_FAILPOINTS"] = ",".join(points)
            env["AEGISPAY_FAILPOINT_MARKS"] = str(self._marks(name))
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


async def _ready(one: WatchedProgram) -> bool:
    # The process's own endpoint counts: the supervisor notes only that it once was ready.
    return one.state == "ready" and one.child.exit_code is None and await one.program.ready()


def _signal(one: WatchedProgram, number: signal.Signals) -> None:
    if one.child.exit_code is None:
        one.child.signal(number)


def _settings(plan: ChaosPlan, data: Path) -> StackSettings:
    stack = plan.stack
    return StackSettings(
        data=data,
        partitions=stack.partitions,
        command_workers=stack.command_workers,
        gateway_workers=stack.gateway_workers,
        # A chaos plan orders at one PSP, which has a status API.
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
    """Opens the folder for passing through where PostgreSQL runs as another user, which is when we run as
    root."""
    path.chmod(0o711 if os.geteuid() == 0 else 0o700)
