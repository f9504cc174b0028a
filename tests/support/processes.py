"""Runs every process of AegisPay on the test run's servers, in a schema and under a topic prefix of its
own."""

import asyncio
import re
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg

from commands.client import Client, NoReply
from gateways.simulator.core.ledger import Movement, read_movements
from infra.tools.audit.verify import Verdict, VerifySettings, verify
from infra.tools.local.subprocesses import Child, Program
from infra.tools.traffic.orders import Order
from tests.support import ports
from tests.support.environment import Environment
from tests.support.movements import captures
from tests.support.until import until

ALL: Final = ("simulator", "command", "relay", "gateway", "timers", "read-models")

_MODULES: Final = {
    "simulator": ("infra.workers.simulator", "api"),
    "command": ("infra.workers.command", "command"),
    "relay": ("infra.workers.relay", "relay"),
    "gateway": ("infra.workers.gateway", "gateway"),
    "timers": ("infra.workers.timers", "timers"),
    "read-models": ("infra.workers.read_models", "read_models"),
    "listener": ("infra.workers.listener", "api"),
    "health": ("infra.workers.health", "gateway"),  # it has no database
    "routing": ("infra.workers.routing", "routing"),
    "api": ("infra.workers.api", "api"),
}

ONE_ACCOUNT: Final = """
[merchants.demo]
accounts = ["sim-eu"]
[accounts.sim-eu]
gateway = "stripe"
base_url = "http://127.0.0.1:{port}/stripe"
secret_file = "sim-eu.key"
"""
TWO_ACCOUNTS: Final = """
[merchants.demo]
accounts = ["sim-eu", "sim-us"]
[accounts.sim-eu]
gateway = "stripe"
base_url = "http://127.0.0.1:{port}/stripe"
secret_file = "sim-eu.key"
[accounts.sim-us]
gateway = "stripe"
base_url = "http://127.0.0.1:{port}/stripe"
secret_file = "sim-us.key"
multicapture = true
"""
# A merchant of each kind, for a stack that many tests share.
EVERY_ROUTE: Final = TWO_ACCOUNTS.replace(
    """accounts = ["sim-eu", "sim-us"]
""",
    """accounts = ["sim-eu"]
[merchants.failover]
accounts = ["sim-eu", "sim-us"]
[merchants.multicapture]
accounts = ["sim-us"]
""",
)
_KEYS: Final = {"sim-eu": "sk_test_for_tests_only", "sim-us": "sk_test_for_tests_too"}
_SIMULATOR: Final = f"""
[accounts.sim-eu]
gateway = "stripe"
secret = "{_KEYS["sim-eu"]}"
[accounts.sim-us]
gateway = "stripe"
secret = "{_KEYS["sim-us"]}"
options = {{ multicapture = "true" }}
"""


@dataclass
class Running:
    environment: Environment
    folder: Path
    latency_ms: float = 5.0
    accounts_text: str = ONE_ACCOUNT
    children: dict[str, Child] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.simulator_port, self.api_port = ports.free(2)
        self.ledger = self.folder / "ledger.sqlite"
        self.accounts = self.folder / "accounts.toml"
        self.accounts.write_text(self.accounts_text.format(port=self.simulator_port))
        self.simulator_accounts = self.folder / "simulator.toml"
        self.simulator_accounts.write_text(_SIMULATOR)
        for account, key in _KEYS.items():
            (self.folder / f"{account}.key").write_text(key)
        self.return_key = self.folder / "return.key"
        self.return_key.write_text("a key of tests, of thirty-two bytes or more")
        self._metrics_ports: dict[str, int] = {}

    def _program(self, name: str, settings: dict[str, object]) -> Program:
        kind = re.sub(r"-\d+$", "", name)
        module, role = _MODULES[kind]
        (metrics_port,) = ports.free(1)
        self._metrics_ports[name] = metrics_port
        env = self.environment.env(
            role,
            metrics_port=metrics_port,
            accounts_file=self.accounts,
            simulator_port=self.simulator_port,
            simulator_ledger=self.ledger,
            simulator_accounts=self.simulator_accounts,
            simulator_latency_ms=self.latency_ms,
            api_port=self.api_port,
            public_url=f"http://127.0.0.1:{self.api_port}",
            return_key_file=self.return_key,
            **({"gateway": "stripe"} | settings),
        )

        async def ready() -> bool:
            return await asyncio.to_thread(responds, f"http://127.0.0.1:{metrics_port}/ready")

        log = self.folder / f"{name}.log"
        return Program(name, (sys.executable, "-m", module), log, ready, env | {"PYTHONPATH": str(_ROOT)})

    async def start(self, *names: str, **settings: object) -> None:
        """By kind, with a suffix for a second one: `command`, `command-2`. Returns when they are ready."""
        for name in names:
            self.children[name] = Child(self._program(name, settings))
        await asyncio.gather(*(self.children[name].ready_within(40) for name in names))

    async def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        child = self.children.pop(name)
        child.signal(number)
        await child.ended()

    async def died(self, name: str, seconds: float = 60.0) -> None:
        """Returns when it has ended by itself, e.g. at a failpoint."""
        child = self.children.pop(name)
        async with asyncio.timeout(seconds):
            await child.ended()

    def metrics_url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._metrics_ports[name]}/metrics"

    async def restart(self, name: str) -> None:
        await self.kill(name)
        await self.start(name)

    @asynccontextmanager
    async def without(self, name: str) -> AsyncIterator[None]:
        """It is away inside, and ready again after it."""
        await self.children.pop(name).stop()
        try:
            yield
        finally:
            await self.start(name)

    async def stop(self) -> None:
        await asyncio.gather(*(child.stop() for child in self.children.values()))

    def client(self, reply_timeout_s: float = 10, merchant_id: str = "demo") -> Client:
        return Client(
            self.environment.kafka,
            merchant_id=merchant_id,
            topic_prefix=self.environment.prefix,
            reply_timeout_s=reply_timeout_s,
        )

    async def verdict(self, settle_s: float = 120.0) -> Verdict:
        settings = self.environment.settings(VerifySettings, "audit", simulator_ledger=self.ledger)
        return await verify(settings, settle_s)

    def charges(self, payment: UUID | None = None) -> list[Movement]:
        """All, or those for operations of one payment."""
        start = payment.hex if payment else ""
        return [charge for charge in captures(self.ledger) if charge.reference.startswith(start)]

    def movements(self, payment: UUID | None = None) -> list[Movement]:
        start = payment.hex if payment else ""
        return [one for one in read_movements(self.ledger) if one.intent_reference.startswith(start)]

    async def rows(self, query: str, *parameters: object) -> list[tuple]:
        options = f"-c search_path={self.environment.schema},{self.environment.schema}_read"
        async with await psycopg.AsyncConnection.connect(
            self.environment.dsn(), options=options
        ) as connection:
            return await (await connection.execute(query, parameters)).fetchall()  # type: ignore[arg-type]

    async def has_status(self, payment: UUID, status: str, seconds: float = 60.0) -> None:
        """Waits for it in the read model."""

        async def there() -> bool:
            return await self._status(payment) == status

        try:
            await until(there, f"the payment {status}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {await self._status(payment)}") from None

    async def _status(self, payment: UUID) -> str | None:
        rows = await self.rows("SELECT status FROM payments WHERE payment_id = %s", payment)
        return str(rows[0][0]) if rows else None

    async def settled(self, count: int, seconds: float = 90.0) -> None:
        """Until so many payments are in the read model, all at rest and none in doubt."""

        async def all_at_rest() -> bool:
            rows = await self.rows(
                "SELECT count(*), count(*) FILTER (WHERE status NOT IN ('CAPTURED', 'FAILED', 'REJECTED')) FROM payments"
            )
            return rows == [(count, 0)]

        await until(all_at_rest, f"{count} payments at rest", seconds)


async def shop(stack: Running, wanted: Sequence[Order], enough: Callable[[], bool] = lambda: False) -> int:
    """Orders on schedule, whatever is down, until it is enough; each is sent again with its key until its
    reply comes. Returns how many there were."""
    clock = asyncio.get_running_loop().time
    sent = 0
    async with stack.client() as client, asyncio.TaskGroup() as group:
        begin = clock()
        for order in wanted:
            await asyncio.sleep(max(0.0, begin + order.arrives_s - clock()))
            if enough():
                break
            group.create_task(_order(client, order))
            sent += 1
    return sent


async def _order(client: Client, order: Order) -> None:
    while True:
        try:
            await client.create_payment(idempotency_key=order.idempotency_key, **order.content)
        except NoReply:
            continue
        return


_ROOT: Final = Path(__file__).parent.parent.parent


def responds(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def shared(
    environment: Environment, folder: Path, *names: str, accounts: str = EVERY_ROUTE
) -> Iterator[Running]:
    """For a fixture of a module: a start costs more than most tests do. Each test counts what is its own;
    what the PSP has of nobody's, the verdict on all of it finds at the end."""
    made = Running(environment, folder, accounts_text=accounts)
    try:
        asyncio.run(made.start(*(names or ALL)))
        yield made
        verdict = asyncio.run(made.verdict())
        assert verdict.ok, verdict.as_json()
    finally:
        asyncio.run(made.stop())


@asynccontextmanager
async def running(
    environment: Environment, folder: Path, *names: str, latency_ms: float = 5.0, accounts: str = ONE_ACCOUNT
) -> AsyncIterator[Running]:
    made = Running(environment, folder, latency_ms, accounts)
    try:
        await made.start(*(names or ALL))
        yield made
    finally:
        await made.stop()
