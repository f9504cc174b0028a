"""The places and the start of everything in one stack, decided before anything starts."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateways.simulator.paypal.certificates import Signer
from infra.postgres import migrate
from infra.settings import DatabaseSettings, KafkaSettings
from infra.tools.local import accounts, ports, processes
from infra.tools.local.data import DataFolder, write_private
from infra.tools.local.kafka import Kafka
from infra.tools.local.ports import HOST
from infra.tools.local.postgres import Postgres
from infra.tools.local.settings import StackSettings
from infra.tools.local.subprocesses import Program

SCHEMA: Final = "aegispay"


@dataclass(frozen=True, slots=True)
class Plan:
    """The folder, ports, passwords and secrets of one stack, and the programs that follow from them."""

    settings: StackSettings
    folder: Path
    cluster_id: str
    ports: Mapping[str, int]
    passwords: Mapping[str, str]  # of `postgres` and of each role
    psp_secrets: Mapping[str, str]  # by their files' names
    return_key: str
    fingerprint_key: str

    @classmethod
    def make(cls, settings: StackSettings, data: DataFolder) -> "Plan":
        """Chooses ports and secrets, or takes those of the folder's last start. Raises `LocalProblem`
        where a wanted port is taken."""
        kept = _kept_secrets(data.path)
        return cls(
            settings=settings,
            folder=data.path,
            cluster_id=data.id,
            ports=_choose_ports(settings, data),
            passwords=kept["passwords"],
            psp_secrets=kept["simulator"],
            return_key=kept["return"]["key"],
            fingerprint_key=kept["fingerprint"]["key"],
        )

    @property
    def logs(self) -> Path:
        """The folder of the logs, one file for each program."""
        return self.folder / "logs"

    @property
    def postgres(self) -> Postgres:
        """The PostgreSQL server."""
        return Postgres(
            self.folder / "postgres",
            self.ports["postgres"],
            self.passwords["postgres"],
            self.logs / "postgres.log",
        )

    @property
    def kafka(self) -> Kafka:
        """The Kafka server."""
        return Kafka(
            self.folder / "kafka",
            self.ports["kafka"],
            self.ports["controller"],
            self.cluster_id,
            self.logs / "kafka.log",
        )

    @property
    def admin(self) -> DatabaseSettings:
        """The settings of the schema's owner."""
        return DatabaseSettings.model_validate(
            {"database_url": self.postgres.dsn(), "database_schema": SCHEMA}
        )

    @property
    def bus(self) -> KafkaSettings:
        """The Kafka settings that every process shares."""
        return KafkaSettings(
            kafka=self.kafka.bootstrap, topic_prefix="", partitions=self.settings.partitions, one_node=True
        )

    @property
    def role_passwords(self) -> dict[str, str]:
        """The password of each process's PostgreSQL role."""
        return {role: self.passwords[role] for role in migrate.ROLES}

    @property
    def api_url(self) -> str:
        """The base URL of the HTTP API."""
        return f"http://{HOST}:{self.ports['api']}"

    @property
    def simulator_url(self) -> str:
        """The base URL of the simulator."""
        return f"http://{HOST}:{self.ports['simulator']}"

    @property
    def simulator_ledger(self) -> Path:
        """The simulator's SQLite file."""
        return self.folder / "simulator.sqlite"

    @property
    def simulator_accounts(self) -> Path:
        """The simulator's accounts file."""
        return self.folder / "simulator.toml"

    @property
    def accounts_file(self) -> Path:
        """AegisPay's accounts file."""
        return self.folder / "accounts.toml"

    @property
    def return_key_file(self) -> Path:
        """The file of the key that signs return tokens."""
        return self.folder / "return.key"

    @property
    def fingerprint_key_file(self) -> Path:
        """The file of the key of the marks by which a declined card is known again."""
        return self.folder / "fingerprint.key"

    def dsn(self, role: str) -> str:
        """Returns the connection string of `aegispay_ROLE`."""
        name = f"aegispay_{role}"
        return self.postgres.dsn(name, self.passwords[name])

    def write_accounts(self) -> None:
        """Writes both accounts files and every secret that they name, readable for the owner only."""
        more = {"sim-paypal": self._paypal()}
        write_private(self.accounts_file, accounts.of_aegispay(self.simulator_url, more))
        webhooks_to = self.api_url if self.settings.webhooks else None
        write_private(self.simulator_accounts, accounts.of_simulator(self.psp_secrets, webhooks_to, more))
        for name, secret in self.psp_secrets.items():
            write_private(self.folder / f"{name}.key", secret)
        write_private(self.return_key_file, self.return_key)
        write_private(self.fingerprint_key_file, self.fingerprint_key)

    def _paypal(self) -> dict[str, str]:
        """Returns the options of PayPal's account: the authority whose certificate signs the simulator's
        webhooks."""
        signer = Signer(self.simulator_ledger)
        signer.authority()
        host = f"{HOST}:{self.ports['simulator']}"
        return {"webhook_ca": signer.authority_file.read_text(), "certificate_host": host}

    def programs(self) -> list[Program]:
        """Returns AegisPay's processes in the order of their start."""
        shared = {
            "kafka": self.kafka.bootstrap,
            "partitions": str(self.settings.partitions),
            "database_schema": SCHEMA,
            "hooks": self.settings.hooks,
            "accounts_file": str(self.accounts_file),
            "api_port": str(self.ports["api"]),
            "public_url": self.api_url,
            "return_key_file": str(self.return_key_file),
            "fingerprint_key_file": str(self.fingerprint_key_file),
            "simulator_port": str(self.ports["simulator"]),
            "simulator_ledger": str(self.simulator_ledger),
            "simulator_accounts": str(self.simulator_accounts),
            "simulator_latency_ms": str(self.settings.simulator_latency_ms),
        }
        return [
            processes.program(
                name,
                kind,
                metrics_port=self.ports[metrics(name)],
                shared=shared,
                database_url=self.dsn(kind.role) if kind.role else None,
                logs=self.logs,
            )
            for name, kind in processes.names(self.settings)
        ]


def metrics(name: str) -> str:
    """Returns the name, among the ports, of a process's metrics port."""
    return f"{name} metrics"


def _choose_ports(settings: StackSettings, data: DataFolder) -> dict[str, int]:
    wanted = {
        "postgres": settings.postgres_port,
        "kafka": settings.kafka_port,
        "api": settings.api_port,
        "simulator": settings.simulator_port,
        "controller": 0,
        **{metrics(name): 0 for name, _ in processes.names(settings)},
    }
    chosen = ports.choose(wanted, data.remembered("ports") or {})
    data.remember(ports=chosen)
    return chosen


def _kept_secrets(folder: Path) -> dict[str, dict[str, str]]:
    """Returns the folder's secrets. Each is made once; a folder that is older than one of them gets it
    now."""
    file = folder / "secrets.json"
    kept: dict[str, dict[str, str]] = json.loads(file.read_text()) if file.exists() else {}
    passwords = {name: secrets.token_hex(24) for name in ("postgres", *migrate.ROLES)}
    made = {
        "passwords": passwords,
        "simulator": accounts.make_secrets(),
        "return": {"key": secrets.token_hex(32)},
        "fingerprint": {"key": secrets.token_hex(32)},
    }
    whole = {group: values | kept.get(group, {}) for group, values in made.items()}
    if whole != kept:
        write_private(file, json.dumps(whole))
    return whole
