"""The whole of AegisPay on one machine, under one supervisor: servers, schema, topics, keys, accounts and
every process."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Final, Self

from infra.errors import LocalProblem, Misconfigured, Miswritten
from infra.kafka import topic_admin
from infra.postgres import api_keys, migrate
from infra.postgres.connections import connect
from infra.tools.local import doctor, jars, kafka
from infra.tools.local.accounts import MERCHANTS
from infra.tools.local.data import DataFolder, write_private
from infra.tools.local.plan import SCHEMA, Plan, metrics
from infra.tools.local.ports import HOST
from infra.tools.local.processes import PYTHON
from infra.tools.local.settings import StackSettings
from infra.tools.local.state import ProcessState, StackState
from infra.tools.local.subprocesses import Child, Program, at_once, tail
from infra.tools.local.supervisor import Supervisor, WatchedProgram

_TELL_EVERY_S: Final = 3.0
_SERVERS_WITHIN_S: Final = 60.0
_PROCESSES_WITHIN_S: Final = 60.0


class Stack:
    """A stack that is up inside `async with Stack(settings) as stack:`. `say` receives progress in words
    for an operator; `configure` may change a process before it starts."""

    def __init__(
        self,
        settings: StackSettings,
        *,
        fresh: bool = False,
        say: Callable[[str], None] = lambda _: None,
        configure: Callable[[Program], Program] = lambda program: program,
    ) -> None:
        self._settings = settings
        self._fresh = fresh
        self._say = say
        self._configure = configure
        self._supervisor = Supervisor(self._changed)
        self._data: DataFolder | None = None
        self._state: StackState | None = None

    @property
    def state(self) -> StackState:
        """The addresses, credentials and processes. Asserts that the stack has started."""
        assert self._state, "not started"
        return self._state

    @property
    def watched(self) -> tuple[WatchedProgram, ...]:
        """Every program of the stack, in the order of its start."""
        return self._supervisor.watched

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts everything and returns when all is ready. Raises `LocalProblem`, and then leaves nothing
        running."""
        doctor.require_room(self._settings.data)
        self._data = DataFolder(self._settings.data.absolute(), fresh=self._fresh)
        try:
            plan = Plan.make(self._settings, self._data)
            await self._start_servers(plan, self._data)
            keys = await self._provision(plan)
            await self._start_processes(plan)
            self._state = _state(plan, keys)
            self._write_state()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stops everything and releases the data folder. Safe to call at any time."""
        self._state = None
        await self._supervisor.stop()
        if self._data:
            StackState.remove(self._data.path)
            self._data.close()
            self._data = None

    async def _start_servers(self, plan: Plan, data: DataFolder) -> None:
        await self._provide_jars(plan)
        if not kafka.trained().exists():
            self._say("Preparing Java's cache for Kafka (once)")
        await kafka.train()
        self._say("Starting PostgreSQL and Kafka")
        await asyncio.gather(plan.kafka.prepare(), plan.postgres.prepare())
        data.completed()
        options = self._settings.kafka_java_options.split()
        servers = (plan.postgres.program(), plan.kafka.program(*options))
        await self._supervisor.start(*servers, within_s=_SERVERS_WITHIN_S)

    async def _provide_jars(self, plan: Plan) -> None:
        """Downloads Kafka in a process of its own, so that Ctrl-C ends a download at once."""
        if jars.folder().exists():
            return
        self._say(f"Downloading Kafka {jars.KAFKA_VERSION} (44 MB, once)")
        log = plan.logs / "download.log"
        log.unlink(missing_ok=True)
        # The whole environment, which holds the settings of the network.
        env = dict(os.environ) | PYTHON
        child = Child(
            Program("download", (sys.executable, "-m", "infra.tools.local.jars"), log, at_once, env)
        )
        ended = asyncio.create_task(child.ended())
        told_mb = 0
        try:
            while not (await asyncio.wait((ended,), timeout=_TELL_EVERY_S))[0]:
                fetched_mb = round(jars.downloaded_bytes() / 1e6)
                if fetched_mb > told_mb:
                    self._say(f"Downloading Kafka: {fetched_mb} MB")
                    told_mb = fetched_mb
        finally:
            ended.cancel()
            await child.stop()
        if child.exit_code:
            what, _, remedy = tail(log, lines=20).partition("\n")
            raise LocalProblem(what, remedy)

    async def _provision(self, plan: Plan) -> dict[str, str]:
        self._say("Applying migrations and creating topics")
        try:
            await asyncio.gather(
                asyncio.to_thread(migrate.migrate, plan.admin, plan.role_passwords, "all"),
                topic_admin.create(plan.bus),
            )
        except Misconfigured as error:
            remedy = f"Or empty {plan.folder} with --fresh: its payments are gone then"
            raise Miswritten(str(error), remedy) from error
        plan.write_accounts()
        return await asyncio.to_thread(_api_keys, plan)

    async def _start_processes(self, plan: Plan) -> None:
        programs = [self._configure(program) for program in plan.programs()]
        self._say(f"Starting {', '.join(program.name for program in programs)}")
        await self._supervisor.start(*programs, within_s=_PROCESSES_WITHIN_S)

    def _changed(self, name: str, what: str) -> None:
        self._say(f"{name}: {what}")
        if self._state:
            self._write_state()

    def _write_state(self) -> None:
        """Writes the state file anew: addresses stay, but the processes behind them may have been
        restarted."""
        assert self._state
        assert self._data
        ports = self._data.remembered("ports")
        running = tuple(
            ProcessState(
                name=one.program.name,
                pid=one.child.pid,
                state=one.state,
                restarts=one.restarts,
                ended=one.ended,
                metrics_url=f"http://{HOST}:{port}"
                if (port := ports.get(metrics(one.program.name)))
                else None,
                log=one.program.log,
            )
            for one in self._supervisor.watched
        )
        self._state = self._state.model_copy(update={"processes": running})
        self._state.write()


def _state(plan: Plan, keys: dict[str, str]) -> StackState:
    return StackState(
        pid=os.getpid(),
        data=plan.folder,
        kafka=plan.kafka.bootstrap,
        topic_prefix=plan.bus.topic_prefix,
        partitions=plan.bus.partitions,
        api_url=plan.api_url,
        api_key=keys["demo"],
        database_url=plan.dsn("audit"),
        database_admin_url=plan.postgres.dsn(),
        database_schema=SCHEMA,
        simulator_url=plan.simulator_url,
        simulator_ledger=plan.simulator_ledger,
        simulator_latency_ms=plan.settings.simulator_latency_ms,
        accounts_file=plan.accounts_file,
        hooks=plan.settings.hooks,
        processes=(),
    )


def _api_keys(plan: Plan) -> dict[str, str]:
    """Makes one key for each merchant, once. PostgreSQL has only their hashes, so they are kept in a file
    beside it."""
    file = plan.folder / "api_keys.json"
    kept: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    with connect(plan.admin, "local") as conn:
        for merchant in MERCHANTS:
            if merchant not in kept:
                kept[merchant] = api_keys.create(conn, merchant, api_keys.SCOPES)
                write_private(file, json.dumps(kept))
    return kept
