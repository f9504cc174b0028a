"""Where everything of one stack is and what it is started with: decided before anything starts."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateways.simulator.paypal.certificates import Signer
from infra import migrate
from infra.local import ports, processes, psps
from infra.local.children import Program
from infra.local.data import DataFolder, write_private
from infra.local.kafka import Kafka
from infra.local.ports import HOST
from infra.local.postgres import Postgres
from infra.local.settings import StackSettings
from infra.settings import DatabaseSettings, KafkaSettings

SCHEMA: Final = "aegispay"


@dataclass(frozen=True, slots=True)
class Plan:
    settings: StackSettings
    folder: Path
    cluster_id: str
    ports: Mapping[str, int]
    passwords: Mapping[str, str]  # of `postgres` and of each role
    psp_secrets: Mapping[str, str]  # by their files' names
    return_key: str

    @classmethod
    def make(cls, settings: StackSettings, data: DataFolder) -> "Plan":
        kept = _kept_secrets(data.path)
        return cls(
            settings=settings,
            folder=data.path,
            cluster_id=data.id,
            ports=_choose_ports(settings, data),
            passwords=kept["passwords"],
            psp_secrets=kept["simulator"],
            return_key=kept["return"]["key"],
        )

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def postgres(self) -> Postgres:
        return Postgres(
            self.folder / "postgres",
            self.ports["postgres"],
            self.passwords["postgres"],
            self.logs / "postgres.log",
        )

    @property
    def kafka(self) -> Kafka:
        return Kafka(
            self.folder / "kafka",
            self.ports["kafka"],
            self.ports["controller"],
            self.cluster_id,
            self.logs / "kafka.log",
        )

    @property
    def admin(self) -> DatabaseSettings:
        return DatabaseSettings.model_validate(
            {"database_url": self.postgres.dsn(), "database_schema": SCHEMA}
        )

    @property
    def bus(self) -> KafkaSettings:
        return KafkaSettings(kafka=self.kafka.bootstrap, topic_prefix="", partitions=self.settings.partitions)

    @property
    def role_passwords(self) -> dict[str, str]:
        return {role: self.passwords[role] for role in migrate.ROLES}

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self.ports['api']}"

    @property
    def simulator_url(self) -> str:
        return f"http://{HOST}:{self.ports['simulator']}"

    @property
    def simulator_ledger(self) -> Path:
        return self.folder / "simulator.sqlite"

    @property
    def simulator_accounts(self) -> Path:
        return self.folder / "simulator.toml"

    @property
    def accounts_file(self) -> Path:
        return self.folder / "accounts.toml"

    @property
    def return_key_file(self) -> Path:
        return self.folder / "return.key"

    def dsn(self, role: str) -> str:
        name = f"aegispay_{role}"
        return self.postgres.dsn(name, self.passwords[name])

    def write_accounts(self) -> None:
        more = {"sim-paypal": self._paypal()}
        write_private(self.accounts_file, psps.of_aegispay(self.simulator_url, more))
        hooks_to = self.api_url if self.settings.webhooks else None
        write_private(self.simulator_accounts, psps.of_simulator(self.psp_secrets, hooks_to, more))
        for name, secret in self.psp_secrets.items():
            write_private(self.folder / f"{name}.key", secret)
        write_private(self.return_key_file, self.return_key)

    def _paypal(self) -> dict[str, str]:
        """Its webhooks are signed by a certificate, of an authority that is made here for the simulator to use."""
        signer = Signer(self.simulator_ledger)
        signer.authority()
        host = f"{HOST}:{self.ports['simulator']}"
        return {"webhook_ca": signer.authority_file.read_text(), "certificate_host": host}

    def programs(self) -> list[Program]:
        shared = {
            "kafka": self.kafka.bootstrap,
            "partitions": str(self.settings.partitions),
            "database_schema": SCHEMA,
            "accounts_file": str(self.accounts_file),
            "api_port": str(self.ports["api"]),
            "public_url": self.api_url,
            "return_key_file": str(self.return_key_file),
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
    """The name, among the ports, of a process' port for metrics."""
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
    """Each made once for a data folder; a folder that is older than one of them gets it now."""
    file = folder / "secrets.json"
    kept: dict[str, dict[str, str]] = json.loads(file.read_text()) if file.exists() else {}
    passwords = {name: secrets.token_hex(24) for name in ("postgres", *migrate.ROLES)}
    made = {
        "passwords": passwords,
        "simulator": psps.make_secrets(),
        "return": {"key": secrets.token_hex(32)},
    }
    whole = {group: values | kept.get(group, {}) for group, values in made.items()}
    if whole != kept:
        write_private(file, json.dumps(whole))
    return whole
